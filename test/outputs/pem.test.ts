import { createPrivateKey } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Material } from '../../src/outputs/output.ts';
import {
  bundlePem,
  certificatePem,
  combinedPem,
  encryptedKeyPem,
  privateKeyDer,
  privateKeyPem,
  rootedChainPem,
} from '../../src/outputs/pem.ts';
import { encodeBundle } from '../../src/pki/bundle.ts';
import { decodePrivateKey, encodePrivateKey } from '../../src/pki/keys.ts';
import { openssl, refusal, specName } from '../pki/support.ts';
import { run } from '../control-plane/run.ts';
import { lacking } from '../support/packages.ts';
import { foundIn, judges, KINDS, member, ofKeyStore, other, password, publicOf, SECRET } from './support.ts';

const noOpenssl = await lacking('openssl');
const noGnutls = await lacking('certtool');
const judge = judges();
const members = new Map<string, Material>();

beforeAll(async () => {
  for (const spec of KINDS) members.set(specName(spec), await member(spec));
});

function memberOf(kind: string): Material {
  const found = members.get(kind);
  if (found === undefined) throw new Error(`no ${kind}`);
  return found;
}

test('leaf and bundle are what tls.crt and ca.crt hold', () => {
  for (const material of members.values()) {
    expect(certificatePem(material).toString()).toBe(material.chain[0].pem);
    expect(bundlePem(material).toString()).toBe(encodeBundle(material.bundle));
  }
});

test('a chain with its root ends at the CA that has signed it, whatever else is trusted', () => {
  for (const material of members.values()) {
    const [older, newer] = material.bundle;
    for (const bundle of [material.bundle, material.bundle.toReversed(), [newer]]) {
      const known = bundle.filter((ca) => ca !== undefined);
      const text = rootedChainPem({ ...material, bundle: known }).toString();
      expect(text).toBe(`${material.chain[0].pem}${newer?.pem}`);
    }
    const foreign = rootedChainPem({ ...material, bundle: older === undefined ? [] : [older] });
    expect(foreign.toString()).toBe(material.chain[0].pem);
  }
});

test('the combined file has the key as in tls.key, then the leaf', () => {
  const material = { ...memberOf('RSA-2048'), keyEncoding: 'PKCS1' } as const;
  const text = combinedPem(material).toString();
  expect(text).toBe(encodePrivateKey(material.key, 'PKCS1') + material.chain[0].pem);
  for (const each of members.values()) expect(foundIn(combinedPem(each).toString())).toEqual(ofKeyStore(each));
});

const ENCODED = [
  ['RSA-2048', 'PKCS1', 'RSA PRIVATE KEY', 'pkcs1'],
  ['ECDSA-256', 'SEC1', 'EC PRIVATE KEY', 'sec1'],
  ['ECDSA-384', 'SEC1', 'EC PRIVATE KEY', 'sec1'],
  ['RSA-2048', 'PKCS8', 'PRIVATE KEY', 'pkcs8'],
  ['ECDSA-256', 'PKCS8', 'PRIVATE KEY', 'pkcs8'],
  ['Ed25519', 'PKCS8', 'PRIVATE KEY', 'pkcs8'],
] as const;

describe('private keys', () => {
  test.each(ENCODED)('%s in %s', (kind, encoding, label, type) => {
    const material = memberOf(kind);
    const pem = privateKeyPem(encoding)(material).toString();
    expect(pem.startsWith(`-----BEGIN ${label}-----\n`)).toBe(true);
    expect(publicOf(decodePrivateKey(pem))).toBe(publicOf(material.key));
    const der = privateKeyDer({ ...material, keyEncoding: encoding });
    expect(publicOf(createPrivateKey({ key: der, format: 'der', type }))).toBe(publicOf(material.key));
  });

  test.skipIf(noOpenssl)(`are read by OpenSSL, as PEM and as DER ${noOpenssl ?? ''}`, async () => {
    for (const [kind, encoding] of ENCODED) {
      const material = { ...memberOf(kind), keyEncoding: encoding };
      const forms = { PEM: privateKeyPem(encoding)(material), DER: privateKeyDer(material) };
      for (const [form, content] of Object.entries(forms)) {
        const args = ['pkcs8', '-topk8', '-nocrypt', '-inform', form, '-in', judge.write(content)];
        const { output } = await openssl(args);
        expect(foundIn(output).key, `${kind} ${encoding} ${form}`).toBe(publicOf(material.key));
      }
    }
  });

  test('are refused in an encoding that is not made for them', () => {
    expect(refusal(() => privateKeyPem('PKCS1')(memberOf('ECDSA-256')))).toBe('Unsupported');
    expect(refusal(() => privateKeyPem('SEC1')(memberOf('RSA-2048')))).toBe('Unsupported');
    expect(refusal(() => privateKeyPem('SEC1')(memberOf('Ed25519')))).toBe('Unsupported');
  });
});

describe('encrypted private keys', () => {
  test('are read with the password and with no other', () => {
    for (const material of members.values()) {
      const pem = encryptedKeyPem(password)(material).toString();
      expect(pem.startsWith('-----BEGIN ENCRYPTED PRIVATE KEY-----\n')).toBe(true);
      expect(publicOf(decodePrivateKey(pem, SECRET))).toBe(publicOf(material.key));
      expect(refusal(() => decodePrivateKey(pem, `${SECRET}!`))).toBe('WrongPassphrase');
      expect(encryptedKeyPem(password)(material).toString()).toBe(pem);
      expect(encryptedKeyPem(other)(material).toString()).not.toBe(pem);
    }
  });

  test.skipIf(noOpenssl)(`are read by OpenSSL ${noOpenssl ?? ''}`, async () => {
    for (const [kind, material] of members) {
      const file = judge.write(encryptedKeyPem(password)(material));
      const right = await openssl(['pkcs8', '-in', file, '-passin', `pass:${SECRET}`]);
      expect(foundIn(right.output).key, kind).toBe(publicOf(material.key));
      expect((await openssl(['pkcs8', '-in', file, '-passin', 'pass:wrong'])).code, kind).not.toBe(0);
    }
  });

  test.skipIf(noGnutls)(`are read by GnuTLS ${noGnutls ?? ''}`, async () => {
    for (const [kind, material] of members) {
      const file = judge.write(encryptedKeyPem(password)(material));
      const args = ['--key-info', '--pkcs8', '--infile', file, '--password'];
      expect((await run('certtool', [...args, SECRET])).code, kind).toBe(0);
      expect((await run('certtool', [...args, 'wrong'])).code, kind).not.toBe(0);
    }
  });
});
