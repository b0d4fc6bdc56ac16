/** What must hold in every state, and of every step of the ledger. Each check returns what is wrong, or null. */
import type { Settings } from './obey.ts';
import { runs } from './rules.ts';
import {
  type Content,
  count,
  type Generations,
  GRANTS,
  has,
  listed,
  type Member,
  NAMES,
  shownSet,
  type State,
} from './state.ts';

/**
 * Whether a leaf of this generation verifies under a bundle, by a verifier that takes the first, the last or any CA which could be the
 * issuer. Each generation has its own subject and key id, so those that could be are those of its number, but where all are alike; that a
 * number is never used twice is checked beside this, and that real verifiers agree is tested in test/pki.
 */
function verifies(leaf: number, bundle: Generations, style: 'first' | 'last' | 'any', alike: boolean): boolean {
  const candidates = listed(bundle).filter((number) => alike || number === leaf);
  const chosen = style === 'first' ? candidates.slice(0, 1) : style === 'last' ? candidates.slice(-1) : candidates;
  return chosen.includes(leaf);
}

const STYLES = ['first', 'last', 'any'] as const;

/** What a member has loaded, and what it loads if it loads now. */
function* loadable(member: Member): Generator<{ content: Content; when: string }> {
  const { loaded, secret } = member;
  if (loaded !== null) yield { content: loaded, when: '' };
  if (secret !== null) yield { content: secret, when: ', once it loads its files' };
}

/**
 * The promise: at every instant the leaf that a member really presents is trusted by what its partners have really loaded. A member can
 * load its Secret at any instant, so what it would load counts as well: a broken link is found one step before it breaks.
 */
export function brokenLink(state: State, { alike, lockstep }: Pick<Settings, 'alike' | 'lockstep'>): string | null {
  // The gap that is announced. What is given meanwhile is checked by itself (`strayGrant`).
  if (lockstep && state.head.rotation?.interrupted === true) return null;
  const { members } = state;
  for (let p = 0; p < members.length; p++) {
    const from = members[p];
    if (from === undefined || !runs(from)) continue;
    for (let q = 0; q < members.length; q++) {
      const to = members[q];
      if (p === q || to === undefined || !runs(to)) continue;
      if (!alike && from.loaded !== null && to.loaded !== null && from.secret !== null && to.secret !== null) {
        // The usual case, without the words.
        const bundles = to.loaded.bundle & to.secret.bundle;
        if (has(bundles, from.loaded.leaf) && has(bundles, from.secret.leaf)) continue;
      }
      for (const shown of loadable(from)) {
        for (const judge of loadable(to)) {
          for (const style of STYLES) {
            if (verifies(shown.content.leaf, judge.content.bundle, style, alike)) continue;
            return `link ${NAMES.charAt(p)} -> ${NAMES.charAt(q)} breaks: ${NAMES.charAt(p)} presents a leaf of G${shown.content.leaf}${shown.when}, but ${NAMES.charAt(q)} trusts ${shownSet(judge.content.bundle)}${judge.when}${alike ? `, and takes the ${style} that could be the issuer` : ''}`;
          }
        }
      }
    }
  }
  return null;
}

const PROVEN = GRANTS.indexOf('Proven');

/** What every state must have besides whole links. */
export function wrongState({ head, members }: State): string | null {
  if (count(head.generations) > 2) return `there are more than two generations: ${shownSet(head.generations)}`;
  for (let i = 0; i < members.length; i++) {
    const member = members[i];
    if (member === undefined) continue;
    const { entry, secret, write } = member;
    // The ledger was decided on the one and the Secret on the other, each checked by itself. A proven grant rules that out.
    if (write !== null && entry?.grant === PROVEN && (write.leaf !== entry.leaf || write.bundle !== entry.bundle))
      return `write skew: the grant of ${NAMES.charAt(i)} is proven (G${entry.leaf}, trusting ${shownSet(entry.bundle)}), but another leader may yet write it a leaf of G${write.leaf}, trusting ${shownSet(write.bundle)}, that it decided on at epoch ${write.epoch}`;
    for (const content of [entry, secret]) {
      if (content !== null && count(content.bundle) > 2)
        return `${NAMES.charAt(i)} is to trust more than two generations: ${shownSet(content.bundle)}`;
    }
    if (entry !== null && entry.leaf !== 0 && !has(head.generations, entry.leaf))
      return `the key of G${entry.leaf} is gone, but it is to sign the leaf of ${NAMES.charAt(i)}`;
    if (entry !== null && (entry.bundle & ~head.generations) !== 0)
      return `${NAMES.charAt(i)} is to trust ${shownSet(entry.bundle)}, but only ${shownSet(head.generations)} are there`;
    if (entry !== null && entry.leaf !== 0 && !has(entry.bundle, entry.leaf))
      return `${NAMES.charAt(i)} is to present a leaf that its own bundle does not hold`;
  }
  return null;
}

