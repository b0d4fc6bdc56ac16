import type { ReplicationPeer } from '../../api/objects.ts';
import { clip, MAX_MESSAGE } from '../../api/fields.ts';
import type { MemberVerdict } from '../../probe/evidence.ts';
import type { Pace } from '../../probe/pacing.ts';
import { secondTime } from '../../runtime/clock.ts';
import { parseCertificate } from '../../pki/certificate.ts';
import { issuerOf } from '../shared/facts.ts';
import { addressesOf, type PeerFacts, type PeerMember, type Seen } from './observe.ts';
import { noSessionKept, sessionsSeen, type SessionsWanted, sessionsWanted } from './sessions.ts';

/** What is asked of one member now. */
export interface Question {
  readonly member: PeerMember;
  /** Generations to try canaries of; empty: only the presented chain is read. */
  readonly generations: readonly number[];
  /** Whose sessions are kept, because it may be dropped next; null: nobody's. */
  readonly sessions: SessionsWanted | null;
  /** Whatever makes an older answer useless. */
  readonly key: string;
  readonly pace: Pace;
}

/** Whether what was seen is about the present Secret, and as good as it can be. */
function settled({ seen, secret }: PeerMember, signer: number, askable: boolean): boolean {
  if (seen === null || secret === null || seen.revision !== secret.revision) return false;
  if (!askable) return seen.reason === NOT_ASKED;
  return seen.reason === 'Verified' && seen.trusts?.listening.includes(signer) === true;
}

/** Its key is not here, so that no canary of it can be made. */
const NOT_ASKED = 'NotAsked';

/** Whether there can be canaries of a generation. */
const isAskable = ({ generations }: PeerFacts['ledger'], generation: number): boolean =>
  generations[generation]?.withoutKey !== true;

/**
 * What to ask of each member. While a gate waits: whether it trusts both generations of the rotation. A new Secret: whether it trusts the
 * signer, until it does. In quiet times: only what it presents.
 * @param dark rounds in a row in which it was reached and not as it should be, by member name: it is asked ever more seldom
 */
export function planQuestions(facts: PeerFacts, dark: ReadonlyMap<string, number>): readonly Question[] {
  const { ledger, members, interval } = facts;
  const { rotation, signer } = ledger;
  return members.flatMap((member) => {
    if (member.secret === null || signer === null || !member.probed) return [];
    const { profile } = member;
    const quiet = rotation === null && settled(member, signer, isAskable(ledger, signer));
    const wanted = rotation !== null ? [rotation.from, rotation.to] : quiet ? [] : [signer];
    const generations = wanted.filter((generation) => isAskable(ledger, generation));
    const sessions = rotation === null ? null : sessionsWanted(rotation);
    const slower = Math.min(profile.quietInterval, interval * 2 ** Math.min(dark.get(member.name) ?? 0, 20));
    const intervalMs = rotation !== null ? interval : quiet ? profile.quietInterval : slower;
    return [
      {
        member,
        generations,
        sessions: sessions !== null && isAskable(ledger, sessions.generation) ? sessions : null,
        key: JSON.stringify([ledger.epoch, member.secret.revision, generations]),
        pace: { intervalMs, maxProbesPerHour: profile.maxProbesPerHour },
      },
    ];
  });
}

/** What was seen before, of a member that may not be asked now: whoever cannot be looked at does not go on being told as verified. */
export function seenBefore({ name, probed, secret }: PeerMember, seen: Seen): Seen {
  if (!probed || secret !== null) return seen;
  const message = `${name} is not probed while its ClusterCertificate or its Secret is not seen.`;
  return { ...seen, reason: 'NotProbed', message };
}

