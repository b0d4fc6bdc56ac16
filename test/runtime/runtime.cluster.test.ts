import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiError, type KubeObject, type ObjectMeta, type WatchEvent } from '../../src/runtime/client.ts';
import { loadClient } from '../../src/runtime/http-client.ts';
import { EventRecorder } from '../../src/runtime/events.ts';
import { withFinalizer } from '../../src/runtime/finalizers.ts';
import { type Change, Informer } from '../../src/runtime/informer.ts';
import { testCluster } from '../support/cluster.ts';

const cluster = testCluster();
const CONFIG_MAP = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' };
const EVENT = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event' };
const FINALIZER = 'test.replicert.io/hold';

interface ConfigMap {
  metadata: ObjectMeta;
  data?: Record<string, string>;
}

const client = loadClient({ kubeconfig: cluster.kubeconfig });
let namespace: string;
beforeAll(async () => {
  namespace = await cluster.namespace('runtime');
});
afterAll(() => client.close());

function configMap(name: string, data: Record<string, string> = {}, labels: Record<string, string> = {}): ConfigMap {
  return { metadata: { namespace, name, labels }, data };
}

async function failure(promise: Promise<unknown>): Promise<ApiError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ApiError) return error;
  throw new Error('no ApiError', { cause: error });
}

describe('the client, with a real API server', () => {
  it('creates, reads, updates, patches and deletes', async () => {
    const created = await client.create(CONFIG_MAP, configMap('crud', { a: '1' }));
    const ref = { namespace, name: 'crud' };
    expect(await client.get(CONFIG_MAP, ref)).toEqual(created);
    const updated = await client.update(CONFIG_MAP, { ...created, data: { a: '2' } });
    const stale = await failure(client.update(CONFIG_MAP, { ...created, data: { a: '3' } }));
    expect([stale.status, stale.reason]).toEqual([409, 'Conflict']);
    const taken = await failure(client.create(CONFIG_MAP, configMap('crud')));
    expect([taken.status, taken.reason]).toEqual([409, 'AlreadyExists']);
    const merged = await client.patch<ConfigMap>(CONFIG_MAP, ref, { type: 'merge', body: { data: { b: 'x' } } });
    expect(merged.data).toEqual({ a: '2', b: 'x' });
    const operations = [
      { op: 'test', path: '/data/a', value: '2' },
      { op: 'remove', path: '/data/a' },
    ] as const;
    expect((await client.patch<ConfigMap>(CONFIG_MAP, ref, { type: 'json', operations })).data).toEqual({ b: 'x' });
    expect((await failure(client.patch(CONFIG_MAP, ref, { type: 'json', operations }))).status).toBe(422);
    const body = configMap('crud', { c: 'z' });
    const applied = await client.patch<ConfigMap>(CONFIG_MAP, ref, { type: 'apply', body, fieldManager: 'test' });
    expect(applied.data).toEqual({ b: 'x', c: 'z' });
    const wrong = await failure(client.delete(CONFIG_MAP, ref, { resourceVersion: updated.metadata.resourceVersion }));
    expect([wrong.status, wrong.reason]).toEqual([409, 'Conflict']);
    const metadata = await client.getMetadata(CONFIG_MAP, ref);
    expect(Object.keys(metadata).sort()).toEqual(['apiVersion', 'kind', 'metadata']);
    await client.delete(CONFIG_MAP, ref, { uid: metadata.metadata.uid });
    expect((await failure(client.get(CONFIG_MAP, ref))).reason).toBe('NotFound');
  });

  it('is told about fields that the API server does not know', async () => {
    const error = await failure(client.create(CONFIG_MAP, { ...configMap('strict'), dta: {} }));
    expect(error).toMatchObject({ status: 400 });
    expect(error.message).toContain('unknown field "dta"');
  });

  it('receives bookmarks among the events of a watch', async () => {
    const events: WatchEvent[] = [];
    const elsewhere = await cluster.namespace('runtime');
    const { resourceVersion } = await client.list(CONFIG_MAP, { namespace });
    // Two seconds before it ends a stream, the API server sends a bookmark, if something was written meanwhile that the stream does not show.
    const options = { namespace, resourceVersion, timeoutSeconds: 4 };
    const begun = Promise.withResolvers<void>();
    const watch = client.watch(CONFIG_MAP, options, (event) => {
      events.push(event);
      begun.resolve();
    });
    await client.create(CONFIG_MAP, configMap('seen'));
    await begun.promise;
    await client.create(CONFIG_MAP, { metadata: { namespace: elsewhere, name: 'unseen' } });
    await watch;
    expect(events.map(({ type }) => type).slice(0, 2)).toEqual(['ADDED', 'BOOKMARK']);
  });
});

