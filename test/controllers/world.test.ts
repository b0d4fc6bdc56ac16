/** What is read of Secrets, and in which order: by real requests. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { emptyLedger } from '../../src/api/ledger.ts';
import { ANNOTATIONS, API_VERSION, FINALIZER, type Kind, LABELS, memberKey } from '../../src/api/names.ts';
import { Ledgers } from '../../src/controllers/shared/ledgers.ts';
import {
  generationLabels,
  ledgerSecret,
  memberMetadata,
  trustConfigMap,
} from '../../src/controllers/shared/manifests.ts';
import { sha256 } from '../../src/controllers/shared/digest.ts';
import { World } from '../../src/controllers/shared/world.ts';
import type { KubeObject } from '../../src/runtime/client.ts';
import { makeAuthority, makeLeaf } from '../probe/pki.ts';
import { type Arrival, FakeApiServer } from '../runtime/fake-apiserver.ts';
import { serve } from './serving.ts';

const MESH = { namespace: 'ns', name: 'mesh' };
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let server: FakeApiServer;
beforeEach(async () => {
  server = await FakeApiServer.start();
});
afterEach(() => server.stop());

const base64 = (content: string): string => Buffer.from(content).toString('base64');

function certificate(name: string): KubeObject {
  const metadata = { name, namespace: 'ns', uid: `uid-${name}`, resourceVersion: '1', generation: 1 };
  const spec = { caRef: { name: 'mesh' }, secretTemplate: { labels: { team: 'a' }, annotations: { note: 'b' } } };
  return { apiVersion: API_VERSION, kind: 'ClusterCertificate', metadata, spec };
}

/** A member's Secret, with more in its metadata than we have put there. */
function secret(name: string, data: Record<string, string>): KubeObject {
  const { labels, annotations } = memberMetadata({ namespace: 'ns', name: 'mesh' }, name, `uid-${name}`, 'Retain', 7);
  return {
    metadata: {
      name,
      namespace: 'ns',
      uid: `secret-${name}`,
      resourceVersion: '1',
      labels: { ...labels, team: 'a', other: 'x' },
      annotations: { ...annotations, note: 'b', large: 'x'.repeat(200_000) },
      finalizers: ['example.com/mine'],
    },
    type: 'kubernetes.io/tls',
    data,
  };
}

async function content(): Promise<Record<string, string>> {
  const authority = await makeAuthority('mesh G1');
  const { certificate: leaf, key } = await makeLeaf(authority, 'a');
  return { 'tls.crt': base64(leaf), 'tls.key': base64(key), 'ca.crt': base64(authority.certificate.pem) };
}

function authority(name: string): KubeObject {
  const metadata = { name, namespace: 'ns', uid: `ca-${name}`, resourceVersion: '1', generation: 1 };
  return { apiVersion: API_VERSION, kind: 'ReplicationCA', metadata, spec: {} };
}

/** As a ledger of this CA is kept; its roster is as large as `members` makes it. */
function ledgerOf(ca: string, members = 0, name = `${ca}-ledger`): KubeObject {
  const roster = new Map(
    Array.from({ length: members }, (_, i) => [
      memberKey('ns', `member-number-${i}`),
      { uid: `0123456789-${i}`, leaf: null, bundle: [], since: 1, grant: null },
    ]),
  );
  const object = ledgerSecret({ namespace: 'ns', name: ca }, { ...emptyLedger('2026-01-01T00:00:00Z'), roster });
  return { ...object, metadata: { ...object.metadata, name, uid: `ledger-${name}`, resourceVersion: '1' } };
}

async function look(objects: Parameters<typeof serve>[1]) {
  void serve(server, objects);
  const marks: (readonly [Kind, string])[] = [];
  const world = new World({
    client: server.client(),
    namespaces: ['ns'],
    mark: (kind, key) => void marks.push([kind, key]),
    log: silent,
  });
  world.start();
  await world.whenSettled(AbortSignal.timeout(10_000));
  return { world, marks };
}

test('a Secret is read when its certificate asks for it; of one that nobody asks for only its place is kept', async () => {
  const data = await content();
  const { world, marks } = await look({
    clustercertificates: [certificate('a')],
    secrets: [secret('a', data), secret('b', data)],
  });
  const order = server.log.filter((line) => !line.includes('watch=true')).map((line) => line.split('/').at(-1));
  expect(order.at(-1)).toMatch(/^secrets\?limit=100&labelSelector=/);

  const read = world.secrets.get('ns/a');
  expect(read).toMatchObject({ kind: 'member', epoch: 7, content: { keyMatches: true } });
  const ours = Object.values(ANNOTATIONS);
  if (read?.kind !== 'member') throw new Error('it was not read');
  expect(Object.keys(read.labels).filter((key) => !key.includes('/'))).toEqual(['team']);
  expect(Object.keys(read.annotations).filter((key) => !ours.some((each) => each === key))).toEqual(['note']);
  expect(read.meta.finalizers).toEqual({ count: 1, own: null });

  const kept = world.secrets.get('ns/b');
  expect(kept).toMatchObject({ kind: 'unclaimed', ca: 'ns/mesh', certificate: 'ns/b', epoch: 7 });
  expect(JSON.stringify(kept).length).toBeLessThan(600);

  marks.length = 0;
  world.takeUp({ ...secret('b', data) });
  expect(world.secrets.get('ns/b')?.kind, 'still nobody asks for it').toBe('unclaimed');
  await world.stop();
});