/** What a step of the ledger must not do. */
export function wrongStep(before: State, after: State, { lockstep }: Pick<Settings, 'lockstep'>): string | null {
  const [was, is] = [before.head, after.head];
  if (is.epoch !== was.epoch + 1) return `the epoch goes from ${was.epoch} to ${is.epoch}`;
  if (is.highest < was.highest) return `the highest number goes back from ${was.highest} to ${is.highest}`;
  for (const number of listed(is.generations & ~was.generations)) {
    if (number <= was.highest) return `the number ${number} is used a second time`;
  }
  if (is.signer !== was.signer && !has(is.generations, is.signer))
    return `G${is.signer} is to sign, but its key is gone`;
  for (const number of listed(was.generations & ~is.generations)) {
    for (let i = 0; i < before.members.length; i++) {
      const member = before.members[i];
      if (member === undefined || after.members[i]?.entry === null || !runs(member) || member.loaded === null) continue;
      if (has(member.loaded.bundle, number)) return `G${number} is destroyed while ${NAMES.charAt(i)} still accepts it`;
      if (member.loaded.leaf === number)
        return `G${number} is destroyed while ${NAMES.charAt(i)} presents a leaf of it`;
    }
  }
  if (lockstep) return falseStep(before, after) ?? strayGrant(before, after);
  return falseProof(before, after) ?? neededBundle(before, after);
}

/** Before everybody changes, everybody was seen as it was; afterwards, to have changed. */
function falseStep({ head, members }: State, after: State): string | null {
  const { rotation } = head;
  if (rotation === null || after.head.rotation?.to === rotation.from) return null;
  if (after.head.rotation?.stage === rotation.stage) return null;
  // Given up before anybody was given anything: what nobody has need not be seen to be gone.
  if (after.head.rotation === null && rotation.stage === 0 && !rotation.turned) return null;
  const wanted = rotation.stage === 0 ? rotation.from : rotation.to;
  const stage = rotation.stage === 0 ? 'Prepare' : 'Swap';
  for (let i = 0; i < members.length; i++) {
    const member = members[i];
    if (member === undefined || after.members[i]?.entry === null || !runs(member) || member.loaded === null) continue;
    const { leaf, bundle } = member.loaded;
    if (leaf !== wanted || bundle !== 1 << wanted)
      return `stage ${stage} ends, but ${NAMES.charAt(i)} presents a leaf of G${leaf} and trusts ${shownSet(bundle)}`;
  }
  return null;
}

/** Nobody is given anything of another generation than the one of the stage, and never two to trust. */
function strayGrant(before: State, { head: { rotation }, members }: State): string | null {
  for (let i = 0; i < members.length; i++) {
    const entry = members[i]?.entry ?? null;
    if (entry === null || entry.leaf === 0 || before.members[i]?.entry?.since === entry.since) continue;
    const name = NAMES.charAt(i);
    if (entry.bundle !== 1 << entry.leaf)
      return `${name} is given a leaf of G${entry.leaf} and is to trust ${shownSet(entry.bundle)}, in lockstep`;
    if (rotation !== null && entry.leaf !== (rotation.stage === 0 ? rotation.from : rotation.to))
      return `${name} is given a leaf of G${entry.leaf} in stage ${rotation.stage === 0 ? 'Prepare' : 'Swap'}`;
  }
  return null;
}

/** A stage ends on what was seen of every member, so it must be so: next is trusted, its leaf is presented, the old CA is refused. */
function falseProof({ head, members }: State, after: State): string | null {
  const { rotation } = head;
  if (rotation === null || after.head.rotation?.to === rotation.from) return null;
  if (after.head.rotation?.stage === rotation.stage) return null;
  const { from, to, stage } = rotation;
  for (let i = 0; i < members.length; i++) {
    const member = members[i];
    if (member === undefined || after.members[i]?.entry === null || !runs(member) || member.loaded === null) continue;
    const { leaf, bundle } = member.loaded;
    const name = NAMES.charAt(i);
    if (!has(bundle, to)) return `stage ${STAGES[stage]} ends, but ${name} does not trust G${to}`;
    if (stage > 0 && leaf !== to) return `stage ${STAGES[stage]} ends, but ${name} presents no leaf of G${to}`;
    if (stage === 2 && has(bundle, from)) return `stage ${STAGES[stage]} ends, but ${name} still accepts G${from}`;
  }
  return null;
}

const STAGES = ['Append', 'Roll', 'Drop'] as const;

/** A CA leaves a bundle only when no other member presents a leaf of it, or is about to. */
function neededBundle(before: State, after: State): string | null {
  for (let i = 0; i < before.members.length; i++) {
    const gone = (before.members[i]?.entry?.bundle ?? 0) & ~(after.members[i]?.entry?.bundle ?? 0);
    if (gone === 0 || after.members[i]?.entry === null) continue;
    for (let p = 0; p < before.members.length; p++) {
      const partner = after.members[p];
      if (p === i || partner === undefined || !runs(partner)) continue;
      for (const its of [partner.loaded, partner.secret, partner.entry, partner.write, ...partner.coming]) {
        if (its !== null && has(gone, its.leaf))
          return `G${its.leaf} leaves the bundle of ${NAMES.charAt(i)} while ${NAMES.charAt(p)} presents a leaf of it, or may yet`;
      }
    }
  }
  return null;
}
