/**
 * Key and trust stores in Java's old format, for what cannot read PKCS #12. There is no document of it but its source in OpenJDK:
 * `sun.security.provider.JavaKeyStore` (the file) and `KeyProtector` (the private key). All numbers are big-endian.
 *
 *     magic FEEDFEED, version 2, number of entries                  three times 4 octets
 *     of each entry:  tag (1 key, 2 trusted certificate)            4 octets
 *                     alias                                         2 octets of length, text
 *                     time of creation, Unix milliseconds           8 octets
 *       key:          EncryptedPrivateKeyInfo                       4 octets of length, DER
 *                     number of certificates, leaf first            4 octets, then the certificates
 *       trusted:      one certificate
 *     a certificate:  "X.509" with 2 octets of length, then 4 octets of length, DER
 *     SHA-1 over password, "Mighty Aphrodite" and all before        20 octets
 *
 * Its protection is weak (SHA-1, no iterations): only as good as a long password. The time of creation is notBefore of the certificate,
 * because the file is to be the same for the same content. Java looks aliases up in lower case.
 */
import { createHash, type KeyObject } from 'node:crypto';
import type { Certificate } from '../pki/certificate.ts';
import { element, objectIdentifier, sequence, Tag } from '../pki/der.ts';
import { trustAlias } from './alias.ts';
import { derive } from './derive.ts';
import type { Certificates, Material } from './output.ts';
import { type Password, utf16 } from './password.ts';

const MAGIC = 0xfeedfeed;
const KEY_ENTRY = 1;
const TRUSTED_ENTRY = 2;

/** The key with its chain, under one alias; key and store have the same password. */
export const keyStoreJks =
  (password: Password, alias: string) =>
  ({ chain, key }: Material): Buffer =>
    store(password, [
      [
        u4(KEY_ENTRY),
        utf(alias),
        time(chain[0]),
        counted(protect(key, password)),
        u4(chain.length),
        ...chain.map(certificate),
      ],
    ]);

/** Every CA of the bundle, each as a trusted certificate under an alias of its own. */
export const trustStoreJks =
  (password: Password) =>
  ({ bundle }: Certificates): Buffer =>
    store(
      password,
      bundle.map((ca) => [u4(TRUSTED_ENTRY), utf(trustAlias(ca)), time(ca), certificate(ca)]),
    );

function store(password: Password, entries: readonly (readonly Buffer[])[]): Buffer {
  const content = Buffer.concat([u4(MAGIC), u4(2), u4(entries.length), ...entries.flat()]);
  return Buffer.concat([content, sha1(utf16(password), Buffer.from('Mighty Aphrodite', 'latin1'), content)]);
}

function u4(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}

/** Text in ASCII, where Java's modified UTF-8 is no different. */
function utf(text: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(text.length);
  return Buffer.concat([length, Buffer.from(text, 'latin1')]);
}

function time({ notBefore }: Certificate): Buffer {
  const octets = Buffer.alloc(8);
  octets.writeBigInt64BE(BigInt(notBefore));
  return octets;
}

const counted = (octets: Buffer): Buffer => Buffer.concat([u4(octets.length), octets]);

const certificate = ({ der }: Certificate): Buffer => Buffer.concat([utf('X.509'), counted(der)]);

function sha1(...parts: readonly Buffer[]): Buffer {
  const digest = createHash('sha1');
  for (const part of parts) digest.update(part);
  return digest.digest();
}

/** Sun's KeyProtector. */
const ALGORITHM = sequence(objectIdentifier('1.3.6.1.4.1.42.2.17.1.1'), element(0x05));
const SALT = 20;

/** EncryptedPrivateKeyInfo: salt, key XOR a chain of SHA-1 over password and the link before, SHA-1 over password and key. */
function protect(key: KeyObject, password: Password): Buffer {
  const plain = key.export({ type: 'pkcs8', format: 'der' });
  const secret = utf16(password);
  const salt = derive(key, 'JKS private key', plain, SALT);
  const stream: Buffer[] = [];
  for (let link = salt, length = 0; length < plain.length; length += link.length) {
    link = sha1(secret, link);
    stream.push(link);
  }
  const mask = Buffer.concat(stream);
  const covered = Buffer.from(plain.map((octet, at) => octet ^ (mask[at] ?? 0)));
  return sequence(ALGORITHM, element(Tag.octetString, salt, covered, sha1(secret, plain)));
}
