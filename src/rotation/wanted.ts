import type { Ledger } from '../api/ledger.ts';
import type { Blocker, GenerationFact, Wish } from './facts.ts';
import { tooFar } from './numbers.ts';
import { rfc3339 } from './time.ts';

/** What the user's wish means at this moment. */
export type Wanted =
  | { readonly kind: 'stay'; readonly pending: Blocker | null }
  /** Back to where the running rotation came from. */
  | { readonly kind: 'reverse' }
  | { readonly kind: 'start'; readonly generation: number; readonly because: string }
  | { readonly kind: 'unavailable'; readonly blocker: Blocker };

/**
 * Reads `spec.rotation.generation` as desired state (never as a verb): the same object gives the same answer for ever.
 * @returns start: mint this number and rotate to it; reverse: turn the running rotation round; stay, perhaps with something that waits; unavailable: nothing may move
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
    const expired = expiredAt(generations.get(rotation.from), now);
    const why =
      generation !== rotation.from
        ? `spec.rotation.generation is ${generation}, which is not above the highest number ever used, ${highest}`
        : expired !== null &&
          `spec.rotation.generation is ${generation}, which expired at ${expired}: nobody accepts its leaves`;
    if (why === false)
      return wish.paused ? paused(`the rollback to generation ${generation} begins`) : { kind: 'reverse' };
    const back = expired === null ? `, or to ${rotation.from} to go back` : '';
    const message = `${why}. Nothing moves meanwhile. Set it to ${rotation.to} to go on${back}.`;
    return { kind: 'unavailable', blocker: { reason: 'GenerationUnavailable', message } };
  }

  const due = startBy(wish, generations.get(signer));
  if (generation === null) {
    if (now < due) return { kind: 'stay', pending: null };
    if (ledger.held) {
      return {
        kind: 'stay',
        pending: {
          reason: 'HeldAfterRollback',
          message: `Generation ${signer} expires within spec.renewBefore, but the last rotation was rolled back, so none starts by itself. Set spec.rotation.generation to ${highest + 1} to rotate.`,
        },
      };
    }
    if (wish.paused) return paused(`the rotation to generation ${highest + 1} begins`);
    return { kind: 'start', generation: highest + 1, because: `generation ${signer} expires within spec.renewBefore` };
  }
  if (generation > highest && wish.paused) return paused(`the rotation to generation ${generation} begins`);
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

/** What is wanted waits for the end of a pause. */
function paused(what: string): Wanted {
  const message = `spec.rotation.paused is true; ${what} when it is false.`;
  return { kind: 'stay', pending: { reason: 'Paused', message } };
}

/** When it expired, RFC 3339; null while it lives. */
function expiredAt(generation: GenerationFact | undefined, now: number): string | null {
  return generation === undefined || now < generation.notAfter ? null : rfc3339(generation.notAfter);
}

/** The instant from which the signer should be replaced: effective renewBefore is never more than a third of the life (design rule 9). */
export function startBy(wish: Wish, signer: GenerationFact | undefined): number {
  if (signer === undefined) return Number.POSITIVE_INFINITY;
  const life = signer.notAfter - signer.issuedAt;
  return signer.notAfter - Math.min(wish.renewBefore, life / 3);
}
