/** Distinguished names: encoding of the subjects we issue, reading of any. */
import { Tag, DerReader, dottedOid, element, objectIdentifier, sequence } from './der.ts';
import { PkiError } from './errors.ts';

/** Subject of a certificate that is to be issued; written in the order C, O, OU, CN. */
export interface Subject {
  readonly commonName: string;
  readonly organizations?: readonly string[];
  readonly organizationalUnits?: readonly string[];
  /** ISO 3166 codes of two letters. */
  readonly countries?: readonly string[];
}

const COMMON_NAME = '2.5.4.3';
const OID = {
  commonName: objectIdentifier(COMMON_NAME),
  country: objectIdentifier('2.5.4.6'),
  organization: objectIdentifier('2.5.4.10'),
  organizationalUnit: objectIdentifier('2.5.4.11'),
};

/** Upper bounds ub-common-name, ub-organization-name, ub-organizational-unit-name of RFC 5280 appendix A.1. */
const MAX_CHARACTERS = 64;

/**
 * DER of a subject. C is a PrintableString, all others are UTF8String (RFC 5280 section 4.1.2.4).
 * @throws PkiError `InvalidSubject`
 */
export function encodeSubject(subject: Subject): Buffer {
  const country = (value: string): Buffer => {
    if (!/^[A-Za-z]{2}$/.test(value)) {
      throw new PkiError('InvalidSubject', `country ${JSON.stringify(value)} is not a code of two letters`);
    }
    return attribute(OID.country, Tag.printableString, value);
  };
  const text = (oid: Buffer, field: string) => (value: string) =>
    attribute(oid, Tag.utf8String, checkedText(field, value));
  return sequence(
    ...(subject.countries ?? []).map(country),
    ...(subject.organizations ?? []).map(text(OID.organization, 'organization')),
    ...(subject.organizationalUnits ?? []).map(text(OID.organizationalUnit, 'organizational unit')),
    text(OID.commonName, 'common name')(subject.commonName),
  );
}

function attribute(oid: Buffer, tag: number, value: string): Buffer {
  return element(Tag.set, sequence(oid, element(tag, Buffer.from(value, 'utf8'))));
}

function checkedText(field: string, value: string): string {
  const refuse = (why: string): PkiError => new PkiError('InvalidSubject', `${field} ${why}`);
  if (value.trim() === '') throw refuse('is empty');
  // A lone surrogate has no UTF-8 form; control characters let a name look like another one in logs and listings.
  if (!value.isWellFormed()) throw refuse('is not valid Unicode');
  if (/\p{Cc}/u.test(value)) throw refuse('contains a control character');
  const characters = Array.from(value).length;
  if (characters > MAX_CHARACTERS) throw refuse(`has ${characters} characters; RFC 5280 allows ${MAX_CHARACTERS}`);
  return value;
}

// ---- Reading -------------------------------------------------------------------------------------------------

interface Attribute {
  readonly type: string;
  /** Null when the value is of no usual string type. */
  readonly text: string | null;
  /** DER of the value. */
  readonly hex: string;
}

const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  [COMMON_NAME, 'CN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'STREET'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
]);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The RDNs of a DER name, each with its attributes. */
function readName(name: Buffer): Attribute[][] {
  const outer = new DerReader(name, 'the name');
  const rdns = outer.enter(Tag.sequence);
  outer.finish();
  const result: Attribute[][] = [];
  while (!rdns.done) {
    const rdn = rdns.enter(Tag.set);
    const attributes: Attribute[] = [];
    do attributes.push(readAttribute(rdn.enter(Tag.sequence)));
    while (!rdn.done);
    result.push(attributes);
  }
  return result;
}

function readAttribute(reader: DerReader): Attribute {
  const type = dottedOid(reader.content(reader.read(Tag.oid)));
  const value = reader.read();
  reader.finish();
  return {
    type,
    text: decodeText(value.tag, reader.content(value), reader),
    hex: reader.bytes.toString('hex', value.start, value.end),
  };
}

function decodeText(tag: number, octets: Buffer, reader: DerReader): string | null {
  switch (tag) {
    case Tag.utf8String:
      try {
        return utf8.decode(octets);
      } catch {
        throw reader.malformed('has a UTF8String that is not UTF-8');
      }
    // Latin-1 is how OpenSSL, too, reads the T61String of old certificates.
    case Tag.printableString:
    case Tag.ia5String:
    case Tag.t61String:
      return octets.toString('latin1');
    case Tag.bmpString:
      if (octets.length % 2 !== 0) throw reader.malformed('has a BMPString of odd length');
      return Buffer.from(octets).swap16().toString('utf16le').toWellFormed();
    default:
      return null;
  }
}

/** One line, most specific attribute first, escaped as in RFC 4514: `CN=Replication-Root-CA G2,O=Example,C=DE`. */
export function nameText(name: Buffer): string {
  return readName(name)
    .map((rdn) => rdn.map(attributeText).join('+'))
    .reverse()
    .join(',');
}

function attributeText({ type, text, hex }: Attribute): string {
  const short = SHORT_NAMES.get(type);
  return short === undefined || text === null ? `${short ?? type}=#${hex}` : `${short}=${escapeText(text)}`;
}

function escapeText(text: string): string {
  return text.replace(/["+,;<>\\]|^[ #]| $/g, '\\$&').replace(/\p{Cc}/gu, (control) =>
    Array.from(Buffer.from(control))
      .map((octet) => `\\${hexOctet(octet)}`)
      .join(''),
  );
}

function hexOctet(octet: number): string {
  return octet.toString(16).padStart(2, '0');
}

/** The last, i.e. most specific, common name; null when there is none or it is no text. */
export function commonNameOf(name: Buffer): string | null {
  const attributes = readName(name).flat();
  return attributes.findLast(({ type }) => type === COMMON_NAME)?.text ?? null;
}

/**
 * What OpenSSL compares when it looks for an issuer by name: string type, ASCII case and runs of spaces do not count.
 * Two names of one canonical form are one name to OpenSSL, and two names to verifiers that compare octets (Go).
 */
export function canonicalName(name: Buffer): string {
  const rdns = readName(name).map((rdn) =>
    rdn
      .map(({ type, text, hex }) => [type, text === null ? `#${hex}` : `=${foldText(text)}`])
      .sort(([a = '', b = ''], [c = '', d = '']) => (a < c || (a === c && b < d) ? -1 : 1)),
  );
  return JSON.stringify(rdns);
}

function foldText(text: string): string {
  return text
    .replace(/[ \t\n\v\f\r]+/g, ' ')
    .replace(/^ | $/g, '')
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
