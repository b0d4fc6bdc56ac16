import { clip, MAX_DISPLAY, MAX_MESSAGE } from '../../api/fields.ts';
import type { ReplicationPeer } from '../../api/objects.ts';
import type { ReplicationPeerStatus } from '../../api/replication-peer.ts';
import type { ConditionUpdate } from '../../runtime/conditions.ts';
import type { Refusal } from '../shared/refusal.ts';
import { condition, nextConditions, progress } from '../shared/status.ts';
import type { PeerFacts, Seen } from './observe.ts';
import { type EdgeFinding, edgesOf, judgeEdges } from './plan.ts';

const MAX_LISTED = 20;
/** What is known of the generation that is dropped says nothing about edges. */
const ABOUT_SESSIONS: readonly string[] = ['StillResumed', 'NoSessionKept'];

/**
 * The status of a peer that cannot look: nothing that was seen before is said of now.
 * @param kept evidence that is still about the ledger as it is
 */
export function blindStatusOf(
  peer: ReplicationPeer,
  refusal: Refusal | null,
  why: Refusal,
  kept: ReplicationPeerStatus['members'],
  now: number,
): ReplicationPeerStatus {
  const { generation } = peer.metadata;
  const updates = [
    ...(refusal === null ? resolved() : unresolved(refusal)),
    condition('Verified', 'Unknown', why.reason, `Nobody looks: ${why.message}`),
  ];
  return {
    observedGeneration: generation,
    conditions: nextConditions(peer.status?.conditions, updates, generation, now),
    ...(kept === undefined ? {} : { members: kept }),
    blockedBy: why.reason,
  };
}

/** Names of the members that are not looked at. */
export const unprobedIn = ({ members }: PeerFacts): ReadonlySet<string> =>
  new Set(members.flatMap(({ name, probed }) => (probed ? [] : [name])));

/**
 * The status after a pass. Its `members` are the evidence: the one status that is also input.
 * @param unprobed names of the members that are not looked at
 */
export function statusOf(
  peer: ReplicationPeer,
  refusal: Refusal | null,
  seen: ReadonlyMap<string, Seen>,
  unprobed: ReadonlySet<string>,
  now: number,
): ReplicationPeerStatus {
  const { generation } = peer.metadata;
  const failing = judgeEdges(peer, seen, unprobed);
  const total = edgesOf(peer).length;
  const updates =
    refusal === null
      ? [...resolved(), verified(total, failing, seen)]
      : [
          ...unresolved(refusal),
          seen.size > 0
            ? verified(total, failing, seen)
            : condition('Verified', 'Unknown', refusal.reason, `Nobody looks: ${refusal.message}`),
        ];
  const blocked = peer.spec.members.find(({ name }) => !unprobed.has(name) && seen.get(name)?.reason !== 'Verified');
  return {
    observedGeneration: generation,
    conditions: nextConditions(peer.status?.conditions, updates, generation, now),
    members: peer.spec.members.flatMap(({ name }) => seen.get(name) ?? []),
    edges: {
      total,
      verified: total - failing.length,
      summary: `${total - failing.length}/${total}`,
      failing: failing
        .slice(0, MAX_LISTED)
        .map(({ from, to, reason, message }) => ({ from, to, reason, message: clip(message, MAX_MESSAGE) })),
      failingTotal: failing.length,
    },
    ...(refusal !== null
      ? { blockedBy: refusal.reason }
      : blocked === undefined
        ? {}
        : { blockedBy: clip(`${blocked.name}/${seen.get(blocked.name)?.reason ?? 'NeverObserved'}`, MAX_DISPLAY) }),
  };
}

function resolved(): readonly ConditionUpdate[] {
  return [...progress(null), condition('Ready', 'True', 'Resolved', 'Every reference resolves.')];
}

/** A certificate that does not exist, or is not seen, may still come; everything else is for the user to put right. */
function unresolved(refusal: Refusal): readonly ConditionUpdate[] {
  const mayCome = refusal.reason === 'CertificateNotFound' || refusal.reason === 'NamespaceUnreadable';
  return [
    ...progress(mayCome ? null : refusal, refusal.message),
    condition('Ready', 'False', refusal.reason, refusal.message),
  ];
}

function verified(total: number, failing: readonly EdgeFinding[], seen: ReadonlyMap<string, Seen>): ConditionUpdate {
  const [first] = failing;
  if (first === undefined) {
    const members = [...seen.values()];
    const blind = members.find(({ reason }) => reason !== 'Verified' && !ABOUT_SESSIONS.includes(reason));
    if (blind !== undefined || members.length === 0)
      return condition('Verified', 'Unknown', 'EdgesUnknown', blind?.message ?? 'No member has been probed yet.');
    return condition(
      'Verified',
      'True',
      'AllEdgesVerified',
      total === 1 ? 'The edge was seen to work.' : `All ${total} edges were seen to work.`,
    );
  }
  const broken = failing.find((edge) => edge.seen);
  const { from, to, message } = broken ?? first;
  const text = `${total - failing.length} of ${total} edges were seen to work. ${from} -> ${to}: ${message}`;
  return broken === undefined
    ? condition('Verified', 'Unknown', 'EdgesUnknown', text)
    : condition('Verified', 'False', 'EdgesFailing', text);
}

/**
 * Evidence is written at once when it answers a newer question or says something else; else, while a gate waits, once per interval,
 * so that it stays fresh. In quiet times the same news is no news.
 */
export function worthWriting(
  peer: ReplicationPeer,
  after: ReplicationPeerStatus,
  { ledger, interval, members }: PeerFacts,
  now: number,
): boolean {
  const { status: before } = peer;
  if (before === null || before.observedGeneration !== after.observedGeneration) return true;
  const gate = ledger.rotation !== null;
  const gist = ({ members = [], conditions = [] }: ReplicationPeerStatus) =>
    JSON.stringify([
      conditions.map(({ type, status, reason, message }) => [type, status, reason, message]),
      members.map((seen) => sorted({ ...seen, observedAt: null, epoch: gate ? seen.epoch : 0 })),
    ]);
  if (gist(before) !== gist(after)) return true;
  if (!gate) return false;
  const probed = new Set(members.filter((each) => each.probed).map(({ name }) => name));
  const seen = (before.members ?? []).filter(({ name }) => probed.has(name));
  const oldest = Math.min(...seen.map(({ observedAt }) => Date.parse(observedAt)));
  return now - oldest >= interval;
}

function sorted(value: object): object {
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
