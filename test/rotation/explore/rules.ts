/** The rules of the world: what a ledger update, a write, a look or a start with files of old comes to. */
import {
  bit,
  type Content,
  FRESH,
  type Generations,
  GRANTS,
  has,
  listed,
  type Member,
  type NextLedger,
  type Probe,
  sameContent,
  type Secret,
  type Seen,
  type Sight,
  type State,
  type Write,
} from './state.ts';
import type { Budget } from './world.ts';

const PROVEN = GRANTS.indexOf('Proven');

/** The ledger is updated. Every other update under way has read an older one, and is refused. */
export function committed(state: State, { head, entries, uidKnown }: NextLedger): State {
  const members = state.members.map((member, i): Member => {
    const entry = entries[i] ?? null;
    const known = uidKnown[i] ?? true;
    const ready = member.ready & head.generations;
    if (entry === member.entry && known === member.uidKnown)
      return ready === member.ready ? member : { ...member, ready };
    // Whoever has left takes part no longer: its links are its own affair until it is a member again.
    if (entry === null && member.entry !== null)
      return {
        ...member,
        entry,
        uidKnown: true,
        loaded: null,
        coming: [],
        old: [],
        restarted: false,
        probe: null,
        ready,
      };
    return { ...member, entry, uidKnown: known, ready };
  });
  const [was, is] = [state.head.rotation, head.rotation];
  const proven = entries.some((entry, i) => entry?.grant === PROVEN && state.members[i]?.entry?.grant !== PROVEN);
  const begun = is === null || was?.stage !== is.stage || was.to !== is.to;
  const lastProof = proven || begun ? head.epoch : state.lastProof;
  return { ...state, head, members, commit: null, due: state.due & head.generations, lastProof };
}

/**
 * What the controller of the member writes now; null: its Secret is as the ledger wants it. Of one that may not be served it may or may not
 * be written; who has departed besides has left with the next update of the ledger.
 */
export function dueWrite(state: State, member: Member): Write | null {
  const { certificate, barred, departed, hidden, entry, secret } = member;
  if (!certificate || (barred && departed) || hidden || entry === null || entry.leaf === 0) return null;
  const sameLeaf = secret !== null && secret.leaf === entry.leaf;
  const underGrant = secret !== null && secret.epoch >= entry.since;
  if (sameLeaf && secret.bundle === entry.bundle && underGrant) return null;
  if (member.brings && !sameLeaf) {
    if (!has(member.ready, entry.leaf)) return null;
    return { epoch: state.head.epoch, leaf: entry.leaf, id: broughtLeaf(member, entry.leaf), bundle: entry.bundle };
  }
  const keepsLeaf = sameLeaf && (member.brings || underGrant || GRANTS[entry.grant] !== 'Reopened');
  return { epoch: state.head.epoch, leaf: entry.leaf, id: keepsLeaf ? secret.id : 0, bundle: entry.bundle };
}

export function renewalOf(
  state: State,
  { certificate, barred, departed, hidden, entry, secret }: Member,
): Write | null {
  if (!certificate || (barred && departed) || hidden || entry === null || entry.leaf === 0 || secret === null)
    return null;
  return { epoch: state.head.epoch, leaf: entry.leaf, id: 0, bundle: entry.bundle };
}

/** The leaf of this generation that is brought: the same as before. 0: nothing remembers it, so any will do. */
function broughtLeaf({ secret, loaded, coming, old, sight, probe, write, oldSecret, oldSight }: Member, leaf: number) {
  const known = [loaded, secret, ...coming, ...old, sight, probe?.seen, write, oldSecret?.secret, oldSight?.sight].find(
    (each) => each?.leaf === leaf && each.id !== 0,
  );
  return known?.id ?? 0;
}

function freshLeaf({ secret, loaded, coming, old, sight, probe, write, oldSecret, oldSight }: Member): number {
  return (
    1 +
    Math.max(
      secret?.id ?? 0,
      loaded?.id ?? 0,
      sight?.id ?? 0,
      probe?.seen?.id ?? 0,
      write?.id ?? 0,
      oldSecret?.secret?.id ?? 0,
      oldSight?.sight?.id ?? 0,
      ...coming.map(({ id }) => id),
      ...old.map(({ id }) => id),
    )
  );
}

function freshRevision({ secret, vouch, sight, probe, oldSecret, oldSight }: Member): number {
  return (
    1 +
    Math.max(
      secret?.revision ?? 0,
      vouch?.revision ?? 0,
      sight?.revision ?? 0,
      probe?.revision ?? 0,
      oldSecret?.secret?.revision ?? 0,
      oldSight?.sight?.revision ?? 0,
    )
  );
}

