/** Private keys: making, writing, reading. A key leaves this file as a KeyObject or as PEM, never in a message. */
import { createPrivateKey, generateKeyPair, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import type { Certificate } from './certificate.ts';
import { contextTag, DerReader, dottedOid, Tag } from './der.ts';
import { PkiError } from './errors.ts';
import { decodePem, encodePem, type PemBlock } from './pem.ts';

/** The kinds of key that are made and used: everything else is refused when it is read. */
export type KeySpec =
  | { readonly algorithm: 'RSA'; readonly size: 2048 | 3072 | 4096 }
  | { readonly algorithm: 'ECDSA'; readonly size: 256 | 384 }
  | { readonly algorithm: 'Ed25519' };

/** All of them. */
export const KEY_SPECS: readonly KeySpec[] = [
  { algorithm: 'RSA', size: 2048 },
  { algorithm: 'RSA', size: 3072 },
  { algorithm: 'RSA', size: 4096 },
  { algorithm: 'ECDSA', size: 256 },
  { algorithm: 'ECDSA', size: 384 },
  { algorithm: 'Ed25519' },
];

/** PKCS#8 for all; PKCS#1 ("RSA PRIVATE KEY") for RSA, SEC 1 ("EC PRIVATE KEY") for ECDSA only. */
export type KeyEncoding = 'PKCS8' | 'PKCS1' | 'SEC1';

/** Greatest PEM text of a key that is read, in characters. */
const MAX_KEY_PEM = 13_000;

const CURVES = { 256: 'prime256v1', 384: 'secp384r1' } as const;

/**
 * A new private key. RSA is made on the thread pool (60 ms for 2048, 0.6 s for 4096 bits of one core), in fewer threads
 * than there are cores and never in all of them, because the pool also serves files and DNS. The others take 0.1 to
 * 2 ms, on the spot.
 */
export async function generatePrivateKey(spec: KeySpec): Promise<KeyObject> {
  switch (spec.algorithm) {
    case 'RSA':
      return generateRsa(spec.size);
    case 'ECDSA':
      return generateKeyPairSync('ec', { namedCurve: CURVES[spec.size] }).privateKey;
    case 'Ed25519':
      return generateKeyPairSync('ed25519').privateKey;
  }
}

const generateKeyPairAsync = promisify(generateKeyPair);
const waiting: (() => void)[] = [];
/** libuv has four threads unless told otherwise. */
let free = Math.max(1, Math.min(availableParallelism() - 1, 3));

async function generateRsa(modulusLength: number): Promise<KeyObject> {
  if (free > 0) free -= 1;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    return (await generateKeyPairAsync('rsa', { modulusLength })).privateKey;
  } finally {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  }
}

/** The kind of a private or public key, null when it is none of ours (P-521, RSA of another size, X25519, ...). */
export function keySpecOf(key: KeyObject): KeySpec | null {
  const details = key.asymmetricKeyDetails;
  switch (key.asymmetricKeyType) {
    case 'rsa': {
      const size = details?.modulusLength;
      return size === 2048 || size === 3072 || size === 4096 ? { algorithm: 'RSA', size } : null;
    }
    case 'ec':
      if (details?.namedCurve === CURVES[256]) return { algorithm: 'ECDSA', size: 256 };
      return details?.namedCurve === CURVES[384] ? { algorithm: 'ECDSA', size: 384 } : null;
    case 'ed25519':
      return { algorithm: 'Ed25519' };
    default:
      return null;
  }
}

/** Whether both are the same kind of key; what is none of ours (null) is like nothing. */
export function sameKeySpec(a: KeySpec | null, b: KeySpec | null): boolean {
  if (a === null || b === null) return false;
  if (a.algorithm === 'Ed25519' || b.algorithm === 'Ed25519') return a.algorithm === b.algorithm;
  return a.algorithm === b.algorithm && a.size === b.size;
}

/** What a kind of key is called, e.g. `ECDSA 256`. */
export function keySpecName(spec: KeySpec | null): string {
  if (spec === null) return 'of another kind';
  return spec.algorithm === 'Ed25519' ? spec.algorithm : `${spec.algorithm} ${spec.size}`;
}

const PEM_LABELS = {
  PKCS8: 'PRIVATE KEY',
  PKCS1: 'RSA PRIVATE KEY',
  SEC1: 'EC PRIVATE KEY',
} as const satisfies Record<KeyEncoding, string>;

/**
 * PEM of a private key, not encrypted.
 * @throws PkiError `Unsupported` when the encoding is not made for this kind of key
 */
export function encodePrivateKey(key: KeyObject, encoding: KeyEncoding): string {
  return encodePem(PEM_LABELS[encoding], exportPrivateKey(key, encoding));
}

