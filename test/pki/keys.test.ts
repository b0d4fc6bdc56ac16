import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { element, objectIdentifier, sequence, Tag, unsignedInteger } from '../../src/pki/der.ts';
import type { PkiReason } from '../../src/pki/errors.ts';
import {
  decodePrivateKey,
  encodePrivateKey,
  encryptPrivateKey,
  generatePrivateKey,
  type KeyEncoding,
  keyMatches,
  keySpecOf,
} from '../../src/pki/keys.ts';
import { decodePem, encodePem } from '../../src/pki/pem.ts';
import { ALL_SPECS, authority, leafOf, openssl, P256, refusal, specName, thrown } from './support.ts';

const keys = new Map<string, KeyObject>();

beforeAll(async () => {
  // The 4096 bits are made in the test of interoperability; here size is of no interest.
  const specs = ALL_SPECS.filter((spec) => spec.algorithm !== 'RSA' || spec.size === 2048);
  for (const spec of specs) keys.set(specName(spec), await generatePrivateKey(spec));
});

function keyOf(name: string): KeyObject {
  const key = keys.get(name);
  if (key === undefined) throw new Error(`no key ${name}`);
  return key;
}

describe('generatePrivateKey and keySpecOf', () => {
  test('make what was asked for, and recognise it by either half', () => {
    for (const [name, key] of keys) {
      for (const half of [key, createPublicKey(key)]) {
        const spec = keySpecOf(half);
        expect(spec && specName(spec)).toBe(name);
      }
    }
  });

  test('know no other kinds', () => {
    for (const { privateKey } of [
      generateKeyPairSync('ec', { namedCurve: 'secp521r1' }),
      generateKeyPairSync('rsa', { modulusLength: 1024 }),
      generateKeyPairSync('x25519'),
      generateKeyPairSync('ed448'),
    ]) {
      expect(keySpecOf(privateKey)).toBeNull();
    }
  });

  test('leave a thread of the pool for others while many RSA keys are made', async () => {
    let made = 0;
    const keys = Array.from({ length: 4 }, async () => {
      await generatePrivateKey({ algorithm: 'RSA', size: 3072 });
      made += 1;
    });
    // On a pool whose four threads all make keys, this would wait for the first key.
    await stat('.');
    expect(made).toBe(0);
    await Promise.all(keys);
    expect(made).toBe(4);
  });
});

describe('encodePrivateKey', () => {
  test.each<[string, KeyEncoding, string]>([
    ['RSA-2048', 'PKCS8', 'PRIVATE KEY'],
    ['RSA-2048', 'PKCS1', 'RSA PRIVATE KEY'],
    ['ECDSA-256', 'PKCS8', 'PRIVATE KEY'],
    ['ECDSA-256', 'SEC1', 'EC PRIVATE KEY'],
    ['ECDSA-384', 'SEC1', 'EC PRIVATE KEY'],
    ['Ed25519', 'PKCS8', 'PRIVATE KEY'],
  ])('%s as %s comes back the same, and OpenSSL reads it', async (name, encoding, label) => {
    const key = keyOf(name);
    const pem = encodePrivateKey(key, encoding);
    expect(pem.startsWith(`-----BEGIN ${label}-----\n`)).toBe(true);
    expect(decodePrivateKey(pem).equals(key)).toBe(true);
    const { code, output } = await openssl(['pkey', '-pubout'], pem);
    expect({ code, output }).toEqual({
      code: 0,
      output: createPublicKey(key).export({ type: 'spki', format: 'pem' }),
    });
  });

  test('is the same as what Node writes', () => {
    for (const key of keys.values()) {
      expect(encodePrivateKey(key, 'PKCS8')).toBe(key.export({ type: 'pkcs8', format: 'pem' }));
    }
  });

  test.each<[string, KeyEncoding]>([
    ['ECDSA-256', 'PKCS1'],
    ['Ed25519', 'PKCS1'],
    ['RSA-2048', 'SEC1'],
    ['Ed25519', 'SEC1'],
  ])('%s cannot be %s', (name, encoding) => {
    expect(refusal(() => encodePrivateKey(keyOf(name), encoding))).toBe('Unsupported');
  });
});

