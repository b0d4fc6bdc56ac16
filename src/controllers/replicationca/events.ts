import type { Ledger } from '../../api/ledger.ts';
import { type MemberKey, REPLICATION_CA } from '../../api/names.ts';
import type { ReplicationCA } from '../../api/objects.ts';
import type { ReplicationCAStatus } from '../../api/replication-ca.ts';
import type { EventReason } from '../../api/vocabulary.ts';
import type { Decision } from '../../rotation/plan.ts';
import { keyOf } from '../../runtime/client.ts';
import type { Teller } from '../shared/invalid.ts';
import { saysRefusal } from '../shared/status.ts';
import type { Meta } from '../shared/view.ts';
import type { Outcome } from './status.ts';
import { isRoutine, regressedIn } from './waiting.ts';

/** The events of ReplicationCAs: the story of a rotation, each turn of it told once, not at every pass. */
export class ReplicationCAEvents {
  readonly #tell: Teller;
  /** Members of which it was told that they have gone back, by CA. */
  readonly #regressed = new Map<string, Set<MemberKey>>();

  constructor(tell: Teller) {
    this.#tell = tell;
  }

  forget(ca: string): void {
    this.#regressed.delete(ca);
  }

  /** The ledger moved on. */
  moved(meta: Meta, { step, story }: Decision, before: Ledger, after: Ledger): void {
    for (const { type, reason, note } of story) this.#tell(REPLICATION_CA, meta, type, reason, note);
    if (step.kind !== 'mint' || before.signer === null) return;
    const { generation, because } = step;
    const what =
      after.rotation?.stage === 'Prepare'
        ? 'members are to be seen as they should be; then all change at one time, once that is approved, and links are down meanwhile'
        : 'members get both CAs to trust';
    const note = `Rotation from generation ${before.signer} to ${generation} begins (${because}): ${after.roster.size} ${what}`;
    this.#normal(meta, 'RotationStarted', note);
  }

  /** A pass ended with a status that differs from the one before, which `outcome` carries. */
  concluded(meta: Meta, { ca, refusal, alarm }: Outcome, status: ReplicationCAStatus): void {
    if (refusal !== null && !saysRefusal(ca.status, refusal)) this.#warn(meta, 'Stalled', refusal.message);
    if (alarm !== null && !ca.status?.conditions?.some(({ message }) => message.includes(alarm.message)))
      this.#warn(meta, alarm.reason, alarm.message);
    const before = ca.status;
    this.#held(meta, before, status);
    this.#approval(meta, before, status);
    this.#expiry(meta, before, status);
  }

  /** Until it is well again, a member that was proven and has gone back. */
  regress(meta: Meta, decision: Decision): void {
    const key = keyOf(meta);
    const told = this.#regressed.get(key) ?? new Set();
    this.#regressed.set(key, told);
    for (const member of told) if (decision.findings.get(member)?.ok !== false) told.delete(member);
    for (const { member, reason, message } of regressedIn(decision)) {
      if (told.has(member)) continue;
      told.add(member);
      const stage = decision.ledger.rotation?.stage;
      const effect = stage === 'Swap' ? 'Its links are down' : 'No other member may change';
      const note = `${stage}: ${member} was proven and has gone back (${reason}). ${message} ${effect} until it is well again: make it reload its files.`;
      this.#warn(meta, 'RotationHeld', note);
    }
  }

  /** Who holds a rotation up. */
  #held(meta: Meta, before: ReplicationCA['status'], { rotation }: ReplicationCAStatus): void {
    const first = rotation?.waitingFor?.[0];
    if (first === undefined || isRoutine(first)) return;
    const known = before?.rotation?.waitingFor?.[0];
    if (known?.member === first.member && known.reason === first.reason && before?.rotation?.stage === rotation?.stage)
      return;
    const note = `${rotation?.stage ?? ''} waits for ${first.member} (${first.reason}): ${first.message}`;
    this.#warn(meta, 'RotationHeld', note);
  }

  /** That a stage waits for its approval; the note is the line to commit. */
  #approval(meta: Meta, before: ReplicationCA['status'], after: ReplicationCAStatus): void {
    const waits = ({ conditions }: ReplicationCAStatus): string | undefined =>
      conditions?.find(({ type, reason }) => type === 'Rotating' && reason === 'WaitingForApproval')?.message;
    const message = waits(after);
    if (message === undefined || message === waits(before ?? {})) return;
    this.#normal(meta, 'ApprovalNeeded', message);
  }

  /** That certificates are about to end that only a rotation replaces. */
  #expiry(meta: Meta, before: ReplicationCA['status'], { rotation }: ReplicationCAStatus): void {
    const [first] = rotation?.expiring ?? [];
    if (first === undefined || before?.rotation?.expiring !== undefined) return;
    const note = `${rotation?.expiringTotal ?? 0} certificates end with their generation, ${first.name} first, at ${first.notAfter}; status.rotation.expiring lists them, and only a rotation replaces them`;
    this.#warn(meta, 'ExpiryNear', note);
  }

  #normal(meta: Meta, reason: EventReason, note: string): void {
    this.#tell(REPLICATION_CA, meta, 'Normal', reason, note);
  }

  #warn(meta: Meta, reason: EventReason, note: string): void {
    this.#tell(REPLICATION_CA, meta, 'Warning', reason, note);
  }
}
