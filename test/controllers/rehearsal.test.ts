import { expect, test } from 'vitest';
import { refusedBy } from '../../src/controllers/replicationca/rehearsal.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { flawedCa } from '../pki/flawed.ts';
import { NAME, SKI_A } from '../pki/lookalikes.ts';
import { authority } from '../pki/support.ts';

const NOW = Date.now();

test('two generations as we make them: every kind of verifier accepts leaves of both', async () => {
  const [one, two] = [await authority(`${NAME} G1`), await authority(`${NAME} G2`)];
  for (const bundle of [
    [one.certificate, two.certificate],
    [two.certificate, one.certificate],
  ]) {
    expect(refusedBy(one, bundle, NOW)).toBeNull();
    expect(refusedBy(two, bundle, NOW)).toBeNull();
  }
  expect(refusedBy(one, [two.certificate], NOW), 'a bundle without it').toBe('first');
});

test('two that are hard to tell apart: it says which verifiers would refuse', async () => {
  const one = await flawedCa(NAME, { subjectKeyId: SKI_A, serial: '01' });
  const two = await flawedCa(NAME, { subjectKeyId: SKI_A, serial: '02' });
  const bundle = [one.certificate, two.certificate];
  expect(refusedBy(one, bundle, NOW)).toBe('last');
  expect(refusedBy(two, bundle, NOW)).toBe('first');
  expect(refusedBy(one, bundle, NOW), 'the same when asked again').toBe('last');
  expect(refusedBy(one, [one.certificate], NOW)).toBeNull();
});

test('a CA whose key stays elsewhere is tried as well, and found out as well', async () => {
  const keyless = ({ certificate }: { readonly certificate: Certificate }) => ({ certificate, key: null });
  const [one, two] = [keyless(await authority(`${NAME} H1`)), await authority(`${NAME} H2`)];
  expect(refusedBy(one, [one.certificate, two.certificate], NOW)).toBeNull();
  expect(refusedBy(one, [two.certificate], NOW), 'a bundle without it').toBe('first');
  const [three, four] = await Promise.all(
    ['03', '04'].map(async (serial) => keyless(await flawedCa(NAME, { subjectKeyId: SKI_A, serial }))),
  );
  if (three === undefined || four === undefined) throw new Error('there are two');
  expect(refusedBy(three, [three.certificate, four.certificate], NOW)).toBe('last');
  expect(refusedBy(four, [three.certificate, four.certificate], NOW)).toBe('first');
});
