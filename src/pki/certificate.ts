/**
 * Reading of X.509 certificates, our own and others'. Input is hostile: it is capped in size, must be DER, and is
 * shown to OpenSSL too, so that nothing is accepted here that a TLS stack could not even load.
 */
import { createPublicKey, hash, type KeyObject, X509Certificate } from 'node:crypto';
import { type AlternativeNames, readAlternativeNames } from './alternative-names.ts';
import { contextTag, DerReader, dottedOid, type Element, readTime, Tag } from './der.ts';
import { PkiError } from './errors.ts';
import { commonNameOf, nameText } from './name.ts';
import { decodePem, encodePem, type PemBlock } from './pem.ts';

/** Greatest PEM texts that are read, in characters: one certificate, and a bundle. */
const MAX_CERTIFICATE_PEM = 36_500;
const MAX_BUNDLE_PEM = 330_000;
/** Two generations are in trust at most; more leaves room for what somebody else has put in, and is still little work. */
const MAX_BUNDLE = 8;

/** A certificate that was read. Immutable; holds little more than its DER, the rest is derived when asked for. */
export interface Certificate {
  /** Canonical PEM of this certificate alone, ending with a newline. */
  readonly pem: string;
  readonly der: Buffer;
  /** SHA-256 of the DER, lower-case hex: what certificates are compared by. */
  readonly fingerprint: string;
  /** One line as in RFC 4514, e.g. `CN=vast1,O=Example`; for people, never for comparison. */
  readonly subject: string;
  readonly issuer: string;
  /** DER of the names, lower-case hex: what names are compared by. */
  readonly rawSubject: string;
  readonly rawIssuer: string;
  /** 1 to 3; only version 3 has extensions. */
  readonly version: number;
  /** Lower-case hex without the sign octet; a negative number (forbidden, but seen) has a minus sign. */
  readonly serialNumber: string;
  /** Lower-case hex, null when absent. */
  readonly subjectKeyId: string | null;
  readonly authorityKeyId: string | null;
  /** Serial number in the authority key identifier, which binds a leaf to one certificate of its CA; null when absent. */
  readonly authoritySerialNumber: string | null;
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hex. */
  readonly publicKeyDigest: string;
  /** Epoch milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isCa: boolean;
  /** Of a CA: how many CAs may follow below it; null when unlimited or no CA. */
  readonly pathLength: number | null;
  readonly commonName: string | null;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly uris: readonly string[];
  /** Null when the extension is absent, which allows every use. */
  readonly keyUsage: readonly KeyUsage[] | null;
  /** Names of the usual purposes, dotted identifiers of others; null when absent, which allows every purpose. */
  readonly extendedKeyUsage: readonly string[] | null;
  /** The first uses that the Netscape certificate type names; null when absent, which allows every use. None where it cannot be read. */
  readonly netscapeCertType: readonly ('client' | 'server' | 'email')[] | null;
  /** Dotted identifiers of the other extensions, and whether verifiers must refuse what they do not know. */
  readonly otherExtensions: readonly { readonly id: string; readonly critical: boolean }[];
  /** Dotted identifier of the algorithm that signed it, e.g. `1.2.840.10045.4.3.2` (ECDSA with SHA-256). */
  readonly signatureAlgorithm: string;
  /** @throws PkiError `Unsupported` when the kind of key is unknown to OpenSSL */
  readonly publicKey: KeyObject;
}

export type KeyUsage = (typeof KEY_USAGES)[number];

