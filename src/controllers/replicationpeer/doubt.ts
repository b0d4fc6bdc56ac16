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

/** @param mixed whether one address gave different answers in this look */
export function doubtAfter(before: Doubt | null, { revision, reason }: Seen, mixed: boolean): Doubt | null {
  if (mixed) return { revision, left: ALIKE };
  if (before === null || before.revision !== revision) return null;
  const left = reason === 'Verified' ? before.left - 1 : before.left;
  return left === 0 ? null : { revision, left };
}

/** What a look counts for while there is a doubt: a yes is none yet, a no is. */
export function doubted(seen: Seen, { left }: Doubt): Seen {
  if (seen.reason !== 'Verified') return seen;
  const looks = left === 1 ? 'one more look' : `${left} more looks`;
  return {
    ...seen,
    ...(seen.trusts === undefined ? {} : { trusts: { listening: [], dialling: [] } }),
    ...(seen.refuses === undefined ? {} : { refuses: { fresh: [], resumed: [] } }),
    reason: 'Contradictory',
    message: clip(
      `${seen.name} gave different answers a moment ago, and is believed after ${looks} in which it does not. If several processes or machines answer at one address, reload all of them, and name each in spec.members[].endpoints.`,
      MAX_MESSAGE,
    ),
  };
}
