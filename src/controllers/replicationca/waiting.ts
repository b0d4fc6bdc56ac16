import { clip, MAX_MESSAGE } from '../../api/fields.ts';
import type { MemberKey } from '../../api/names.ts';
import type { Decision } from '../../rotation/plan.ts';

/** A member that a rotation waits for, and why. */
export interface Waiting {
  readonly member: MemberKey;
  readonly reason: string;
  readonly message: string;
}

/** Whom the stage waits for: first whoever needs help, then who is on the way, then who only waits for a turn. */
export function waitingFor(decision: Decision): readonly Waiting[] {
  const { ledger, findings, held } = decision;
  if (ledger.rotation === null) return [];
  const regressed = new Set(regressedIn(decision).map(({ member }) => member));
  const stuck: Waiting[] = [];
  const underWay: Waiting[] = [];
  const turn: Waiting[] = [];
  for (const member of ledger.roster.keys()) {
    const finding = held.get(member) ?? findings.get(member);
    if (finding === undefined || finding.ok) continue;
    const { reason, message } = finding;
    const passes = isRoutine({ reason }) && !regressed.has(member);
    const list = reason === 'WaitingForGrant' ? turn : passes ? underWay : stuck;
    list.push({ member, reason, message: clip(message, MAX_MESSAGE) });
  }
  return [...stuck, ...underWay, ...turn];
}

/** Members that were proven and are seen not to be any more: they stop everybody's grants. */
export function regressedIn({ ledger: { roster }, findings }: Decision): readonly Waiting[] {
  return [...findings].flatMap(([member, finding]) =>
    !finding.ok && finding.contrary && roster.get(member)?.grant === 'Proven'
      ? [{ member, reason: finding.reason, message: finding.message }]
      : [],
  );
}

/** What every member passes through in a rotation. */
const ROUTINE: ReadonlySet<string> = new Set([
  'WaitingForGrant',
  'WaitingForSecret',
  'Outdated',
  'Stale',
  'NeverObserved',
  'NotPresented',
  'NotTrusted',
  'StillTrusted',
  'Contradictory',
  'Unsteady',
]);

/** Whether this is no news: it passes by itself as a rule. */
export function isRoutine({ reason }: Pick<Waiting, 'reason'>): boolean {
  return ROUTINE.has(reason);
}