/** The same as DER. */
export function exportPrivateKey(key: KeyObject, encoding: KeyEncoding): Buffer {
  const kind = key.asymmetricKeyType;
  switch (encoding) {
    case 'PKCS8':
      return key.export({ type: 'pkcs8', format: 'der' });
    case 'PKCS1':
      if (kind !== 'rsa') throw new PkiError('Unsupported', 'PKCS#1 can hold RSA keys only; use PKCS8');
      return key.export({ type: 'pkcs1', format: 'der' });
    case 'SEC1':
      if (kind !== 'ec') throw new PkiError('Unsupported', 'SEC 1 can hold ECDSA keys only; use PKCS8');
      return key.export({ type: 'sec1', format: 'der' });
  }
}

/** What OpenSSL takes of a passphrase, in octets of UTF-8. */
const MAX_PASSPHRASE = 1024;

function checkPassphrase(passphrase: string): string {
  const length = Buffer.byteLength(passphrase);
  if (length === 0 || length > MAX_PASSPHRASE) {
    throw new PkiError(
      'InvalidPassphrase',
      `a passphrase must have 1 to ${MAX_PASSPHRASE} octets, this one has ${length}`,
    );
  }
  return passphrase;
}

/**
 * PEM of an encrypted private key: PKCS#8 with PBES2, AES-256-CBC, PBKDF2-HMAC-SHA256 (2048 iterations, OpenSSL's
 * fixed choice): the strength is that of the passphrase.
 * @throws PkiError `InvalidPassphrase`
 */
export function encryptPrivateKey(key: KeyObject, passphrase: string): string {
  const cipher = { cipher: 'aes-256-cbc', passphrase: checkPassphrase(passphrase) };
  return encodePem('ENCRYPTED PRIVATE KEY', key.export({ type: 'pkcs8', format: 'der', ...cipher }));
}

/**
 * Reads the one private key of a PEM text: PKCS#8 (plain, or encrypted with PBES2, PBKDF2 and AES-CBC), PKCS#1, SEC 1.
 * A passphrase for a key that is not encrypted is ignored.
 * @throws PkiError `TooLarge` (over 13,000 characters), `Malformed`, `Unsupported`, `PassphraseRequired`,
 *   `WrongPassphrase`, `InvalidPassphrase`
 */
export function decodePrivateKey(pem: string, passphrase?: string): KeyObject {
  // OpenSSL writes the curve in a block of its own before an EC key, which names it again.
  const blocks = decodePem(pem, 'the private key', MAX_KEY_PEM).filter(({ label }) => label !== 'EC PARAMETERS');
  const [block] = blocks;
  if (block === undefined || blocks.length > 1) {
    throw new PkiError('Malformed', `expected one private key, found ${blocks.length} PEM blocks`);
  }
  const key = decodeBlock(block, passphrase);
  if (keySpecOf(key) === null) throw unsupportedKind();
  return key;
}

function unsupportedKind(): PkiError {
  return new PkiError('Unsupported', 'the private key is not RSA 2048/3072/4096, ECDSA P-256/P-384 or Ed25519');
}

function decodeBlock({ label, der }: PemBlock, passphrase: string | undefined): KeyObject {
  switch (label) {
    case 'PRIVATE KEY':
      return loadPlain('pkcs8', der);
    case 'RSA PRIVATE KEY':
      return loadPlain('pkcs1', der);
    case 'EC PRIVATE KEY':
      return loadPlain('sec1', der);
    case 'ENCRYPTED PRIVATE KEY':
      return loadEncrypted(der, passphrase);
    default:
      throw new PkiError('Unsupported', `found a PEM block "${label}" where a private key is expected`);
  }
}

const RSA = '1.2.840.113549.1.1.1';
const EC = '1.2.840.10045.2.1';
const ED25519 = '1.3.101.112';
/** P-256 and P-384. */
const NAMED_CURVES = new Set(['1.2.840.10045.3.1.7', '1.3.132.0.34']);
const MAX_RSA_OCTETS = 513;

/**
 * Checks the kind of a plain key before OpenSSL sees it. OpenSSL takes any encoding under any label, and for some kinds (DSA) it
 * computes while it decodes: a key of 12 KB blocks the process for a minute. Whoever may write a Secret could do that.
 */
function checkKind(type: 'pkcs8' | 'pkcs1' | 'sec1', der: Buffer): void {
  const whole = new DerReader(der, 'the private key');
  const fields = whole.enter(Tag.sequence);
  whole.finish();
  fields.readSmallInteger();
  const oid = (reader: DerReader): string => dottedOid(reader.content(reader.read(Tag.oid)));
  switch (type) {
    case 'pkcs8': {
      const algorithm = fields.enter(Tag.sequence);
      const kind = oid(algorithm);
      if (kind === RSA) checkRsa(fields);
      else if (kind === EC ? algorithm.nextTag !== Tag.oid || !NAMED_CURVES.has(oid(algorithm)) : kind !== ED25519) {
        throw unsupportedKind();
      }
      return;
    }
    case 'pkcs1':
      return checkModulus(fields);
    case 'sec1': {
      fields.read(Tag.octetString);
      const parameters = fields.readOptional(contextTag(0, 'constructed'));
      if (parameters === null) throw unsupportedKind();
      const curve = fields.inside(parameters);
      if (curve.nextTag !== Tag.oid || !NAMED_CURVES.has(oid(curve))) throw unsupportedKind();
    }
  }
}

