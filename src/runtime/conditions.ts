import { secondTime } from './clock.ts';

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  lastTransitionTime: string;
  observedGeneration?: number | undefined;
}

/** What a controller says about one of its conditions; the rest follows from what it said before. */
export type ConditionUpdate = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

export interface ConditionContext {
  /** metadata.generation of what was looked at. */
  readonly observedGeneration: number | undefined;
  /** Epoch milliseconds. */
  readonly now: number;
  /** The types that this controller sets, in the order in which people are to see them. One that is not among the updates is removed. */
  readonly owned: readonly string[];
}

/**
 * The conditions after `updates`: the owned ones in their fixed order, then those of others as they were. The transition time moves only
 * with the status. When nothing is different the very same array comes back, so that `===` tells whether there is anything to write.
 */
export function setConditions(
  before: readonly Condition[] | undefined,
  updates: readonly ConditionUpdate[],
  { observedGeneration, now, owned }: ConditionContext,
): readonly Condition[] {
  const known = before ?? [];
  const after: Condition[] = [];
  for (const type of owned) {
    const update = updates.find((each) => each.type === type);
    if (update !== undefined) after.push(next(findCondition(known, type), update, observedGeneration, now));
  }
  for (const each of known) if (!owned.includes(each.type)) after.push(each);
  for (const { type } of updates) {
    if (!owned.includes(type))
      throw new RangeError(`condition ${type} is not among the owned ones: ${owned.join(', ')}`);
  }
  const same = after.length === known.length && after.every((each, i) => each === known[i]);
  return same && before !== undefined ? before : after;
}

export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((each) => each.type === type);
}

function next(
  before: Condition | undefined,
  { type, status, reason, message }: ConditionUpdate,
  observedGeneration: number | undefined,
  now: number,
): Condition {
  if (
    before?.status === status &&
    before.reason === reason &&
    before.message === message &&
    before.observedGeneration === observedGeneration
  ) {
    return before;
  }
  const lastTransitionTime = before?.status === status ? before.lastTransitionTime : secondTime(now);
  return {
    type,
    status,
    reason,
    message,
    lastTransitionTime,
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
  };
}
