/**
 * The part of DER (ITU-T X.690) that certificates need: an encoder for what we issue, and a bounds-checked
 * reader for what others hand us. The reader never recurses and never allocates by a length it was told.
 */
import { PkiError } from './errors.ts';

export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag of a context-specific element: `[number]`, primitive or constructed. */
export function contextTag(number: number, form: 'primitive' | 'constructed'): number {
  return (form === 'primitive' ? 0x80 : 0xa0) | number;
}

// ---- Encoder -------------------------------------------------------------------------------------------------

/** One element: tag, minimal definite length, and the parts one after the other. */
export function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const lengthOctets = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
  const out = Buffer.allocUnsafe(2 + lengthOctets + length);
  out[0] = tag;
  let at = 2;
  if (lengthOctets === 0) {
    out[1] = length;
  } else {
    out[1] = 0x80 | lengthOctets;
    at = out.writeUIntBE(length, 2, lengthOctets);
  }
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return element(Tag.sequence, ...parts);
}

/** INTEGER from an unsigned big-endian magnitude: minimal, and positive whatever its first bit. */
export function unsignedInteger(magnitude: Uint8Array): Buffer {
  let first = 0;
  while (first < magnitude.length - 1 && magnitude[first] === 0) first += 1;
  const minimal = magnitude.subarray(first);
  const needsSign = minimal.length === 0 || (minimal[0] ?? 0) >= 0x80;
  return needsSign ? element(Tag.integer, Buffer.of(0), minimal) : element(Tag.integer, minimal);
}

/** OBJECT IDENTIFIER from its dotted form; for constants, arcs below 2^31. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const group = [arc & 0x7f];
    for (let high = arc >>> 7; high > 0; high >>>= 7) group.unshift((high & 0x7f) | 0x80);
    octets.push(...group);
  }
  return element(Tag.oid, Buffer.from(octets));
}

/** BIT STRING of whole octets. */
export function bitString(octets: Uint8Array): Buffer {
  return element(Tag.bitString, Buffer.of(0), octets);
}

/**
 * BIT STRING of a named-bit list (X.690 11.2.2: no trailing zero bits), bit 0 being the most significant one.
 */
