import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../src/runtime/client.ts';
import { type Change, Informer, type InformerOptions } from '../../src/runtime/informer.ts';
import { FakeApiServer } from './fake-apiserver.ts';
import { FakeClock } from './fake-clock.ts';

const THING = { group: 'test', version: 'v1', plural: 'things', kind: 'Thing' };

/** A thing whose value is its spec. */
function thing(name: string, resourceVersion: string, value: number, uid = `uid-${name}`) {
  return { metadata: { namespace: 'ns', name, uid, resourceVersion, managedFields: [{}] }, spec: { value } };
}

function keep(raw: KubeObject): number {
  const { spec } = raw;
  if (typeof spec !== 'object' || spec === null || !('value' in spec) || typeof spec.value !== 'number') {
    throw new TypeError('a thing needs a value');
  }
  return spec.value;
}

let server: FakeApiServer;
let clock: FakeClock;
let changes: Change<number>[];
let logged: unknown[];
let informer: Informer<number>;

function follow(options: Partial<InformerOptions<number>> = {}): Informer<number> {
  const note = (fields: unknown) => logged.push(fields);
  informer = new Informer({
    client: server.client(),
    resource: THING,
    keep,
    onChange: (change) => changes.push(change),
    log: { debug: note, warn: note, error: note },
    clock,
    ...options,
  });
  informer.start();
  return informer;
}

/** Answers the first list and the watch after it. */
async function begin(...items: object[]) {
  (await server.next()).page('10', items);
  const watch = await server.next();
  expect(watch.query.get('resourceVersion')).toBe('10');
  return watch;
}

/** Resolves when the informer has told of so many changes. */
async function told(count: number): Promise<Change<number>[]> {
  while (changes.length < count) await new Promise((resolve) => setImmediate(resolve));
  return changes.splice(0);
}

/** What the informer holds, by name. */
function store(): Record<string, number> {
  const held: Record<string, number> = {};
  for (const name of ['a', 'b', 'c']) {
    const value = informer.get(`ns/${name}`);
    if (value !== undefined) held[name] = value;
  }
  return held;
}

beforeEach(async () => {
  server = await FakeApiServer.start();
  clock = new FakeClock();
  changes = [];
  logged = [];
});
afterEach(async () => {
  await informer.stop();
  await server.stop();
});

