import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkBundle, encodeBundle, verifiesUnder } from '../../src/pki/bundle.ts';
import { parseCertificates } from '../../src/pki/certificate.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { type FlawedCa, flawedCa, flawedLeaf } from './flawed.ts';
import { authority, leafOf, openssl, temporaryDirectory } from './support.ts';

const directory = temporaryDirectory();

const generations: SigningAuthority[] = [];
beforeAll(async () => {
  for (const number of [1, 2, 3, 4]) generations.push(await authority(`Root G${number}`));
});

const bundle = (...numbers: readonly number[]) =>
  numbers.map((number) => {
    const generation = generations[number - 1];
    if (generation === undefined) throw new Error(`no generation ${number}`);
    return generation.certificate;
  });

describe('encodeBundle', () => {
  test('keeps the order, drops duplicates, ends with a newline', () => {
    const pem = encodeBundle(bundle(2, 1, 2, 3));
    expect(pem.endsWith('-----END CERTIFICATE-----\n')).toBe(true);
    expect(parseCertificates(pem).map(({ commonName }) => commonName)).toEqual(['Root G2', 'Root G1', 'Root G3']);
    expect(encodeBundle(parseCertificates(`comment\n${pem.replaceAll('\n', '\r\n')}`))).toBe(pem);
    expect(encodeBundle([])).toBe('');
  });

  test('is text that others take apart at the BEGIN lines', () => {
    const blocks = encodeBundle(bundle(1, 2)).split(/(?=-----BEGIN)/);
    expect(blocks.map((block) => new X509Certificate(block).subject)).toEqual(['CN=Root G1', 'CN=Root G2']);
  });
});

describe('checkBundle', () => {
  test('accepts generations of one CA, and the same certificate twice', () => {
    expect(checkBundle([])).toBeNull();
    expect(checkBundle(bundle(1, 2, 3, 4, 1))).toBeNull();
  });

  test('refuses what is no root of its own', async () => {
    const [first] = generations;
    if (first === undefined) throw new Error('no generation');
    const leaf = await leafOf(first);
    const noCa = await flawedCa('No CA', { subjectKeyId: 'aa', serial: '01', ca: false });
    expect(checkBundle([...bundle(1), leaf.certificate])?.reason).toBe('NotCa');
    expect(checkBundle([noCa.certificate])?.reason).toBe('NotCa');
    const signsNothing = await flawedCa('CRLs only', { subjectKeyId: 'aa', serial: '01', signs: false });
    expect(checkBundle([signsNothing.certificate])?.reason).toBe('NotCa');
  });

  test('refuses an intermediate CA, which most verifiers do not take for a root', async () => {
    const root = await flawedCa('Corp Root', { subjectKeyId: 'aa', serial: '01' });
    const intermediate = await flawedCa('Corp Issuing', { subjectKeyId: 'bb', serial: '02', issuer: root });
    expect(checkBundle([intermediate.certificate])?.reason).toBe('NotSelfSigned');
  });

  test('names both certificates, the rule and the remedy', async () => {
    const sameSubject = await authority('root  g1');
    const problem = checkBundle([...bundle(1), sameSubject.certificate]);
    expect(problem?.reason).toBe('SameSubject');
    expect(problem?.message).toMatch(
      /^"CN=Root G1" \([0-9a-f]{8}\) and "CN=root {2}g1" \([0-9a-f]{8}\) have the same subject; every CA .* of its own$/,
    );
  });

  test('refuses a key identifier that two keys share, and a key that two subjects share', async () => {
    const one = await flawedCa('One', { subjectKeyId: 'aa', serial: '01' });
    const two = await flawedCa('Two', { subjectKeyId: 'aa', serial: '02' });
    const oneAgain = await flawedCa('Three', { subjectKeyId: 'bb', serial: '03', key: one.key });
    expect(checkBundle([one.certificate, two.certificate])?.reason).toBe('SameSubjectKeyId');
    expect(checkBundle([one.certificate, oneAgain.certificate])?.reason).toBe('SameKey');
  });
});

describe('verifiesUnder', () => {
  const styles = ['first', 'last', 'any'] as const;

  test('is true as long as the own CA is in the bundle, whatever else is, in any order', async () => {
    for (const [index, generation] of generations.entries()) {
      const { certificate } = await leafOf(generation);
      for (const style of styles) {
        for (const numbers of [[1, 2, 3, 4], [4, 3, 2, 1], [index + 1], [index + 1, index + 1]]) {
          expect(verifiesUnder(certificate, bundle(...numbers), style)).toBe(true);
        }
        expect(verifiesUnder(certificate, bundle(...[1, 2, 3, 4].filter((n) => n !== index + 1)), style)).toBe(false);
        expect(verifiesUnder(certificate, [], style)).toBe(false);
      }
    }
  });

  test('does not accept a CA that may not sign certificates, as OpenSSL does not', async () => {
    const ca = await flawedCa('CRLs only', { subjectKeyId: 'aa', serial: '01', signs: false });
    const { certificate } = await flawedLeaf(ca, { keyId: 'aa' });
    for (const style of styles) expect(verifiesUnder(certificate, [ca.certificate], style)).toBe(false);
    const trust = directory.write('crls-only.pem', ca.certificate.pem);
    const { code } = await openssl(['verify', '-CAfile', trust], certificate.pem);
    expect(code).not.toBe(0);
  });

  test('does not accept an issuer of other octets, which OpenSSL takes and Go does not', async () => {
    const ca = await flawedCa('Root', { subjectKeyId: 'aa', serial: '01' });
    const inUtf8 = await flawedCa('Root', { subjectKeyId: 'aa', serial: '01', key: ca.key, printable: false });
    const { certificate } = await flawedLeaf(inUtf8, { keyId: 'aa' });
    for (const style of styles) {
      expect(verifiesUnder(certificate, [inUtf8.certificate], style)).toBe(true);
      expect(verifiesUnder(certificate, [ca.certificate], style)).toBe(false);
    }
  });

  test('does not take a leaf for a CA', async () => {
    const notCa = await flawedCa('Root', { subjectKeyId: 'aa', serial: '01', ca: false });
    for (const style of styles) expect(verifiesUnder(notCa.certificate, [notCa.certificate], style)).toBe(false);
  });

  test('answers the same when asked again, in another order or of another CA', async () => {
    const stranger = await flawedCa('Root', { subjectKeyId: 'aa', serial: '01' });
    const own = await flawedCa('Root', { subjectKeyId: 'aa', serial: '02' });
    const { certificate } = await leafOf(own);
    const answers = (...cas: readonly FlawedCa[]) => {
      const certificates = cas.map((ca) => ca.certificate);
      return styles.map((style) => verifiesUnder(certificate, certificates, style));
    };
    for (let round = 0; round < 2; round += 1) {
      expect(answers(stranger, own)).toEqual([false, true, true]);
      expect(answers(own, stranger)).toEqual([true, false, true]);
      expect(answers(stranger)).toEqual([false, false, false]);
    }
  });
});
