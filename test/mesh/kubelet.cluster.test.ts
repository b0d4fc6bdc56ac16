import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testCluster } from '../support/cluster.ts';
import { type Snapshot, followSnapshots } from './files.ts';
import { spawnKubelet } from './spawn.ts';

const cluster = testCluster();
let dir: string;
let namespace: string;
let stop: () => Promise<void>;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'kubelet-'));
  namespace = await cluster.namespace('kubelet');
  stop = spawnKubelet({ kubeconfig: cluster.kubeconfig, namespace, secret: 'a', dir, lag: [50, 300] });
});
afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
});

function secret(name: string, version: string): object {
  const stringData = { 'ca.crt': version, 'tls.crt': version, 'tls.key': version };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData };
}

test('a Secret reaches the folder as a whole and late, the newest version last; another Secret and a deletion do not', async () => {
  const seen: Snapshot[] = [];
  const changed = new EventTarget();
  const follow = await followSnapshots(dir, (snapshot) => {
    seen.push(snapshot);
    changed.dispatchEvent(new Event('snapshot'));
  });
  const arrives = async (version: string): Promise<void> => {
    while (seen.at(-1)?.bundle !== version) {
      await new Promise((resolve) => changed.addEventListener('snapshot', resolve, { once: true }));
    }
  };
  await cluster.apply(secret('other', 'other'), secret('a', '1'));
  await arrives('1');
  for (const version of ['2', '3', '4', '5']) await cluster.apply(secret('a', version));
  await arrives('5');
  await cluster.kubectl(['delete', 'secret', 'a', '-n', namespace]);
  expect(await readFile(path.join(dir, 'tls.key'), 'utf8')).toBe('5');
  await cluster.apply(secret('a', '6'));
  await arrives('6');
  follow();
  for (const { bundle, certificate, key } of seen) expect([certificate, key]).toEqual([bundle, bundle]);
  const order = seen.map(({ bundle }) => Number(bundle));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});
