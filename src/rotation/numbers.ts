import type { Ledger } from '../api/ledger.ts';
import type { Blocker } from './facts.ts';

/** A number is never used twice, so none below it comes back: a slip like 999999 must not use them all up. */
const MAX_STEP = 1_000;

/** Why a wanted number is too far above the highest ever used; null: it is not. */
export function tooFar(generation: number | null, { highest, signer, rotation }: Ledger): Blocker | null {
  if (generation === null || generation <= highest + MAX_STEP) return null;
  const why = `spec.rotation.generation is ${generation}, more than ${MAX_STEP} above the highest number ever used, ${highest}; numbers between would be lost for ever.`;
  const next = `${highest + 1} (at most ${highest + MAX_STEP})`;
  const remedy =
    rotation !== null
      ? `Nothing moves meanwhile. Set it to ${rotation.to} to go on, or to ${rotation.from} to go back.`
      : signer === null
        ? `Set it to ${next}.`
        : `Set it to ${signer} to stay, or to ${next} to rotate.`;
  return { reason: 'GenerationUnavailable', message: `${why} ${remedy}` };
}