test('of what others have written into annotations of ours, or as type, no more is kept than can be ours', async () => {
  const data = await content();
  const forged = (name: string) => {
    const raw = secret(name, data);
    const { 'replicert.io/epoch': epoch = '' } = raw.metadata.annotations ?? {};
    raw.metadata.annotations = { 'replicert.io/epoch': epoch, 'replicert.io/fingerprint': 'x'.repeat(200_000) };
    return { ...raw, type: 'x'.repeat(200_000) };
  };
  const { world } = await look({ clustercertificates: [certificate('a')], secrets: [forged('a'), forged('b')] });
  for (const name of ['a', 'b']) {
    const kept = world.secrets.get(`ns/${name}`);
    if (kept?.kind !== 'member' && kept?.kind !== 'unclaimed') throw new Error('it was not kept');
    expect(kept.epoch).toBe(7);
    expect(kept.annotations).toEqual({ 'replicert.io/epoch': '7' });
  }
  expect(world.secrets.get('ns/a')).toMatchObject({ kind: 'member', type: 'x'.repeat(253) });
  await world.stop();
});

test('of finalizers only what is acted on is kept, whoever has written them, and however many', async () => {
  const theirs = Array.from({ length: 10_000 }, (_, i) => `example.com/f${i}`);
  const finalizers = [...theirs, FINALIZER, 'example.com/last'];
  const metadata = { name: 'g', namespace: 'ns', uid: 'g', resourceVersion: '1', labels: generationLabels(MESH, 1) };
  const generation: KubeObject = { metadata, type: 'replicert.io/ca', data: {} };
  const member = certificate('a');
  for (const each of [generation, member]) each.metadata.finalizers = finalizers;
  const { world } = await look({ clustercertificates: [member], secrets: [generation] });
  const kept = [world.certificates.get('ns/a'), world.secrets.get('ns/g')];
  for (const each of kept) {
    expect(each?.meta.finalizers).toEqual({ count: 10_002, own: 10_000 });
    expect(JSON.stringify(each).length).toBeLessThan(1_000);
  }
  await world.stop();
});

test('of what stands in a ConfigMap that looks like a published bundle, only a digest is kept', async () => {
  const map = trustConfigMap(MESH, 'x'.repeat(1 << 20));
  Object.assign(map.metadata, { uid: 'trust', resourceVersion: '1' });
  const { world } = await look({ configmaps: [map] });
  const kept = world.trust(MESH);
  expect(kept?.bundleSha256).toBe(sha256('x'.repeat(1 << 20)));
  expect(JSON.stringify(kept).length).toBeLessThan(400);
  await world.stop();
});

test('a ledger is read when its CA is there; of one that has none, or another name, only its place is kept', async () => {
  const { world } = await look({
    replicationcas: [authority('mesh')],
    secrets: [ledgerOf('mesh', 100), ledgerOf('ghost', 100), ledgerOf('mesh', 100, 'forged')],
  });
  const order = server.log.filter((line) => !line.includes('watch=true')).map((line) => line.split('/').at(-1));
  expect(order.at(-1)).toMatch(/^secrets\?limit=100&labelSelector=/);
  expect(world.secrets.get('ns/mesh-ledger')).toMatchObject({ kind: 'ledger', ca: 'ns/mesh', ledger: { epoch: 1 } });
  expect(world.secrets.get('ns/ghost-ledger')).toMatchObject({ kind: 'unclaimedLedger', ca: 'ns/ghost' });
  expect(world.secrets.get('ns/forged')).toMatchObject({ kind: 'stray', ca: 'ns/mesh' });
  for (const name of ['ghost-ledger', 'forged'])
    expect(JSON.stringify(world.secrets.get(`ns/${name}`)).length).toBeLessThan(300);
  await world.stop();
});

