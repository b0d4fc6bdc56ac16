/** What status and events tell of a member: before it is looked at, while it is as it should be, while it is not, and after. */
import { expect, test } from 'vitest';
import { parseCertificate } from '../../src/pki/certificate.ts';
import { testBed } from './bed.ts';
import { Mesh } from './rotating.ts';
import { ca, certificate, peer, textOf } from './scene.ts';

const bed = testBed(7);
const TIMEOUT = 180_000;

test.concurrent('of one that comes back with the files of another mesh: what is seen, which edges fail by it, and that they work again', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  await here.condition('ClusterCertificate', 'b', 'Delivered', {
    status: 'True',
    reason: 'Presented',
    message: /^The member presents this leaf \(revision [0-9a-f]+\)\.$/,
  });
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True', reason: 'AllEdgesVerified' });

  await here.apply(ca('other'), certificate('x', 'other'));
  await here.ready({ ReplicationCA: ['other'], ClusterCertificate: ['x'] });
  mesh.member('b').restore(here.secret('x'));
  // There is something new to be seen at b, so that somebody looks.
  await here.apply(certificate('b', 'mesh', { reissueBefore: new Date().toISOString() }));
  await here.condition('ClusterCertificate', 'b', 'Delivered', {
    status: 'False',
    reason: 'NotPresented',
    message:
      /^ReplicationPeer \S+\/mesh sees another leaf \([0-9a-f]{8}\) than this Secret's \([0-9a-f]{8}\)\. If that lasts, make the member reload its files\.$/,
  });
  const { message } = await here.condition('ReplicationPeer', 'mesh', 'Verified', {
    status: 'False',
    reason: 'EdgesFailing',
  });
  expect(message).toMatch(
    /^0 of 2 edges were seen to work\. a -> b: b presents a certificate of a foreign issuer \([0-9a-f]{8}\), not the leaf that its Secret holds/,
  );
  const { note } = await here.eventUntil('ReplicationPeer', 'mesh', 'EdgeFailing', /^\S+ -> \S+: /);
  expect(note).toMatch(/^a -> b: b presents /);
  await here.condition('ReplicationPeer', 'mesh', 'Ready', { status: 'True', reason: 'Resolved' });

  mesh.member('b').behave('serving');
  await here.condition('ClusterCertificate', 'b', 'Delivered', { status: 'True', reason: 'Presented' });
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True', reason: 'AllEdgesVerified' });
  await here.eventUntil('ReplicationPeer', 'mesh', 'EdgeVerified', /^All 2 edges were seen to work$/);
});

test.concurrent('of one in no peer: that nobody looks, and what makes somebody look', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await here.apply(ca('mesh'), certificate('a', 'mesh'));
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'] });
  await here.condition('ClusterCertificate', 'a', 'Delivered', {
    status: 'Unknown',
    reason: 'NotObserved',
    message: /^No ReplicationPeer names this member, so nobody looks\. Name it in spec\.members of one\.$/,
  });
  for (const [kind, name] of [
    ['ReplicationCA', 'mesh'],
    ['ClusterCertificate', 'a'],
  ] as const) {
    await here.condition(kind, name, 'Reconciling', { status: 'False', reason: 'UpToDate' });
    await here.condition(kind, name, 'Stalled', { status: 'False', reason: 'UpToDate' });
  }
  // Named, but not there: it was not seen, which is no proof of anything.
  await here.apply(peer('mesh', { a: 1 }));
  await here.condition('ClusterCertificate', 'a', 'Delivered', {
    status: 'Unknown',
    reason: 'NotObserved',
    message: /^a at 127\.0\.0\.1:1 is unreachable: /,
  });
});

test.concurrent('of one that comes back with old files while the proof of a stage soaks: the proof is lost, and the soak begins again', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  const before = here.secret('b');
  await mesh.want({ generation: 2, maxConcurrent: 2, soak: '20s' });
  await here.condition('ReplicationCA', 'mesh', 'Rotating', { reason: 'Soaking' }, TIMEOUT);
  const { rotation: proven } = here.ledger('mesh');
  expect(proven).toMatchObject({ stage: 'Append' });
  expect(proven?.provenSince).not.toBeNull();
  mesh.member('b').restore(before);
  await here.eventUntil(
    'ReplicationCA',
    'mesh',
    'ProofLost',
    /^Stage Append: what was proven no longer holds; the soak begins again$/,
  );
  expect(here.ledger('mesh').rotation).toMatchObject({ stage: 'Append', provenSince: null });
  mesh.member('b').behave('serving');
  const again = await mesh.ledgerUntil('proven again', ({ rotation }) => rotation?.provenSince != null);
  expect(again.rotation?.stage).toBe('Append');
  const next = await mesh.ledgerUntil('the soak is over', ({ rotation }) => rotation?.stage === 'Roll');
  const soaked = Date.parse(next.rotation?.since ?? '') - Date.parse(again.rotation?.provenSince ?? '');
  expect(soaked).toBeGreaterThanOrEqual(20_000);
});

test.concurrent('of one that joins while a rotation is held: that it waits for leave, and is no fault', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  mesh.member('b').behave('frozen');
  await mesh.want({ generation: 2 });
  await mesh.ledgerUntil('b holds the one grant', ({ roster }) => roster.get(`${here.namespace}/b`)?.grant === 'Open');
  await here.apply(certificate('c', 'mesh'));
  await here.condition('ClusterCertificate', 'c', 'Reconciling', { status: 'True', reason: 'Progressing' });
  await here.condition('ClusterCertificate', 'c', 'Stalled', { status: 'False', reason: 'UpToDate' });
  await here.condition('ClusterCertificate', 'c', 'Ready', { status: 'False', reason: 'NotIssued' });
});

test.concurrent('of one whose generation ends, pinned as it is: that it has expired, at that moment, and what helps', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await here.apply(
    ca('mesh', { duration: '1m', renewBefore: '1s', rotation: { generation: 1 } }),
    certificate('a', 'mesh'),
  );
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'] });
  const { notAfter } = parseCertificate(textOf(here.secret('a'), 'tls.crt'));
  const { message } = await here.condition(
    'ClusterCertificate',
    'a',
    'Ready',
    { status: 'False', reason: 'Expired' },
    90_000,
  );
  expect(message).toMatch(/^The leaf expired at \S+Z\. The leaf ends with its generation at \S+; .*rotation/);
  const late = Date.now() - notAfter;
  expect(late).toBeGreaterThanOrEqual(0);
  expect(late).toBeLessThan(10_000);
  await here.condition('ReplicationCA', 'mesh', 'Rotating', { reason: 'RotationPending' });
  await here.condition('ReplicationCA', 'mesh', 'Ready', {
    status: 'False',
    reason: 'Expired',
    message: /^Generation 1 expired at \S+Z\. Check the clock, or rotate to a new generation\.$/,
  });
});
