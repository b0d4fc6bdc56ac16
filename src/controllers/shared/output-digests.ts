import { sha256 } from './digest.ts';

/** Digests of what outputs hold, by key: of the base64 that the API has. */
export type OutputDigests = ReadonlyMap<string, string>;

/** More than a spec and a profile can ask for; who writes more into an annotation has made it up. */
const MAX_OUTPUTS = 64;

/**
 * The keys that the annotation names, without which what is no more asked for would stay, and what they hold.
 * @param never keys that are no outputs whatever somebody writes there: an output that is not asked for is deleted
 */
export function readOutputs(
  valueOf: (key: string) => unknown,
  annotation = '',
  never: readonly string[] = [],
): OutputDigests {
  const keys = annotation.slice(0, MAX_OUTPUTS * 64).split(',', MAX_OUTPUTS);
  const named = keys.filter((key) => /^[A-Za-z0-9._-]{1,63}$/.test(key) && !never.includes(key));
  return new Map(
    named.map((key) => {
      const value = valueOf(key);
      return [Buffer.from(key).toString(), typeof value === 'string' ? sha256(value) : ''];
    }),
  );
}
