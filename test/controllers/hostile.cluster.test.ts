/**
 * Objects that no API server with our CRDs would take, but that may be stored all the same: from before a CRD had its validation, or
 * from another version. In a control plane of its own, because the CRDs are exchanged under them.
 */
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { parse } from 'yaml';
import { type Kind, REPLICATION_CA, CLUSTER_CERTIFICATE, REPLICATION_PEER } from '../../src/api/names.ts';
import type { KubeObject, Resource } from '../../src/runtime/client.ts';
import { startControlPlane } from '../control-plane/control-plane.ts';
import { applyCrds } from '../control-plane/kubectl.ts';
import { lackingControlPlane, testCluster } from '../support/cluster.ts';
import type { OperatorProcess } from '../support/operator.ts';
import { testBed } from './bed.ts';
import { conditionOf } from './follow.ts';
import { Member } from './member.ts';
import { expectGoodMember } from './openssl.ts';
import { ca, certificate, peer, type Scene } from './scene.ts';

const CRDS = join(import.meta.dirname, '..', '..', 'crds');
const foreign = lackingControlPlane();

const RESOURCES = {
  ReplicationCA: REPLICATION_CA,
  ClusterCertificate: CLUSTER_CERTIFICATE,
  ReplicationPeer: REPLICATION_PEER,
};
const LONG = 'x'.repeat(10_000);
const REF = { name: 'mesh' };
const AT = [{ name: 'a', endpoints: [{ host: '127.0.0.1', port: 1 }] }];

/** By kind and name: the spec as it is stored, and what the user is to be told of it. */
const ABSURD: { readonly [K in Kind]: Readonly<Record<string, readonly [spec: unknown, told: RegExp]>> } = {
  ReplicationCA: {
    text: ['nonsense', /spec: must be an object/],
    list: [[], /spec: must be an object/],
    negative: [{ rotation: { generation: -1 } }, /spec\.rotation\.generation: must be 1 or more/],
    huge: [{ rotation: { generation: 1e300 } }, /spec\.rotation\.generation/],
    fraction: [{ rotation: { generation: 1.5 } }, /spec\.rotation\.generation/],
    word: [{ rotation: { generation: 'two' } }, /spec\.rotation\.generation/],
    days: [{ duration: '365d' }, /spec\.duration/],
    forever: [{ duration: '99999999999999h' }, /spec\.duration/],
    'no-time': [{ duration: '0s' }, /spec\.duration/],
    rsa512: [{ privateKey: { algorithm: 'RSA', size: 512 } }, /spec\.privateKey/],
    dsa: [{ privateKey: { algorithm: 'DSA' } }, /spec\.privateKey\.algorithm/],
    nobody: [{ rotation: { maxConcurrent: '0%' } }, /spec\.rotation\.maxConcurrent/],
    crowd: [{ rotation: { maxConcurrent: { all: true } } }, /spec\.rotation\.maxConcurrent/],
    everywhere: [{ allowedNamespaces: ['*', 'a'] }, /spec\.allowedNamespaces/],
    control: [{ commonName: 'a\u0000b\u001b[2J' }, /spec\.commonName/],
    long: [{ commonName: LONG }, /spec\.commonName/],
    departed: [{ rotation: { departed: ['../../etc', 'a', 7] } }, /spec\.rotation\.departed/],
    policy: [{ deletionPolicy: 'Explode' }, /spec\.deletionPolicy/],
    profile: [{ profile: '__proto__' }, /spec\.profile/],
    secret: [{ passphraseSecretRef: { name: '../x', key: '..' } }, /spec\.passphraseSecretRef/],
    ['n'.repeat(200)]: [{}, /metadata\.name: must have at most 52 characters/],
  },
  ClusterCertificate: {
    text: ['nonsense', /spec: must be an object/],
    homeless: [{}, /spec\.caRef: is required/],
    path: [{ caRef: REF, secretName: '../../kube-system/x' }, /spec\.secretName/],
    names: [{ caRef: REF, dnsNames: ['*.*', 'a b', LONG] }, /spec\.dnsNames/],
    many: [{ caRef: REF, dnsNames: Array.from({ length: 5_000 }, (_, i) => `d${i}.example.com`) }, /spec\.dnsNames/],
    addresses: [{ caRef: REF, ipAddresses: ['300.1.1.1', '::1%eth0'] }, /spec\.ipAddresses/],
    yesterday: [{ caRef: REF, reissueBefore: 'yesterday' }, /spec\.reissueBefore/],
    labels: [
      { caRef: REF, secretTemplate: { labels: { 'replicert.io/role': 'ca-ledger' } } },
      /spec\.secretTemplate\.labels/,
    ],
    encoding: [{ caRef: REF, privateKey: { algorithm: 'Ed25519', encoding: 'PKCS1' } }, /spec\.privateKey\.encoding/],
    renew: [{ caRef: REF, duration: '1h', renewBefore: '2h' }, /spec\.renewBefore/],
    ['n'.repeat(100)]: [{ caRef: REF }, /metadata\.name: must have at most 63 characters/],
  },
  ReplicationPeer: {
    text: ['nonsense', /spec: must be an object/],
    empty: [{ members: [] }, /spec\.members/],
    twice: [{ members: [...AT, ...AT] }, /spec\.members/],
    host: [{ members: [{ name: 'a', endpoints: [{ host: '', port: 99_999 }] }] }, /spec\.members\[0\]\.endpoints\[0\]/],
    slash: [{ members: [{ name: 'a/b', endpoints: AT[0]?.endpoints }] }, /spec\.members\[0\]\.name/],
    nowhere: [{ members: [{ name: 'a', endpoints: [] }] }, /spec\.members\[0\]\.endpoints: must have at least 1 item/],
    busy: [{ members: AT, probe: { interval: '0s', timeout: '-1s' } }, /spec\.probe/],
    centre: [{ members: AT, topology: 'Star', center: 'z' }, /spec\.center/],
  },
};