describe('an informer', () => {
  it('lists, then watches, and tells what was there from what happens', async () => {
    follow({ namespace: 'ns', labelSelector: 'x=y' });
    expect(informer.synced).toBe(false);
    const list = await server.next();
    expect(list.path).toBe('/apis/test/v1/namespaces/ns/things');
    expect(Object.fromEntries(list.query)).toEqual({ limit: '500', labelSelector: 'x=y' });
    list.page('9', [thing('a', '1', 1)], 'next');
    const page = await server.next();
    page.page('10', [thing('b', '2', 2)]);
    const watch = await server.next();
    expect(Object.fromEntries(watch.query)).toMatchObject({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: '10',
      labelSelector: 'x=y',
    });
    await informer.whenSynced();
    expect(await told(2)).toEqual([
      { key: 'ns/a', before: undefined, after: 1, initial: true },
      { key: 'ns/b', before: undefined, after: 2, initial: true },
    ]);
    watch.event('MODIFIED', thing('a', '11', 3));
    watch.event('ADDED', thing('c', '12', 4));
    watch.event('DELETED', thing('b', '13', 2));
    expect(await told(3)).toEqual([
      { key: 'ns/a', before: 1, after: 3, initial: false },
      { key: 'ns/c', before: undefined, after: 4, initial: false },
      { key: 'ns/b', before: 2, after: undefined, initial: false },
    ]);
    expect([...informer.list()]).toEqual([3, 4]);
    expect(informer.size).toBe(2);
  });

  it('gives the items of a list the kind that events have', async () => {
    const kinds: unknown[] = [];
    follow({
      keep: (raw) => {
        kinds.push([raw.apiVersion, raw.kind]);
        return 0;
      },
    });
    const watch = await begin(thing('a', '1', 1));
    watch.event('ADDED', { apiVersion: 'test/v1', kind: 'Thing', ...thing('b', '11', 1) });
    await told(2);
    expect(kinds).toEqual([
      ['test/v1', 'Thing'],
      ['test/v1', 'Thing'],
    ]);
  });

  it('asks for watches of 4 to 9 minutes', async () => {
    for (const chance of [0, 0.9999]) {
      clock.chance = chance;
      follow();
      const watch = await begin();
      expect(watch.query.get('timeoutSeconds')).toBe(chance === 0 ? '240' : '539');
      await informer.stop();
    }
  });

  it('resumes a watch that the server ended from the last version, at once', async () => {
    follow();
    const watch = await begin();
    watch.event('ADDED', thing('a', '11', 1));
    watch.end();
    const again = await server.next();
    expect(again.query.get('resourceVersion')).toBe('11');
    expect(clock.monotonic()).toBe(0);
  });

  it('resumes at the version of the last bookmark, if there was nothing else', async () => {
    follow();
    const watch = await begin();
    watch.bookmark('50');
    watch.bookmark('60');
    watch.end();
    expect((await server.next()).query.get('resourceVersion')).toBe('60');
    expect(changes).toEqual([]);
  });

  it('resumes a watch that was cut, after a pause', async () => {
    follow();
    const watch = await begin();
    watch.event('ADDED', thing('a', '11', 1));
    await told(1);
    watch.cut();
    expect(await clock.elapse()).toBe(375);
    expect((await server.next()).query.get('resourceVersion')).toBe('11');
  });

  it('does not spin on a server that ends every watch at once', async () => {
    follow();
    (await begin()).end();
    const pauses = [];
    for (let i = 0; i < 10; i++) {
      pauses.push(await clock.elapse());
      (await server.next()).end();
    }
    expect(pauses.slice(0, 4)).toEqual([375, 750, 1500, 3000]);
    expect(Math.max(...pauses)).toBe(22_500);
  });

  it('waits longer after each failure, and starts over once a watch has told something', async () => {
    follow();
    (await begin()).cut();
    const pauses = [await clock.elapse()];
    (await server.next()).refuse(500, 'InternalError', 'etcd');
    pauses.push(await clock.elapse());
    const watch = await server.next();
    watch.bookmark('20');
    watch.cut();
    pauses.push(await clock.elapse());
    await server.next();
    expect(pauses).toEqual([375, 750, 375]);
  });

  it('survives credentials that expire: the next ones are fetched, and nothing is missed', async () => {
    let token = 'old';
    follow({ client: server.client({ credentials: async () => server.credentials(token) }) });
    (await begin(thing('a', '1', 1))).end();
    token = 'new';
    await clock.elapse();
    (await server.next()).refuse(401, 'Unauthorized', 'Unauthorized');
    const watch = await server.next();
    expect(watch.headers['authorization']).toBe('Bearer new');
    expect(watch.query.get('resourceVersion')).toBe('10');
    watch.event('MODIFIED', thing('a', '11', 2));
    expect(await told(2)).toHaveLength(2);
  });

  it('survives credentials that cannot be had', async () => {
    let broken = true;
    const credentials = async () => {
      if (broken) throw new Error('the plug-in failed');
      return server.credentials();
    };
    follow({ client: server.client({ credentials }) });
    await clock.elapse();
    broken = false;
    await clock.elapse();
    (await server.next()).page('10', []);
    await informer.whenSynced();
    expect(logged).toHaveLength(2);
  });

  it('keeps trying when the very first list fails, and stays unsynced', async () => {
    follow();
    for (let i = 0; i < 3; i++) {
      (await server.next()).refuse(403, 'Forbidden', 'not allowed');
      expect(informer.synced).toBe(false);
      await clock.elapse();
    }
    (await server.next()).page('10', [thing('a', '1', 1)]);
    await informer.whenSynced();
    expect(store()).toEqual({ a: 1 });
    expect(logged).toHaveLength(3);
  });

  it('tells that it is forbidden to read, and when it is not any more: in the first list, and in a watch', async () => {
    const standing: string[] = [];
    follow({
      onStanding: () =>
        standing.push(`${informer.synced ? 'synced' : 'unread'}${informer.unreadable === null ? '' : ', unreadable'}`),
    });
    for (let i = 0; i < 2; i++) {
      (await server.next()).refuse(403, 'Forbidden', 'not allowed');
      await clock.elapse();
    }
    expect(standing.splice(0)).toEqual(['unread, unreadable']);
    const watch = await begin(thing('a', '1', 1));
    expect(standing.splice(0)).toEqual(['synced, unreadable', 'synced']);
    watch.bookmark('11');
    watch.end();
    (await server.next()).refuse(403, 'Forbidden', 'not allowed any more');
    await clock.elapse();
    expect(standing.splice(0)).toEqual(['synced, unreadable']);
    expect(store()).toEqual({ a: 1 });
    (await server.next()).bookmark('20');
    while (standing.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(standing).toEqual(['synced']);
  });
});

describe('a server that has no list to give', () => {
  it('makes it unreadable in the end, by its own words, until it has one', async () => {
    const standing: string[] = [];
    follow({ onStanding: () => standing.push(informer.unreadable?.message ?? 'none') });
    for (let i = 0; i < 4; i++) {
      expect(standing).toEqual([]);
      (await server.next()).refuse(400, 'BadRequest', 'cannot be decrypted');
      await clock.elapse();
    }
    expect(standing.splice(0)).toEqual([expect.stringContaining('cannot be decrypted')]);
    expect(informer.unreadable).toMatchObject({ forbidden: false });
    await begin(thing('a', '1', 1));
    expect(standing).toEqual([expect.stringContaining('cannot be decrypted'), 'none']);
  });
});

describe('a gap', () => {
  it.each([
    [
      'a 410 as an event',
      (watch: Awaited<ReturnType<typeof begin>>) =>
        watch.event('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }),
    ],
    ['a malformed line', (watch: Awaited<ReturnType<typeof begin>>) => watch.raw('{"type":"ADDED","obj\n')],
  ])('after %s is closed by a list: what was missed is told, what is the same is not', async (_, breakIt) => {
    follow();
    const watch = await begin(thing('a', '1', 1), thing('b', '2', 2), thing('c', '3', 3));
    await told(3);
    breakIt(watch);
    expect(await clock.elapse()).toBe(375);
    const list = await server.next();
    expect(list.query.get('limit')).toBe('500');
    list.page('100', [thing('a', '1', 1), thing('b', '90', 20)]);
    expect((await server.next()).query.get('resourceVersion')).toBe('100');
    expect(await told(2)).toEqual([
      { key: 'ns/b', before: 2, after: 20, initial: false },
      { key: 'ns/c', before: 3, after: undefined, initial: false },
    ]);
    expect(store()).toEqual({ a: 1, b: 20 });
  });

  it('is also a 410 instead of a stream', async () => {
    follow();
    (await begin()).end();
    await clock.elapse();
    (await server.next()).refuse(410, 'Expired', 'too old');
    await clock.elapse();
    expect((await server.next()).query.get('limit')).toBe('500');
  });

  it('in which an object was deleted and created again shows as two changes', async () => {
    follow();
    const watch = await begin(thing('a', '1', 1));
    await told(1);
    watch.event('ERROR', { kind: 'Status', code: 410, reason: 'Expired' });
    await clock.elapse();
    (await server.next()).page('100', [thing('a', '99', 2, 'another')]);
    expect(await told(2)).toEqual([
      { key: 'ns/a', before: 1, after: undefined, initial: false },
      { key: 'ns/a', before: undefined, after: 2, initial: false },
    ]);
  });

  it('in the middle of a list begins the list again', async () => {
    follow();
    (await server.next()).page('9', [thing('a', '1', 1), thing('b', '2', 2)], 'next');
    (await server.next()).refuse(410, 'Expired', 'token too old');
    await clock.elapse();
    const again = await server.next();
    expect(again.query.has('continue')).toBe(false);
    expect(informer.synced).toBe(false);
    again.page('20', [thing('b', '2', 2), thing('c', '19', 3)]);
    await informer.whenSynced();
    expect(store()).toEqual({ b: 2, c: 3 });
  });

  it('is not made by a failed page: that page is asked for again', async () => {
    const quick = new FakeClock();
    follow({ client: server.client({ clock: quick }) });
    (await server.next()).page('9', [thing('a', '1', 1)], 'next');
    (await server.next()).refuse(403, 'Forbidden', 'for a moment');
    await clock.elapse();
    const page = await server.next();
    expect(page.query.get('continue')).toBe('next');
    page.page('9', [thing('b', '2', 2)]);
    await informer.whenSynced();
    expect(store()).toEqual({ a: 1, b: 2 });
  });
});

describe('code that throws', () => {
  it('in keep keeps the one object out, and nothing else', async () => {
    follow();
    const watch = await begin(thing('a', '1', 1), { ...thing('b', '2', 2), spec: null });
    watch.event('ADDED', { ...thing('c', '11', 3), spec: {} });
    watch.event('MODIFIED', thing('b', '12', 4));
    expect((await told(2)).map(({ key }) => key)).toEqual(['ns/a', 'ns/b']);
    expect(store()).toEqual({ a: 1, b: 4 });
    expect(logged).toHaveLength(2);
    watch.event('MODIFIED', { ...thing('b', '13', 2), spec: null });
    expect(await told(1)).toEqual([{ key: 'ns/b', before: 4, after: undefined, initial: false }]);
  });

  it('in onChange is logged, and the store goes on', async () => {
    follow({
      onChange: (change) => {
        changes.push(change);
        throw new Error('handler');
      },
    });
    const watch = await begin(thing('a', '1', 1));
    watch.event('MODIFIED', thing('a', '11', 2));
    await told(2);
    expect(store()).toEqual({ a: 2 });
    expect(logged).toHaveLength(2);
  });
});

describe('stop', () => {
  it('during a list ends it, and no request follows', async () => {
    follow();
    const list = await server.next();
    await informer.stop();
    await list.closed;
    expect(server.log).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it('between two pages asks for no other', async () => {
    follow({ onChange: () => void informer.stop() });
    (await server.next()).page('9', [thing('a', '1', 1)], 'next');
    await informer.stop();
    expect(server.log).toHaveLength(1);
  });

  it('during a watch ends the stream', async () => {
    follow();
    const watch = await begin();
    await informer.stop();
    await watch.closed;
    expect(server.log).toHaveLength(2);
    expect(logged).toEqual([]);
  });

  it('during a pause ends the pause', async () => {
    follow();
    (await begin()).end();
    while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
    await informer.stop();
    expect(clock.pending).toBe(0);
    expect(server.log).toHaveLength(2);
  });

  it('before the start keeps it from starting, and who waits for the first list is told', async () => {
    follow();
    const waiting = informer.whenSynced();
    const given = informer.whenSynced(AbortSignal.abort(new Error('impatient')));
    await expect(given).rejects.toThrow('impatient');
    await Promise.all([informer.stop(), expect(waiting).rejects.toThrow('was stopped')]);
    const never = new Informer({ client: server.client(), resource: THING, keep, onChange: () => {} });
    await never.stop();
    never.start();
    await never.stop();
    expect(server.log.length).toBeLessThan(2);
  });
});
