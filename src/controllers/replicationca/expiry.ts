import type { Ledger } from '../../api/ledger.ts';
import { generationName } from '../../api/names.ts';
import type { Facts } from '../../rotation/facts.ts';
import { startBy } from '../../rotation/wanted.ts';

/** A certificate that ends before long. */
export interface Expiry {
  /** G1, or namespace/name of a member. */
  readonly name: string;
  /** Epoch milliseconds. */
  readonly notAfter: number;
}

/**
 * Who expires when, soonest first (design rule 9): generations from which somebody still has a leaf and that should have been left by now,
 * and those leaves. They cannot be renewed beyond their generation, so only a rotation helps. Empty before that time.
 */
export function expiring(
  { wish, generations, certificates }: Facts,
  { roster, signer }: Ledger,
  now: number,
): readonly Expiry[] {
  const found: Expiry[] = [];
  for (const [number, generation] of generations) {
    const members = [...roster].filter(([, { leaf }]) => leaf === number).map(([member]) => member);
    if (now < startBy(wish, generation) || (number !== signer && members.length === 0)) continue;
    found.push({ name: generationName(number), notAfter: generation.notAfter });
    for (const member of members) {
      const notAfter = certificates.get(member)?.secret?.leafNotAfter;
      if (notAfter !== undefined) found.push({ name: member, notAfter });
    }
  }
  return found.toSorted((a, b) => a.notAfter - b.notAfter);
}
