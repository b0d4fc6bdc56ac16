/**
 * Whatever bytes come in, reading them ends in a result or in a PkiError. A hang shows as the timeout of the test, a
 * crash of the process as the loss of the whole file.
 */
import { createPublicKey, sign, verify, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { verifiesUnder } from '../../src/pki/bundle.ts';
import {
  type Certificate,
  parseCertificate,
  parseCertificates,
  readCertificate,
  signedBy,
} from '../../src/pki/certificate.ts';
import { contextTag, element, objectIdentifier, sequence, Tag } from '../../src/pki/der.ts';
import { PkiError } from '../../src/pki/errors.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import {
  decodePrivateKey,
  encodePrivateKey,
  encryptPrivateKey,
  generatePrivateKey,
  keyMatches,
} from '../../src/pki/keys.ts';
import { decodePem, encodePem } from '../../src/pki/pem.ts';
import { authority, type Leaf, leafOf } from './support.ts';

let ca: SigningAuthority;
let leaf: Leaf;
let rsaLeaf: Leaf;
beforeAll(async () => {
  ca = await authority('Root G1');
  leaf = await leafOf(ca, {
    subject: { commonName: 'Zürich', organizations: ['O'], organizationalUnits: ['OU'], countries: ['CH'] },
    ipAddresses: ['192.0.2.1', '2001:db8::1'],
    uris: ['spiffe://example/a'],
  });
  rsaLeaf = await leafOf(ca, { key: await generatePrivateKey({ algorithm: 'RSA', size: 2048 }) });
});

/** The result, or undefined when it was refused as it should be; anything else that is thrown fails the test. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}

type Edit = {
  readonly at: number;
  readonly kind: 'set' | 'insert' | 'remove' | 'repeat' | 'cut';
  readonly octet: number;
};

/** Small damage in any place: places count in thousandths of the length, so that they suit any input. */
const edits: fc.Arbitrary<Edit[]> = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    kind: fc.constantFrom('set', 'set', 'set', 'insert', 'remove', 'repeat', 'cut'),
    octet: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 1, 0x30, 0x7f, 0x80, 0x81, 0x82, 0xff)),
  }),
  { minLength: 1, maxLength: 4 },
);

function damage(der: Buffer, list: readonly Edit[]): Buffer {
  let octets = [...der];
  for (const { at, kind, octet } of list) {
    const place = Math.floor(at * octets.length);
    if (kind === 'set') octets[place] = octet;
    else if (kind === 'insert') octets.splice(place, 0, octet);
    else if (kind === 'remove') octets.splice(place, 1);
    else if (kind === 'repeat') octets.splice(place, 0, ...octets.slice(place, place + octet));
    else octets = octets.slice(0, Math.max(place, 1));
  }
  return Buffer.from(octets);
}

function derOf(pem: string): Buffer {
  return decodePem(pem, 'the input', 40_000)[0]?.der ?? Buffer.alloc(0);
}

/** Asks for everything that is derived late. */
function readAll(certificate: Certificate): void {
  const { pem, subject, issuer, rawSubject, rawIssuer, commonName, publicKeyDigest } = certificate;
  for (const text of [pem, subject, issuer, rawSubject, rawIssuer, publicKeyDigest]) expect(typeof text).toBe('string');
  expect(commonName === null || typeof commonName === 'string').toBe(true);
  attempt(() => certificate.publicKey);
}