test('a ledger that was there before its CA, as one that was kept when that was deleted, is taken up when it is asked for', async () => {
  const watches = new Map<string, Arrival>();
  void serve(server, { secrets: [ledgerOf('mesh')] }, watches);
  const client = server.client();
  const world = new World({ client, namespaces: ['ns'], mark: () => {}, log: silent });
  const ledgers = new Ledgers(client, world);
  world.start();
  await world.whenSettled(AbortSignal.timeout(10_000));
  expect(ledgers.cached(MESH)).toBeNull();
  expect(await ledgers.live(MESH), 'there is nobody whose it could be').toBeNull();
  await expect.poll(() => watches.has('replicationcas')).toBe(true);
  watches.get('replicationcas')?.event('ADDED', authority('mesh'));
  await expect.poll(() => world.cas.get('ns/mesh')).toBeDefined();
  expect(await ledgers.live(MESH)).toMatchObject({ kind: 'ledger', ledger: { epoch: 1 } });
  expect(ledgers.cached(MESH), 'and stays read').not.toBeNull();
  await world.stop();
});

test('one that was there before its certificate is taken up when that comes', async () => {
  const data = await content();
  const watches = new Map<string, Arrival>();
  void serve(server, { secrets: [secret('b', data)] }, watches);
  const marks: string[] = [];
  const mark = (kind: Kind, key: string) => void marks.push(`${kind} ${key}`);
  const world = new World({ client: server.client(), namespaces: ['ns'], mark, log: silent });
  world.start();
  await world.whenSettled(AbortSignal.timeout(10_000));
  expect(world.secrets.get('ns/b')?.kind).toBe('unclaimed');
  await expect.poll(() => watches.has('clustercertificates')).toBe(true);
  watches.get('clustercertificates')?.event('ADDED', certificate('b'));
  await expect.poll(() => world.certificates.get('ns/b')).toBeDefined();
  marks.length = 0;
  world.takeUp(secret('b', data));
  expect(world.secrets.get('ns/b')).toMatchObject({ kind: 'member', content: { keyMatches: true } });
  expect(marks, 'whoever waits for it looks again').toEqual(['ReplicationCA ns/mesh']);
  const newer = secret('b', data);
  newer.metadata.resourceVersion = '2';
  await expect.poll(() => watches.has('secrets')).toBe(true);
  watches.get('secrets')?.event('MODIFIED', newer);
  await expect.poll(() => world.secrets.get('ns/b')?.meta.resourceVersion).toBe('2');
  expect(world.secrets.get('ns/b')?.kind).toBe('member');
  await world.stop();
});

test('a Secret that says that it is a member of a CA elsewhere wakes that CA only if the CA knows that member, or is asked to', async () => {
  const watches = new Map<string, Arrival>();
  const home = { namespace: 'home', name: 'mesh' };
  /** What a tenant writes in its own namespace. */
  const says = (name: string, of = home): KubeObject => {
    const { labels, annotations } = memberMetadata(of, name, `uid-${name}`, 'Retain', 7);
    const metadata = { name, namespace: 'ns', uid: `secret-${name}`, resourceVersion: '1', labels, annotations };
    return { metadata, type: 'kubernetes.io/tls', data: {} };
  };
  const asking = certificate('asks');
  Object.assign(asking, { spec: { caRef: { name: 'mesh', namespace: 'home' } } });
  void serve(server, { replicationcas: [authority('mesh')], clustercertificates: [asking] }, watches);
  const marks: string[] = [];
  const mark = (kind: Kind, key: string) => void marks.push(`${kind} ${key}`);
  const world = new World({ client: server.client(), namespaces: ['ns'], mark, log: silent });
  world.start();
  await world.whenSettled(AbortSignal.timeout(10_000));
  // The CA and its ledger, whose roster has one of whom there is no certificate any more.
  world.cas.remember({ ...authority('mesh'), metadata: { ...authority('mesh').metadata, namespace: 'home' } });
  const entry = { uid: 'u', leaf: null, bundle: [], since: 1, grant: null };
  const ledger = { ...emptyLedger('2026-01-01T00:00:00Z'), roster: new Map([[memberKey('ns', 'known'), entry]]) };
  const { metadata, ...rest } = ledgerSecret(home, ledger);
  world.secrets.remember({ ...rest, metadata: { ...metadata, uid: 'ledger', resourceVersion: '1' } });
  await expect.poll(() => watches.has('secrets')).toBe(true);
  const woken = async (secret: KubeObject, ca = 'home/mesh'): Promise<boolean> => {
    marks.length = 0;
    watches.get('secrets')?.event('ADDED', secret);
    await expect.poll(() => world.secrets.get(`ns/${secret.metadata.name}`)).toBeDefined();
    return marks.includes(`ReplicationCA ${ca}`);
  };
  expect(await woken(says('forged'))).toBe(false);
  expect(await woken(says('known')), 'in the roster').toBe(true);
  expect(await woken(says('asks')), 'its certificate names the CA').toBe(true);
  // Beside the CA it may be a witness against a ledger that was restored.
  expect(await woken(says('restored', MESH), 'ns/mesh')).toBe(true);
  expect(await woken(says('nobody', { ...MESH, name: 'ghost' }), 'ns/ghost'), 'there is no such CA').toBe(false);
  await world.stop();
});