/** In the order of the bits of RFC 5280 section 4.2.1.3. */
const KEY_USAGES = [
  'digitalSignature',
  'contentCommitment',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;

/** An extension from before extended key usage, of no RFC; OpenSSL and some products still look at it. Never critical. */
export const NETSCAPE_CERT_TYPE = '2.16.840.1.113730.1.1';
/** In the order of its bits; further ones are of CAs and of code. */
const NETSCAPE_USES = ['client', 'server', 'email'] as const;

const PURPOSES: ReadonlyMap<string, string> = new Map([
  ['1.3.6.1.5.5.7.3.1', 'serverAuth'],
  ['1.3.6.1.5.5.7.3.2', 'clientAuth'],
  ['1.3.6.1.5.5.7.3.3', 'codeSigning'],
  ['1.3.6.1.5.5.7.3.4', 'emailProtection'],
  ['1.3.6.1.5.5.7.3.8', 'timeStamping'],
  ['1.3.6.1.5.5.7.3.9', 'OCSPSigning'],
  ['2.5.29.37.0', 'anyExtendedKeyUsage'],
]);

/**
 * Reads the one certificate of a PEM text.
 * @throws PkiError `TooLarge` (over 36,500 characters), `Malformed`, `Unsupported`
 */
export function parseCertificate(pem: string): Certificate {
  const blocks = decodePem(pem, 'the certificate', MAX_CERTIFICATE_PEM);
  const [first] = blocks;
  if (blocks.length !== 1 || first === undefined) {
    throw new PkiError('Malformed', `expected one certificate, found ${blocks.length} PEM blocks`);
  }
  return parseBlock(first);
}

/**
 * Reads a bundle: one certificate or more, order kept, duplicates kept.
 * @param what the object, for messages
 * @throws PkiError `TooLarge` (over 330,000 characters, over 8 certificates, or one certificate over its own cap), `Malformed`, `Unsupported`
 */
export function parseCertificates(pem: string, what = 'the bundle'): Certificate[] {
  const blocks = decodePem(pem, what, MAX_BUNDLE_PEM);
  if (blocks.length > MAX_BUNDLE) {
    throw new PkiError(
      'TooLarge',
      `${what} has ${blocks.length} certificates; at most ${MAX_BUNDLE} are read, and two generations are the most that it is to hold`,
    );
  }
  return blocks.map(parseBlock);
}

function parseBlock({ label, der }: PemBlock): Certificate {
  if (label.endsWith('PRIVATE KEY')) {
    throw new PkiError(
      'Malformed',
      'found a private key where certificates are expected; remove it, it must not get around',
    );
  }
  if (label !== 'CERTIFICATE') {
    throw new PkiError('Unsupported', `found a PEM block "${label}" where "CERTIFICATE" is expected`);
  }
  const certificate = readCertificate(der);
  try {
    // Only to hear OpenSSL's opinion: kept alive it would cost several times the memory of the DER.
    new X509Certificate(der);
  } catch {
    throw new PkiError('Malformed', 'the certificate cannot be loaded by OpenSSL');
  }
  return certificate;
}

/**
 * Reads DER that we have made ourselves, or that OpenSSL has already accepted (a handshake).
 * @throws PkiError `TooLarge`, `Malformed`
 */
export function readCertificate(der: Buffer): Certificate {
  if (der.length > MAX_CERTIFICATE_PEM * 0.75) {
    throw new PkiError(
      'TooLarge',
      `the certificate has ${der.length} octets of DER; at most ${MAX_CERTIFICATE_PEM * 0.75} are read`,
    );
  }
  return new ReadCertificate(der.buffer.byteLength === der.length ? der : unpooled(der));
}

/** A copy outside of Buffer's shared pool, whose slabs a long-lived certificate would keep alive. */
function unpooled(octets: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(octets.length);
  octets.copy(copy);
  return copy;
}

interface Extensions {
  subjectKeyId: string | null;
  authorityKeyId: string | null;
  authoritySerialNumber: string | null;
  isCa: boolean;
  pathLength: number | null;
  names: AlternativeNames;
  keyUsage: readonly KeyUsage[] | null;
  extendedKeyUsage: readonly string[] | null;
}

const NO_NAMES: AlternativeNames = { dnsNames: [], ipAddresses: [], uris: [] };

class ReadCertificate implements Certificate {
  readonly der: Buffer;
  readonly fingerprint: string;
  readonly version: number;
  readonly serialNumber: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly signatureAlgorithm: string;
  readonly #subject: Element;
  readonly #issuer: Element;
  readonly #publicKey: Element;
  readonly #extensions: Extensions;
  readonly #extensionList: Element | null;
  #key: KeyObject | null = null;

  constructor(der: Buffer) {
    const whole = new DerReader(der, 'the certificate');
    const certificate = whole.enter(Tag.sequence);
    whole.finish();

    const tbs = certificate.enter(Tag.sequence);
    const versionField = tbs.readOptional(contextTag(0, 'constructed'));
    this.version = versionField === null ? 1 : tbs.inside(versionField).readSmallInteger() + 1;
    if (this.version > 3) throw tbs.malformed('has an unknown version');
    this.serialNumber = hexNumber(tbs.readInteger());
    tbs.read(Tag.sequence); // the signature algorithm, again
    this.#issuer = checkedName(tbs);
    const validity = tbs.enter(Tag.sequence);
    this.notBefore = readTime(validity);
    this.notAfter = readTime(validity);
    validity.finish();
    this.#subject = checkedName(tbs);
    this.#publicKey = tbs.read(Tag.sequence);
    tbs.readOptional(contextTag(1, 'primitive')); // unique identifiers: obsolete
    tbs.readOptional(contextTag(2, 'primitive'));
    const extensions = tbs.readOptional(contextTag(3, 'constructed'));
    this.#extensionList = extensions === null ? null : tbs.inside(extensions).read(Tag.sequence);
    this.#extensions = readExtensions(this.#extensionList === null ? null : tbs.inside(this.#extensionList));
    tbs.finish();

    const algorithm = certificate.enter(Tag.sequence);
    this.signatureAlgorithm = readOid(algorithm);
    certificate.read(Tag.bitString);
    certificate.finish();

    this.der = der;
    this.fingerprint = hash('sha256', der, 'hex');
  }

  get pem(): string {
    return encodePem('CERTIFICATE', this.der);
  }
  get subject(): string {
    return nameText(this.#octets(this.#subject));
  }
  get issuer(): string {
    return nameText(this.#octets(this.#issuer));
  }
  get rawSubject(): string {
    return this.#octets(this.#subject).toString('hex');
  }
  get rawIssuer(): string {
    return this.#octets(this.#issuer).toString('hex');
  }
  get commonName(): string | null {
    return commonNameOf(this.#octets(this.#subject));
  }
  get publicKeyDigest(): string {
    return hash('sha256', this.#octets(this.#publicKey), 'hex');
  }
  get publicKey(): KeyObject {
    try {
      // Asked of a CA once for each of its leaves.
      return (this.#key ??= createPublicKey({ key: this.#octets(this.#publicKey), format: 'der', type: 'spki' }));
    } catch {
      throw new PkiError('Unsupported', 'the certificate has a public key of an unknown kind');
    }
  }
  get subjectKeyId(): string | null {
    return this.#extensions.subjectKeyId;
  }
  get authorityKeyId(): string | null {
    return this.#extensions.authorityKeyId;
  }
  get authoritySerialNumber(): string | null {
    return this.#extensions.authoritySerialNumber;
  }
  get isCa(): boolean {
    return this.#extensions.isCa;
  }
  get pathLength(): number | null {
    return this.#extensions.pathLength;
  }
  get dnsNames(): readonly string[] {
    return this.#extensions.names.dnsNames;
  }
  get ipAddresses(): readonly string[] {
    return this.#extensions.names.ipAddresses;
  }
  get uris(): readonly string[] {
    return this.#extensions.names.uris;
  }
  get keyUsage(): readonly KeyUsage[] | null {
    return this.#extensions.keyUsage;
  }
  get extendedKeyUsage(): readonly string[] | null {
    return this.#extensions.extendedKeyUsage;
  }
  get netscapeCertType(): Certificate['netscapeCertType'] {
    const value = this.#others().find(({ id }) => id === NETSCAPE_CERT_TYPE)?.value;
    return value === undefined ? null : readNetscapeCertType(value);
  }
  get otherExtensions(): Certificate['otherExtensions'] {
    return this.#others().map(({ id, critical }) => ({ id, critical }));
  }

  #others(): readonly OtherExtension[] {
    return this.#extensionList === null
      ? []
      : listOthers(new DerReader(this.#octets(this.#extensionList), 'the certificate'));
  }

  #octets({ start, end }: Element): Buffer {
    return this.der.subarray(start, end);
  }
}

/** A name is decoded when asked for; that it can be decoded is found out now. */
function checkedName(reader: DerReader): Element {
  const name = reader.read(Tag.sequence);
  nameText(reader.bytes.subarray(name.start, name.end));
  return name;
}

function readOid(reader: DerReader): string {
  return dottedOid(reader.content(reader.read(Tag.oid)));
}

function hexNumber(integer: Buffer): string {
  if ((integer[0] ?? 0) >= 0x80) {
    return `-${(-BigInt.asIntN(integer.length * 8, BigInt(`0x${integer.toString('hex')}`))).toString(16)}`;
  }
  return (integer.length > 1 && integer[0] === 0 ? integer.subarray(1) : integer).toString('hex');
}

/** Extensions by the hex of their identifier 2.5.29.x. */
const EXTENSION_READERS: ReadonlyMap<string, (value: DerReader, into: Extensions) => void> = new Map([
  ['551d0e', readSubjectKeyId],
  ['551d0f', readKeyUsage],
  ['551d11', readSubjectAlternativeName],
  ['551d13', readBasicConstraints],
  ['551d23', readAuthorityKeyId],
  ['551d25', readExtendedKeyUsage],
]);

function readExtensions(list: DerReader | null): Extensions {
  const found: Extensions = {
    subjectKeyId: null,
    authorityKeyId: null,
    authoritySerialNumber: null,
    isCa: false,
    pathLength: null,
    names: NO_NAMES,
    keyUsage: null,
    extendedKeyUsage: null,
  };
  const seen = new Set<string>();
  while (list !== null && !list.done) {
    const extension = list.enter(Tag.sequence);
    const id = extension.content(extension.read(Tag.oid)).toString('hex');
    if (seen.has(id)) throw list.malformed('has an extension twice');
    seen.add(id);
    if (extension.nextTag === Tag.boolean) extension.readBoolean();
    const value = extension.inside(extension.read(Tag.octetString));
    extension.finish();
    const read = EXTENSION_READERS.get(id);
    if (read !== undefined) {
      read(value, found);
      value.finish();
    }
  }
  return found;
}

interface OtherExtension {
  readonly id: string;
  readonly critical: boolean;
  readonly value: DerReader;
}

/** Asked of few certificates, so nothing is kept for it: somebody's could have thousands. */
function listOthers(whole: DerReader): readonly OtherExtension[] {
  const list = whole.enter(Tag.sequence);
  const others: OtherExtension[] = [];
  while (!list.done) {
    const extension = list.enter(Tag.sequence);
    const id = extension.content(extension.read(Tag.oid));
    const critical = extension.nextTag === Tag.boolean && extension.readBoolean();
    if (EXTENSION_READERS.has(id.toString('hex'))) continue;
    others.push({ id: dottedOid(id), critical, value: extension.inside(extension.read(Tag.octetString)) });
  }
  return others;
}

function readSubjectKeyId(value: DerReader, into: Extensions): void {
  into.subjectKeyId = value.content(value.read(Tag.octetString)).toString('hex');
}

function readAuthorityKeyId(value: DerReader, into: Extensions): void {
  const fields = value.enter(Tag.sequence);
  const keyId = fields.readOptional(contextTag(0, 'primitive'));
  if (keyId !== null) into.authorityKeyId = fields.content(keyId).toString('hex');
  fields.readOptional(contextTag(1, 'constructed'));
  const serial = fields.readOptional(contextTag(2, 'primitive'));
  if (serial !== null) into.authoritySerialNumber = hexNumber(fields.checkInteger(fields.content(serial)));
  fields.finish();
}

function readBasicConstraints(value: DerReader, into: Extensions): void {
  const fields = value.enter(Tag.sequence);
  if (fields.nextTag === Tag.boolean) into.isCa = fields.readBoolean();
  if (fields.nextTag === Tag.integer) into.pathLength = fields.readSmallInteger();
  fields.finish();
}

function readKeyUsage(value: DerReader, into: Extensions): void {
  into.keyUsage = readNamedBits(value, KEY_USAGES, 'has an invalid key usage');
}

/** Nobody but OpenSSL looks at it, which refuses what it cannot read: so it allows nothing then. */
function readNetscapeCertType(value: DerReader): readonly (typeof NETSCAPE_USES)[number][] {
  try {
    return readNamedBits(value, NETSCAPE_USES, 'has an invalid Netscape certificate type');
  } catch (error) {
    if (error instanceof PkiError) return [];
    throw error;
  }
}

function readNamedBits<Name extends string>(value: DerReader, names: readonly Name[], otherwise: string): Name[] {
  const [unused = 8, ...octets] = value.content(value.read(Tag.bitString));
  if (unused > 7 || octets.length > 2) throw value.malformed(otherwise);
  return names.filter((_, bit) => ((octets[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

function readExtendedKeyUsage(value: DerReader, into: Extensions): void {
  const purposes = value.enter(Tag.sequence);
  const result: string[] = [];
  while (!purposes.done) {
    const id = readOid(purposes);
    result.push(PURPOSES.get(id) ?? id);
  }
  into.extendedKeyUsage = result;
}

function readSubjectAlternativeName(value: DerReader, into: Extensions): void {
  into.names = readAlternativeNames(value.enter(Tag.sequence));
}

/**
 * Whether `ca` signed `leaf`: by the signature, after name (octet by octet) and key identifiers (where both have one)
 * agree. Never by name alone. Dates and the right to sign are not looked at.
 */
export function signedBy(leaf: Certificate, ca: Certificate): boolean {
  if (leaf.rawIssuer !== ca.rawSubject) return false;
  if (leaf.authorityKeyId !== null && ca.subjectKeyId !== null && leaf.authorityKeyId !== ca.subjectKeyId) return false;
  return signatureVerifies(leaf, ca);
}

/** Answers already given, per leaf, by fingerprint of the CA: a bundle is judged again and again for the same leaves. */
const answers = new WeakMap<Certificate, Map<string, boolean>>();

/** Whether the public key of `ca` verifies the signature of `leaf`; names and identifiers are not looked at. */
export function signatureVerifies(leaf: Certificate, ca: Certificate): boolean {
  const known = answers.get(leaf) ?? new Map<string, boolean>();
  const answer = known.get(ca.fingerprint) ?? verifySignature(leaf, ca);
  if (known.size === 0) answers.set(leaf, known);
  known.set(ca.fingerprint, answer);
  return answer;
}

/** Says that the key of `ca` has just signed `leaf`, so that nobody need find out. */
export function rememberSignature(leaf: Certificate, ca: Certificate): void {
  answers.set(leaf, new Map([[ca.fingerprint, true]]));
}

function verifySignature(leaf: Certificate, ca: Certificate): boolean {
  try {
    return new X509Certificate(leaf.der).verify(ca.publicKey);
  } catch {
    return false;
  }
}
