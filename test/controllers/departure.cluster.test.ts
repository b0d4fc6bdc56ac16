/** Members that leave: while all is stable, in the middle of a rotation, and with their CA. */
import { expect, test } from 'vitest';
import { CLUSTER_CERTIFICATE } from '../../src/api/names.ts';
import { testBed } from './bed.ts';
import { expectGoodMember } from './openssl.ts';
import { disorders, Links, Mesh, rounds } from './rotating.ts';
import { ca, certificate, peer } from './scene.ts';

const bed = testBed(6);
const TIMEOUT = 120_000;

test.concurrent('a certificate that is pruned while all is stable leaves at once, and its Secret stays', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  await here.delete('ClusterCertificate', 'b');
  await mesh.ledgerUntil('b has left', ({ roster }) => roster.size === 1);
  expect(here.secrets.get('b')).toBeDefined();
  await here.condition('ReplicationPeer', 'mesh', 'Ready', {
    status: 'False',
    reason: 'CertificateNotFound',
    message: /Member b names ClusterCertificate \S+\/b, which does not exist/,
  });
  // Evidence of the others is gathered again when the peer names only those who are there.
  await here.apply(mesh.peer(['a']));
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  await mesh.want({ generation: 2 });
  await here.stable('mesh', 2);
  await expectGoodMember(here.secret('a'));
  expect(disorders(here, 'mesh', 1)).toEqual([]);
});

test.concurrent('a certificate that is pruned in a rotation holds it until it is restored', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b', 'c']);
  const c = mesh.member('c');
  c.behave('frozen');
  await mesh.want({ generation: 2 });
  await mesh.ledgerUntil('c was granted', ({ roster }) => roster.get(`${here.namespace}/c`)?.grant === 'Open');
  await here.delete('ClusterCertificate', 'c');
  const deleted =
    /ClusterCertificate \S+\/c was deleted during the rotation\. Restore it, or name it in spec\.rotation\.departed if the member is really gone\./;
  const waits = () =>
    here.cas
      .get('mesh')
      ?.status?.rotation?.waitingFor?.some(({ reason, message }) => reason === 'Deleted' && deleted.test(message));
  await here.cas.until('waiting for the deleted member', waits);
  await here.eventUntil('ReplicationCA', 'mesh', 'RotationHeld', deleted);
  await here.apply(mesh.peer(['a', 'b']));
  await rounds(here, 'mesh', 3);
  expect(here.ledger('mesh').rotation?.stage).toBe('Append');
  expect(here.ledger('mesh').roster.has(`${here.namespace}/c`)).toBe(true);

  c.behave('serving');
  await here.apply(certificate('c', 'mesh'), mesh.peer());
  await here.stable('mesh', 2, 90_000);
  for (const name of ['a', 'b', 'c']) await expectGoodMember(here.secret(name));
  expect(disorders(here, 'mesh', 1)).toEqual([]);
});

test.concurrent('a certificate that is pruned in a rotation holds it until it is said to have departed', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b', 'c']);
  const departed = [`${here.namespace}/c`] as const;
  // As long as there is such a ClusterCertificate, naming it has no effect.
  await mesh.want({ generation: 2, departed: [...departed] });
  await mesh.ledgerUntil('Roll', ({ rotation }) => rotation?.stage === 'Roll');
  expect(here.ledger('mesh').roster.has(departed[0])).toBe(true);
  await mesh.want({ generation: 2 });
  mesh.member('c').behave('frozen');
  await here.delete('ClusterCertificate', 'c');
  const waits = () => here.cas.get('mesh')?.status?.rotation?.waitingFor?.some(({ reason }) => reason === 'Deleted');
  await here.cas.until('waiting for the deleted member', waits);
  await here.apply(peer('mesh', { a: mesh.member('a').port, b: mesh.member('b').port }));
  await rounds(here, 'mesh', 3);
  expect(here.ledger('mesh').rotation?.stage).toBe('Roll');

  await mesh.want({ generation: 2, departed: [...departed] });
  await here.stable('mesh', 2, 90_000);
  await here.eventUntil('ReplicationCA', 'mesh', 'MemberLeft', /\/c left the mesh/);
  expect([...here.ledger('mesh').roster.keys()]).toEqual(['a', 'b'].map((name) => `${here.namespace}/${name}`));
  expect(disorders(here, 'mesh', 1)).toEqual([]);
});

