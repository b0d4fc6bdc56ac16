/** What is not seen, or seen to be wrong, holds a rotation; status says who, why and what to do; mended, it goes on. */
import { expect, test } from 'vitest';
import { REPLICATION_PEER } from '../../src/api/names.ts';
import { testBed } from './bed.ts';
import { conditionOf } from './follow.ts';
import { Member } from './member.ts';
import { disorders, held, lapses, Links, Mesh, rounds } from './rotating.ts';
import { ca, certificate, peer, type Scene } from './scene.ts';

const bed = testBed(15);
const TIMEOUT = 180_000;

/** What spoils a mesh of a and b before it is to rotate, and what mends it. */
interface Fault {
  readonly spoil: (mesh: Mesh) => Promise<void> | void;
  readonly reason: string;
  readonly message: RegExp;
  /** As the ReplicationPeer tells it; null where the peer does not look at b. */
  readonly seen: { readonly reason: string; readonly message: RegExp } | null;
  readonly mend: (mesh: Mesh) => Promise<void> | void;
  /** Where it holds the rotation. Default: Append. */
  readonly stage?: 'Roll';
}

type Endpoint = { readonly host: string; readonly port: number };

/** The peer of the mesh with other endpoints for b. */
function withEndpoints(mesh: Mesh, endpoints: readonly Endpoint[]) {
  const { spec, ...rest } = mesh.peer();
  const a = { name: 'a', endpoints: [{ host: '127.0.0.1', port: mesh.member('a').port }] };
  return { ...rest, spec: { ...(typeof spec === 'object' ? spec : {}), members: [a, { name: 'b', endpoints }] } };
}

const faults: Readonly<Record<string, Fault>> = {
  'an endpoint that takes connections and says nothing': {
    spoil: (mesh) => mesh.member('b').behave('hanging'),
    reason: 'Unreachable',
    message: /^b at 127\.0\.0\.1:\d+ is unreachable: .*Start the endpoint or correct spec\.members\[\]\.endpoints\.$/,
    seen: { reason: 'Unreachable', message: /^b at 127\.0\.0\.1:\d+ is unreachable: / },
    mend: (mesh) => mesh.member('b').behave('serving'),
  },
  'a closed port': {
    spoil: (mesh) => mesh.member('b').goDark(),
    reason: 'Unreachable',
    message: /^b at 127\.0\.0\.1:\d+ is unreachable: .*Start the endpoint or correct spec\.members\[\]\.endpoints\.$/,
    seen: { reason: 'Unreachable', message: /^b at 127\.0\.0\.1:\d+ is unreachable: / },
    mend: (mesh) => mesh.member('b').comeBack(),
  },
  'a name that does not resolve': {
    spoil: (mesh) => mesh.scene.apply(withEndpoints(mesh, [{ host: 'b.invalid', port: mesh.member('b').port }])),
    reason: 'NameNotResolved',
    message:
      /^b at b\.invalid:\d+: the name b\.invalid does not resolve\. Correct the name in spec\.members\[\]\.endpoints/,
    seen: { reason: 'NameNotResolved', message: /^b at b\.invalid:\d+: / },
    mend: (mesh) => mesh.scene.apply(mesh.peer()),
  },
  'a server that demands no client certificate': {
    spoil: (mesh) => mesh.member('b').behave('open'),
    reason: 'NotEnforced',
    message: /^b at 127\.0\.0\.1:\d+ accepts any client certificate, .*Demand client certificates there/,
    seen: { reason: 'NotEnforced', message: /^b at 127\.0\.0\.1:\d+ accepts any client certificate/ },
    mend: (mesh) => mesh.member('b').behave('serving'),
  },
  'a member that keeps its old files': {
    spoil: (mesh) => mesh.member('b').behave('frozen'),
    reason: 'NotTrusted',
    message:
      /^\S+\/b was seen to refuse generation 2: it has not loaded the bundle of its Secret\. Wait for .*; if that lasts, make it reload them\.$/,
    seen: { reason: 'NotTrusted', message: /^b does not trust generation 2, .*make the member reload its files/ },
    mend: (mesh) => mesh.member('b').behave('serving'),
  },
  'two endpoints that present different leaves': {
    spoil: async (mesh) => {
      const stranger = await mesh.visit('stranger', { secretName: 'a' });
      const ports = [mesh.member('b').port, stranger.port];
      await mesh.scene.apply(
        withEndpoints(
          mesh,
          ports.map((port) => ({ host: '127.0.0.1', port })),
        ),
      );
    },
    reason: 'Contradictory',
    message:
      /^b presents [0-9a-f]{8} at 127\.0\.0\.1:\d+, [0-9a-f]{8} at 127\.0\.0\.1:\d+\. Reload the certificate at every address/,
    seen: { reason: 'Contradictory', message: /^b presents / },
    // Both trust what they are to trust; only which leaf is presented cannot be answered.
    stage: 'Roll',
    mend: (mesh) => mesh.scene.apply(mesh.peer()),
  },
  'a member in no peer': {
    spoil: (mesh) => mesh.scene.apply(mesh.peer(['a'])),
    reason: 'NoPeer',
    message:
      /^\S+\/b is in no ReplicationPeer of the CA's namespace, so nothing is known of it\. Add it to spec\.members of one\.$/,
    seen: null,
    mend: (mesh) => mesh.scene.apply(mesh.peer()),
  },
};