const BROKEN_STATUS = [
  'text',
  { conditions: 'none', observedGeneration: 'x' },
  { conditions: [{ type: 'Ready' }, null, 7, { type: 'Ready', status: 'Maybe', lastTransitionTime: 'then' }] },
  { members: [{ name: 'a', certificate: 'a', epoch: -1, observedAt: 'now', trusts: { listening: ['x'] } }], edges: [] },
];

describe.skipIf(foreign !== null)(`objects that were stored without validation ${foreign ?? ''}`, async () => {
  // Those of a skipped suite are named all the same, and begin nothing.
  const { cluster, stop } = foreign === null ? await startWithout() : { cluster: inject('cluster'), stop: () => {} };
  afterAll(stop);
  const bed = testBed(0, {}, testCluster(cluster));
  let namespace: string;
  let here: Scene;
  let operator: OperatorProcess;

  beforeAll(async () => {
    namespace = await bed.cluster.namespace('hostile');
    for (const [kind, objects] of Object.entries(ABSURD) as [Kind, (typeof ABSURD)[Kind]][]) {
      for (const [name, [spec]] of Object.entries(objects)) await store(kind, name, spec);
    }
    for (const [i, status] of BROKEN_STATUS.entries()) {
      await store('ReplicationCA', `status${i}`, {}, status);
      await store('ClusterCertificate', `status${i}`, { caRef: { name: `status${i}` } }, status);
      await store('ReplicationPeer', `status${i}`, { members: AT }, status);
    }
    await applyCrds(cluster.kubectl, cluster.kubeconfig, CRDS);
    const bedded = await bed.install([namespace]);
    [here] = bedded.scenes;
    operator = await bedded.installation.start();
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => void process.stderr.write(`${operator.tail(8)}\n`)));

  async function store(kind: Kind, name: string, spec: unknown, status?: unknown): Promise<void> {
    const resource = RESOURCES[kind];
    await bed.client.create<KubeObject>(resource, { metadata: { name, namespace }, spec });
    if (status === undefined) return;
    const operations = [{ op: 'add', path: '/status', value: status }] as const;
    await bed.client.patch(resource, { namespace, name }, { type: 'json', operations }, { subresource: 'status' });
  }

  /** Specs with which the API server refuses every write of the object, its status included: their users are told by an event. */
  const UNJUDGED = /^(text|list|crowd|departed|yesterday)$/;
  const rows = Object.entries(ABSURD).flatMap(([kind, objects]) =>
    Object.entries(objects).map(([name, [, told]]) => [kind as Kind, name, told] as const),
  );
  test.each(rows)('%s %s: its user is told what is wrong', async (kind, name, told) => {
    if (UNJUDGED.test(name)) await here.eventUntil(kind, name, 'Stalled', told, 8_000);
    else await here.stalled(kind, name, 'InvalidSpec', told, 8_000);
  });

  test('a broken status is replaced', async () => {
    for (const i of BROKEN_STATUS.keys()) {
      await here.ready({ ReplicationCA: [`status${i}`], ClusterCertificate: [`status${i}`] });
      await here.condition('ReplicationPeer', `status${i}`, 'Stalled', {});
    }
  });

  test('a mesh beside them works, and nobody gets anything who should not', async () => {
    await using a = await Member.start(here, 'a');
    await here.apply(ca('mesh'), certificate('a', 'mesh'), peer('mesh', { a: a.port }));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'], ReplicationPeer: ['mesh'] });
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
    await expectGoodMember(here.secret('a'));
    const rows = Object.entries(ABSURD.ClusterCertificate).map(([name]) => here.certificates.get(name));
    expect(rows.map((object) => conditionOf(object, 'Ready')?.status)).not.toContain('True');
    const members = here.secrets
      .list()
      .filter(({ type }) => type === 'kubernetes.io/tls')
      .map(({ metadata }) => metadata.name);
    expect(members.toSorted()).toEqual(['a', ...BROKEN_STATUS.map((_, i) => `status${i}`)]);
  });

  test('a corrected object is acted on', async () => {
    const correct = (resource: Resource, name: string, spec: object) =>
      bed.client.patch(resource, { namespace, name }, { type: 'merge', body: { spec } });
    await correct(REPLICATION_CA, 'days', { duration: '8760h' });
    await correct(CLUSTER_CERTIFICATE, 'names', { dnsNames: ['a.example.com'] });
    await here.ready({ ReplicationCA: ['days'], ClusterCertificate: ['names'] });
  });
});

/** A control plane in which our kinds have no schema. */
async function startWithout() {
  const { dir } = inject('cluster');
  const folder = await mkdtemp(join(dir, 'permissive-'));
  for (const file of (await readdir(CRDS)).filter((name) => name.endsWith('.yaml'))) {
    const crd = parse(await readFile(join(CRDS, file), 'utf8')) as {
      spec: { versions: { schema: object; selectableFields?: object }[] };
    };
    const free = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    for (const version of crd.spec.versions) {
      version.schema = { openAPIV3Schema: free };
      delete version.selectableFields;
    }
    await writeFile(join(folder, file), JSON.stringify(crd));
  }
  const plane = await startControlPlane({ crds: folder, log: () => {} });
  return { cluster: { ...plane, kubectl: plane.binaries.kubectl }, stop: () => plane.stop() };
}
