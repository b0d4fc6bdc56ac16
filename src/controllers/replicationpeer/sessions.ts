/** From what probes see of TLS sessions to what is known of them, kept in status over restarts of the operator. */
import type { Rotation } from '../../api/ledger.ts';
import type { MemberVerdict } from '../../probe/evidence.ts';
import { secondTime } from '../../runtime/clock.ts';
import type { PeerFacts, PeerMember, Seen } from './observe.ts';
import type { Finding } from './plan.ts';

export interface SessionsWanted {
  readonly generation: number;
  /** It is being dropped: they are offered once it is refused. Else it is only accepted newly, and a rollback would drop it. */
  readonly dropping: boolean;
}

/**
 * Before the first member refuses a generation, sessions of it must have been kept: later nobody gives any. Null: there are none of what is, or
 * may be, dropped.
 */
export function sessionsWanted(rotation: Rotation): SessionsWanted | null {
  const wanted = wantedIn(rotation);
  return wanted.generation === unused(rotation) ? null : wanted;
}

function wantedIn({ stage, from, to }: Rotation): SessionsWanted {
  return stage === 'Append' ? { generation: to, dropping: false } : { generation: from, dropping: true };
}

type SessionVerdict = Pick<MemberVerdict, 'accepts' | 'refuses' | 'resumption'>;

interface SessionsSeen {
  /** Generations of which no session from before is taken up any more. */
  readonly resumed: number[];
  readonly sessions: Seen['sessions'];
}

/**
 * What is known of sessions from before a member refused a generation. Once they are seen to be dead they stay so, as long as the member
 * is not seen to accept that generation and its Secret is not to hold it: nobody can have got a new one.
 */
export function sessionsSeen(
  { ledger }: Pick<PeerFacts, 'ledger'>,
  question: {
    readonly member: Pick<PeerMember, 'certificate' | 'profile' | 'seen'>;
    readonly generations: readonly number[];
    readonly sessions: SessionsWanted | null;
  },
  verdict: SessionVerdict,
  observedAt: number,
): SessionsSeen {
  const { member, generations, sessions: wanted } = question;
  const { rotation, roster } = ledger;
  const { seen } = member;
  const held = roster.get(member.certificate)?.bundle ?? generations;
  const sessions =
    wanted?.dropping === true ? droppedSessions(member, wanted.generation, verdict, observedAt) : undefined;
  const dead = (generation: number): boolean => {
    if (held.includes(generation) || verdict.accepts.has(generation)) return false;
    if (sessions?.generation === generation && sessions.accepted) return false;
    if (seen?.refuses?.resumed?.includes(generation) === true) return true;
    if (rotation !== null && generation === unused(rotation)) return true;
    if (rotation !== null && generation === justMade(rotation)) return true;
    if (rotation !== null && generation === takenBack(rotation) && roster.get(member.certificate)?.grant === null)
      return true;
    if (sessions?.generation !== generation || !verdict.refuses.has(generation)) return false;
    return verdict.resumption?.answer === 'refuses' || hasExpired(sessions, observedAt);
  };
  const resumed = generations.filter(dead);
  if (sessions === undefined || !resumed.includes(sessions.generation)) return { resumed, sessions };
  const { expireBy: _, ...known } = sessions;
  return { resumed, sessions: known };
}

/**
 * The generation of which nobody but the prober has ever had a certificate, so that no session of it lets anybody in; null: there is none.
 * A rollback from Append must not wait for its sessions: a member may have loaded its files of before already when it is looked at next, and
 * then nothing but their lifetime could tell.
 */
function unused({ from, to, hasSigned }: Rotation): number | null {
  return hasSigned ? null : Math.max(from, to);
}

/** The generation that no Secret held before the present stage; null: there may have been one. */
function justMade({ direction, stage, startedAt, since, to }: Rotation): number | null {
  const first = stage === 'Append' || stage === 'Prepare';
  return direction === 'Forward' && first && since === startedAt ? to : null;
}

/**
 * The generation that a rollback drops, which members hold until it is their turn. Whoever does not, was not granted it when the rotation
 * turned round, and has given no session of it; or it was proven to have dropped it, in a turn before.
 */
const takenBack = ({ direction, stage, from }: Rotation): number | null =>
  direction === 'Backward' && stage === 'Drop' ? from : null;

const hasExpired = ({ expireBy }: NonNullable<Seen['sessions']>, now: number): boolean =>
  expireBy !== undefined && now >= Date.parse(expireBy);

/** Silence changes nothing; whoever is seen to accept the generation, in whatever way, may have given a new session. */
function droppedSessions(
  { profile, seen }: Pick<PeerMember, 'profile' | 'seen'>,
  generation: number,
  { accepts, refuses, resumption }: SessionVerdict,
  observedAt: number,
): Seen['sessions'] {
  if (accepts.has(generation)) return undefined;
  const before = seen?.sessions?.generation === generation ? seen.sessions : undefined;
  if (!refuses.has(generation)) return before;
  if (resumption?.answer === 'accepts') return { generation, refusedSince: secondTime(observedAt), accepted: true };
  const refusedSince = before?.refusedSince ?? secondTime(observedAt);
  const known = { generation, refusedSince, accepted: false };
  if (resumption?.answer === 'refuses') return known;
  const lifetime = Math.min(profile.longestResumption, resumption?.lifetimeMs ?? Infinity);
  return { ...known, expireBy: secondTime(Date.parse(refusedSince) + lifetime) };
}

/** Null where nothing is waited for. */
export function noSessionKept(name: string, sessions: Seen['sessions']): Finding | null {
  if (sessions?.expireBy === undefined) return null;
  const { generation, expireBy } = sessions;
  return {
    reason: 'NoSessionKept',
    message: `${name} refuses new handshakes of generation ${generation}, but none of its TLS sessions from before was kept (the operator was restarted, or has never seen it accept that generation), so nobody knows whether it would take one up. It goes on at ${expireBy}, when the last of them has expired; or as soon as ${name} is restarted, with new session ticket keys where they are shared.`,
  };
}
