import { beforeAll, describe, expect, test } from 'vitest';
import type { Material } from '../../src/outputs/output.ts';
import { keyStorePkcs12, trustStorePkcs12 } from '../../src/outputs/pkcs12.ts';
import { specName } from '../pki/support.ts';
import { lacking } from '../support/packages.ts';
import { foundIn, judges, KINDS, member, ofKeyStore, ofTrustStore, other, password } from './support.ts';

const noOpenssl = await lacking('openssl');
const noJava = await lacking('keytool', 'openssl');
const noGnutls = await lacking('certtool');
const judge = judges();

const cases: { readonly kind: string; readonly material: Material; readonly keys: Buffer; readonly trust: Buffer }[] =
  [];

beforeAll(async () => {
  for (const spec of KINDS) {
    const material = await member(spec);
    const keys = keyStorePkcs12(password, 'certificate')(material);
    cases.push({ kind: specName(spec), material, keys, trust: trustStorePkcs12(password)(material) });
  }
});

test.skipIf(noOpenssl)(`OpenSSL finds key and leaf, and both CAs ${noOpenssl ?? ''}`, async () => {
  for (const { kind, material, keys, trust } of cases) {
    expect(await judge.opensslReads(keys), kind).toEqual(ofKeyStore(material));
    expect(await judge.opensslReads(trust), kind).toEqual(ofTrustStore(material));
    expect(await judge.opensslReads(keys, 'wrong'), kind).toBeNull();
    expect(await judge.opensslReads(trust, 'wrong'), kind).toBeNull();
  }
});

describe.skipIf(noJava)(`Java ${noJava ?? ''}`, () => {
  test('finds key and leaf, and both CAs', { timeout: 120_000 }, async () => {
    for (const { kind, material, keys, trust } of cases) {
      expect(await judge.javaReads('PKCS12', keys), kind).toEqual(ofKeyStore(material));
      expect(await judge.javaReads('PKCS12', trust), kind).toEqual(ofTrustStore(material));
    }
    const [{ keys, trust } = { keys: Buffer.alloc(0), trust: Buffer.alloc(0) }] = cases;
    expect(await judge.javaReads('PKCS12', keys, 'wrong password')).toBeNull();
    expect(await judge.javaReads('PKCS12', trust, 'wrong password')).toBeNull();
  });

  test('sees a private key under its alias, and CAs that are trusted', { timeout: 60_000 }, async () => {
    for (const { material, keys, trust } of cases.slice(0, 1)) {
      expect(await judge.javaLists('PKCS12', keys)).toEqual(['certificate PrivateKeyEntry']);
      const aliases = material.bundle.map(({ fingerprint }) => `ca-${fingerprint.slice(0, 8)} trustedCertEntry`);
      expect(await judge.javaLists('PKCS12', trust)).toEqual(aliases.toSorted());
    }
  });
});

test.skipIf(noGnutls)(`GnuTLS finds them, protected as is to be ${noGnutls ?? ''}`, async () => {
  for (const { kind, material, keys, trust } of cases) {
    const [ofKeys, ofTrust] = [await judge.gnutlsReads(keys), await judge.gnutlsReads(trust)];
    for (const said of [ofKeys, ofTrust]) {
      expect(said, kind).toContain('MAC: SHA256');
      expect(said, kind).toContain('Schema: PBES2-AES256-CBC');
      // What it says of them, not their base64: that has any three letters now and then.
      expect(said?.replaceAll(/-----BEGIN [^]*?-----END/g, ''), kind).not.toMatch(/RC2|3DES|SHA1\b/);
    }
    expect(foundIn(ofKeys ?? '').certificates).toEqual(ofKeyStore(material).certificates);
    expect(ofKeys).toContain('Friendly name: certificate');
    expect(foundIn(ofTrust ?? '').certificates).toEqual(ofTrustStore(material).certificates);
    expect(await judge.gnutlsReads(keys, 'wrong')).toBeNull();
  }
});

test('the same content is the same file, any other is another in all of its salts', async () => {
  for (const { material, keys, trust } of cases) {
    expect(keyStorePkcs12(password, 'certificate')(material)).toEqual(keys);
    expect(trustStorePkcs12(password)(material)).toEqual(trust);
    expect(trustStorePkcs12(other)(material)).not.toEqual(trust);
    const shorter = trustStorePkcs12(password)({ ...material, bundle: material.bundle.slice(1) });
    const renamed = keyStorePkcs12(password, 'renamed')(material);
    expect(saltsIn(shorter)).toHaveLength(3);
    expect(saltsIn(keys)).toHaveLength(5);
    expect(saltsIn(shorter).filter((salt) => saltsIn(trust).includes(salt))).toEqual([]);
    // The key is the same, and encrypted alike; the certificate has another name, so the rest differs.
    expect(saltsIn(renamed).filter((salt) => saltsIn(keys).includes(salt))).toHaveLength(2);
  }
});

/** Salts and initialization vectors, found by the algorithms that they are for. */
function saltsIn(store: Buffer): string[] {
  const hex = store.toString('hex');
  const pbes2 = [...hex.matchAll(/2a864886f70d01050c30240410(.{32})02022710/g)];
  const ivs = [...hex.matchAll(/60864801650304012a0410(.{32})/g)];
  const mac = /0414(.{40})02022710$/.exec(hex);
  return [...pbes2, ...ivs, ...(mac === null ? [] : [mac])].map(([, salt]) => salt ?? '');
}