describe('encrypted keys', () => {
  test.each(['secret', 'pässwörd ✓', 'x'.repeat(1024)])('come back with their passphrase', (passphrase) => {
    for (const key of keys.values()) {
      const pem = encryptPrivateKey(key, passphrase);
      expect(pem.startsWith('-----BEGIN ENCRYPTED PRIVATE KEY-----\n')).toBe(true);
      expect(decodePrivateKey(pem, passphrase).equals(key)).toBe(true);
    }
  });

  test('are read by OpenSSL, and OpenSSL keys are read here', async () => {
    const key = keyOf('ECDSA-256');
    const ours = await openssl(['pkey', '-passin', 'pass:secret'], encryptPrivateKey(key, 'secret'));
    expect(ours.output).toBe(encodePrivateKey(key, 'PKCS8'));
    const theirs = await openssl(
      ['pkcs8', '-topk8', '-v2', 'aes-128-cbc', '-iter', '100000', '-passout', 'pass:secret'],
      encodePrivateKey(key, 'SEC1'),
    );
    expect(decodePrivateKey(theirs.output, 'secret').equals(key)).toBe(true);
  });

  test('a wrong passphrase is told from a missing one and from a broken file', () => {
    const pem = encryptPrivateKey(keyOf('ECDSA-256'), 'secret');
    expect(refusal(() => decodePrivateKey(pem))).toBe('PassphraseRequired');
    expect(refusal(() => decodePrivateKey(pem, ''))).toBe('InvalidPassphrase');
    expect(refusal(() => decodePrivateKey(pem, 'x'.repeat(1025)))).toBe('InvalidPassphrase');
    expect(refusal(() => decodePrivateKey(pem.replace('M', 'A'), 'secret'))).toBe('Malformed');
    expect(refusal(() => encryptPrivateKey(keyOf('ECDSA-256'), ''))).toBe('InvalidPassphrase');
    // One wrong passphrase in 256 decrypts to something with a valid padding: it must still be a wrong passphrase.
    for (let guess = 0; guess < 600; guess += 1) {
      expect(refusal(() => decodePrivateKey(pem, `guess ${guess}`))).toBe('WrongPassphrase');
    }
  });

  test('a passphrase for a plain key is ignored', () => {
    const key = keyOf('Ed25519');
    expect(decodePrivateKey(encodePrivateKey(key, 'PKCS8'), 'secret').equals(key)).toBe(true);
  });

  test('no refusal tells the passphrase or the key', () => {
    const pem = encryptPrivateKey(keyOf('ECDSA-256'), 'secret');
    const body = pem.split('\n')[1] ?? '';
    for (const attempt of [
      () => decodePrivateKey(pem, 'open sesame'),
      () => decodePrivateKey(pem),
      () => decodePrivateKey(pem.replace('M', 'A'), 'open sesame'),
      () => decodePrivateKey(pem.replaceAll('ENCRYPTED ', '')),
    ]) {
      const error = thrown(attempt);
      const everything = [error.message, error.stack, JSON.stringify(error), error.cause].join('\n');
      expect(everything).not.toContain('sesame');
      expect(everything).not.toContain(body.slice(0, 16));
      expect(error.cause).toBeUndefined();
    }
  });

  test.each([
    ['scrypt', ['-scrypt']],
    ['PBES1', ['-v1', 'PBE-SHA1-3DES']],
    ['3DES', ['-v2', 'des3']],
  ])('%s is refused with the way out', async (_, options) => {
    const { output } = await openssl(
      ['pkcs8', '-topk8', ...options, '-passout', 'pass:secret'],
      encodePrivateKey(keyOf('ECDSA-256'), 'PKCS8'),
    );
    const error = thrown(() => decodePrivateKey(output, 'secret'));
    expect(error.reason).toBe('Unsupported');
    expect(error.message).toContain('openssl pkcs8 -topk8');
  });

  test('a key that asks for two billion rounds of key derivation is refused at once', () => {
    const [block] = decodePem(encryptPrivateKey(keyOf('ECDSA-256'), 'secret'), 'key', 13_000);
    const der = block?.der ?? Buffer.alloc(0);
    // INTEGER 2048 in two octets; the envelope is sequence(sequence(oid, sequence(sequence(oid, sequence(salt, iterations, ...).
    const rounds = unsignedInteger(Buffer.of(0x08, 0x00));
    const at = der.indexOf(rounds);
    expect(at).toBeGreaterThan(0);
    const more = unsignedInteger(Buffer.of(0x7f, 0xff, 0xff, 0xff));
    const longer = Buffer.concat([der.subarray(0, at), more, der.subarray(at + rounds.length)]);
    // Two octets more in each of the five containers around it, all of which have lengths that allow it.
    const grown = lengthen(longer, [...containersOf(der, at)], more.length - rounds.length);
    expect(refusal(() => decodePrivateKey(encodePem('ENCRYPTED PRIVATE KEY', grown), 'secret'))).toBe('Unsupported');
    for (const label of ['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY']) {
      expect(
        refusal(() => decodePrivateKey(encodePem(label, grown), 'secret')),
        `as ${label}`,
      ).toBe('Malformed');
    }
  });
});

/** Where the length octets of the containers around `inner` are: short form, or the last octet of the long form. */
function* containersOf(der: Buffer, inner: number): Generator<number> {
  let at = 0;
  while (at < inner) {
    const tag = der[at] ?? 0;
    const form = der[at + 1] ?? 0;
    const lengthOctets = form < 0x80 ? 0 : form & 0x7f;
    const body = at + 2 + lengthOctets;
    const length = lengthOctets === 0 ? form : der.readUIntBE(at + 2, lengthOctets);
    const contains = tag === Tag.sequence && body + length > inner;
    if (contains) yield at + 1 + lengthOctets;
    at = contains ? body : body + length;
  }
}

function lengthen(der: Buffer, lengths: readonly number[], by: number): Buffer {
  const result = Buffer.from(der);
  for (const at of lengths) result[at] = (result[at] ?? 0) + by;
  return result;
}

