/** Begins each line that says how much was proven; `make prove` repeats them at its end. */
export const PROOF = 'proof: ';

/** How much was proven, in the order in which it was said. */
export function proofIn(output: string): readonly string[] {
  return output.split('\n').flatMap((line) => (line.startsWith(PROOF) ? [line.slice(PROOF.length)] : []));
}
