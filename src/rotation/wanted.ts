import type { Ledger } from '../api/ledger.ts';
import type { Blocker, GenerationFact, Wish } from './facts.ts';
import { tooFar } from './numbers.ts';

/** What the user's wish means at this moment. */
export type Wanted =
  | { readonly kind: 'stay'; readonly pending: Blocker | null }
  | { readonly kind: 'start'; readonly generation: number; readonly because: string }
  | { readonly kind: 'unavailable'; readonly blocker: Blocker };

/**
 * Reads `spec.rotation.generation` as desired state (never as a verb): the same object gives the same answer for ever.
 * @returns start: mint this number and rotate to it; stay, perhaps with something that waits; unavailable: nothing may move
 */
export function readWish(
  wish: Wish,
  ledger: Ledger,
  generations: ReadonlyMap<number, GenerationFact>,
  now: number,
): Wanted {
  const { generation } = wish;
  const { rotation, signer, highest } = ledger;
  const far = tooFar(generation, ledger);
  if (far !== null) return { kind: 'unavailable', blocker: far };
  if (signer === null) return { kind: 'start', generation: generation ?? 1, because: 'the CA is new' };

  if (rotation !== null) {
    if (generation === null || generation === rotation.to) return { kind: 'stay', pending: null };
    if (generation > highest) {
      return {
        kind: 'stay',
        pending: {
          reason: 'RotationRunning',
          message: `Generation ${generation} starts when the rotation to generation ${rotation.to} is complete.`,
        },
      };
    }
    const usable = `Set it to ${rotation.to} to go on.`;
    return {
      kind: 'unavailable',
      blocker: {
        reason: 'GenerationUnavailable',
        message:
          generation === rotation.from
            ? `spec.rotation.generation asks for generation ${generation} again while the rotation to ${rotation.to} runs; rolling back is not supported. Nothing moves meanwhile. ${usable}`
            : `spec.rotation.generation is ${generation}, which is not above the highest number ever used, ${highest}. Nothing moves meanwhile. ${usable}`,
      },
    };
  }

  const due = startBy(wish, generations.get(signer));
  if (generation === null) {
    if (now < due) return { kind: 'stay', pending: null };
    return { kind: 'start', generation: highest + 1, because: `generation ${signer} expires within spec.renewBefore` };
  }
  if (generation > highest) return { kind: 'start', generation, because: `spec.rotation.generation is ${generation}` };
  if (generation === signer) {
    if (now < due) return { kind: 'stay', pending: null };
    const next = highest + 1;
    return {
      kind: 'stay',
      pending: {
        reason: 'PinnedPastDeadline',
        message: `Generation ${signer} expires within spec.renewBefore, but spec.rotation.generation pins it. Set it to ${next} to rotate.`,
      },
    };
  }
  return {
    kind: 'unavailable',
    blocker: {
      reason: 'GenerationUnavailable',
      message: `spec.rotation.generation is ${generation}, which is not above the highest number ever used, ${highest}: none is used twice. Set it to ${signer} to stay, or to ${highest + 1} or more to rotate.`,
    },
  };
}

/** The instant from which the signer should be replaced: effective renewBefore is never more than a third of the life (design rule 9). */
export function startBy(wish: Wish, signer: GenerationFact | undefined): number {
  if (signer === undefined) return Number.POSITIVE_INFINITY;
  const life = signer.notAfter - signer.issuedAt;
  return signer.notAfter - Math.min(wish.renewBefore, life / 3);
}