/** One write that carries the resourceVersion it was decided on. Every other write under way is refused from now on. */
export function written(member: Member, { epoch, leaf, id, bundle }: Write, keep: number): Member {
  const content = { leaf, id: id === 0 ? freshLeaf(member) : id, bundle };
  const secret: Secret = { ...content, epoch, revision: freshRevision(member) };
  const { secret: before } = member;
  const same = before !== null && sameContent(before, content);
  return { ...member, secret, write: null, coming: same ? member.coming : overwritten(member, keep) };
}

/** The present version of the Secret is overwritten. If it was not loaded yet, the member's mount may bring it still. */
export function overwritten({ secret, loaded, coming, restarted }: Member, keep: number): readonly Content[] {
  if (restarted) return coming;
  if (secret === null || loaded === null || keep === 0) return [];
  const { leaf, id, bundle } = secret;
  if (coming.length === 0 && sameContent(loaded, secret)) return coming;
  return [...coming, { leaf, id, bundle }].slice(-keep);
}

/** Whether its process takes part: it is brought up when its first Secret as a member is there. */
export function runs({ entry, secret, loaded }: Member): boolean {
  if (entry === null || entry.leaf === 0) return false;
  return loaded !== null || (secret !== null && secret.epoch >= entry.since);
}

/** What is asked of a member: in a rotation both generations, else the signer. */
export function askedIn({ head: { rotation, signer } }: State): Generations {
  return rotation === null ? bit(signer) & ~1 : bit(rotation.from) | bit(rotation.to);
}

const SEEN_NOTHING: Seen = { leaf: 0, id: 0, trusts: 0, refuses: 0 };

/** What a member shows to a probe that asks for these generations: the truth. */
export function truth({ loaded }: Member, asked: Generations): Seen {
  if (loaded === null) return SEEN_NOTHING;
  return { leaf: loaded.leaf, id: loaded.id, trusts: loaded.bundle & asked, refuses: asked & ~loaded.bundle };
}

export function looks(
  member: Member,
  asked: Generations,
): readonly { readonly how: string; readonly budget: Budget | null; readonly seen: Seen }[] {
  const seen = truth(member, asked);
  const blind = { how: ': it is dark', budget: 'blind', seen: SEEN_NOTHING } as const;
  if (member.loaded === null) return [blind];
  return [
    { how: '', budget: null, seen },
    blind,
    { how: ': whom it trusts is seen, not its leaf', budget: 'inconclusive', seen: { ...seen, leaf: 0, id: 0 } },
    { how: ': its leaf is seen, not whom it trusts', budget: 'inconclusive', seen: { ...seen, trusts: 0, refuses: 0 } },
    ...listed(asked).map((number) => ({
      how: `: whether it trusts G${number} is not seen`,
      budget: 'inconclusive' as const,
      seen: { ...seen, trusts: seen.trusts & ~bit(number), refuses: seen.refuses & ~bit(number) },
    })),
  ];
}

export function stamped({ head }: State, { revision }: Secret): Pick<Probe, 'epoch' | 'revision'> {
  return { epoch: head.epoch, revision };
}

export function landed({ epoch, revision }: Pick<Probe, 'epoch' | 'revision'>, seen: Seen): Sight {
  return { epoch, revision, age: FRESH, leaf: seen.leaf, id: seen.id, trusts: seen.trusts, refuses: seen.refuses };
}

/**
 * Whether what was seen of a member may be the ground of a decision: it is fresh, of its present Secret, and newer than the last proof (or
 * than its own grant). Nothing else may be; so nothing else is spared when the member starts again with files of old.
 */
export function usable(
  { head: { rotation }, lastProof }: State,
  { entry, secret }: Member,
  seen: Sight | Probe,
): boolean {
  if (rotation === null || entry === null || secret === null) return false;
  if ('age' in seen && seen.age !== FRESH) return false;
  const grant = GRANTS[entry.grant];
  const since = grant === 'Open' || grant === 'Reopened' ? Math.min(entry.since, lastProof) : lastProof;
  return seen.revision === secret.revision && seen.epoch >= since;
}

/**
 * Whether a member may start again with files of old. That makes what was seen of it void, before it can be used: so not while anything
 * that may rest on it is under way, and not when a change that the ledger has already decided on would break on it. What the world breaks
 * between a probe and its use, no planner can prevent.
 */
export function mayRestart(state: State, i: number, old: Content, lockstep: boolean): boolean {
  if (state.commit !== null || (state.members[i]?.vouch ?? null) !== null) return false;
  // Links are down, so there is nothing that it could break; but what was seen of it must not end the gap.
  if (lockstep && state.head.rotation?.interrupted === true)
    return state.members.every(({ oldSight }) => oldSight === null);
  for (let p = 0; p < state.members.length; p++) {
    const member = state.members[p];
    if (member === undefined) continue;
    if (member.oldSight !== null) return false;
    if (p === i || !runs(member)) continue;
    for (const its of [member.loaded, member.secret, member.entry, member.write, ...member.coming]) {
      if (its === null) continue;
      if (!has(old.bundle, its.leaf) || !has(its.bundle, old.leaf)) return false;
    }
  }
  return true;
}
