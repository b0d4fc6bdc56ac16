import type { Rotation } from '../api/ledger.ts';

/** What a member's Secret is to hold: the generation that signs its leaf, and the generations it is to trust. */
export interface Content {
  readonly leaf: number;
  readonly bundle: readonly number[];
}

/** The content that a stage gives to a member. */
export function contentOf(rotation: Pick<Rotation, 'from' | 'to' | 'stage'>): Content {
  const { from, to, stage } = rotation;
  switch (stage) {
    case 'Append':
      return { leaf: from, bundle: [from, to] };
    case 'Roll':
      return { leaf: to, bundle: [from, to] };
    case 'Drop':
      return { leaf: to, bundle: [to] };
  }
}

export function sameBundle(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((generation, i) => generation === b[i]);
}
