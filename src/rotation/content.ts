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
      return { leaf: to, bundle: [to] };
  }
}

export function sameBundle(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((generation, i) => generation === b[i]);
}
