import { expect, test } from 'vitest';
import { testBed } from './bed.ts';
import { conditionOf } from './follow.ts';
import { Member } from './member.ts';
import { expectGoodMember } from './openssl.ts';
import { ca, certificate, peer, textOf } from './scene.ts';

const bed = testBed(2);

test('three manifests become a mesh that is Ready, and kubectl tells its story', async () => {
  const here = await bed.scene();
  const { namespace } = here;
  await using a = await Member.start(here, 'a');
  await using b = await Member.start(here, 'b');
  const manifests = [
    ca('mesh', { commonName: 'Replication-Root-CA' }),
    certificate('a', 'mesh', { dnsNames: ['a.example.com'], ipAddresses: ['127.0.0.1'] }),
    certificate('b', 'mesh'),
    peer('mesh', { a: a.port, b: b.port }),
  ];
  await bed.cluster.apply(...manifests.map((each) => ({ ...each, metadata: { ...each.metadata, namespace } })));
  const kubectl = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await bed.cluster.kubectl(['-n', namespace, ...args]);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  await kubectl('wait', '--for=condition=Ready', '--timeout=30s', 'rca/mesh', 'ccert/a', 'ccert/b', 'rpeer/mesh');
  await kubectl('wait', '--for=condition=Verified', '--timeout=30s', 'rpeer/mesh');
  await kubectl('wait', '--for=condition=Delivered', '--timeout=30s', 'ccert/a', 'ccert/b');

  for (const name of ['a', 'b']) await expectGoodMember(here.secret(name));
  const { data: trust } = JSON.parse(await kubectl('get', 'configmap', 'mesh-trust', '-o', 'json')) as {
    data: Record<string, string>;
  };
  expect(trust['ca.crt']).toBe(textOf(here.secret('a'), 'ca.crt'));

  const table = (await kubectl('get', 'replicert')).replaceAll(/ +/g, ' ');
  expect(table).toMatch(
    /PHASE SIGNER PROGRESS WAITING-FOR EXPIRES AGE\nreplicationca\S*\/mesh Stable G1 20\d\d-\d\d-\d\d /,
  );
  expect(table).toMatch(
    /READY CA ISSUER DELIVERED EXPIRES AGE\nclustercertificate\S*\/a True mesh G1 True 20\d\d-\d\d-\d\d /,
  );
  expect(table).toMatch(/VERIFIED EDGES BLOCKED-BY AGE\nreplicationpeer\S*\/mesh True 2\/2 /);

  await here.eventUntil('ClusterCertificate', 'b', 'Issued', /in Secret b/);
  await here.eventUntil('ReplicationCA', 'mesh', 'MemberJoined', /./);
  expect(here.eventsOf('ReplicationCA', 'mesh').map(({ reason }) => reason)).toEqual([
    'GenerationMinted',
    'MemberJoined',
  ]);
  const [told] = here.eventsOf('ClusterCertificate', 'a');
  expect(told?.note).toMatch(/^Leaf [0-9a-f]{8} of G1, valid until 20\S+Z, is in Secret a$/);
  const events = await kubectl('events', '--for', 'rca/mesh');
  expect(events).toMatch(/Normal +GenerationMinted +ReplicationCA\/mesh +Generation 1 is in Secret mesh-g1-/);
});

test('an answer is never about an older spec', async () => {
  const here = await bed.scene();
  const at = (port: number) => peer('mesh', { a: port });
  await here.apply(ca('mesh'), certificate('a', 'mesh'), at(1));
  const all = { ReplicationCA: ['mesh'], ClusterCertificate: ['a'], ReplicationPeer: ['mesh'] };
  await here.ready(all);
  await here.apply(certificate('a', 'mesh', { dnsNames: ['a.example.com'] }), ca('mesh', { deletionPolicy: 'Delete' }));
  await here.apply(at(2));
  // What we are shown may be late: the answer that is waited for is about what was applied.
  await here.certificates.until('a has changed', () => here.certificates.get('a')?.metadata.generation === 2);
  await here.cas.until('mesh has changed', () => here.cas.get('mesh')?.metadata.generation === 2);
  await here.peers.until('the peer has changed', () => here.peers.get('mesh')?.metadata.generation === 2);
  await here.ready(all);
  for (const object of [here.certificates.get('a'), here.cas.get('mesh'), here.peers.get('mesh')]) {
    expect(object?.metadata.generation).toBe(2);
    expect(object?.status?.observedGeneration).toBe(2);
  }
  // In every version that ever was: what claims to be about a spec was written when that spec was there.
  for (const follow of [here.cas, here.certificates, here.peers]) {
    for (const { object } of follow.versions) {
      expect(conditionOf(object, 'Ready')?.observedGeneration ?? 0).toBeLessThanOrEqual(
        object.metadata.generation ?? 0,
      );
    }
  }
  expect(textOf(here.secret('a'), 'tls.crt')).not.toBe(
    textOf(here.secrets.historyOf('a')[0] ?? here.secret('a'), 'tls.crt'),
  );
});
