/** By which states are told apart: 64 bits of their canonical form. */

/** The 64 bits of the last `hash`. */
export let hashHigh = 0;
export let hashLow = 0;

/** Two 32-bit lanes over the bytes, each in the way of MurmurHash3, mixed with each other at every step. */
export function hash(bytes: Uint8Array): void {
  let h = 0x9747b28c;
  let l = 0x3c6ef372;
  const { length } = bytes;
  for (let i = 0; i < length; i += 4) {
    const word =
      (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24);
    let a = Math.imul(word, 0xcc9e2d51);
    a = Math.imul((a << 15) | (a >>> 17), 0x1b873593);
    let b = Math.imul(word, 0x38b34ae5);
    b = Math.imul((b << 17) | (b >>> 15), 0xa1e38b93);
    h ^= a;
    h = Math.imul((h << 19) | (h >>> 13), 5) + l + 0x561ccd1b;
    l ^= b;
    l = Math.imul((l << 13) | (l >>> 19), 5) + h + 0x0bcaa747;
  }
  h ^= length;
  l ^= length;
  h = (h + l) | 0;
  l = (l + h) | 0;
  h = mixed(h);
  l = mixed(l);
  h = (h + l) | 0;
  hashHigh = h >>> 0;
  hashLow = (l + h) >>> 0;
}

function mixed(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
