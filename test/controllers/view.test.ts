import { expect, test } from 'vitest';
import { ApiError, type KubeObject, type WatchEvent } from '../../src/runtime/client.ts';
import { CONFIG_MAPS } from '../../src/controllers/shared/resources.ts';
import { metaOf, type Seen, View } from '../../src/controllers/shared/view.ts';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function object(name: string, uid: string, resourceVersion: number, text = ''): KubeObject {
  return { metadata: { name, namespace: 'ns', uid, resourceVersion: String(resourceVersion) }, text };
}

/** A view of one namespace whose watch says what the test says. */
async function look() {
  const ready = Promise.withResolvers<(event: WatchEvent) => void>();
  const client = {
    listPage: async <T>() => ({ items: [] as T[], resourceVersion: '1', continue: null, limit: 500 }),
    watch: (_resource: object, _options: object, onEvent: (event: WatchEvent) => void) => {
      ready.resolve(onEvent);
      return new Promise<void>(() => {});
    },
  };
  const changes: Seen<ReturnType<typeof keep>>[] = [];
  let reads = 0;
  const keep = (raw: KubeObject) => {
    reads++;
    return { meta: metaOf(raw), text: raw['text'] };
  };
  const view = new View({
    client,
    resource: CONFIG_MAPS,
    namespaces: ['ns'],
    keep,
    onChange: (change) => changes.push(change),
    log: silent,
  });
  view.start();
  const event = await ready.promise;
  const tell = (type: 'ADDED' | 'MODIFIED' | 'DELETED', raw: KubeObject): void => event({ type, object: raw });
  return { view, tell, changes, reads: () => reads };
}

test('an own write is seen at once, until the watch has shown it or something newer', async () => {
  const { view, tell, changes } = await look();
  view.remember(object('a', 'u1', 2, 'own'));
  expect(view.get('ns/a')?.text).toBe('own');
  tell('ADDED', object('a', 'u1', 2, 'own'));
  expect(changes.at(-1)?.own).toBe(true);
  tell('MODIFIED', object('a', 'u1', 3, 'theirs'));
  expect(changes.at(-1)?.own).toBe(false);
  expect(view.get('ns/a')?.text).toBe('theirs');
  expect([...view.list()]).toHaveLength(1);
});

test('an own write is read once, whether answer or watch comes first', async () => {
  const { view, tell, reads } = await look();
  view.remember(object('a', 'u1', 2, 'own'));
  tell('ADDED', object('a', 'u1', 2, 'own'));
  expect(reads()).toBe(1);
  tell('MODIFIED', object('a', 'u1', 3, 'own'));
  expect(view.remember(object('a', 'u1', 3, 'own'))).toBe(view.get('ns/a'));
  expect(reads()).toBe(2);
});

test.each([
  ['older than', 9, undefined, [['ns/a', 'gone']]],
  ['newer than', 4, 'own', []],
])('an own write that is %s a list in which it is missing', async (_, listed, text, told) => {
  const versions = ['1', String(listed)];
  const broken = Promise.withResolvers<never>();
  const relisted = Promise.withResolvers<void>();
  const changes: [string, string][] = [];
  const view = new View({
    client: {
      listPage: async <T>() => ({
        items: [] as T[],
        resourceVersion: versions.shift() ?? '0',
        continue: null,
        limit: 500,
      }),
      watch: () => {
        if (versions.length > 0) return broken.promise;
        relisted.resolve();
        return new Promise<void>(() => {});
      },
    },
    resource: CONFIG_MAPS,
    namespaces: ['ns'],
    keep: (raw: KubeObject) => ({ meta: metaOf(raw), text: raw['text'] }),
    onChange: ({ key, after }) => changes.push([key, after === undefined ? 'gone' : 'there']),
    log: silent,
  });
  view.start();
  await new Promise((resolve) => setImmediate(resolve));
  view.remember(object('a', 'u1', 5, 'own'));
  broken.reject(new ApiError('watch', 410, 'Expired', 'too old'));
  await relisted.promise;
  expect(view.get('ns/a')?.text).toBe(text);
  expect(changes).toEqual(told);
});

test('an answer that comes after something newer was seen changes nothing', async () => {
  const { view, tell } = await look();
  tell('ADDED', object('a', 'u1', 2, 'old'));
  tell('MODIFIED', object('a', 'u1', 4, 'theirs'));
  view.remember(object('a', 'u1', 3, 'own'));
  expect(view.get('ns/a')?.text).toBe('theirs');
});

test('an answer that comes after the deletion was seen does not bring the object back', async () => {
  const { view, tell } = await look();
  tell('ADDED', object('a', 'u1', 2));
  tell('MODIFIED', object('a', 'u1', 3, 'own'));
  tell('DELETED', object('a', 'u1', 4));
  view.remember(object('a', 'u1', 3, 'own'));
  expect(view.get('ns/a')).toBeUndefined();
  expect([...view.list()]).toEqual([]);
  // One of the same name that was created since is another object.
  view.remember(object('a', 'u2', 5, 'anew'));
  expect(view.get('ns/a')?.text).toBe('anew');
});

test('an own write goes with the object, also before the watch has shown it', async () => {
  const { view, tell } = await look();
  tell('ADDED', object('a', 'u1', 2));
  view.remember(object('a', 'u1', 3, 'own'));
  tell('DELETED', object('a', 'u1', 4));
  expect(view.get('ns/a')).toBeUndefined();
});

test('an object that is shown again after it was out of sight, its label gone for a while, is known as before', async () => {
  const { view, tell } = await look();
  tell('ADDED', object('a', 'u1', 2));
  tell('DELETED', object('a', 'u1', 3));
  tell('ADDED', object('a', 'u1', 4));
  view.remember(object('a', 'u1', 5, 'own'));
  expect(view.get('ns/a')?.text).toBe('own');
});
