/** Which changes are looked at by whom: one that nobody looks at is never acted on. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { API_VERSION, type Kind } from '../../src/api/names.ts';
import { DEFINITIONS } from '../../src/api/objects.ts';
import { World } from '../../src/controllers/shared/world.ts';
import type { KubeObject } from '../../src/runtime/client.ts';
import { type Arrival, FakeApiServer } from '../runtime/fake-apiserver.ts';
import { serve } from './serving.ts';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const SPECS: Readonly<Record<Kind, object>> = {
  ReplicationCA: { commonName: 'mesh' },
  ClusterCertificate: { caRef: { name: 'mesh' } },
  ReplicationPeer: { members: [{ name: 'mesh' }] },
};

function object(kind: Kind, resourceVersion: number, change: object = {}): KubeObject {
  const metadata = {
    name: 'mesh',
    namespace: 'ns',
    uid: 'u1',
    resourceVersion: String(resourceVersion),
    generation: 1,
  };
  return { apiVersion: API_VERSION, kind, metadata: { ...metadata, ...change }, spec: SPECS[kind] };
}

let server: FakeApiServer;
beforeEach(async () => {
  server = await FakeApiServer.start();
});
afterEach(() => server.stop());

const TOO_OLD = { kind: 'Status', status: 'Failure', code: 410, reason: 'Expired', message: 'too old' };

/** A world of one object, whose watch breaks when the test says so, and what is marked in it. */
async function look(kind: Kind) {
  const { plural } = DEFINITIONS[kind].resource;
  const objects: Record<string, readonly KubeObject[]> = { [plural]: [object(kind, 1)] };
  const watches = new Map<string, Arrival>();
  void serve(server, objects, watches);
  const marked: string[] = [];
  const world = new World({
    client: server.client(),
    namespaces: ['ns'],
    mark: (which, key) => void marked.push(`${which} ${key}`),
    log: silent,
  });
  const views = { ReplicationCA: world.cas, ClusterCertificate: world.certificates, ReplicationPeer: world.peers };
  const watched = () => expect.poll(() => watches.has(plural), { timeout: 5_000 }).toBe(true);
  world.start();
  await world.whenSettled(AbortSignal.timeout(10_000));
  await watched();
  return {
    /** We write, and are answered with this; then the watch breaks, and the next list shows the same. */
    async writeAndList(answer: KubeObject): Promise<readonly string[]> {
      views[kind].remember(answer);
      objects[plural] = [answer];
      marked.length = 0;
      const broken = watches.get(plural);
      watches.delete(plural);
      broken?.event('ERROR', TOO_OLD);
      await watched();
      await world.stop();
      return marked;
    },
  };
}

const KINDS: readonly Kind[] = ['ReplicationCA', 'ClusterCertificate', 'ReplicationPeer'];

test.each(KINDS)('%s: what our own write shows is no news', async (kind) => {
  const watched = await look(kind);
  expect(await watched.writeAndList(object(kind, 2))).not.toContain(`${kind} ns/mesh`);
});

// The watch would have shown it first; a list after a break shows only what came of both.
test.each(
  KINDS.flatMap((kind) => [
    [
      kind,
      'was deleted',
      { generation: 2, deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['theirs'] },
    ] as const,
    [kind, 'was changed', { generation: 2 }] as const,
  ]),
)('%s: that it %s shortly before our own write is news all the same', async (kind, _, change) => {
  const watched = await look(kind);
  expect(await watched.writeAndList(object(kind, 3, change))).toContain(`${kind} ns/mesh`);
});