test.concurrent('a certificate that is pruned in a rollback holds it until it is said to have departed', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b', 'c']);
  const c = `${here.namespace}/c` as const;
  const links = new Links([mesh.member('a'), mesh.member('b')]);
  await mesh.want({ generation: 2 });
  await mesh.ledgerUntil('c presents a leaf of generation 2', ({ rotation, roster }) => {
    const entry = roster.get(c);
    return rotation?.stage === 'Roll' && entry?.leaf === 2 && entry.grant === 'Proven';
  });
  // It cannot be turned round any more, so neither can those who would have to stop trusting what it presents.
  mesh.member('c').behave('frozen');
  await mesh.want({ generation: 1 });
  await mesh.ledgerUntil('it goes back', ({ rotation }) => rotation?.direction === 'Backward');
  await here.delete('ClusterCertificate', 'c');
  const deleted = /\/c was deleted during the rotation\. Restore it, or name it in spec\.rotation\.departed/;
  await here.eventUntil('ReplicationCA', 'mesh', 'RotationHeld', deleted);
  await here.apply(mesh.peer(['a', 'b']));
  await rounds(here, 'mesh', 3);
  expect(here.ledger('mesh').rotation).toMatchObject({ stage: 'Roll', direction: 'Backward' });
  expect(here.ledger('mesh').roster.has(c)).toBe(true);
  expect(here.cas.get('mesh')?.status).toMatchObject({ blockedBy: expect.stringMatching(/^c\/Deleted/) as string });
  expect(here.cas.get('mesh')?.status?.progress).toMatch(/^\d\/3 back$/);

  await mesh.want({ generation: 1, departed: [c] });
  await here.stable('mesh', 1, 90_000);
  await here.eventUntil('ReplicationCA', 'mesh', 'MemberLeft', /\/c left the mesh/);
  expect([...here.ledger('mesh').roster.keys()]).toEqual(['a', 'b'].map((name) => `${here.namespace}/${name}`));
  expect(await links.stop()).toEqual([]);
  for (const name of ['a', 'b']) await expectGoodMember(here.secret(name));
  expect(disorders(here, 'mesh', 1)).toEqual([]);
});

test.concurrent('a dark member whose certificate is kept from going by a finalizer holds neither a rotation nor the deletion of its CA', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b', 'c']);
  const ref = { namespace: here.namespace, name: 'c' };
  const finalizers = async (...names: readonly string[]) =>
    here.client.patch(CLUSTER_CERTIFICATE, ref, { type: 'merge', body: { metadata: { finalizers: names } } });
  mesh.member('c').behave('frozen');
  await mesh.want({ generation: 2 });
  await mesh.ledgerUntil('c was granted', ({ roster }) => roster.get(`${here.namespace}/c`)?.grant === 'Open');
  await finalizers('example.com/mine');
  await here.delete('ClusterCertificate', 'c');
  await here.apply(mesh.peer(['a', 'b']));
  await rounds(here, 'mesh', 3);
  expect(here.ledger('mesh').roster.has(`${here.namespace}/c`), 'nobody has said that it is gone').toBe(true);

  await mesh.want({ generation: 2, departed: [`${here.namespace}/c`] });
  await here.stable('mesh', 2, 90_000);
  expect([...here.ledger('mesh').roster.keys()]).toEqual(['a', 'b'].map((name) => `${here.namespace}/${name}`));
  expect(disorders(here, 'mesh', 1)).toEqual([]);

  for (const name of ['a', 'b']) await here.delete('ClusterCertificate', name);
  await here.delete('ReplicationCA', 'mesh');
  await here.cas.until('the CA is gone', () => here.cas.get('mesh') === undefined);
  expect(here.certificates.get('c')?.metadata.finalizers).toEqual(['example.com/mine']);
  await finalizers();
});

test.concurrent('a CA that is deleted in a rotation and created again goes on where it was', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  const names = ['a', 'b', 'c'];
  await using mesh = await Mesh.start(here, names);
  const late = mesh.member('b');
  late.behave('frozen');
  await mesh.want({ generation: 2 });
  const before = await mesh.ledgerUntil(
    'b was granted',
    ({ roster }) => roster.get(`${here.namespace}/b`)?.grant === 'Open',
  );
  await here.delete('ReplicationCA', 'mesh');
  await here.condition('ReplicationCA', 'mesh', 'Ready', { reason: 'Terminating', message: /but 3 members are left/ });
  for (const name of names) await here.delete('ClusterCertificate', name);
  await here.cas.until('the CA is gone', () => here.cas.get('mesh') === undefined);
  expect(here.ledger('mesh')).toMatchObject({ rotation: before.rotation, roster: before.roster });

  // With nobody in its roster it would have nothing to prove, and drop what all of them still present.
  await here.apply(ca('mesh', { rotation: { generation: 2 } }));
  await here.cas.until('those who are not back are waited for', () =>
    here.cas.get('mesh')?.status?.rotation?.waitingFor?.some(({ reason }) => reason === 'Deleted'),
  );
  await here.apply(...names.map((name) => certificate(name, 'mesh')));
  await rounds(here, 'mesh', 3);
  expect(here.ledger('mesh').rotation).toMatchObject({ stage: 'Append', startedAt: before.rotation?.startedAt });
  late.behave('serving');
  await here.stable('mesh', 2, 90_000);
  for (const name of names) await expectGoodMember(here.secret(name));
  expect(here.ledger('mesh').history).toMatchObject([{ generation: 2, startedAt: before.rotation?.startedAt }]);
  expect(disorders(here, 'mesh', 1)).toEqual([]);
});