describe('decodePrivateKey refuses', () => {
  test('the legacy encryption by Proc-Type and DEK-Info', async () => {
    const key = keyOf('RSA-2048');
    const { output } = await openssl(
      ['rsa', '-traditional', '-aes128', '-passout', 'pass:secret'],
      encodePrivateKey(key, 'PKCS1'),
    );
    expect(output).toContain('DEK-Info');
    const pem = output.slice(output.indexOf('-----BEGIN'));
    expect(thrown(() => decodePrivateKey(pem, 'secret'))).toMatchObject({
      reason: 'Unsupported',
      message: expect.stringContaining('openssl pkcs8 -topk8') as string,
    });
  });

  test.each<[string, () => string, PkiReason]>([
    ['nothing', () => '', 'Malformed'],
    ['text', () => 'hello', 'Malformed'],
    ['a key over the cap', () => encodePrivateKey(keyOf('Ed25519'), 'PKCS8') + '\n'.repeat(13_000), 'TooLarge'],
    ['two keys', () => encodePrivateKey(keyOf('Ed25519'), 'PKCS8').repeat(2), 'Malformed'],
    [
      'a public key',
      () => createPublicKey(keyOf('Ed25519')).export({ type: 'spki', format: 'pem' }).toString(),
      'Unsupported',
    ],
    [
      'a key under the wrong label',
      () => encodePrivateKey(keyOf('Ed25519'), 'PKCS8').replaceAll('PRIVATE', 'EC PRIVATE'),
      'Malformed',
    ],
    ['garbage in the right block', () => encodePem('PRIVATE KEY', Buffer.from('hello')), 'Malformed'],
    ['garbage in an encrypted block', () => encodePem('ENCRYPTED PRIVATE KEY', Buffer.from('hello')), 'Malformed'],
    [
      'a curve that is not ours',
      () =>
        generateKeyPairSync('ec', { namedCurve: 'secp521r1' })
          .privateKey.export({ type: 'pkcs8', format: 'pem' })
          .toString(),
      'Unsupported',
    ],
  ])('%s', (_, pem, reason) => {
    expect(refusal(() => decodePrivateKey(pem()))).toBe(reason);
  });

  test('before OpenSSL computes with a number that somebody made to be large', () => {
    const large = unsignedInteger(Buffer.alloc(4_600, 0xff));
    const oid = objectIdentifier('1.2.840.10040.4.1');
    const dsa = sequence(
      unsignedInteger(Buffer.of(0)),
      sequence(oid, sequence(large, unsignedInteger(Buffer.alloc(32, 0xff)), unsignedInteger(Buffer.of(2)))),
      element(Tag.octetString, large),
    );
    const began = performance.now();
    expect(refusal(() => decodePrivateKey(encodePem('PRIVATE KEY', dsa)))).toBe('Unsupported');
    const numbers = [2, 3, 5, 7, 11].map((number) => unsignedInteger(Buffer.of(number)));
    const old = sequence(unsignedInteger(Buffer.of(0)), large, ...numbers);
    expect(refusal(() => decodePrivateKey(encodePem('RSA PRIVATE KEY', old)))).toBe('Unsupported');
    // OpenSSL takes a minute for the first one.
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  test('but reads what OpenSSL writes around a key', async () => {
    const { output } = await openssl(['ecparam', '-name', 'prime256v1', '-genkey']);
    expect(output).toContain('BEGIN EC PARAMETERS');
    expect(keySpecOf(decodePrivateKey(output))).toEqual(P256);
    const [, key = ''] = /(-----BEGIN EC PRIVATE[^]*)/.exec(output) ?? [];
    expect(keySpecOf(decodePrivateKey(`Bag Attributes\r\n${key.replaceAll('\n', '\r\n')}trailing`))).toEqual(P256);
  });
});

describe('keyMatches', () => {
  test('is true for the own key only', async () => {
    const ca = await authority('Root G1');
    const leaf = await leafOf(ca);
    expect(keyMatches(ca.certificate, ca.key)).toBe(true);
    expect(keyMatches(leaf.certificate, leaf.key)).toBe(true);
    expect(keyMatches(leaf.certificate, ca.key)).toBe(false);
    for (const key of keys.values()) expect(keyMatches(leaf.certificate, key)).toBe(false);
  });

  test('is not deceived by a file with the right public and the wrong private half', async () => {
    const leaf = await leafOf(await authority('Root G1'));
    const scalar = (key: KeyObject): Buffer => Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url');
    const right = leaf.key.export({ type: 'sec1', format: 'der' });
    const forged = Buffer.from(right);
    const at = right.indexOf(element(Tag.octetString, scalar(leaf.key))) + 2;
    expect(at).toBeGreaterThan(2);
    scalar(await generatePrivateKey(P256)).copy(forged, at);
    const key = createPrivateKey({ key: forged, format: 'der', type: 'sec1' });
    expect(createPublicKey(key).equals(leaf.certificate.publicKey)).toBe(true);
    expect(keyMatches(leaf.certificate, key)).toBe(false);
  });
});