/** What a verdict means for a member, as it stands in status. Trust seen before stays known while leaf and Secret are the same. */
export function toSeen(facts: PeerFacts, question: Question, verdict: MemberVerdict, observedAt: number): Seen {
  const { member, generations } = question;
  const { secret } = member;
  const base = {
    name: member.name,
    certificate: member.certificate,
    epoch: facts.ledger.epoch,
    ...(secret === null ? {} : { revision: secret.revision }),
    endpoints: addressesOf(member.endpoints),
    observedAt: secondTime(observedAt),
  };
  const stray = otherMember(facts, member, verdict.presents?.fingerprint);
  if (stray !== null) return { ...base, ...stray };
  const presents = verdict.presents === null ? undefined : presented(facts, verdict.presents);
  const sameAsBefore =
    generations.length === 0 &&
    member.seen?.revision === secret?.revision &&
    member.seen?.presents?.fingerprint === presents?.fingerprint;
  const trusted = generations.filter((generation) => verdict.trusts.get(generation) === 'yes');
  const refused = generations.filter((generation) => verdict.refuses.has(generation));
  const { resumed, sessions } = sessionsSeen(facts, question, verdict, observedAt);
  const finding =
    findingOf(facts, member, verdict, presents, generations.length === 0 ? null : trusted) ??
    noSessionKept(member.name, sessions);
  return {
    ...base,
    ...(presents === undefined ? {} : { presents }),
    // One trust store and one leaf for both roles: what a listening socket trusts, the member trusts (profile).
    ...(sameAsBefore
      ? carried(member.seen)
      : { trusts: { listening: trusted, dialling: trusted }, refuses: { fresh: refused, resumed } }),
    ...(sessions === undefined ? {} : { sessions }),
    reason: finding?.reason ?? 'Verified',
    ...(finding === null ? {} : { message: clip(finding.message, MAX_MESSAGE) }),
  };
}

/** Whoever is found at a member's endpoints with the leaf of another says nothing of it: neither what it presents nor whom it trusts. */
function otherMember(
  { members, peer }: PeerFacts,
  { name, secret, endpoints }: PeerMember,
  fingerprint: string | undefined,
): Finding | null {
  if (fingerprint === undefined || fingerprint === secret?.leaf.fingerprint) return null;
  const other = members.find((each) => each.name !== name && each.secret?.leaf.fingerprint === fingerprint);
  if (other === undefined) return null;
  const message = `${addressesOf(endpoints).join(', ')} presents the leaf of member ${other.name} (${other.certificate}), so nothing is seen of ${name}. Correct spec.members[name=${name}].endpoints of ReplicationPeer ${peer.metadata.name}; or, if they are right, give ${name} the files of its own Secret.`;
  return { reason: 'OtherMember', message: clip(message, MAX_MESSAGE) };
}

function carried(seen: Seen | null) {
  return {
    ...(seen?.trusts === undefined ? {} : { trusts: seen.trusts }),
    ...(seen?.refuses === undefined ? {} : { refuses: seen.refuses }),
  };
}

function presented(
  { generations }: PeerFacts,
  { fingerprint, pem }: NonNullable<MemberVerdict['presents']>,
): NonNullable<Seen['presents']> {
  const generation = issuerOf(parseCertificate(pem), generations);
  return generation === null ? { fingerprint } : { fingerprint, generation };
}

export interface Finding {
  readonly reason: string;
  readonly message: string;
}

function findingOf(
  { ledger, peer }: PeerFacts,
  { name, secret, profile }: PeerMember,
  verdict: MemberVerdict,
  presents: Seen['presents'],
  trusted: readonly number[] | null,
): Finding | null {
  if (verdict.reason !== '') return { reason: verdict.reason, message: verdict.message };
  if (presents !== undefined && presents.fingerprint !== secret?.leaf.fingerprint) {
    const what =
      presents.generation === undefined
        ? 'a certificate of a foreign issuer'
        : `another leaf of generation ${presents.generation}`;
    return {
      reason: 'NotPresented',
      message: `${name} presents ${what} (${presents.fingerprint.slice(0, 8)}), not the leaf that its Secret holds (${secret?.leaf.fingerprint.slice(0, 8)}). If that lasts, ${profile.reload}.`,
    };
  }
  const wanted = trustWanted(ledger);
  if (wanted !== null && !isAskable(ledger, wanted)) {
    return {
      reason: NOT_ASKED,
      message: `Generation ${wanted} was imported without its key, so that no look tells whether ${name} trusts it.`,
    };
  }
  if (trusted !== null && wanted !== null && !trusted.includes(wanted)) {
    return {
      reason: 'NotTrusted',
      message: `${name} does not trust generation ${wanted}, which its Secret holds. If that lasts, ${profile.reload} (ReplicationPeer ${peer.metadata.name}).`,
    };
  }
  return null;
}

