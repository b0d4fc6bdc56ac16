import type { ConditionReason } from '../../api/vocabulary.ts';

/** Something that only the user can put right. Ends a pass; becomes the condition that the user sees. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reason: ConditionReason;
  /** When to look again although nobody tells us of a change, in milliseconds; null: only on a change. */
  readonly retryAfter: number | null;

  constructor(reason: ConditionReason, message: string, retryAfter: number | null = null) {
    super(message);
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}