test.concurrent.each(Object.entries(faults))('%s', { timeout: TIMEOUT }, async (_, fault) => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  await fault.spoil(mesh);
  await mesh.want({ generation: 2, maxConcurrent: 2 });
  // On the way there it may be held by the same for a moment: of two addresses one loads its files first.
  const { stage = 'Append' } = fault;
  await mesh.ledgerUntil(stage, ({ rotation }) => rotation?.stage === stage);
  const { next } = await held(mesh, 'b', fault.reason, fault.message);
  expect(next).toMatch(fault.message);
  expect(here.ledger('mesh')).toMatchObject({ bundle: [1, 2], rotation: { stage } });
  expect(here.cas.get('mesh')?.status).toMatchObject({ blockedBy: `b/${fault.reason}`, progress: '1/2' });
  await here.condition('ReplicationCA', 'mesh', 'Rotating', { status: 'True', reason: 'WaitingForEvidence' });
  const seen = here.peers.get('mesh')?.status?.members?.find(({ name }) => name === 'b');
  expect(seen?.reason).toBe(fault.seen?.reason);
  expect(seen?.message ?? '').toMatch(fault.seen?.message ?? /^$/);
  expect(here.peers.get('mesh')?.status?.blockedBy).toBe(fault.seen === null ? undefined : `b/${fault.seen.reason}`);

  await fault.mend(mesh);
  await here.stable('mesh', 2, TIMEOUT);
  expect(disorders(here, 'mesh', 2)).toEqual([]);
  expect(lapses(here)).toEqual([]);
});

test.concurrent('what was seen at other endpoints does not count any more', { timeout: TIMEOUT }, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  const elsewhere = await mesh.visit('b2', { secretName: 'b' });
  elsewhere.behave('hanging');
  await mesh.want({ generation: 2, maxConcurrent: 2, soak: '3s' });
  await here.condition('ReplicationCA', 'mesh', 'Rotating', { reason: 'Soaking' }, TIMEOUT);
  // Before the first look at it has an answer, the soak is over, and what was seen of b before is still fresh.
  await here.apply(withEndpoints(mesh, [{ host: '127.0.0.1', port: elsewhere.port }]));
  await here.certificates.until(
    'b is not known to be delivered',
    () => conditionOf(here.certificates.get('b'), 'Delivered')?.status !== 'True',
  );
  await held(mesh, 'b', 'Unreachable', /^b at 127\.0\.0\.1:\d+ is unreachable: /);
  expect(here.ledger('mesh').rotation?.stage).toBe('Append');
  elsewhere.behave('serving');
  await here.stable('mesh', 2, TIMEOUT);
  expect(disorders(here, 'mesh', 2)).toEqual([]);
  expect(lapses(here)).toEqual([]);
});

test.concurrent('of a member at whose endpoint another one is found, nothing is proven, and no link breaks', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  const links = new Links(Object.values(mesh.members));
  // Its files are late, and who is found at its endpoint has loaded those of its own: that must not be taken for it.
  mesh.member('b').behave('frozen');
  await here.apply(withEndpoints(mesh, [{ host: '127.0.0.1', port: mesh.member('a').port }]));
  await mesh.want({ generation: 2, maxConcurrent: 2 });
  const message =
    /^127\.0\.0\.1:\d+ presents the leaf of member a \(\S+\/a\), so nothing is seen of b\. Correct spec\.members\[name=b\]\.endpoints/;
  await held(mesh, 'b', 'OtherMember', message);
  expect(here.ledger('mesh').rotation?.stage).toBe('Append');
  mesh.member('b').behave('serving');
  await here.apply(mesh.peer());
  await here.stable('mesh', 2, TIMEOUT);
  expect(await links.stop()).toEqual([]);
  expect(disorders(here, 'mesh', 2)).toEqual([]);
});

