/** A set of 64-bit hashes in the order in which they were added: 16 bytes and some each, open addressing. */
export class HashSet {
  #high: Uint32Array;
  #low: Uint32Array;
  /** Place of a hash in the lists, plus one; 0: free. */
  #table: Uint32Array;
  #mask: number;
  size = 0;

  constructor(capacity: number) {
    this.#high = new Uint32Array(capacity);
    this.#low = new Uint32Array(capacity);
    this.#table = new Uint32Array(capacity * 2);
    this.#mask = capacity * 2 - 1;
  }

  has(high: number, low: number): boolean {
    return this.#table[this.#slot(high, low)] !== 0;
  }

  /** Whether it is new. */
  add(high: number, low: number): boolean {
    const slot = this.#slot(high, low);
    if (this.#table[slot] !== 0) return false;
    this.#high[this.size] = high;
    this.#low[this.size] = low;
    this.size++;
    this.#table[slot] = this.size;
    if (this.size === this.#high.length) this.#grow();
    return true;
  }

  /** The hash that was added as the i-th, from 0. */
  at(i: number): readonly [number, number] {
    return [this.#high[i] ?? 0, this.#low[i] ?? 0];
  }

  #slot(high: number, low: number): number {
    let slot = (low ^ Math.imul(high, 0x9e3779b1)) & this.#mask;
    for (;;) {
      const place = this.#table[slot] ?? 0;
      if (place === 0 || (this.#high[place - 1] === high && this.#low[place - 1] === low)) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }

  #grow(): void {
    const capacity = this.#high.length * 2;
    const [high, low] = [this.#high, this.#low];
    this.#high = new Uint32Array(capacity);
    this.#high.set(high);
    this.#low = new Uint32Array(capacity);
    this.#low.set(low);
    this.#table = new Uint32Array(capacity * 2);
    this.#mask = capacity * 2 - 1;
    for (let i = 0; i < this.size; i++) this.#table[this.#slot(high[i] ?? 0, low[i] ?? 0)] = i + 1;
  }
}
