/** Generations past their end: what is said of them, and that what it says helps. */
import { expect, test } from 'vitest';
import { testBed } from './bed.ts';
import { Member } from './member.ts';
import { expectGoodMember } from './openssl.ts';
import { ca, certificate, peer } from './scene.ts';

const bed = testBed(1);
const TIMEOUT = 300_000;

test.concurrent('a CA that nobody replaced in time: CA and leaves say since when, nothing is signed, and a new number heals it', {
  timeout: TIMEOUT,
}, async () => {
  const {
    installation,
    scenes: [here],
  } = await bed.install();
  await using a = await Member.start(here, 'a');
  await using b = await Member.start(here, 'b');
  // For whoever has the time the CA has ended before it is made; for the next operator more than six minutes ago.
  const late = await installation.start({ clockOffsetMs: -225_000 });
  await here.apply(
    ca('mesh', { duration: '1m', renewBefore: '1s', rotation: { generation: 1 } }),
    certificate('a', 'mesh'),
    certificate('b', 'mesh'),
    peer('mesh', { a: a.port, b: b.port }, '5s'),
  );
  await here.secretUntil('a', 'issued', () => true);
  await here.secretUntil('b', 'issued', () => true);
  await late.stop();

  await installation.start({ clockOffsetMs: 225_000 });
  await here.condition('ReplicationCA', 'mesh', 'Ready', {
    status: 'False',
    reason: 'Expired',
    message: /^Generation 1 expired at \S+Z\. Check the clock, or rotate to a new generation\.$/,
  });
  for (const name of ['a', 'b'])
    await here.condition('ClusterCertificate', name, 'Ready', {
      status: 'False',
      reason: 'Expired',
      message: /^The leaf expired at \S+Z\./,
    });
  await here.apply(certificate('c', 'mesh'));
  await here.condition('ClusterCertificate', 'c', 'Ready', {
    status: 'False',
    reason: 'Expired',
    message:
      /^Generation 1 of ReplicationCA \S+\/mesh has expired by the operator's clock \(\S+Z\), so nothing is signed with it\. Check the clock, or rotate the CA\.$/,
  });
  expect(here.secrets.get('c')).toBeUndefined();
  await here.delete('ClusterCertificate', 'c');
  await here.secrets.until('c has left', () => !here.ledger('mesh').roster.has(`${here.namespace}/c`));

  await here.apply(ca('mesh', { rotation: { generation: 2, maxConcurrent: 2 } }));
  await here.stable('mesh', 2, 120_000);
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a', 'b'], ReplicationPeer: ['mesh'] });
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' }, 60_000);
  for (const name of ['a', 'b']) await expectGoodMember(here.secret(name));
});

test.concurrent('a new generation that expires while its rotation is held: nobody is moved to it, and the way back is open', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  const names = (acknowledged?: object) => ({
    ...peer('mesh', {}),
    spec: { members: [{ name: 'a', ...(acknowledged === undefined ? {} : { acknowledged }) }] },
  });
  await here.apply(ca('mesh'), certificate('a', 'mesh'), names());
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'], ReplicationPeer: ['mesh'] });
  const approval = { required: ['Roll' as const] };
  const short = { duration: '1m', renewBefore: '1s' };
  await here.apply(ca('mesh', { ...short, rotation: { generation: 2, approval } }));
  /** Vouches for a, and again when its Secret has changed, until that is proven. */
  const vouch = async (stage: string, generation: number): Promise<void> => {
    const line = new RegExp(
      `acknowledged of \\S+ mesh: {revision: (\\S+), generation: ${generation}, stage: ${stage}, `,
    );
    const claim = { by: 'jane@example.com', reason: 'looked', expires: '2099-01-01T00:00:00Z' };
    for (let last = ''; ; ) {
      const { revision } = await here.cas.until(`somebody is to vouch for a in ${stage} to G${generation}`, () => {
        const { rotation, roster } = here.ledger('mesh');
        const open = rotation?.to === generation && roster.get(`${here.namespace}/a`)?.grant !== 'Proven';
        const [, asked] = line.exec(here.cas.get('mesh')?.status?.rotation?.next ?? '') ?? [];
        if (last !== '' && !open) return { revision: null };
        return asked === undefined || asked === last ? undefined : { revision: asked };
      });
      if (revision === null) return;
      await here.apply(names({ revision, generation, stage, ...claim }));
      last = revision;
    }
  };
  await vouch('Append', 2);
  await here.condition('ReplicationCA', 'mesh', 'Rotating', { status: 'True', reason: 'WaitingForApproval' });
  const before = here.secret('a').metadata.resourceVersion;
  await here.condition(
    'ReplicationCA',
    'mesh',
    'Rotating',
    {
      status: 'True',
      reason: 'BundleUnsafe',
      message:
        /^Append from G1 to G2: proven by every member\. Leaves of generation 2 are accepted nowhere: it expired at \S+Z\. Nobody is changed to it\. Set spec\.rotation\.generation to the other generation of the rotation\.$/,
    },
    120_000,
  );
  expect(here.cas.get('mesh')?.status).toMatchObject({
    phase: 'Appending',
    blockedBy: 'BundleUnsafe',
    rotation: { next: expect.stringContaining('Set spec.rotation.generation to the other generation') as string },
  });
  await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True', reason: 'Serving' });
  // Approved or not.
  await here.apply(
    ca('mesh', { rotation: { generation: 2, approval: { ...approval, upTo: { generation: 2, stage: 'Roll' } } } }),
  );
  await here.condition('ReplicationCA', 'mesh', 'Rotating', { status: 'True', reason: 'BundleUnsafe' });
  expect(here.secret('a').metadata.resourceVersion).toBe(before);
  expect(here.ledger('mesh').rotation?.stage).toBe('Append');

  await here.apply(ca('mesh', { rotation: { generation: 1 } }));
  await vouch('Drop', 1);
  await here.stable('mesh', 1);
  await here.apply(ca('mesh', { rotation: { generation: 3 } }));
  await here.cas.until('the next number may be used', () => here.cas.get('mesh')?.status?.rotation?.to === 3);
});