test.concurrent('a peer that names a certificate which does not exist says so, and goes on looking at the others', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  await using c = await Member.start(here, 'c');
  await here.apply(peer('mesh', { a: mesh.member('a').port, b: mesh.member('b').port, c: c.port }));
  const message =
    /^Member c names ClusterCertificate \S+\/c, which does not exist\. Create it or correct spec\.members\[\]\.certificateRef\.$/;
  await here.condition('ReplicationPeer', 'mesh', 'Ready', { status: 'False', reason: 'CertificateNotFound', message });
  await here.condition('ReplicationPeer', 'mesh', 'Stalled', { status: 'False' });
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'Unknown' });
  await mesh.want({ generation: 2, maxConcurrent: 2 });
  await here.stable('mesh', 2, TIMEOUT);
  await here.apply(certificate('c', 'mesh'));
  await here.ready({ ReplicationPeer: ['mesh'], ClusterCertificate: ['c'] });
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
});

test.concurrent('members of two CAs in one peer: nothing is probed until it is split', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using a = await Member.start(here, 'a');
  await using b = await Member.start(here, 'b');
  await here.apply(ca('one'), ca('two'), certificate('a', 'one'), certificate('b', 'two'));
  await here.apply(peer('both', { a: a.port, b: b.port }));
  await here.stalled(
    'ReplicationPeer',
    'both',
    'MixedCA',
    /^\S+\/a uses ReplicationCA \S+\/one, but \S+\/b uses \S+\/two\. All members of a peer share one CA: split the peer\.$/,
  );
  expect(here.peers.get('both')?.status?.members).toEqual([]);
  const why = { status: 'Unknown', reason: 'MixedCA', message: /^Nobody looks: / };
  await here.condition('ReplicationPeer', 'both', 'Verified', why);
  await here.eventUntil('ReplicationPeer', 'both', 'Stalled', /split the peer\.$/);
  await here.apply(peer('both', { a: a.port }), peer('other', { b: b.port }));
  await here.ready({ ReplicationPeer: ['both', 'other'] });
  await here.condition('ReplicationPeer', 'both', 'Stalled', { status: 'False' });
  await here.peers.until('both are seen', () =>
    ['both', 'other'].every((name) => here.peers.get(name)?.status?.members?.[0]?.reason === 'Verified'),
  );
});

test.concurrent('a peer in another namespace than its CA is never believed', { timeout: TIMEOUT }, async () => {
  const [home, tenant] = [await bed.scene(), await bed.scene()];
  await using b = await Member.start(tenant, 'b');
  await home.apply(ca('mesh', { allowedNamespaces: [tenant.namespace] }));
  const theirs = certificate('b', 'mesh');
  await tenant.apply(
    { ...theirs, spec: { caRef: { name: 'mesh', namespace: home.namespace } } },
    peer('mesh', { b: b.port }),
  );
  await tenant.stalled(
    'ReplicationPeer',
    'mesh',
    'WrongNamespace',
    new RegExp(`but a peer counts only in the namespace of its CA\\. Create it in ${home.namespace}\\.$`),
  );
  await tenant.condition('ClusterCertificate', 'b', 'Ready', { status: 'False' });
  expect(tenant.secrets.get('b')).toBeUndefined();
  // Beside the CA it counts.
  const ours = peer('mesh', { b: b.port });
  const members = [
    {
      name: 'b',
      certificateRef: { name: 'b', namespace: tenant.namespace },
      endpoints: [{ host: '127.0.0.1', port: b.port }],
    },
  ];
  await home.apply({ ...ours, spec: { members, probe: { interval: '1s', timeout: '2s' } } });
  await tenant.ready({ ClusterCertificate: ['b'] });
  await home.condition('ReplicationPeer', 'mesh', 'Ready', { status: 'True' });
});

