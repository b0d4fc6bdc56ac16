import type { Rotation } from '../api/ledger.ts';

/** What a member's Secret is to hold: the generation that signs its leaf, and the generations it is to trust. */
export interface Content {
  readonly leaf: number;
  readonly bundle: readonly number[];
}

/** The content that a stage gives to a member, in either direction. */
export function contentOf(rotation: Pick<Rotation, 'from' | 'to' | 'stage'>): Content {
  const { from, to, stage } = rotation;
  const both = [Math.min(from, to), Math.max(from, to)];
  switch (stage) {
    case 'Append':
      return { leaf: from, bundle: both };
    case 'Roll':
      return { leaf: to, bundle: both };
    case 'Drop':
    case 'Swap':
      return { leaf: to, bundle: [to] };
    case 'Prepare':
      return { leaf: from, bundle: [from] };
  }
}

/**
 * Whether nobody is ever to trust two generations: for members that honour one CA only. Then leaf and bundle change together, everybody's at
 * one time, and links between who has changed and who has not are down meanwhile: announced, approved, and over when it is proven.
 */
export function isLockstep({ stage }: Pick<Rotation, 'stage'>): boolean {
  return stage === 'Prepare' || stage === 'Swap';
}

export function sameBundle(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((generation, i) => generation === b[i]);
}
