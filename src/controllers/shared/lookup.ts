const NONE: ReadonlySet<string> = new Set();

/** Objects by a value that they carry. */
export class Lookup {
  readonly #keys = new Map<string, Set<string>>();

  get(value: string): ReadonlySet<string> {
    return this.#keys.get(value) ?? NONE;
  }

  move(key: string, from: readonly string[], to: readonly string[]): void {
    for (const value of from) {
      const keys = this.#keys.get(value);
      keys?.delete(key);
      if (keys?.size === 0) this.#keys.delete(value);
    }
    for (const value of to) {
      const keys = this.#keys.get(value);
      if (keys === undefined) this.#keys.set(value, new Set([key]));
      else keys.add(key);
    }
  }
}
