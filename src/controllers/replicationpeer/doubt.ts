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
  /**
   * Generations of which it was known before, and was not disproven since, that no session is taken up. Nobody could find that out again:
   * there may have been no session ever, and what was kept may have expired.
   */
  readonly resumed: readonly number[];
}

/**
 * @param seen as it was seen, not as it counts
 * @param known what was known before, see `knownIn`
 */
export function doubtAfter(
  before: Doubt | null,
  { revision, reason, refuses }: Seen,
  known: Seen | null,
): Doubt | null {
  const resumed = (known?.refuses?.resumed ?? []).filter((each) => refuses?.resumed?.includes(each) === true);
  if (reason === 'Unsteady') return { revision, left: ALIKE, resumed };
  if (before === null || before.revision !== revision) return null;
  const left = reason === 'Verified' ? before.left - 1 : before.left;
  return left === 0 ? null : { revision, left, resumed };
}

/** What is left of a doubt when the operator was started anew: only what the status says. */
export function doubtIn(before: Seen | null): Doubt | null {
  return before?.reason === 'Unsteady' ? { revision: before.revision, left: ALIKE, resumed: [] } : null;
}

/** What was known before the next look: what stands in status, and what a doubt keeps from counting but has not disproven. */
export function knownIn(seen: Seen | null, doubt: Doubt | null): Seen | null {
  if (seen?.refuses === undefined || doubt === null) return seen;
  return { ...seen, refuses: { fresh: seen.refuses.fresh, resumed: [...doubt.resumed] } };
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
