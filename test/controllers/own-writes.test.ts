/** Which changes are looked at by whom: one that nobody looks at is never acted on. */
import { expect, test } from 'vitest';
import { API_VERSION, type Kind } from '../../src/api/names.ts';
import { World } from '../../src/controllers/shared/world.ts';
import { ApiError, type Client, type KubeObject, type Resource } from '../../src/runtime/client.ts';

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

/** A world of one object, whose watch breaks when the test says so, and what is marked in it. */
async function look(kind: Kind) {
  const stored = { object: object(kind, 1) };
  const broken = Promise.withResolvers<never>();
  const lists: PromiseWithResolvers<void>[] = [Promise.withResolvers(), Promise.withResolvers()];
  const client = {
    listPage: async (resource: Resource) => ({
      items: resource.kind === kind ? [stored.object] : [],
      resourceVersion: '1',
      continue: null,
    }),
    watch: async (resource: Resource) => {
      if (resource.kind !== kind) return new Promise<void>(() => {});
      lists.shift()?.resolve();
      return lists.length === 1 ? broken.promise : new Promise<void>(() => {});
    },
  };
  const marked: string[] = [];
  const world = new World({
    client: client as unknown as Client,
    namespaces: ['ns'],
    mark: (which, key) => void marked.push(`${which} ${key}`),
    log: silent,
  });
  const [first, second] = lists;
  world.start();
  await first?.promise;
  marked.length = 0;
  const views = { ReplicationCA: world.cas, ClusterCertificate: world.certificates, ReplicationPeer: world.peers };
  return {
    /** We write, and are answered with this; then the watch breaks, and the next list shows the same. */
    async writeAndList(answer: KubeObject): Promise<readonly string[]> {
      views[kind].remember(answer);
      stored.object = answer;
      broken.reject(new ApiError('watch', 410, 'Expired', 'too old'));
      await second?.promise;
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