it('an informer follows more than one page, edits, deletions and re-creations', async () => {
  const count = 1_100;
  const labels = { informer: 'yes' };
  const names = Array.from({ length: count }, (_, i) => `object-${i}`);
  const work = names.values();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (const name of work) await client.create(CONFIG_MAP, configMap(name, { value: '0' }, labels));
    }),
  );
  const changes: Change<string>[] = [];
  let look = () => {};
  const informer = new Informer({
    client,
    resource: CONFIG_MAP,
    namespace,
    labelSelector: 'informer=yes',
    keep: ({ data }: KubeObject) => JSON.stringify(data),
    onChange: (change) => {
      changes.push(change);
      look();
    },
  });
  const told = async (expected: number) => {
    while (changes.length < expected) {
      await new Promise<void>((resolve) => {
        look = resolve;
      });
    }
    return changes.splice(0).map(({ key, before, after, initial }) => [key, before, after, initial]);
  };
  informer.start();
  await informer.whenSynced();
  const initial = await told(count);
  expect(initial).toHaveLength(count);
  expect(initial.every(([, before, , first]) => before === undefined && first === true)).toBe(true);

  const key = `${namespace}/object-7`;
  const ref = { namespace, name: 'object-7' };
  await client.patch(CONFIG_MAP, ref, { type: 'merge', body: { data: { value: '1' } } });
  expect(await told(1)).toEqual([[key, '{"value":"0"}', '{"value":"1"}', false]]);
  await client.delete(CONFIG_MAP, ref);
  await client.create(CONFIG_MAP, configMap('object-7', { value: '2' }, labels));
  expect(await told(2)).toEqual([
    [key, '{"value":"1"}', undefined, false],
    [key, undefined, '{"value":"2"}', false],
  ]);
  await client.patch(CONFIG_MAP, ref, { type: 'merge', body: { metadata: { labels: { informer: 'no' } } } });
  expect(await told(1)).toEqual([[key, '{"value":"2"}', undefined, false]]);
  expect(informer.size).toBe(count - 1);
  await informer.stop();
});

it('a finalizer holds an object until it is cleaned up, and leaves the entries of others alone', async () => {
  const held = { client, resource: CONFIG_MAP, finalizer: FINALIZER };
  const ref = { namespace, name: 'held' };
  const fresh = await client.create(CONFIG_MAP, configMap('held'));
  const cleaned: string[] = [];
  const pass = async (object: ConfigMap) => withFinalizer(held, object, async () => void cleaned.push('cleaned'));
  expect(await pass(fresh)).toBe(false);
  expect(await pass(await client.get(CONFIG_MAP, ref))).toBe(true);
  // Computed from what is no longer so: refused, not applied on top.
  expect((await failure(pass(fresh))).status).toBe(422);
  const body = { metadata: { finalizers: ['test.replicert.io/other', FINALIZER] } };
  await client.patch(CONFIG_MAP, ref, { type: 'merge', body });
  await client.delete(CONFIG_MAP, ref);
  expect(await pass(await client.get(CONFIG_MAP, ref))).toBe(false);
  const left = await client.get<ConfigMap>(CONFIG_MAP, ref);
  expect(left.metadata.finalizers).toEqual(['test.replicert.io/other']);
  expect(await pass(left)).toBe(false);
  expect(cleaned).toEqual(['cleaned']);
  await client.patch(CONFIG_MAP, ref, { type: 'merge', body: { metadata: { finalizers: null } } });
  expect((await failure(client.get(CONFIG_MAP, ref))).reason).toBe('NotFound');
});

it('events are accepted by the API server: first alone, then as a series', async () => {
  const regarding = { apiVersion: 'v1', kind: 'ConfigMap', ...(await client.create(CONFIG_MAP, configMap('told'))) };
  const recorder = new EventRecorder({
    client,
    reportingController: 'replicert.io/operator',
    reportingInstance: 'test-0',
    windowMs: 300,
  });
  const details = { type: 'Normal', reason: 'Told', action: 'Tell', note: `${'long '.repeat(300)}` } as const;
  recorder.record(regarding, details);
  recorder.record(regarding, details);
  recorder.record(regarding, details);
  const ended = new AbortController();
  const series: KubeObject[] = [];
  const options = { namespace, fieldSelector: 'reason=Told', resourceVersion: '0', timeoutSeconds: 20 };
  await client
    .watch(EVENT, { ...options, signal: ended.signal }, (event) => {
      if (event.type === 'BOOKMARK' || event.object['series'] === undefined) return;
      series.push(event.object);
      ended.abort();
    })
    .catch(() => {});
  expect(series[0]).toMatchObject({
    type: 'Normal',
    reason: 'Told',
    action: 'Tell',
    reportingController: 'replicert.io/operator',
    reportingInstance: 'test-0',
    regarding: { kind: 'ConfigMap', name: 'told', uid: regarding.metadata.uid },
    series: { count: 3 },
  });
  await recorder.stop();
  const { stdout } = await cluster.kubectl(['describe', 'configmap', 'told', '-n', namespace]);
  expect(stdout).toMatch(/Normal\s+Told/);
});
