/** What the tests of this room share: members, and what judges find in a store. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { Material } from '../../src/outputs/output.ts';
import { readPassword } from '../../src/outputs/password.ts';
import { parseCertificate } from '../../src/pki/certificate.ts';
import { decodePrivateKey, generatePrivateKey, type KeySpec } from '../../src/pki/keys.ts';
import { run } from '../control-plane/run.ts';
import { authority, leafOf, openssl, P256, temporaryDirectory } from '../pki/support.ts';

/** One of each kind that differs in its encodings. */
export const KINDS: readonly KeySpec[] = [
  { algorithm: 'RSA', size: 2048 },
  P256,
  { algorithm: 'ECDSA', size: 384 },
  { algorithm: 'Ed25519' },
];

export const SECRET = ' a password, "quoted" ~';
export const password = readPassword(Buffer.from(SECRET));
export const other = readPassword(Buffer.from(`${SECRET}!`));

/** A member in the middle of a rotation: it trusts two CAs, and has a leaf of the second. */
export async function member(spec: KeySpec): Promise<Material> {
  const [older, newer] = await Promise.all([authority('Root G1'), authority('Root G2')]);
  const key = await generatePrivateKey(spec);
  const { certificate } = await leafOf(newer, { key });
  return {
    chain: [certificate],
    key,
    further: new Map(),
    keyEncoding: 'PKCS8',
    bundle: [older.certificate, newer.certificate],
  };
}

/** What somebody has read out of a store. */
export interface Found {
  /** Fingerprints, in alphabetical order: readers have an order of their own. */
  readonly certificates: readonly string[];
  readonly key: string | null;
}

/** What is to be found. */
export const ofKeyStore = ({ chain, key }: Material): Found => ({
  certificates: chain.map(({ fingerprint }) => fingerprint).toSorted(),
  key: publicOf(key),
});
export const ofTrustStore = ({ bundle }: Material): Found => ({
  certificates: bundle.map(({ fingerprint }) => fingerprint).toSorted(),
  key: null,
});

export const publicOf = (key: KeyObject): string =>
  createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('hex');

/** Certificates and key in the output of a program, by PEM. */
export function foundIn(text: string): Found {
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const key = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text)?.[0];
  return {
    certificates: certificates.map((pem) => parseCertificate(pem).fingerprint).toSorted(),
    key: key === undefined ? null : publicOf(decodePrivateKey(key)),
  };
}

/** A folder with stores in it, and what asks programs about them. For the top of a test file. */
export function judges() {
  const directory = temporaryDirectory();
  let files = 0;
  const write = (content: Buffer, name = 'store'): string => {
    files += 1;
    return directory.write(`${files}-${name}`, content);
  };
  const keytool = (...args: readonly string[]) =>
    run('keytool', ['-J-Xshare:auto', '-J-XX:TieredStopAtLevel=1', ...args]);
  return {
    write,

    /** OpenSSL reads a PKCS #12 store with this password; null: it refuses. */
    async opensslReads(store: Buffer, secret: string = SECRET): Promise<Found | null> {
      const args = ['pkcs12', '-in', write(store), '-passin', `pass:${secret}`, '-nodes'];
      const { code, output } = await openssl(args);
      return code === 0 ? foundIn(output) : null;
    },

    /** Java reads a store of either type with this password, and what it has decrypted is written anew for OpenSSL; null: it refuses. */
    async javaReads(type: 'PKCS12' | 'JKS', store: Buffer, secret: string = SECRET): Promise<Found | null> {
      const from = write(store);
      const to = `${from}-copy`;
      const source = ['-srckeystore', from, '-srcstoretype', type, '-srcstorepass', secret];
      const target = ['-destkeystore', to, '-deststoretype', 'PKCS12', '-deststorepass', secret];
      const { code, stdout } = await keytool('-importkeystore', '-noprompt', ...source, ...target);
      if (code !== 0) {
        expect(stdout).toMatch(/password was incorrect/);
        return null;
      }
      return this.opensslReads(readFileSync(to), secret);
    },

    /** What Java lists: alias and kind of each entry, in alphabetical order. */
    async javaLists(type: 'PKCS12' | 'JKS', store: Buffer): Promise<readonly string[]> {
      const args = ['-list', '-keystore', write(store), '-storetype', type, '-storepass', SECRET];
      const { stdout } = await keytool(...args);
      const entries = [...stdout.matchAll(/^(\S+), .+, (PrivateKeyEntry|trustedCertEntry), *$/gm)];
      return entries.map(([, alias, kind]) => `${alias} ${kind}`).toSorted();
    },

    /** GnuTLS's account of a PKCS #12 store; null: it refuses. */
    async gnutlsReads(store: Buffer, secret: string = SECRET): Promise<string | null> {
      const args = ['--p12-info', '--inder', '--infile', write(store), '--password', secret];
      const { code, stdout } = await run('certtool', args);
      return code === 0 ? stdout : null;
    },
  };
}
