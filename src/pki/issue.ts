/** Issuing of CA and leaf certificates, by the rules of RFC 5280 and of our design (see docs: PKI rules). */
import { createPublicKey, hash, type KeyObject, sign } from 'node:crypto';
import { type AlternativeNames, encodeAlternativeNames } from './alternative-names.ts';
import { type Certificate, NETSCAPE_CERT_TYPE, readCertificate, rememberSignature } from './certificate.ts';
import {
  bitString,
  contextTag,
  DerReader,
  element,
  namedBits,
  objectIdentifier,
  sequence,
  Tag,
  time,
  unsignedInteger,
} from './der.ts';
import { PkiError } from './errors.ts';
import { digestFor, keyMatches, keySpecOf, type KeySpec } from './keys.ts';
import { encodeSubject, type Subject } from './name.ts';

export type { Subject };

/** A CA: its certificate, and its private key; null: that is not here, and others sign with it. */
export interface Authority {
  readonly certificate: Certificate;
  readonly key: KeyObject | null;
}

/** A CA that can sign. */
export interface SigningAuthority extends Authority {
  readonly key: KeyObject;
}

/** Instants are epoch milliseconds; certificates have whole seconds, the rest is cut off. */
interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

interface Numbered {
  /** Of `newSerial`: 1 to 20 octets, an unsigned number above zero. */
  readonly serial: Uint8Array;
}

export interface CaRequest extends Validity, Numbered {
  /** The CA's own private key. */
  readonly key: KeyObject;
  readonly subject: Subject;
}

export interface LeafRequest extends Validity, Numbered, AlternativeNames {
  readonly authority: SigningAuthority;
  /** The leaf's public key. */
  readonly publicKey: KeyObject;
  readonly subject: Subject;
  /** Whether to say in the Netscape certificate type as well that it is client and server. Default: false. */
  readonly netscapeCertType?: boolean;
}

const SERIAL_OCTETS = 16;
/** RFC 5280 section 4.1.2.2; the sign octet that a leading one bit needs counts. */
const MAX_SERIAL_OCTETS = 20;

/** A serial number of 16 random octets; the first is never zero, so that its hex always has the same length. */
export function newSerial(random: (size: number) => Buffer): Buffer {
  const serial = Buffer.from(random(SERIAL_OCTETS));
  if (serial[0] === 0) serial[0] = 1;
  return serial;
}

/**
 * A self-signed CA certificate that may sign leaves only (path length 0).
 * Signs on the spot: 0.05 ms for P-256, 2 ms for P-384, 3 to 6 ms for RSA-4096 block the event loop.
 * @throws PkiError `InvalidSubject`, `InvalidValidity`, `InvalidSerial`, `Unsupported` (kind of key)
 */
export function issueCa(request: CaRequest): Certificate {
  const subject = encodeSubject(request.subject);
  const { info, keyId } = publicKeyParts(createPublicKey(request.key));
  // No authority key identifier: RFC 5280 section 4.2.1.1 lets a self-signed certificate do without.
  const extensions = sequence(CA_BASIC_CONSTRAINTS, CA_KEY_USAGE, subjectKeyIdentifier(keyId));
  return signed(request.key, (algorithm) => [
    serialNumber(request),
    algorithm,
    subject,
    validity(request),
    subject,
    info,
    element(EXTENSIONS, extensions),
  ]);
}

/**
 * A leaf for TLS, client and server at once. Its end is cut to its CA's. The issuer is copied octet by octet from the
 * CA, and the authority key identifier holds the key identifier only, so that verifiers find the right CA among
 * several. Signs on the spot, as `issueCa` does.
 * @throws PkiError `InvalidSubject`, `InvalidAlternativeName`, `InvalidValidity` (also: the CA ends too early),
 *   `InvalidSerial`, `InvalidAuthority` (no CA, no key identifier, key of another certificate), `Unsupported`, `TooLarge`
 */
export function issueLeaf(request: LeafRequest): Certificate {
  const { certificate: ca, key } = request.authority;
  const leaf = leafBelow(ca, checkAuthority(request.authority), key, request);
  rememberSignature(leaf, ca);
  return leaf;
}

