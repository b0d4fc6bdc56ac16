import { createPublicKey, X509Certificate, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseCertificate, signedBy } from '../../src/pki/certificate.ts';
import { issueLeaf, newSerial } from '../../src/pki/issue.ts';
import { type KeySpec, decodePrivateKey, generatePrivateKey, keyMatches, keySpecOf } from '../../src/pki/keys.ts';
import { CANARY_COMMON_NAME, Canaries } from '../../src/probe/canary.ts';
import { makeAuthority, makeLeaf } from './pki.ts';

const MINUTE = 60_000;
const kinds: readonly KeySpec[] = [
  { algorithm: 'ECDSA', size: 256 },
  { algorithm: 'ECDSA', size: 384 },
  { algorithm: 'Ed25519' },
  { algorithm: 'RSA', size: 2048 },
];

test.each(kinds)('$algorithm $size: no kinder than the real leaf, and outlives a pass', async (kind) => {
  const authority = await makeAuthority('mesh G1');
  const { leaf } = await makeLeaf(authority, 'a.mesh', kind);
  const now = Math.floor(Date.now() / 1000) * 1000;
  const canaries = new Canaries(randomBytes);
  const { control, candidates } = await canaries.make({ authorities: new Map([[1, authority]]), like: leaf, now });
  const canary = candidates.get(1);
  if (canary === undefined) throw new Error('no canary');

  const certificate = parseCertificate(canary.certificate);
  expect(signedBy(certificate, authority.certificate)).toBe(true);
  expect(keyMatches(certificate, decodePrivateKey(canary.key))).toBe(true);
  expect(keySpecOf(certificate.publicKey)).toEqual(kind);
  expect([certificate.notBefore - now, certificate.notAfter - now]).toEqual([-5 * MINUTE, 20 * MINUTE]);
  expect(certificate.subject).toBe(`CN=${CANARY_COMMON_NAME}`);
  expect([certificate.dnsNames, certificate.ipAddresses, certificate.uris]).toEqual([[], [], []]);
  expect(certificate.keyUsage).toEqual(leaf.keyUsage);
  expect(new X509Certificate(certificate.pem).keyUsage).toEqual(new X509Certificate(leaf.pem).keyUsage);

  const foreign = parseCertificate(control.certificate);
  expect(signedBy(foreign, authority.certificate)).toBe(false);
  expect([foreign.notBefore, foreign.notAfter]).toEqual([certificate.notBefore, certificate.notAfter]);
  expect(keySpecOf(foreign.publicKey)).toEqual(kind);
});

test('the control is signed by the same kind of key as the newest generation', async () => {
  const rsa: KeySpec = { algorithm: 'RSA', size: 2048 };
  const [old, next] = [await makeAuthority('mesh G1'), await makeAuthority('mesh G2', rsa)];
  const authorities = new Map([
    [1, old],
    [2, next],
  ]);
  const { control, candidates } = await new Canaries(randomBytes).make({ authorities, like: null, now: Date.now() });
  const signature = (pem: string | undefined): string | undefined => new X509Certificate(pem ?? '').signatureAlgorithm;
  expect(signature(control.certificate)).toBe(signature(candidates.get(2)?.certificate));
  expect(keySpecOf(parseCertificate(control.certificate).publicKey)).toEqual({ algorithm: 'ECDSA', size: 256 });
});

test('the throw-away CA stays for a process, and is renewed before it ends', async () => {
  const canaries = new Canaries(randomBytes);
  const issuer = async (now: number): Promise<string | null> => {
    const { control } = await canaries.make({ authorities: new Map(), like: null, now });
    return parseCertificate(control.certificate).authorityKeyId;
  };
  const now = Date.now();
  const first = await issuer(now);
  expect(await issuer(now + 300 * 24 * 60 * MINUTE)).toBe(first);
  expect(await issuer(now + 365 * 24 * 60 * MINUTE)).not.toBe(first);
});

test('a generation younger than the set-back does not sign into its past', async () => {
  const authority = await makeAuthority('mesh G1');
  const now = authority.certificate.notBefore + MINUTE;
  const { candidates } = await new Canaries(randomBytes).make({
    authorities: new Map([[1, authority]]),
    like: null,
    now,
  });
  expect(parseCertificate(candidates.get(1)?.certificate ?? '').notBefore).toBe(authority.certificate.notBefore);
});

test('of a generation that has ended, however long ago, it has ended as well: whoever still knows that CA says so', async () => {
  const authority = await makeAuthority('mesh G1');
  const { notAfter } = authority.certificate;
  for (const now of [notAfter, notAfter + MINUTE, notAfter + 365 * 24 * 60 * MINUTE]) {
    const { candidates } = await new Canaries(randomBytes).make({
      authorities: new Map([[1, authority]]),
      like: null,
      now,
    });
    const canary = parseCertificate(candidates.get(1)?.certificate ?? '');
    expect(canary.notAfter).toBe(notAfter);
    expect(canary.notBefore).toBe(notAfter - 5 * MINUTE);
  }
});

test('it has the Netscape certificate type that the real leaf has, and the control too', async () => {
  const authority = await makeAuthority('mesh G1');
  const key = await generatePrivateKey({ algorithm: 'ECDSA', size: 256 });
  const { notBefore, notAfter } = authority.certificate;
  for (const netscapeCertType of [true, false]) {
    const like = issueLeaf({
      authority,
      publicKey: createPublicKey(key),
      subject: { commonName: 'a' },
      dnsNames: [],
      ipAddresses: [],
      uris: [],
      netscapeCertType,
      notBefore,
      notAfter,
      serial: newSerial(randomBytes),
    });
    const request = { authorities: new Map([[1, authority]]), like, now: Date.now() };
    const { control, candidates } = await new Canaries(randomBytes).make(request);
    for (const canary of [control, candidates.get(1)])
      expect(parseCertificate(canary?.certificate ?? '').otherExtensions).toEqual(like.otherExtensions);
    expect(like.otherExtensions).toHaveLength(netscapeCertType ? 1 : 0);
  }
});
