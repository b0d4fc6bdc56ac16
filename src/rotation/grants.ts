import type { Ledger, RosterEntry, Rotation } from '../api/ledger.ts';
import { contentOf, isLockstep, sameBundle } from './content.ts';
import { ask, type Finding, isMoot, neededForGrant, OK, proofOf, proofOfReopened } from './evidence.ts';
import type { Blocker, CertificateFact, Facts, MemberKey, SecretFact } from './facts.ts';
import { cut, inventory, unfit } from './matrix.ts';
import { names, type Story } from './story.ts';

/** A rotating ledger. */
export type Rotating = Ledger & { readonly rotation: Rotation };

/** What was found of every member in this pass: the proof of the running stage, asked once and used for all decisions. */
export type Findings = ReadonlyMap<MemberKey, Finding>;

const secretOf = (facts: Facts, member: MemberKey): SecretFact | null => facts.certificates.get(member)?.secret ?? null;

/** A member that was never given a Secret cannot break anything and is not asked for evidence (design rule 5). */
const issued = (entry: RosterEntry): boolean => entry.leaf !== null;

/** A grant under way, to be proven. */
const isOpen = ({ grant }: RosterEntry): boolean => grant === 'Open' || grant === 'Reopened';

/** Still to be granted in this stage; whoever was granted before the rotation turned round is among them. */
const isWaiting = ({ grant }: RosterEntry): boolean => grant === null || grant === 'Reversed';

/**
 * Asks the running stage's proof of every member that holds a grant. An open grant is judged on evidence from after its own
 * Secret was written; a proven one on evidence from after the last proof, so that a member that came back with old files shows.
 */
export function findProofs(facts: Facts, { rotation, roster }: Rotating, now: number): Findings {
  const findings = new Map<MemberKey, Finding>();
  for (const [member, entry] of roster) findings.set(member, findProof(facts, rotation, member, entry, now));
  return findings;
}

function findProof(facts: Facts, rotation: Rotation, member: MemberKey, entry: RosterEntry, now: number): Finding {
  const certificate = facts.certificates.get(member);
  if (certificate === undefined) return ask(facts, rotation, member, null, proofOf(rotation), entry.since, now);
  const { barred, secret } = certificate;
  // Whoever could not change with the others is to be known before the gap begins.
  const preparing = rotation.stage === 'Prepare';
  if (barred !== null && (preparing || isWaiting(entry) || secret === null || !written(secret, entry)))
    return barredBy(barred, member, entry);
  const moot = isMoot(facts, rotation, now);
  const coming = [
    ...(isWaiting(entry) && !moot ? [contentOf(rotation).leaf] : []),
    ...(preparing ? [rotation.to] : []),
  ];
  for (const leaf of coming) {
    const lack = lackOf(certificate, leaf);
    if (lack !== null) return { ok: false, contrary: false, ...lack };
  }
  if (moot) return OK;
  if (isWaiting(entry)) {
    const message =
      entry.grant === null
        ? `${member} waits for its turn.`
        : `${member} was about to change when the rotation turned round; it is turned round before any other.`;
    return { ok: false, contrary: false, reason: 'WaitingForGrant', message };
  }
  if (secret !== null && !written(secret, entry)) {
    return {
      ok: false,
      contrary: false,
      reason: 'WaitingForSecret',
      message: `The Secret of ${member} is about to be written. If that lasts, the conditions of ClusterCertificate ${member} say why it is not.`,
    };
  }
  const since = isOpen(entry) ? entry.since : rotation.provenEpoch;
  if (entry.grant !== 'Reopened') return ask(facts, rotation, member, secret, proofOf(rotation), since, now);
  const alike = secret !== null && secret.leafEpoch < entry.since;
  return ask(facts, rotation, member, secret, proofOfReopened(rotation), since, now, { alike });
}

/** Why the leaf that a grant would give cannot be given: it is to be brought, and is not there. One that is in use needs nothing. */
function lackOf({ secret, brought }: CertificateFact, leaf: number): Blocker | null {
  return secret?.leaf === leaf ? null : (brought.get(leaf) ?? null);
}

/** A member that may not be served any more is not waited for in vain: whoever owns the CA can let it go. */
function barredBy({ reason, message }: Blocker, member: MemberKey, entry: RosterEntry): Finding {
  const remedy = issued(entry) ? ` If ${member} is really gone, name it in spec.rotation.departed.` : '';
  return { ok: false, contrary: false, reason, message: `${message}${remedy}` };
}

/** Whether a Secret was written under the grant that its roster entry carries, with that content (design rule 3). */
function written(secret: SecretFact, entry: RosterEntry): boolean {
  return (
    secret.epoch >= entry.since &&
    secret.leaf === entry.leaf &&
    secret.bundle !== null &&
    sameBundle(secret.bundle, entry.bundle)
  );
}

/** Marks the open grants whose proof was found. */
export function proveGrants(rotating: Rotating, findings: Findings, epoch: number, story: Story): Rotating {
  const proven = [...rotating.roster].filter(([member, entry]) => isOpen(entry) && findings.get(member)?.ok === true);
  if (proven.length === 0) return rotating;
  const roster = new Map(rotating.roster);
  for (const [member, entry] of proven) roster.set(member, { ...entry, grant: 'Proven' });
  const { stage, from, to } = rotating.rotation;
  const seen = {
    Append: `to trust generation ${to}`,
    Roll: `to present its leaf of generation ${to}`,
    Drop: `to refuse generation ${from}`,
    Prepare: `to present its leaf of generation ${from}`,
    Swap: `to present its leaf of generation ${to}, and to refuse generation ${from}`,
  }[stage];
  for (const [member] of proven) {
    const finding = findings.get(member);
    if (finding?.ok === true) story.acknowledged(finding.claims);
  }
  story.tell('Normal', 'GrantProven', `${stage}: ${names(proven.map(([member]) => member))} was seen ${seen}`);
  return { ...rotating, roster, rotation: { ...rotating.rotation, provenEpoch: epoch } };
}

