/**
 * Behind one address there may be several processes or machines that load their files each for itself. Whoever gave different answers in
 * one probe may give the same one four times in the next, by luck. So it is believed again only when it was seen alike several times.
 */
import { clip, MAX_MESSAGE } from '../../api/fields.ts';
import type { Seen } from './observe.ts';

/** Looks in a row in which a member must be seen alike: the last of them counts. */
const ALIKE = 3;

export interface Doubt {
  /** What its Secret held when it gave different answers. */
  readonly revision: string | undefined;
  /** Looks that are still needed. */
  readonly left: number;
}

/** @param seen as it was seen, not as it counts */
export function doubtAfter(before: Doubt | null, { revision, reason }: Seen): Doubt | null {
  if (reason === 'Unsteady') return { revision, left: ALIKE };
  if (before === null || before.revision !== revision) return null;
  const left = reason === 'Verified' ? before.left - 1 : before.left;
  return left === 0 ? null : { revision, left };
}

/** What is left of a doubt when the operator was started anew: only what the status says. */
export function doubtIn(before: Seen | null): Doubt | null {
  return before?.reason === 'Unsteady' ? { revision: before.revision, left: ALIKE } : null;
}

/**
 * What a look counts for while there is a doubt: a no is one, a yes is none yet, whatever the look came to as a whole. For one that was
 * mixed in one point is lucky in another, and only the planner knows which of them it asks for.
 */
export function doubted(seen: Seen, { left }: Doubt): Seen {
  const { presents, ...rest } = seen;
  const wrongLeaf = seen.reason === 'NotPresented' && presents !== undefined ? { presents } : {};
  const trusts = seen.trusts === undefined ? {} : { trusts: { listening: [], dialling: [] } };
  if (seen.reason !== 'Verified') {
    const refuses = seen.refuses === undefined ? {} : { refuses: { fresh: seen.refuses.fresh, resumed: [] } };
    return { ...rest, ...wrongLeaf, ...trusts, ...refuses };
  }
  const looks = left === 1 ? 'one more look' : `${left} more looks`;
  return {
    ...rest,
    ...trusts,
    ...(seen.refuses === undefined ? {} : { refuses: { fresh: [], resumed: [] } }),
    reason: 'Unsteady',
    message: clip(
      `${seen.name} gave different answers a moment ago, and is believed after ${looks} in which it does not. If several processes or machines answer at one address, reload all of them, and name each in spec.members[].endpoints.`,
      MAX_MESSAGE,
    ),
  };
}