/** Empties the evidence of the peer, as a restored backup does. @returns the resourceVersion of that */
async function wipe({ client, namespace }: Scene): Promise<bigint> {
  const { metadata } = await client.patch(
    REPLICATION_PEER,
    { namespace, name: 'mesh' },
    { type: 'merge', body: { status: { members: null, conditions: null, edges: null, observedGeneration: null } } },
    { subresource: 'status' },
  );
  return BigInt(metadata.resourceVersion ?? '0');
}

const versionOf = ({ metadata }: { metadata: { resourceVersion: string } }): bigint => BigInt(metadata.resourceVersion);

test.concurrent('evidence that was wiped is gathered again before anything moves', { timeout: TIMEOUT }, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b', 'c']);
  const grants = (wanted: 'Open' | 'Proven') =>
    [...here.ledger('mesh').roster].filter(([, { grant }]) => grant === wanted).map(([member]) => member);
  await mesh.want({ generation: 2 });
  await mesh.ledgerUntil('one is proven', () => grants('Proven').length === 1);
  const [slow] = grants('Proven');
  if (slow === undefined) throw new Error('nobody is proven');
  // Its grant of the next stage stays open, so that nothing is under way when the evidence vanishes.
  const member = mesh.member(slow.slice(here.namespace.length + 1));
  member.behave('frozen');
  await mesh.ledgerUntil(
    'it is to change',
    ({ rotation }) => rotation?.stage === 'Roll' && grants('Open').includes(slow),
  );
  await rounds(here, 'mesh', 2);
  const at = await wipe(here);
  member.behave('serving');
  await here.stable('mesh', 2, TIMEOUT);

  // Resource versions are of one sequence for all kinds.
  const after = here.peers.historyOf('mesh').filter((each) => versionOf(each) > at);
  const seen = (names: readonly string[]): bigint => {
    const first = after.find(({ status }) =>
      names.every((name) => status?.members?.some((each) => each.name === name)),
    );
    return first === undefined ? 0n : versionOf(first);
  };
  const moves = here.secrets.historyOf('mesh-ledger').filter((each) => versionOf(each) > at);
  const [proof, grant] = moves;
  if (proof === undefined || grant === undefined) throw new Error('the ledger did not move');
  expect(seen([member.name])).toBeGreaterThan(at);
  expect(versionOf(proof)).toBeGreaterThan(seen([member.name]));
  expect(versionOf(grant)).toBeGreaterThan(seen(['a', 'b', 'c']));
  expect(disorders(here, 'mesh', 1)).toEqual([]);
  // Only what was wiped itself said nothing for a moment.
  expect(lapses(here)).toEqual(['ReplicationPeer mesh: Ready=undefined undefined: undefined']);
});

test.concurrent('a member that comes back with old files stops all further grants', { timeout: TIMEOUT }, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b', 'c']);
  const old = here.secret('a');
  await mesh.want({ generation: 2 });
  const grantOf = (name: string) => here.ledger('mesh').roster.get(`${here.namespace}/${name}`)?.grant;
  await mesh.ledgerUntil('a is rolled', ({ rotation }) => rotation?.stage === 'Roll' && grantOf('a') === 'Proven');
  mesh.member('a').restore(old);
  await held(
    mesh,
    'a',
    'NotTrusted',
    /^\S+\/a was seen to refuse generation 2: it has not loaded the bundle of its Secret\. Wait for .*; if that lasts, make it reload them\.$/,
  );
  const { rotation, roster } = here.ledger('mesh');
  expect(rotation?.stage).toBe('Roll');
  expect(here.cas.get('mesh')?.status?.blockedBy).toMatch(/^a\/NotTrusted/);
  const note = /^Roll: \S+\/a was proven and has gone back \(NotTrusted\)\. .* make it reload its files\.$/;
  const event = await here.eventUntil('ReplicationCA', 'mesh', 'RotationHeld', note);
  expect(event.type).toBe('Warning');
  expect([...roster.values()].filter(({ grant }) => grant === 'Proven').length).toBeLessThan(3);
  mesh.member('a').behave('serving');
  await here.stable('mesh', 2, TIMEOUT);
  const told = here.eventsOf('ReplicationCA', 'mesh').filter((each) => note.test(each.note));
  expect(told.map((each) => each['series'] ?? 'once')).toEqual(['once']);
  expect(disorders(here, 'mesh', 1)).toEqual([]);
  expect(lapses(here)).toEqual([]);
});