/**
 * A leaf that names a CA as its issuer whose key is not here: for rehearsals of what verifiers make of it, as if that had signed. It must
 * never be given to anybody, who would refuse it.
 * @param key signs in its place: that is a signature of nobody, which only this process takes for the CA's
 */
export function rehearseLeaf(ca: Certificate, key: KeyObject, request: Omit<LeafRequest, 'authority'>): Certificate {
  const leaf = leafBelow(ca, Buffer.from(ca.subjectKeyId ?? '', 'hex'), key, request);
  rememberSignature(leaf, ca);
  return leaf;
}

function leafBelow(
  ca: Certificate,
  authorityKeyId: Buffer,
  key: KeyObject,
  request: Omit<LeafRequest, 'authority'>,
): Certificate {
  const notAfter = Math.min(request.notAfter, ca.notAfter);
  const { info, keyId, spec } = publicKeyParts(request.publicKey);
  const names = encodeAlternativeNames(request);
  const extensions = sequence(
    LEAF_BASIC_CONSTRAINTS,
    spec.algorithm === 'RSA' ? RSA_LEAF_KEY_USAGE : LEAF_KEY_USAGE,
    LEAF_PURPOSES,
    subjectKeyIdentifier(keyId),
    extension(OID.authorityKeyId, false, sequence(element(contextTag(0, 'primitive'), authorityKeyId))),
    ...(names === null ? [] : [extension(OID.subjectAltName, false, names)]),
    ...(request.netscapeCertType === true ? [NETSCAPE_CLIENT_AND_SERVER] : []),
  );
  return signed(key, (algorithm) => [
    serialNumber(request),
    algorithm,
    Buffer.from(ca.rawSubject, 'hex'),
    validity({ notBefore: request.notBefore, notAfter }),
    encodeSubject(request.subject),
    info,
    element(EXTENSIONS, extensions),
  ]);
}

/** DER of a subject as it will stand in a certificate, hex: comparable with `rawSubject`. */
export function rawSubjectOf(subject: Subject): string {
  return encodeSubject(subject).toString('hex');
}

// ---- Fields --------------------------------------------------------------------------------------------------

const OID = {
  subjectKeyId: objectIdentifier('2.5.29.14'),
  keyUsage: objectIdentifier('2.5.29.15'),
  subjectAltName: objectIdentifier('2.5.29.17'),
  basicConstraints: objectIdentifier('2.5.29.19'),
  authorityKeyId: objectIdentifier('2.5.29.35'),
  extendedKeyUsage: objectIdentifier('2.5.29.37'),
  netscapeCertType: objectIdentifier(NETSCAPE_CERT_TYPE),
};

const VERSION_3 = element(contextTag(0, 'constructed'), unsignedInteger(Buffer.of(2)));
const EXTENSIONS = contextTag(3, 'constructed');
const TRUE = element(Tag.boolean, Buffer.of(0xff));

function extension(oid: Buffer, critical: boolean, value: Buffer): Buffer {
  const octets = element(Tag.octetString, value);
  return critical ? sequence(oid, TRUE, octets) : sequence(oid, octets);
}

// Bits of key usage: 0 digitalSignature, 2 keyEncipherment (TLS 1.2 key transport), 5 keyCertSign, 6 cRLSign.
const CA_BASIC_CONSTRAINTS = extension(OID.basicConstraints, true, sequence(TRUE, unsignedInteger(Buffer.of(0))));
const CA_KEY_USAGE = extension(OID.keyUsage, true, namedBits([5, 6]));
const LEAF_BASIC_CONSTRAINTS = extension(OID.basicConstraints, true, sequence());
const LEAF_KEY_USAGE = extension(OID.keyUsage, true, namedBits([0]));
const RSA_LEAF_KEY_USAGE = extension(OID.keyUsage, true, namedBits([0, 2]));
const LEAF_PURPOSES = extension(
  OID.extendedKeyUsage,
  false,
  sequence(objectIdentifier('1.3.6.1.5.5.7.3.1'), objectIdentifier('1.3.6.1.5.5.7.3.2')),
);

// Bits: 0 SSL client, 1 SSL server.
const NETSCAPE_CLIENT_AND_SERVER = extension(OID.netscapeCertType, false, namedBits([0, 1]));

function subjectKeyIdentifier(keyId: Buffer): Buffer {
  return extension(OID.subjectKeyId, false, element(Tag.octetString, keyId));
}