describe('certificates', () => {
  test('that are damaged are refused, or read as Node reads them', () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.nat({ max: 2 }), edits, (which, list) => {
        const source = [ca.certificate, leaf.certificate, rsaLeaf.certificate][which] ?? leaf.certificate;
        const certificate = attempt(() => parseCertificate(encodePem('CERTIFICATE', damage(source.der, list))));
        if (certificate === undefined) return;
        accepted += 1;
        readAll(certificate);
        const node = new X509Certificate(certificate.der);
        expect(certificate.notBefore).toBe(node.validFromDate.getTime());
        expect(certificate.notAfter).toBe(node.validToDate.getTime());
        expect(certificate.isCa).toBe(node.ca);
        expect(signedBy(certificate, ca.certificate)).toBe(certificate.fingerprint === source.fingerprint);
        for (const style of ['first', 'last', 'any'] as const)
          verifiesUnder(certificate, [certificate, ca.certificate], style);
        keyMatches(certificate, leaf.key);
      }),
      { numRuns: 3000 },
    );
    expect(accepted, 'the damage must leave something to compare').toBeGreaterThan(10);
  });

  test('of random octets or elements are refused', () => {
    const nested = fc.letrec<{ tree: Buffer; node: Buffer; leaf: Buffer }>((tie) => ({
      tree: fc.oneof({ maxDepth: 6 }, tie('leaf'), tie('node')),
      node: fc
        .tuple(fc.constantFrom(Tag.sequence, Tag.set, 0xa0, 0xa3), fc.array(tie('tree'), { maxLength: 6 }))
        .map(([tag, parts]) => element(tag, ...parts)),
      leaf: fc
        .tuple(fc.constantFrom(2, 3, 4, 5, 6, 12, 19, 23, 24, 0x80, 0x82), fc.uint8Array({ maxLength: 20 }))
        .map(([tag, octets]) => element(tag, octets)),
    })).tree;
    fc.assert(
      fc.property(
        fc.oneof(
          nested,
          fc.uint8Array({ maxLength: 200 }).map((octets) => Buffer.from(octets)),
        ),
        (der) => {
          expect(attempt(() => readCertificate(der))).toBeUndefined();
          expect(attempt(() => decodePrivateKey(encodePem('ENCRYPTED PRIVATE KEY', der), 'secret'))).toBeUndefined();
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('nested a thousand deep, or of endless small parts, are refused or read, and no stack overflows', () => {
    const deep = nestedSequences(9_000);
    expect(attempt(() => parseCertificate(encodePem('CERTIFICATE', deep)))).toBeUndefined();
    expect(attempt(() => decodePrivateKey(encodePem('PRIVATE KEY', nestedSequences(4_000))))).toBeUndefined();

    const attribute = element(
      Tag.set,
      sequence(objectIdentifier('2.5.4.3'), element(Tag.utf8String, Buffer.from('"'))),
    );
    const purpose = objectIdentifier('1.2.3');
    const name = element(contextTag(2, 'primitive'), Buffer.from('a'));
    for (const parts of [
      { subject: sequence(...Array<Buffer>(1800).fill(attribute)) },
      { extension: extension('2.5.29.37', sequence(...Array<Buffer>(6000).fill(purpose))) },
      { extension: extension('2.5.29.17', sequence(...Array<Buffer>(8000).fill(name))) },
    ]) {
      const certificate = parseCertificate(encodePem('CERTIFICATE', rebuilt(parts)));
      readAll(certificate);
      expect(verifiesUnder(certificate, [certificate, ca.certificate], 'any')).toBe(false);
    }
  });
});

function nestedSequences(depth: number): Buffer {
  let inner = sequence();
  while (inner.length < depth) inner = sequence(inner);
  return inner;
}

function extension(oid: string, value: Buffer): Buffer {
  return sequence(objectIdentifier(oid), element(Tag.octetString, value));
}

/** A certificate with the key of the leaf and one huge part; the signature is none. */
function rebuilt(parts: { readonly subject?: Buffer; readonly extension?: Buffer }): Buffer {
  const algorithm = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
  const issuer = Buffer.from(ca.certificate.rawSubject, 'hex');
  const date = element(Tag.utcTime, Buffer.from('260101000000Z'));
  return sequence(
    sequence(
      Buffer.from('a003020102', 'hex'),
      element(Tag.integer, Buffer.of(1)),
      algorithm,
      issuer,
      sequence(date, date),
      parts.subject ?? issuer,
      createPublicKey(leaf.key).export({ type: 'spki', format: 'der' }),
      ...(parts.extension ? [element(contextTag(3, 'constructed'), sequence(parts.extension))] : []),
    ),
    algorithm,
    element(Tag.bitString, Buffer.of(0, 0)),
  );
}

describe('PEM texts', () => {
  test('that are damaged or random are refused or read', () => {
    const bundle = (): Buffer => Buffer.from(ca.certificate.pem + leaf.certificate.pem, 'latin1');
    fc.assert(
      fc.property(edits, (list) => {
        const text = damage(bundle(), list).toString('latin1');
        attempt(() => parseCertificates(text))?.forEach(readAll);
      }),
      { numRuns: 1000 },
    );
    const piece = fc.constantFrom(
      '-----BEGIN ',
      '-----END ',
      '-----',
      'CERTIFICATE',
      'PRIVATE KEY',
      '\n',
      'AAAA',
      '=',
      ' ',
      'Proc-Type:',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 5 })), { maxLength: 60 }), (pieces) => {
        const text = pieces.join('');
        expect(attempt(() => parseCertificates(text))).toBeUndefined();
        expect(attempt(() => decodePrivateKey(text, 'secret'))).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  test('full of beginnings take linear time', () => {
    for (const piece of ['-----BEGIN ', '-----BEGIN A-----', '-----BEGIN A----------END A-----', '-', ' ', '\n']) {
      const text = piece.repeat(Math.floor(330_000 / piece.length));
      expect(attempt(() => parseCertificates(text))).toBeUndefined();
    }
  });
});

describe('private keys', () => {
  test('that are damaged are refused or loaded, and do not pass for the key of the certificate', () => {
    let matching = 0;
    const sources: readonly (readonly [string, Buffer, Leaf])[] = [
      ['PRIVATE KEY', derOf(encodePrivateKey(leaf.key, 'PKCS8')), leaf],
      ['EC PRIVATE KEY', derOf(encodePrivateKey(leaf.key, 'SEC1')), leaf],
      ['PRIVATE KEY', derOf(encodePrivateKey(rsaLeaf.key, 'PKCS8')), rsaLeaf],
      ['RSA PRIVATE KEY', derOf(encodePrivateKey(rsaLeaf.key, 'PKCS1')), rsaLeaf],
    ];
    fc.assert(
      fc.property(fc.nat({ max: 3 }), edits, (which, list) => {
        const [label, der, { certificate }] = sources[which] ?? ['PRIVATE KEY', Buffer.alloc(0), leaf];
        const damaged = attempt(() => decodePrivateKey(encodePem(label, damage(der, list))));
        if (damaged === undefined || !keyMatches(certificate, damaged)) return;
        // What passes holds the secret: damage in parts that signing does not need (optional fields) is harmless.
        const message = Buffer.from('another message');
        expect(verify('sha256', message, certificate.publicKey, sign('sha256', message, damaged))).toBe(true);
        matching += 1;
      }),
      { numRuns: 1500 },
    );
    expect(matching, 'some damage must be harmless, else nothing was compared').toBeGreaterThan(0);
  });

  test('that are encrypted and damaged are refused, or loaded with a clear reason', () => {
    const der = derOf(encryptPrivateKey(leaf.key, 'secret'));
    fc.assert(
      fc.property(edits, (list) => {
        attempt(() => decodePrivateKey(encodePem('ENCRYPTED PRIVATE KEY', damage(der, list)), 'secret'));
      }),
      { numRuns: 400 },
    );
  });
});