test.each([
  ['a generation', 'its role', { [LABELS.role]: undefined }],
  ['a generation', 'its CA', { [LABELS.ca]: 'other' }],
  ['a generation', 'the role of a member of nobody', { [LABELS.role]: 'member', [LABELS.certificate]: 'nobody' }],
  ['the ledger', 'its role', { [LABELS.role]: undefined }],
  ['the ledger', 'its CA', { [LABELS.ca]: 'other' }],
  ['the ledger', 'the role of a generation', { [LABELS.role]: 'generation' }],
])('%s of which a label is spoilt wakes its CA: %s', async (what, _, spoilt) => {
  const watches = new Map<string, Arrival>();
  const generation: KubeObject = {
    metadata: { name: 'g', namespace: 'ns', uid: 'g', resourceVersion: '1', labels: generationLabels(MESH, 1) },
    type: 'replicert.io/ca',
    data: {},
  };
  const good = what === 'the ledger' ? ledgerOf('mesh') : generation;
  void serve(server, { replicationcas: [authority('mesh')], secrets: [good] }, watches);
  const marks: string[] = [];
  const mark = (kind: Kind, key: string) => void marks.push(`${kind} ${key}`);
  const world = new World({ client: server.client(), namespaces: ['ns'], mark, log: silent });
  world.start();
  await world.whenSettled(AbortSignal.timeout(10_000));
  await expect.poll(() => watches.has('secrets')).toBe(true);
  marks.length = 0;
  const labels = Object.fromEntries(
    Object.entries({ ...good.metadata.labels, ...spoilt }).filter(
      (each): each is [string, string] => each[1] !== undefined,
    ),
  );
  const bad = { ...good, metadata: { ...good.metadata, resourceVersion: '2', labels } };
  watches.get('secrets')?.event('MODIFIED', bad);
  await expect.poll(() => world.secrets.get(`ns/${bad.metadata.name}`)?.meta.resourceVersion).toBe('2');
  expect(marks).toContain('ReplicationCA ns/mesh');
  await world.stop();
});

/** As it is started when shipped; and garbage is not to count, only what is kept. */
const WITH_LITTLE_HEAP = ['--max-semi-space-size=8', '--max-old-space-size=128'];
const many = <T>(count: number, make: (i: number) => T): readonly T[] =>
  Array.from({ length: count }, (_, i) => make(i));
/** As many as one object can have. */
const THEIRS = many(20_000, (i) => `example.com/f${i}-${'x'.repeat(30)}`);

function filled(object: KubeObject, i: number, finalizers: readonly string[] = []): KubeObject {
  const name = `${object.metadata.name}${i}`;
  const metadata = { ...object.metadata, name, uid: name, resourceVersion: '1', finalizers: [...finalizers] };
  return { ...object, metadata };
}

test.each([
  [
    'Secrets of members',
    () => ({ secrets: many(300, (i) => secret(`s${i}`, { 'tls.crt': base64('x'.repeat(1 << 20)) })) }),
  ],
  [
    'ledgers',
    () => {
      const large = ledgerOf('mesh', 12_000);
      const labels = (i: number) => ({ ...large.metadata.labels, [LABELS.ca]: `m${i}` });
      return {
        secrets: many(300, (i) => ({
          ...large,
          metadata: { ...large.metadata, name: `m${i}-ledger`, uid: `m${i}`, labels: labels(i) },
        })),
      };
    },
  ],
  [
    'generations with finalizers',
    () => {
      const metadata = { name: 'g', namespace: 'ns', labels: generationLabels(MESH, 1) };
      return { secrets: many(300, (i) => filled({ metadata, type: 'replicert.io/ca', data: {} }, i, THEIRS)) };
    },
  ],
  [
    'ClusterCertificates with finalizers',
    () => ({ clustercertificates: many(300, (i) => filled(certificate('c'), i, THEIRS)) }),
  ],
  ['bundles', () => ({ configmaps: many(300, (i) => filled(trustConfigMap(MESH, 'x'.repeat(1 << 20)), i)) })],
])(
  'a namespace full of large objects is read in less than 256 MiB: %s',
  async (_, make) => {
    void serve(server, make());
    const script = fileURLToPath(new URL('world-process.ts', import.meta.url));
    const child = spawn(process.execPath, [...WITH_LITTLE_HEAP, script, server.url], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(server.ca);
    const { kept, maxRssMiB } = JSON.parse(await text(child.stdout)) as { kept: number; maxRssMiB: number };
    console.log(`${kept} objects, at most ${maxRssMiB} MiB`);
    expect(kept).toBe(300);
    expect(maxRssMiB).toBeLessThan(256);
  },
  120_000,
);
