/** Whether what a ledger says may be acted on. */
export type Verdict =
  | { readonly good: true; readonly epoch: number }
  | { readonly good: false; readonly message: string };

/**
 * What the ReplicationCA controller found when it judged a ledger by what lies beside it. It alone judges; whoever is about to write a
 * member's Secret asks here, so that nothing is issued from a ledger that is lost, old or doubted.
 */
export class Verdicts {
  readonly #byCa = new Map<string, Verdict>();
  readonly #onChange: (ca: string) => void;

  /** @param onChange told when members may go on, or must not */
  constructor(onChange: (ca: string) => void) {
    this.#onChange = onChange;
  }

  /** Null: not judged yet in this process. */
  of(ca: string): Verdict | null {
    return this.#byCa.get(ca) ?? null;
  }

  good(ca: string, epoch: number): void {
    const before = this.#byCa.get(ca);
    this.#byCa.set(ca, { good: true, epoch });
    if (before?.good !== true) this.#onChange(ca);
  }

  bad(ca: string, message: string): void {
    const before = this.#byCa.get(ca);
    this.#byCa.set(ca, { good: false, message });
    if (before?.good !== false) this.#onChange(ca);
  }

  forget(ca: string): void {
    this.#byCa.delete(ca);
  }
}
