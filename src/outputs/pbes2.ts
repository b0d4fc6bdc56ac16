import { createCipheriv, type KeyObject, pbkdf2Sync } from 'node:crypto';
import { element, objectIdentifier, sequence, Tag, unsignedInteger } from '../pki/der.ts';
import { derive } from './derive.ts';
import type { Password } from './password.ts';

const OID = {
  pbes2: objectIdentifier('1.2.840.113549.1.5.13'),
  pbkdf2: objectIdentifier('1.2.840.113549.1.5.12'),
  hmacWithSha256: objectIdentifier('1.2.840.113549.2.9'),
  aes256Cbc: objectIdentifier('2.16.840.1.101.3.4.1.42'),
};
const NULL = element(0x05);

/** As keytool of Java 17 has it; OpenSSL takes 2,048. */
export const ITERATIONS = 10_000;

/** A count as an INTEGER. */
export const integer = (value: number): Buffer => {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return unsignedInteger(octets);
};

export interface Encrypted {
  /** The AlgorithmIdentifier, with all that is needed to decrypt but the password. */
  readonly algorithm: Buffer;
  readonly octets: Buffer;
}

/**
 * Password-based encryption by RFC 8018 section 6.2, with what OpenSSL 3, Java 17 and GnuTLS have in common: AES-256-CBC and PBKDF2
 * with HMAC-SHA256.
 * @param secret see `derive`
 */
export function pbes2(plain: Buffer, password: Password, secret: KeyObject | null, purpose: string): Encrypted {
  const octets = derive(secret, `PBES2 ${purpose}`, plain, 32);
  const [salt, iv] = [octets.subarray(0, 16), octets.subarray(16)];
  const cipher = createCipheriv('aes-256-cbc', pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256'), iv);
  const derivation = sequence(
    OID.pbkdf2,
    sequence(element(Tag.octetString, salt), integer(ITERATIONS), sequence(OID.hmacWithSha256, NULL)),
  );
  return {
    algorithm: sequence(OID.pbes2, sequence(derivation, sequence(OID.aes256Cbc, element(Tag.octetString, iv)))),
    octets: Buffer.concat([cipher.update(plain), cipher.final()]),
  };
}

/** EncryptedPrivateKeyInfo (RFC 5958) of a key, DER. */
export function encryptPkcs8(key: KeyObject, password: Password): Buffer {
  const { algorithm, octets } = pbes2(key.export({ type: 'pkcs8', format: 'der' }), password, key, 'private key');
  return sequence(algorithm, element(Tag.octetString, octets));
}