export function namedBits(bits: readonly number[]): Buffer {
  const last = Math.max(...bits);
  const octets = Buffer.alloc((last >> 3) + 1);
  for (const bit of bits) octets[bit >> 3] = (octets[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return element(Tag.bitString, Buffer.of(7 - (last & 7)), octets);
}

/** Instants that RFC 5280 can express without doubt: 1950-01-01 to 9999-12-31. */
const EARLIEST = Date.UTC(1950, 0, 1);
const LATEST = Date.UTC(9999, 11, 31, 23, 59, 59);

/**
 * Time of RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on, whole seconds (cut, not rounded).
 * @param instant epoch milliseconds
 */
export function time(instant: number): Buffer {
  if (!(instant >= EARLIEST && instant < LATEST + 1000)) {
    throw new PkiError('InvalidValidity', 'a certificate date must lie between the years 1950 and 9999');
  }
  const digits = new Date(instant).toISOString().replace(/[-T:]/g, '').slice(0, 14);
  return digits < '2050'
    ? element(Tag.utcTime, Buffer.from(`${digits.slice(2)}Z`, 'latin1'))
    : element(Tag.generalizedTime, Buffer.from(`${digits}Z`, 'latin1'));
}

// ---- Reader --------------------------------------------------------------------------------------------------

/** Where an element lies in the bytes that were read: `[start, end)`, its content `[body, end)`. */
export interface Element {
  readonly tag: number;
  readonly start: number;
  readonly body: number;
  readonly end: number;
}

/**
 * Walks the elements of one level, front to back. Everything that is not DER (indefinite or non-minimal lengths,
 * an element that leaves its container, high tag numbers, which certificates do not use) throws `Malformed`.
 */
export class DerReader {
  readonly bytes: Buffer;
  readonly end: number;
  /** What is being read, for the error message. */
  readonly what: string;
  #at: number;

  constructor(bytes: Buffer, what: string, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.what = what;
    this.end = end;
    this.#at = start;
  }

  get done(): boolean {
    return this.#at >= this.end;
  }

  /** Tag of the next element, or null at the end of this level. */
  get nextTag(): number | null {
    return this.done ? null : (this.bytes[this.#at] ?? null);
  }

  /** The next element, of this tag. */
  read(tag?: number): Element {
    const start = this.#at;
    if (this.end - start < 2) throw this.malformed('ends too early');
    const found = this.bytes[start] ?? 0;
    if ((found & 0x1f) === 0x1f) throw this.malformed('uses a high tag number');
    if (tag !== undefined && found !== tag) throw this.malformed(`has an unexpected element (tag ${found})`);
    let length = this.bytes[start + 1] ?? 0;
    let body = start + 2;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets === 0 || octets > 3 || this.end - body < octets) throw this.malformed('has an invalid length');
      length = this.bytes.readUIntBE(body, octets);
      body += octets;
      if (length < 0x80 || length < 2 ** (8 * (octets - 1))) throw this.malformed('has a length that is not minimal');
    }
    const end = body + length;
    if (end > this.end) throw this.malformed('has an element that is longer than its container');
    this.#at = end;
    return { tag: found, start, body, end };
  }

  /** The next element if it has this tag, else null and nothing is consumed. */
  readOptional(tag: number): Element | null {
    return this.nextTag === tag ? this.read(tag) : null;
  }

  /** Reads a constructed element and returns the reader of its content. */
  enter(tag: number): DerReader {
    return this.inside(this.read(tag));
  }

  inside(outer: Element): DerReader {
    return new DerReader(this.bytes, this.what, outer.body, outer.end);
  }

  content(of: Element): Buffer {
    return this.bytes.subarray(of.body, of.end);
  }

  /** Content of an INTEGER, in minimal form. */
  readInteger(): Buffer {
    return this.checkInteger(this.content(this.read(Tag.integer)));
  }

  checkInteger(octets: Buffer): Buffer {
    const [first = 0, second = 0] = octets;
    const padded = octets.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
    if (octets.length === 0 || padded) throw this.malformed('has a number that is not minimal');
    return octets;
  }

  /** A small non-negative INTEGER, such as a version or a count. */
  readSmallInteger(): number {
    const octets = this.readInteger();
    if (octets.length > 4 || (octets[0] ?? 0) >= 0x80) throw this.malformed('has a number that is out of range');
    return octets.readUIntBE(0, octets.length);
  }

  readBoolean(): boolean {
    const octets = this.content(this.read(Tag.boolean));
    const [value] = octets;
    if (octets.length !== 1 || (value !== 0x00 && value !== 0xff)) throw this.malformed('has an invalid BOOLEAN');
    return value === 0xff;
  }

  /** Nothing may follow on this level. */
  finish(): void {
    if (!this.done) throw this.malformed('has data after its end');
  }

  malformed(why: string): PkiError {
    return new PkiError('Malformed', `${this.what} is not valid DER: it ${why} (byte ${this.#at})`);
  }
}

/** Longer object identifiers do not occur (2.25.<UUID> takes 20 octets). */
const MAX_OID_OCTETS = 64;

/** Dotted form of the content octets of an OBJECT IDENTIFIER. */
export function dottedOid(octets: Uint8Array): string {
  const arcs: bigint[] = [];
  let arc = 0n;
  let open = octets.length === 0 || octets.length > MAX_OID_OCTETS;
  for (const octet of octets.subarray(0, MAX_OID_OCTETS)) {
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    open = octet >= 0x80;
    if (!open) {
      arcs.push(arc);
      arc = 0n;
    }
  }
  const [first, ...rest] = arcs;
  if (open || first === undefined || octets.length > MAX_OID_OCTETS) {
    throw new PkiError('Malformed', 'an object identifier is not valid DER');
  }
  const root = first < 40n ? 0n : first < 80n ? 1n : 2n;
  return [root, first - root * 40n, ...rest].join('.');
}

/**
 * Instant of a UTCTime or GeneralizedTime in the only forms that RFC 5280 section 4.1.2.5 allows.
 * @returns epoch milliseconds
 */
export function readTime(reader: DerReader): number {
  const found = reader.read();
  const text = reader.content(found).toString('latin1');
  const digits =
    found.tag === Tag.utcTime && /^\d{12}Z$/.test(text)
      ? `${Number(text.slice(0, 2)) >= 50 ? '19' : '20'}${text.slice(0, 12)}`
      : found.tag === Tag.generalizedTime && /^\d{14}Z$/.test(text)
        ? text.slice(0, 14)
        : null;
  const parts = digits === null ? null : /^(....)(..)(..)(..)(..)(..)$/.exec(digits)?.slice(1);
  if (!parts) throw reader.malformed('has a date that RFC 5280 does not allow');
  const iso = `${parts.slice(0, 3).join('-')}T${parts.slice(3).join(':')}.000Z`;
  const instant = Date.parse(iso);
  // Date.parse is lenient about days (30 February): what does not read back the same is not a date.
  if (Number.isNaN(instant) || new Date(instant).toISOString() !== iso)
    throw reader.malformed('has an impossible date');
  return instant;
}