/** The generation that members are to be seen to trust. */
function trustWanted({ rotation, signer }: PeerFacts['ledger']): number | null {
  if (rotation === null) return signer;
  return rotation.stage === 'Prepare' ? rotation.from : rotation.to;
}

export interface Edge {
  readonly from: string;
  readonly to: string;
}

/** Ordered pairs of members: Mesh, every pair both ways; Star, the center with each of the others both ways. Nobody dials who listens nowhere. */
export function edgesOf({ spec }: ReplicationPeer): readonly Edge[] {
  const names = spec.members.map(({ name }) => name);
  const listening = spec.members.flatMap(({ name, endpoints }) => (endpoints === undefined ? [] : [name]));
  const pairs = names.flatMap((from) => listening.filter((to) => to !== from).map((to) => ({ from, to })));
  return spec.topology === 'Star' ? pairs.filter(({ from, to }) => from === spec.center || to === spec.center) : pairs;
}

export interface EdgeFinding extends Edge {
  /** Seen not to work, or only not seen. */
  readonly seen: boolean;
  readonly reason: string;
  readonly message: string;
}

/**
 * The edges that are not verified: `to` must present a leaf that `from` trusts, and the other way round. A member that has not loaded its
 * newest files yet does not break an edge: that is what a rotation is about.
 */
export function judgeEdges(
  peer: ReplicationPeer,
  seen: ReadonlyMap<string, Seen>,
  unprobed: ReadonlySet<string>,
): readonly EdgeFinding[] {
  const unseen = (name: string) => (unprobed.has(name) ? notProbed(name) : blindness(name, seen.get(name)));
  return edgesOf(peer).flatMap(({ from, to }) => {
    const fault = unseen(from) ?? unseen(to) ?? distrust(from, to, seen) ?? distrust(to, from, seen);
    return fault === null ? [] : [{ from, to, ...fault }];
  });
}

type Fault = Omit<EdgeFinding, 'from' | 'to'>;

const notProbed = (name: string): Fault => ({
  seen: false,
  reason: 'NotProbed',
  message: `${name} is not probed, so nobody knows. That is as spec.members[name=${name}] wants it (no endpoints, or proof: Acknowledge), or its profile has it (nobody but the member itself can shake hands there).`,
});

function blindness(name: string, seen: Seen | undefined): Fault | null {
  if (seen === undefined) return { seen: false, reason: 'NeverObserved', message: `${name} has not been probed yet.` };
  const { reason, message = '', presents, trusts } = seen;
  if (reason === 'Contradictory') return { seen: true, reason, message };
  if (presents === undefined || trusts === undefined) return { seen: false, reason, message };
  if (presents.generation === undefined) return { seen: true, reason: 'NotPresented', message };
  return null;
}

function distrust(judge: string, shown: string, seen: ReadonlyMap<string, Seen>): Fault | null {
  const { generation = 0 } = seen.get(shown)?.presents ?? {};
  const { trusts, refuses, reason = '', message = '' } = seen.get(judge) ?? {};
  if (trusts?.listening.includes(generation) === true) return null;
  if (refuses?.fresh.includes(generation) !== true) {
    // Nothing is amiss, but nobody could ask: see NOT_ASKED.
    const unseen = `It is not seen whether ${judge} trusts generation ${generation}, of which ${shown} presents a leaf.`;
    return message === '' ? { seen: false, reason: NOT_ASKED, message: unseen } : { seen: false, reason, message };
  }
  return {
    seen: true,
    reason: 'NotTrusted',
    message: `${judge} does not trust generation ${generation}, of which ${shown} presents a leaf.`,
  };
}