function serialNumber({ serial }: Numbered): Buffer {
  const number = unsignedInteger(serial);
  if (number.length - 2 > MAX_SERIAL_OCTETS || serial.every((octet) => octet === 0)) {
    throw new PkiError(
      'InvalidSerial',
      `a serial number must be above zero and have at most ${MAX_SERIAL_OCTETS} octets`,
    );
  }
  return number;
}

function validity({ notBefore, notAfter }: Validity): Buffer {
  const fields = sequence(time(notBefore), time(notAfter));
  if (Math.floor(notAfter / 1000) <= Math.floor(notBefore / 1000)) {
    throw new PkiError(
      'InvalidValidity',
      `the certificate would end (${new Date(notAfter).toISOString()}) before it begins (${new Date(notBefore).toISOString()})`,
    );
  }
  return fields;
}

interface PublicKeyParts {
  readonly spec: KeySpec;
  /** DER of the SubjectPublicKeyInfo. */
  readonly info: Buffer;
  /** RFC 7093 section 2 method 1: the first 160 bits of the SHA-256 of the key's bits. */
  readonly keyId: Buffer;
}

function publicKeyParts(publicKey: KeyObject): PublicKeyParts {
  const info = publicKey.export({ type: 'spki', format: 'der' });
  const fields = new DerReader(info, 'the public key').enter(Tag.sequence);
  fields.read(Tag.sequence);
  const bits = fields.content(fields.read(Tag.bitString)).subarray(1);
  return { spec: specOf(publicKey), info, keyId: hash('sha256', bits, 'buffer').subarray(0, 20) };
}

function specOf(key: KeyObject): KeySpec {
  const spec = keySpecOf(key);
  if (spec === null) throw new PkiError('Unsupported', 'a key is not RSA 2048/3072/4096, ECDSA P-256/P-384 or Ed25519');
  return spec;
}

// ---- Signing -------------------------------------------------------------------------------------------------

const NULL = Buffer.of(0x05, 0x00);
const SHA256_WITH_RSA = sequence(objectIdentifier('1.2.840.113549.1.1.11'), NULL);
const ECDSA_WITH_SHA256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
const ECDSA_WITH_SHA384 = sequence(objectIdentifier('1.2.840.10045.4.3.3'));
const ED25519 = sequence(objectIdentifier('1.3.101.112'));

function signatureAlgorithm(spec: KeySpec): Buffer {
  switch (spec.algorithm) {
    case 'RSA':
      return SHA256_WITH_RSA;
    case 'ECDSA':
      return spec.size === 256 ? ECDSA_WITH_SHA256 : ECDSA_WITH_SHA384;
    case 'Ed25519':
      return ED25519;
  }
}

/** Signs the fields that follow the version, and reads the result back: what we issue passes our own reader. */
function signed(key: KeyObject, fields: (algorithm: Buffer) => readonly Buffer[]): Certificate {
  const spec = specOf(key);
  const algorithm = signatureAlgorithm(spec);
  const content = sequence(VERSION_3, ...fields(algorithm));
  const signature = sign(digestFor(spec), content, key);
  return readCertificate(sequence(content, algorithm, bitString(signature)));
}

/** Keys that were seen to match a CA certificate (by fingerprint): asking costs a signature, a mesh has 1,000 leaves. */
const matched = new WeakMap<KeyObject, string>();

/** @returns the key identifier that leaves of this CA name */
function checkAuthority({ certificate, key }: SigningAuthority): Buffer {
  const refuse = (why: string): PkiError =>
    new PkiError('InvalidAuthority', `${certificate.subject} cannot sign: ${why}`);
  if (!certificate.isCa) throw refuse('it is not a CA certificate');
  if (certificate.keyUsage !== null && !certificate.keyUsage.includes('keyCertSign')) {
    throw refuse('its key usage lacks keyCertSign');
  }
  if (certificate.subjectKeyId === null) throw refuse('it has no subject key identifier');
  if (matched.get(key) !== certificate.fingerprint) {
    if (!keyMatches(certificate, key)) throw refuse('its private key is that of another certificate');
    matched.set(key, certificate.fingerprint);
  }
  return Buffer.from(certificate.subjectKeyId, 'hex');
}