/** Why no grant may be given now, or the members that get one. */
export type Granting = {
  readonly members: readonly MemberKey[];
  readonly held: ReadonlyMap<MemberKey, Finding & { ok: false }>;
  /** What the leave rests on besides what was seen. */
  readonly claims: readonly string[];
};

/**
 * Chooses who is granted now. Evidence is asked again at each grant, of every other member and from after the last proof;
 * the grantee's own is not, so that a broken member can be healed (design rule 2). A member seen to regress stops all grants.
 */
export function chooseGrants(facts: Facts, rotating: Rotating, findings: Findings, now: number): Granting {
  const { rotation, roster } = rotating;
  const waiting = [...roster].filter(([, entry]) => isWaiting(entry)).map(([member]) => member);
  // What was open when the rotation turned round has its slot already.
  const reversed = [...roster.values()].filter(({ grant }) => grant === 'Reversed').length;
  const open = [...roster.values()].filter(isOpen).length;
  const room = Math.max(0, concurrency(facts, roster.size) - open - reversed);
  const held = new Map<MemberKey, Finding & { ok: false }>();
  if (waiting.length === 0) return { members: [], held, claims: [] };
  if (isLockstep(rotation)) return together(facts, rotation, waiting, now);

  for (const [member, entry] of roster) {
    const finding = findings.get(member) ?? OK;
    if (entry.grant === 'Proven' && !finding.ok && finding.contrary) held.set(member, finding);
  }
  if (held.size > 0 || room + reversed === 0) return { members: [], held, claims: [] };

  const questions = neededForGrant(rotation);
  const claims: string[] = [];
  for (const [member, entry] of roster) {
    if (!issued(entry)) continue;
    const finding = ask(facts, rotation, member, secretOf(facts, member), questions, rotation.provenEpoch, now);
    if (finding.ok) claims.push(...finding.claims);
    else held.set(member, finding);
  }
  // One silent member is in everybody's way but its own; two are in everybody's.
  const grantable = held.size === 0 ? waiting : held.size === 1 ? waiting.filter((member) => held.has(member)) : [];
  const stock = inventory(facts, roster);
  const content = contentOf(rotation);
  const granted = (candidates: readonly MemberKey[], most: number): MemberKey[] => {
    const members: MemberKey[] = [];
    for (const member of candidates) {
      if (members.length === most) break;
      if (!deliverable(facts, member, content.leaf)) continue;
      const blocker = cut(facts, stock, content, member, now);
      if (blocker === null) members.push(member);
      else held.set(member, { ok: false, contrary: false, ...blocker });
    }
    return members;
  };
  const waitsFor = (grant: RosterEntry['grant']) => grantable.filter((member) => roster.get(member)?.grant === grant);
  return { members: [...granted(waitsFor('Reversed'), reversed), ...granted(waitsFor(null), room)], held, claims };
}

/** Everybody who can change does so at one time: it has no bounds, and whoever is not as it was cannot hold the others in the gap. */
function together(facts: Facts, rotation: Rotation, waiting: readonly MemberKey[], now: number): Granting {
  if (isMoot(facts, rotation, now)) return { members: [], held: new Map(), claims: [] };
  const given = contentOf(rotation);
  const blocker = rotation.stage === 'Swap' ? unfit(facts, given, now) : null;
  if (blocker !== null) {
    const finding = { ok: false, contrary: false, ...blocker } as const;
    return { members: [], held: new Map(waiting.map((member) => [member, finding])), claims: [] };
  }
  const members = waiting.filter((member) => deliverable(facts, member, given.leaf));
  return { members, held: new Map(), claims: [] };
}

/** A grant that nobody can act on would only hold a slot. */
function deliverable(facts: Facts, member: MemberKey, leaf: number): boolean {
  const certificate = facts.certificates.get(member);
  return certificate !== undefined && certificate.barred === null && lackOf(certificate, leaf) === null;
}

/** Opens grants: from now on the ledger says that these Secrets are to hold the stage's content. */
export function openGrants(rotating: Rotating, { members, claims }: Granting, epoch: number, story: Story): Rotating {
  const content = contentOf(rotating.rotation);
  const roster = new Map(rotating.roster);
  for (const member of members) {
    const entry = roster.get(member);
    if (entry === undefined) continue;
    const grant = entry.grant === 'Reversed' ? 'Reopened' : 'Open';
    roster.set(member, { uid: entry.uid, ...content, since: epoch, grant });
  }
  story.acknowledged(claims);
  // With the numbers: equal notes are one event with a count, and a later rotation is to have a story of its own.
  const { stage, from, to } = rotating.rotation;
  const what = stage === 'Prepare' ? 'are given once more what they have, and looked at' : 'may change now';
  story.tell('Normal', 'GrantOpened', `${stage} from generation ${from} to ${to}: ${names(members)} ${what}`);
  return { ...rotating, roster };
}

/** `spec.rotation.maxConcurrent` as a number of members: a percentage is rounded up, at least 1. */
function concurrency(facts: Facts, members: number): number {
  const wish = facts.wish.maxConcurrent;
  if (typeof wish === 'number') return Math.max(1, wish);
  return Math.max(1, Math.ceil((Number.parseInt(wish, 10) / 100) * members));
}
