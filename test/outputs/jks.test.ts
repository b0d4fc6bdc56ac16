import { beforeAll, describe, expect, test } from 'vitest';
import { keyStoreJks, trustStoreJks } from '../../src/outputs/jks.ts';
import type { Material } from '../../src/outputs/output.ts';
import { readPassword } from '../../src/outputs/password.ts';
import { specName } from '../pki/support.ts';
import { lacking } from '../support/packages.ts';
import { judges, KINDS, member, ofKeyStore, ofTrustStore, other, password } from './support.ts';

const noJava = await lacking('keytool', 'openssl');
const judge = judges();
const members = new Map<string, Material>();

beforeAll(async () => {
  for (const spec of KINDS) members.set(specName(spec), await member(spec));
});

describe.skipIf(noJava)(`Java ${noJava ?? ''}`, () => {
  test('finds key and leaf, and both CAs', { timeout: 120_000 }, async () => {
    for (const [kind, material] of members) {
      expect(await judge.javaReads('JKS', keyStoreJks(password, 'certificate')(material)), kind).toEqual(
        ofKeyStore(material),
      );
      expect(await judge.javaReads('JKS', trustStoreJks(password)(material)), kind).toEqual(ofTrustStore(material));
    }
  });

  test('refuses another password, and a changed octet', { timeout: 60_000 }, async () => {
    const [material] = members.values();
    if (material === undefined) throw new Error('no member');
    const store = keyStoreJks(password, 'certificate')(material);
    expect(await judge.javaReads('JKS', store, 'wrong password')).toBeNull();
    const changed = Buffer.from(store);
    changed.writeUInt8((changed.at(-30) ?? 0) ^ 1, changed.length - 30);
    expect(await judge.javaReads('JKS', changed)).toBeNull();
  });

  test('sees a private key under its alias, and CAs that are trusted', { timeout: 60_000 }, async () => {
    const [material] = members.values();
    if (material === undefined) throw new Error('no member');
    expect(await judge.javaLists('JKS', keyStoreJks(password, 'tls')(material))).toEqual(['tls PrivateKeyEntry']);
    const aliases = material.bundle.map(({ fingerprint }) => `ca-${fingerprint.slice(0, 8)} trustedCertEntry`);
    expect(await judge.javaLists('JKS', trustStoreJks(password)(material))).toEqual(aliases.toSorted());
  });
});

test('the same content is the same file, another password another', () => {
  for (const material of members.values()) {
    const store = keyStoreJks(password, 'certificate')(material);
    expect(keyStoreJks(password, 'certificate')(material)).toEqual(store);
    expect(keyStoreJks(other, 'certificate')(material)).not.toEqual(store);
    expect(trustStoreJks(password)(material)).toEqual(trustStoreJks(password)(material));
  }
});

test('the key is nowhere to be seen in it', () => {
  const short = readPassword(Buffer.from('x'));
  for (const material of members.values()) {
    const plain = material.key.export({ type: 'pkcs8', format: 'der' });
    const store = keyStoreJks(short, 'certificate')(material);
    for (let at = 40; at + 16 <= plain.length; at += 16) {
      const piece = plain.subarray(at, at + 16);
      // The public key is in the certificate as well.
      if (material.chain[0].der.includes(piece)) continue;
      expect(store.includes(piece)).toBe(false);
    }
  }
});
