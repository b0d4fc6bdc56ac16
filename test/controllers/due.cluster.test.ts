/** Certificates that fall due, or come to their end, in the middle of a rotation. */
import { expect, test } from 'vitest';
import { ANNOTATIONS } from '../../src/api/names.ts';
import { parseCertificate, parseCertificates } from '../../src/pki/certificate.ts';
import { testBed } from './bed.ts';
import { disorders, lapses, Links, Mesh } from './rotating.ts';
import { ca, type LiveSecret, textOf } from './scene.ts';

const bed = testBed(3);
const TIMEOUT = 180_000;

const leafOf = (secret: LiveSecret) => parseCertificate(textOf(secret, 'tls.crt'));
const bundleOf = (secret: LiveSecret) =>
  parseCertificates(textOf(secret, 'ca.crt')).map(({ commonName }) => commonName);

test.concurrent.each([
  ['Append', [], 'mesh G1', ['mesh G1', 'mesh G2'], 'NotTrusted'],
  ['Roll', ['Roll'], 'mesh G2', ['mesh G1', 'mesh G2'], 'NotPresented'],
  ['Drop', ['Drop'], 'mesh G2', ['mesh G2'], 'StillTrusted'],
] as const)(
  'a leaf that falls due in %s is renewed with the generation and the bundle that it has, and no link breaks',
  async (stage, required, issuer, bundle, reason) => {
    const here = await bed.scene();
    // Due two thirds of a minute after it was issued.
    const certificates = { a: { duration: '1m', renewBefore: '58s' } };
    await using mesh = await Mesh.start(here, ['a', 'b'], { certificates });
    const links = new Links(Object.values(mesh.members));
    const wish = { generation: 2, maxConcurrent: 2 };
    if (stage !== 'Append') {
      await mesh.want({ ...wish, approval: { required: [...required] } });
      await here.condition('ReplicationCA', 'mesh', 'Rotating', { reason: 'WaitingForApproval' }, 60_000);
    }
    // It holds the stage, for as long as it takes.
    mesh.member('b').behave('frozen');
    await mesh.want(wish);
    const [a, b] = (['a', 'b'] as const).map((name) => `${here.namespace}/${name}` as const);
    const before = await mesh.ledgerUntil('a is through, b is not', ({ rotation, roster }) => {
      const grant = (member: typeof a) => (member === undefined ? undefined : roster.get(member)?.grant);
      return rotation?.stage === stage && grant(a) === 'Proven' && grant(b) === 'Open';
    });
    const held = here.secret('a');
    const renewed = await here.secretUntil(
      'a',
      'renewed',
      (now) => textOf(now, 'tls.crt') !== textOf(held, 'tls.crt'),
      60_000,
    );
    expect([leafOf(renewed).issuer, bundleOf(renewed)]).toEqual([`CN=${issuer}`, bundle]);
    expect(leafOf(renewed).publicKeyDigest).not.toBe(leafOf(held).publicKeyDigest);
    await here.eventUntil('ClusterCertificate', 'a', 'Renewed', /\(it is due\)$/);
    await here.cas.until('b is what is waited for, and nobody else', () => {
      const { waitingFor = [] } = here.cas.get('mesh')?.status?.rotation ?? {};
      return waitingFor.map((each) => `${each.member} ${each.reason}`).join() === `${b} ${reason}`;
    });
    // The ledger has nothing to do with it: the renewal is no grant, and what was proven is not undone.
    expect(here.ledger('mesh')).toEqual(before);
    expect(Number(renewed.metadata.annotations?.[ANNOTATIONS.epoch])).toBeLessThanOrEqual(before.epoch);

    mesh.member('b').behave('serving');
    await here.stable('mesh', 2, TIMEOUT);
    expect(await links.stop()).toEqual([]);
    expect(links.handshakes).toBeGreaterThan(50);
    expect(disorders(here, 'mesh', 2)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

test.concurrent('the CA and leaves of it near their end while a rotation is blocked: who, when, and what helps', {
  timeout: TIMEOUT,
}, async () => {
  const {
    installation,
    scenes: [here],
  } = await bed.install();
  const first = await installation.start();
  // Generation 1 is in its last third from the fourth minute on; leaves of it cannot be renewed beyond it.
  await using mesh = await Mesh.start(here, ['a', 'b'], { spec: { duration: '6m', renewBefore: '5m' } });
  mesh.member('b').behave('frozen');
  await here.apply(ca('mesh', { rotation: { generation: 2 } }));
  await here.cas.until('b blocks it', () => here.cas.get('mesh')?.status?.blockedBy === 'b/NotTrusted', 60_000);
  const ends = leafOf(here.generationSecret('mesh', 1)).notAfter;
  const end = new Date(ends).toISOString().replace('.000Z', 'Z');
  await first.stop();

  // Less than the difference of clocks at which it would stop.
  await installation.start({ clockOffsetMs: 225_000 });
  const { expiring, expiringTotal, next } = await here.cas.until(
    'who expires is listed',
    () => {
      const rotation = here.cas.get('mesh')?.status?.rotation;
      return (rotation?.expiring?.length ?? 0) > 0 && rotation;
    },
    60_000,
  );
  expect(expiringTotal).toBe(3);
  expect(expiring).toEqual(
    expect.arrayContaining(
      ['G1', `${here.namespace}/a`, `${here.namespace}/b`].map((name) => ({ name, notAfter: end })),
    ),
  );
  // What is to be done about it is what the rotation waits for.
  expect(next).toMatch(
    /\/b was seen to refuse generation 2: it has not loaded the bundle of its Secret\. Wait for .*; if that lasts, make it reload them\.$/,
  );
  expect(
    await here.eventUntil('ReplicationCA', 'mesh', 'ExpiryNear', /^3 certificates end with their generation, /),
  ).toMatchObject({ type: 'Warning' });
  const remedy = /^The leaf ends with its generation at \S+; a new one would not live longer\. .*rotation/;
  for (const name of ['a', 'b']) {
    expect(await here.eventUntil('ClusterCertificate', name, 'ExpiryNear', remedy)).toMatchObject({ type: 'Warning' });
    await here.condition('ClusterCertificate', name, 'Ready', {
      status: 'True',
      message: /a new one would not live longer/,
    });
  }
  expect(here.ledger('mesh').rotation?.stage).toBe('Append');

  mesh.member('b').behave('serving');
  await here.stable('mesh', 2, 120_000);
  await here.cas.until(
    'nobody is near an end any more',
    () => here.cas.get('mesh')?.status?.rotation?.expiring === undefined,
  );
  for (const name of ['a', 'b']) expect(leafOf(here.secret(name)).issuer).toBe('CN=mesh G2');
  expect(disorders(here, 'mesh', 1)).toEqual([]);
});
