/** So many times as long as it took, a look is rested from: looks take a fifth of the time at most. */
const REST = 4;
const LONGEST_REST = 2_000;

/**
 * A look at a whole mesh costs the more the larger the mesh is, and in a burst of joiners there is always a reason for the next one.
 * Rests between looks keep their share of the time small, and let one write of the ledger admit many.
 */
export class Pace {
  readonly #restsUntil = new Map<string, number>();

  /** Milliseconds for which a reason that is not urgent is to wait, `least` at least. */
  rest(ca: string, least: number): number {
    return Math.max(least, (this.#restsUntil.get(ca) ?? 0) - performance.now());
  }

  /** A look at the mesh of this CA ends now; it began at that instant of performance.now(). */
  looked(ca: string, began: number): void {
    const now = performance.now();
    this.#restsUntil.set(ca, now + Math.min(REST * (now - began), LONGEST_REST));
  }

  forget(ca: string): void {
    this.#restsUntil.delete(ca);
  }
}
