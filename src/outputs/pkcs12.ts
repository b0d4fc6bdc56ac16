/**
 * Key and trust stores in PKCS #12 (RFC 7292), as OpenSSL 3, Java 17 and GnuTLS read them without their options for old ones: everything
 * is encrypted by PBES2 (AES-256, PBKDF2 with HMAC-SHA256), and the whole is authenticated by HMAC-SHA256.
 *
 * A store is a list of safes, a safe a list of bags: certificates are in an encrypted safe, the key is in a bag that is encrypted by
 * itself. A library is not used because none that is kept lets salts come in from outside, and with random ones no store could be held
 * against what it should be.
 */
import { createHmac, hash, type KeyObject } from 'node:crypto';
import type { Certificate } from '../pki/certificate.ts';
import { contextTag, element, objectIdentifier, sequence, Tag } from '../pki/der.ts';
import { derive } from './derive.ts';
import type { Certificates, Material } from './output.ts';
import { type Password, utf16 } from './password.ts';
import { encryptPkcs8, integer, ITERATIONS, pbes2 } from './pbes2.ts';
import { trustAlias } from './alias.ts';

const OID = {
  data: objectIdentifier('1.2.840.113549.1.7.1'),
  encryptedData: objectIdentifier('1.2.840.113549.1.7.6'),
  shroudedKeyBag: objectIdentifier('1.2.840.113549.1.12.10.1.2'),
  certBag: objectIdentifier('1.2.840.113549.1.12.10.1.3'),
  x509Certificate: objectIdentifier('1.2.840.113549.1.9.22.1'),
  friendlyName: objectIdentifier('1.2.840.113549.1.9.20'),
  localKeyId: objectIdentifier('1.2.840.113549.1.9.21'),
  /** Oracle's mark of a trusted certificate: without it Java does not see one. */
  trustedKeyUsage: objectIdentifier('2.16.840.1.113894.746875.1.1'),
  anyExtendedKeyUsage: objectIdentifier('2.5.29.37.0'),
  sha256: objectIdentifier('2.16.840.1.101.3.4.2.1'),
};
const NULL = element(0x05);
const VERSION = integer(3);
const explicit = (...parts: readonly Buffer[]): Buffer => element(contextTag(0, 'constructed'), ...parts);

/** The key with its chain, under one alias. */
export const keyStorePkcs12 =
  (password: Password, alias: string) =>
  ({ chain: [leaf, ...others], key }: Material): Buffer => {
    const entry = [friendlyName(alias), attribute(OID.localKeyId, element(Tag.octetString, digestOf(leaf)))];
    const certificates = [certBag(leaf, entry), ...others.map((each) => certBag(each, []))];
    const bag = sequence(OID.shroudedKeyBag, explicit(encryptPkcs8(key, password)), setOf(entry));
    return store([encryptedSafe(certificates, password, key), safe([bag])], password, key);
  };

/** Every CA of the bundle, each as a trusted certificate under an alias of its own. */
export const trustStorePkcs12 =
  (password: Password) =>
  ({ bundle }: Certificates): Buffer => {
    const trusted = attribute(OID.trustedKeyUsage, OID.anyExtendedKeyUsage);
    const bags = bundle.map((ca) => certBag(ca, [friendlyName(trustAlias(ca)), trusted]));
    return store([encryptedSafe(bags, password, null)], password, null);
  };

const digestOf = ({ fingerprint }: Certificate): Buffer => Buffer.from(fingerprint, 'hex');

const attribute = (type: Buffer, value: Buffer): Buffer => sequence(type, element(Tag.set, value));
const friendlyName = (alias: string): Buffer => attribute(OID.friendlyName, element(Tag.bmpString, utf16(alias)));

/** A SET OF in DER: its elements in the order of their octets. */
const setOf = (elements: readonly Buffer[]): Buffer => element(Tag.set, ...elements.toSorted((a, b) => a.compare(b)));

function certBag({ der }: Certificate, attributes: readonly Buffer[]): Buffer {
  const certificate = sequence(OID.x509Certificate, explicit(element(Tag.octetString, der)));
  return sequence(OID.certBag, explicit(certificate), ...(attributes.length === 0 ? [] : [setOf(attributes)]));
}

const safe = (bags: readonly Buffer[]): Buffer =>
  sequence(OID.data, explicit(element(Tag.octetString, sequence(...bags))));

function encryptedSafe(bags: readonly Buffer[], password: Password, secret: KeyObject | null): Buffer {
  const { algorithm, octets } = pbes2(sequence(...bags), password, secret, 'certificates');
  const content = sequence(OID.data, algorithm, element(contextTag(0, 'primitive'), octets));
  return sequence(OID.encryptedData, explicit(sequence(integer(0), content)));
}

function store(safes: readonly Buffer[], password: Password, secret: KeyObject | null): Buffer {
  const content = sequence(...safes);
  const salt = derive(secret, 'PKCS #12 MAC', content, 20);
  const mac = createHmac('sha256', macKey(password, salt)).update(content).digest();
  return sequence(
    VERSION,
    sequence(OID.data, explicit(element(Tag.octetString, content))),
    sequence(
      sequence(sequence(OID.sha256, NULL), element(Tag.octetString, mac)),
      element(Tag.octetString, salt),
      integer(ITERATIONS),
    ),
  );
}

/** Octets that SHA-256 takes in at once. */
const BLOCK = 64;
/** What the derived octets are for, RFC 7292 appendix B.3. */
const FOR_MAC = 3;

/** RFC 7292 appendix B.2 for SHA-256, of which one round gives as many octets as the key of the MAC has. */
function macKey(password: Password, salt: Buffer): Buffer {
  const secret = Buffer.concat([utf16(password), Buffer.alloc(2)]);
  let digest: Buffer = Buffer.concat([Buffer.alloc(BLOCK, FOR_MAC), repeated(salt), repeated(secret)]);
  for (let i = 0; i < ITERATIONS; i++) digest = hash('sha256', digest, 'buffer');
  return digest;
}

/** As often as it takes to fill whole blocks. */
const repeated = (octets: Buffer): Buffer => Buffer.alloc(Math.ceil(octets.length / BLOCK) * BLOCK, octets);
