/** What is read of Secrets, and in which order: by real requests. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ANNOTATIONS, API_VERSION, FINALIZER, type Kind } from '../../src/api/names.ts';
import { generationLabels, memberMetadata, sha256, trustConfigMap } from '../../src/controllers/shared/secrets.ts';
import { World } from '../../src/controllers/shared/world.ts';
import type { KubeObject } from '../../src/runtime/client.ts';
import { makeAuthority, makeLeaf } from '../probe/pki.ts';
import { type Arrival, FakeApiServer } from '../runtime/fake-apiserver.ts';
import { serve } from './serving.ts';

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

const MESH = { namespace: 'ns', name: 'mesh' };

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
  const kept = world.trusts.get('ns/mesh-trust');
  expect(kept?.bundleSha256).toBe(sha256('x'.repeat(1 << 20)));
  expect(JSON.stringify(kept).length).toBeLessThan(400);
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

test('a namespace full of Secrets of 1 MiB is read in less than 256 MiB', async () => {
  const large = { 'tls.crt': base64('x'.repeat(1 << 20)) };
  const secrets = Array.from({ length: 300 }, (_, i) => secret(`s${i}`, large));
  void serve(server, { secrets });
  const child = spawn(process.execPath, [fileURLToPath(new URL('world-process.ts', import.meta.url)), server.url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(server.ca);
  const { secrets: found, maxRssMiB } = JSON.parse(await text(child.stdout)) as { secrets: number; maxRssMiB: number };
  console.log(`${found} Secrets, at most ${maxRssMiB} MiB`);
  expect(found).toBe(300);
  expect(maxRssMiB).toBeLessThan(256);
}, 120_000);
