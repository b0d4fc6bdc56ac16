import type { Patch } from '../load.ts';

export interface Seed {
  readonly name: string;
  readonly patches: readonly Patch[];
  /** The worlds in which it is looked for, one after the other. */
  readonly where: readonly string[];
  /** Null: it is found. Otherwise why it can do no harm. */
  readonly harmless: string | null;
}

export const seed = (
  where: string | readonly string[],
  file: string,
  name: string,
  old: string,
  replacement: string,
  harmless: string | null = null,
): Seed => ({
  name,
  patches: [{ file, old, new: replacement }],
  where: typeof where === 'string' ? [where] : where,
  harmless,
});