/** The RSAPrivateKey inside a PrivateKeyInfo. */
function checkRsa(info: DerReader): void {
  const inner = new DerReader(info.content(info.read(Tag.octetString)), 'the private key').enter(Tag.sequence);
  inner.readSmallInteger();
  checkModulus(inner);
}

/** RSAPrivateKey (RFC 8017 appendix A.1.2) after its version: eight numbers. A DSA key in its old form has five. */
function checkModulus(numbers: DerReader): void {
  for (let i = 0; i < 8; i++) {
    const { length } = numbers.content(numbers.read(Tag.integer));
    if (length > MAX_RSA_OCTETS) throw unsupportedKind();
  }
}

function loadPlain(type: 'pkcs8' | 'pkcs1' | 'sec1', der: Buffer): KeyObject {
  checkKind(type, der);
  try {
    return createPrivateKey({ key: der, format: 'der', type });
  } catch {
    throw new PkiError('Malformed', 'the private key cannot be decoded');
  }
}

function loadEncrypted(der: Buffer, passphrase: string | undefined): KeyObject {
  checkEncryption(der);
  if (passphrase === undefined)
    throw new PkiError('PassphraseRequired', 'the private key is encrypted; name its passphrase');
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8', passphrase: checkPassphrase(passphrase) });
  } catch (error) {
    if (error instanceof PkiError) throw error;
    // The envelope is sound, so what fails is what came out of it: CBC cannot tell a wrong key from spoilt data.
    throw new PkiError('WrongPassphrase', 'the private key cannot be decrypted with this passphrase');
  }
}

const PBES2 = '1.2.840.113549.1.5.13';
const PBKDF2 = '1.2.840.113549.1.5.12';
const AES_CBC: readonly string[] = ['2', '22', '42'].map((mode) => `2.16.840.1.101.3.4.1.${mode}`);

/** A hostile file could ask for hours of key derivation: this many take about half a second. */
const MAX_ITERATIONS = 1_000_000;

/** Checks the envelope of an EncryptedPrivateKeyInfo (RFC 5958, RFC 8018) before any time is spent on it. */
function checkEncryption(der: Buffer): void {
  const whole = new DerReader(der, 'the encrypted private key');
  const info = whole.enter(Tag.sequence);
  whole.finish();
  const scheme = info.enter(Tag.sequence);
  info.read(Tag.octetString);
  info.finish();

  if (readOid(scheme) !== PBES2) throw unsupportedEncryption();
  const parameters = scheme.enter(Tag.sequence);
  const derivation = parameters.enter(Tag.sequence);
  if (readOid(derivation) !== PBKDF2) throw unsupportedEncryption();
  const pbkdf2 = derivation.enter(Tag.sequence);
  pbkdf2.read(Tag.octetString); // salt
  if (pbkdf2.readSmallInteger() > MAX_ITERATIONS) {
    throw new PkiError(
      'Unsupported',
      `the private key is encrypted with more than ${MAX_ITERATIONS} iterations of PBKDF2`,
    );
  }
  if (!AES_CBC.includes(readOid(parameters.enter(Tag.sequence)))) throw unsupportedEncryption();
}

function readOid(reader: DerReader): string {
  return dottedOid(reader.content(reader.read(Tag.oid)));
}

function unsupportedEncryption(): PkiError {
  return new PkiError(
    'Unsupported',
    'the private key is not encrypted with PBES2, PBKDF2 and AES-CBC; convert it with "openssl pkcs8 -topk8 -v2 aes-256-cbc"',
  );
}

/** The digest that goes with a kind of key; null where the algorithm has its own (Ed25519). */
export function digestFor(spec: KeySpec): 'sha256' | 'sha384' | null {
  if (spec.algorithm === 'Ed25519') return null;
  return spec.algorithm === 'ECDSA' && spec.size === 384 ? 'sha384' : 'sha256';
}

const CHALLENGE = Buffer.from('replicert: does this key match this certificate?');

/**
 * Whether a private key belongs to a certificate, proven by a signature: an encoding can carry the right public key
 * beside the wrong private one. Costs one signature (RSA-4096: 3 to 6 ms); compare digests where it is asked often.
 */
export function keyMatches(certificate: Certificate, key: KeyObject): boolean {
  const spec = keySpecOf(key);
  if (spec === null) return false;
  try {
    // A key of another kind cannot match, and checking a signature by one of absurd size would take long.
    if (!sameKeySpec(spec, keySpecOf(certificate.publicKey))) return false;
    const digest = digestFor(spec);
    return verify(digest, CHALLENGE, certificate.publicKey, sign(digest, CHALLENGE, key));
  } catch {
    return false;
  }
}
