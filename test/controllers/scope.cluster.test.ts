/** A namespace that is taken out of `--namespaces` in the middle of a rotation: its members hold it by name, and no link breaks. */
import { expect, test } from 'vitest';
import { memberKey } from '../../src/api/names.ts';
import { testBed } from './bed.ts';
import { conditionOf } from './follow.ts';
import { Member } from './member.ts';
import { expectGoodMember } from './openssl.ts';
import { Links, rounds } from './rotating.ts';
import { ca, certificate, peer } from './scene.ts';

const bed = testBed(0);
const TIMEOUT = 300_000;

test.concurrent.each([
  ['Append', []],
  ['Roll', ['Roll']],
  ['Drop', ['Drop']],
] as const)('taken out in %s, and put back', { timeout: TIMEOUT }, async (stage, required) => {
  const { installation, scenes } = await bed.install(2);
  const [home, away] = scenes;
  if (away === undefined) throw new Error('two scenes');
  await using a = await Member.start(home, 'a');
  await using b = await Member.start(away, 'b');
  const [near, far] = [memberKey(home.namespace, 'a'), memberKey(away.namespace, 'b')];
  const mesh = (rotation: object = {}) => ca('mesh', { allowedNamespaces: [away.namespace], rotation });
  const members = peer('mesh', { a: a.port, b: b.port }, '5s');
  const { members: [, second] = [] } = members['spec'] as { members?: object[] };
  Object.assign(second ?? {}, { certificateRef: { name: 'b', namespace: away.namespace } });

  const first = await installation.start();
  await home.apply(mesh(), certificate('a', 'mesh'), members);
  await away.apply({ ...certificate('b', 'mesh'), spec: { caRef: { name: 'mesh', namespace: home.namespace } } });
  await home.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'], ReplicationPeer: ['mesh'] });
  await away.ready({ ClusterCertificate: ['b'] });
  await home.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  await using links = new Links([a, b]);
  const wish = { generation: 2, maxConcurrent: 2 };
  if (stage !== 'Append') {
    await home.apply(mesh({ ...wish, approval: { required: [...required] } }));
    await home.condition('ReplicationCA', 'mesh', 'Rotating', { reason: 'WaitingForApproval' }, TIMEOUT);
  }
  b.behave('frozen');
  await home.apply(mesh(wish));
  await home.secrets.until(
    'a is through, b is not',
    () => {
      const { rotation, roster } = home.ledger('mesh');
      return rotation?.stage === stage && roster.get(near)?.grant === 'Proven' && roster.get(far)?.grant === 'Open';
    },
    TIMEOUT,
  );
  await first.stop();
  const before = { ledger: home.ledger('mesh'), secret: away.secret('b').metadata.resourceVersion };
  // It loads what it was given, and nobody sees it.
  b.behave('serving');

  const narrow = await installation.start({ namespaces: [home.namespace] });
  const remedy = `Name it in --namespaces, and kubectl apply -n ${away.namespace} -f deploy/watched-namespace.yaml.`;
  const { waitingFor, next } = await home.cas.until(
    'b is waited for by name, and nobody else',
    () => {
      const rotation = home.cas.get('mesh')?.status?.rotation;
      const [one, ...others] = rotation?.waitingFor ?? [];
      return one?.reason === 'NotWatched' && others.length === 0 ? rotation : undefined;
    },
    60_000,
  );
  const message = `Namespace ${away.namespace} of ${far} is not seen by the operator. ${remedy}`;
  expect(waitingFor).toEqual([{ member: far, reason: 'NotWatched', message }]);
  expect(next).toBe(message);
  await home.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True', reason: 'Serving' });
  await home.condition('ReplicationPeer', 'mesh', 'Ready', {
    status: 'False',
    reason: 'CertificateNotFound',
    message: new RegExp(
      `^Member b is ${far}, and the operator does not watch namespace ${away.namespace}\\. ${remedy}$`,
    ),
  });
  await rounds(home, 'mesh', 3);
  expect(home.ledger('mesh')).toEqual(before.ledger);
  expect(away.secret('b').metadata.resourceVersion).toBe(before.secret);
  expect(conditionOf(away.certificates.get('b'), 'Ready')?.status).toBe('True');
  const ready = await fetch(`http://127.0.0.1:${narrow.healthPort}/readyz`);
  expect([ready.status, await ready.text()], 'it watches all that it is to watch').toEqual([200, 'ok\n']);
  await narrow.stop();

  await installation.start();
  await home.stable('mesh', 2, TIMEOUT);
  await home.ready({ ReplicationPeer: ['mesh'] });
  await away.condition('ClusterCertificate', 'b', 'Delivered', { status: 'True' }, 60_000);
  for (const secret of [home.secret('a'), away.secret('b')]) await expectGoodMember(secret);
  expect(await links.stop()).toEqual([]);
  expect(links.handshakes).toBeGreaterThan(50);
});
