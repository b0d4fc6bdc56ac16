import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ApiError,
  type Client,
  FencedError,
  isAlreadyExists,
  isConflict,
  isNotFound,
  type WatchEvent,
} from '../../src/runtime/client.ts';
import { FakeApiServer } from './fake-apiserver.ts';
import { FakeClock } from './fake-clock.ts';
import { failure, REF, THING } from './thing.ts';

const SECRET = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' };

let server: FakeApiServer;
let client: Client;
beforeEach(async () => {
  server = await FakeApiServer.start();
  client = server.client();
});
afterEach(() => server.stop());

describe('requests', () => {
  it('name the object by its path', async () => {
    const get = client.get(THING, REF);
    const arrival = await server.next();
    expect(arrival).toMatchObject({ method: 'GET', path: '/apis/test/v1/namespaces/ns/things/a', protocol: '2.0' });
    expect(arrival.headers).toMatchObject({
      authorization: 'Bearer good',
      accept: 'application/json',
      'user-agent': 'test',
    });
    arrival.json(200, { metadata: { name: 'a' }, when: '2026-01-01T00:00:00Z', unknown: { field: [1, null] } });
    expect(await get).toEqual({ metadata: { name: 'a' }, when: '2026-01-01T00:00:00Z', unknown: { field: [1, null] } });
  });

  it('put the core group and kinds without a namespace where the API server has them', async () => {
    const get = client.get({ ...SECRET, plural: 'namespaces' }, { name: 'x' });
    const arrival = await server.next();
    arrival.json(200, {});
    await get;
    expect(arrival.path).toBe('/api/v1/namespaces/x');
  });

  it('validate strictly what they write, and fill in apiVersion and kind', async () => {
    const create = client.create(THING, { metadata: REF });
    const post = await server.next();
    post.json(201, {});
    await create;
    expect(post).toMatchObject({
      method: 'POST',
      path: '/apis/test/v1/namespaces/ns/things',
      body: { apiVersion: 'test/v1', kind: 'Thing', metadata: REF },
    });
    const update = client.update(THING, { metadata: REF }, { subresource: 'status' });
    const put = await server.next();
    put.json(200, {});
    await update;
    expect(put).toMatchObject({ method: 'PUT', path: '/apis/test/v1/namespaces/ns/things/a/status' });
    for (const { query } of [post, put]) expect(query.get('fieldValidation')).toBe('Strict');
  });

  it.each([
    [{ type: 'merge', body: { a: null } }, 'application/merge-patch+json', { a: null }],
    [
      { type: 'json', operations: [{ op: 'remove', path: '/a' }] },
      'application/json-patch+json',
      [{ op: 'remove', path: '/a' }],
    ],
    [
      { type: 'apply', body: { metadata: REF }, fieldManager: 'me', force: true },
      'application/apply-patch+yaml',
      { apiVersion: 'test/v1', kind: 'Thing', metadata: REF },
    ],
  ] as const)('patch by %j', async (patch, contentType, body) => {
    const done = client.patch(THING, REF, patch);
    const arrival = await server.next();
    arrival.json(200, {});
    await done;
    expect(arrival).toMatchObject({ method: 'PATCH', body });
    expect(arrival.headers['content-type']).toBe(contentType);
    expect(arrival.query.get('fieldManager')).toBe(patch.type === 'apply' ? 'me' : null);
    expect(arrival.query.get('force')).toBe(patch.type === 'apply' ? 'true' : null);
  });

  it('delete this very object in this very state', async () => {
    const done = client.delete(THING, REF, { uid: 'u', resourceVersion: '7', propagationPolicy: 'Background' });
    const arrival = await server.next();
    arrival.json(200, {});
    await done;
    expect(arrival).toMatchObject({
      method: 'DELETE',
      body: { preconditions: { uid: 'u', resourceVersion: '7' }, propagationPolicy: 'Background' },
    });
  });

  it('ask for metadata alone', async () => {
    const done = client.getMetadata(SECRET, REF);
    const arrival = await server.next();
    arrival.json(200, {});
    await done;
    expect(arrival.headers['accept']).toBe('application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1');
  });

  it('share one connection', async () => {
    const calls = Promise.all(Array.from({ length: 20 }, () => client.get(THING, REF)));
    for (let i = 0; i < 20; i++) (await server.next()).json(200, {});
    await calls;
    expect(server.connections).toBe(1);
  });

  it('find another connection when theirs goes away, and finish what has begun', async () => {
    const slow = client.create(THING, { metadata: REF });
    const first = await server.next();
    first.goAway();
    const next = client.create(THING, { metadata: REF });
    const second = await server.next();
    second.json(201, { second: true });
    expect(await next).toEqual({ second: true });
    first.json(201, { first: true });
    expect(await slow).toEqual({ first: true });
    expect(second.connection).not.toBe(first.connection);
  });

  it('work over HTTP/1.1, too', async () => {
    const old = await FakeApiServer.start({ http2: false });
    const watch = old.client().watch(THING, { resourceVersion: '1', timeoutSeconds: 60 }, () => {});
    const stream = await old.next();
    stream.bookmark('2');
    const get = old.client().get(THING, REF);
    const arrival = await old.next();
    expect(arrival.protocol).toBe('1.1');
    arrival.json(200, {});
    await get;
    stream.end();
    await watch;
    await old.stop();
  });
});

describe('the clock of the API server', () => {
  it('is known by its last answer, to the client and to its fenced twin', async () => {
    const clock = new FakeClock();
    const client = server.client({ clock });
    expect(client.clockOffset).toBeNull();
    for (const [date, offset] of [
      ['Sun, 22 Nov 2026 12:10:00 GMT', 600_000],
      ['Sun, 22 Nov 2026 11:50:00 GMT', -600_000],
    ] as const) {
      const get = client.get(THING, REF);
      (await server.next()).json(200, {}, { date });
      await get;
      expect(client.clockOffset).toBeGreaterThanOrEqual(offset - 1_000);
      expect(client.clockOffset).toBeLessThanOrEqual(offset + 1_000);
    }
    const known = client.clockOffset;
    const get = client.get(THING, REF);
    (await server.next()).json(200, {}, { date: 'yesterday, about noon' });
    await get;
    expect(client.clockOffset).toBe(known);
    expect(client.fenced(() => true).clockOffset).toBe(client.clockOffset);
  });
});

describe('lists', () => {
  it('are read page by page', async () => {
    const list = client.list(THING, { namespace: 'ns', labelSelector: 'a=b,c' });
    const first = await server.next();
    expect(Object.fromEntries(first.query)).toEqual({ limit: '500', labelSelector: 'a=b,c' });
    first.page('5', [{ metadata: { name: 'a' } }], 'more');
    const second = await server.next();
    expect(second.query.get('continue')).toBe('more');
    second.page('5', [{ metadata: { name: 'b' } }]);
    expect(await list).toEqual({
      items: [{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }],
      resourceVersion: '5',
    });
  });

  it('have metadata alone where that is asked for, and so have watches', async () => {
    const list = client.listPage(SECRET, { namespace: 'ns', metadataOnly: true });
    const first = await server.next();
    first.page('5', []);
    await list;
    const watch = client.watch(SECRET, { metadataOnly: true, resourceVersion: '5', timeoutSeconds: 60 }, () => {});
    const second = await server.next();
    second.end();
    await watch;
    expect([first, second].map(({ headers }) => headers['accept'])).toEqual([
      'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
      'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
    ]);
  });

  it('begin again when the token has expired between two pages', async () => {
    const list = client.list(THING);
    (await server.next()).page('5', [{ metadata: { name: 'a' } }], 'more');
    (await server.next()).refuse(410, 'Expired', 'too old');
    const again = await server.next();
    expect(again.query.has('continue')).toBe(false);
    again.page('9', []);
    expect(await list).toEqual({ items: [], resourceVersion: '9' });
  });

  it('are asked for in smaller pages where they are larger than anything is read, and stay so until the end', async () => {
    const large = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ metadata: { name: `s${i}` }, data: 'x'.repeat(1 << 20) }));
    const list = client.list(THING);
    const asked: (string | null)[] = [];
    const arrived = async () => {
      const arrival = await server.next();
      asked.push(arrival.query.get('limit'), arrival.query.get('continue'));
      return arrival;
    };
    (await arrived()).page('5', large(20), 'never');
    (await arrived()).page('5', large(9), 'never');
    (await arrived()).page('5', large(7), 'more');
    (await arrived()).page('5', large(2));
    expect((await list).items).toHaveLength(9);
    expect(asked).toEqual(['500', null, '63', null, '8', null, '8', 'more']);
    expect(server.connections, 'the connection is as good as before').toBe(1);
  });

  it('with an object that is larger than anything is read fail; so does the object', async () => {
    const data = 'x'.repeat(17 << 20);
    const list = failure(client.listPage(THING, { limit: 1 }));
    (await server.next()).page('5', [{ metadata: { name: 'a' }, data }]);
    expect(String(await list)).toMatch(/^AnswerTooLargeError: list Thing: the answer is larger than 16777216 bytes$/);
    const get = failure(client.get(THING, REF));
    (await server.next()).json(200, { metadata: { name: 'a' }, data });
    expect(String(await get)).toMatch(/AnswerTooLargeError: get Thing ns\/a/);
  });

  it('with one object as large as etcd takes it, each octet of it written as six, are read', async () => {
    const list = client.listPage(THING, { limit: 1 });
    (await server.next()).page('5', [{ metadata: { name: 'a' }, data: '\\u003c'.repeat(1_500_000) }]);
    expect((await list).items).toHaveLength(1);
  });

  it('of nothing are empty, even where the server says null', async () => {
    const list = client.list(THING);
    (await server.next()).json(200, { metadata: { resourceVersion: '1' }, items: null });
    expect((await list).items).toEqual([]);
  });
});

describe('errors', () => {
  it('name the verb, the object and the server’s sentence', async () => {
    const get = failure(client.get(THING, REF));
    (await server.next()).refuse(404, 'NotFound', 'things.test "a" not found');
    const error = await get;
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      message: 'get Thing ns/a: things.test "a" not found',
      status: 404,
      reason: 'NotFound',
      retryAfterMs: null,
    });
    expect(isNotFound(error)).toBe(true);
  });

  it('tell a conflict from a taken name', async () => {
    const update = failure(client.update(THING, { metadata: REF }));
    (await server.next()).refuse(409, 'Conflict', 'the object has been modified');
    const create = failure(client.create(THING, { metadata: REF }));
    (await server.next()).refuse(409, 'AlreadyExists', 'already exists');
    const [conflict, exists] = [await update, await create];
    expect([isConflict(conflict), isAlreadyExists(conflict)]).toEqual([true, false]);
    expect([isConflict(exists), isAlreadyExists(exists)]).toEqual([false, true]);
  });

  it('never quote a body', async () => {
    const secret = { metadata: REF, data: { key: 'aHVudGVyMg==' } };
    const create = failure(client.create(SECRET, secret));
    (await server.next()).json(400, { oops: secret });
    const error = await create;
    const told = JSON.stringify({ error, ...(error instanceof Error ? { text: error.message + error.stack } : {}) });
    expect(told).toContain('create Secret ns/a: HTTP 400');
    expect(told).not.toContain('aHVudGVyMg');
  });

  it('of something in between are told by their number', async () => {
    const get = failure(client.create(THING, { metadata: REF }));
    (await server.next()).json(502, { html: '<h1>Bad gateway</h1>' });
    expect(await get).toMatchObject({ message: 'create Thing ns/a: HTTP 502', reason: 'InternalError' });
  });
});

describe('a fenced client', () => {
  it('reads, and writes only while it may', async () => {
    let leader = true;
    const fenced = client.fenced(() => leader);
    const allowed = fenced.create(THING, { metadata: REF });
    (await server.next()).json(201, {});
    await allowed;
    leader = false;
    const writes = [
      fenced.create(THING, { metadata: REF }),
      fenced.update(THING, { metadata: REF }),
      fenced.patch(THING, REF, { type: 'merge', body: {} }),
      fenced.delete(THING, REF),
    ];
    for (const write of writes) expect(await failure(write)).toBeInstanceOf(FencedError);
    const get = fenced.get(THING, REF);
    const arrival = await server.next();
    expect(arrival.method).toBe('GET');
    arrival.json(200, {});
    await get;
    expect(server.log).toHaveLength(2);
  });

  it('asks when the request leaves, not when it is made', async () => {
    let leader = true;
    const fenced = client.fenced(() => leader);
    // The first request has to wait for its connection, and the fence closes meanwhile.
    const write = failure(fenced.create(THING, { metadata: REF }));
    leader = false;
    expect(await write).toBeInstanceOf(FencedError);
    expect(server.log).toEqual([]);
  });
});

describe('a watch', () => {
  const options = { namespace: 'ns', resourceVersion: '5', timeoutSeconds: 300 };

  it('hands over events in order, however the bytes are cut', async () => {
    const events: WatchEvent[] = [];
    const watch = client.watch(THING, options, (event) => events.push(event));
    const stream = await server.next();
    expect(Object.fromEntries(stream.query)).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: '5',
      timeoutSeconds: '300',
    });
    const object = (version: string) => ({ metadata: { name: 'ü€😀', resourceVersion: version } });
    const line = Buffer.from(`${JSON.stringify({ type: 'ADDED', object: object('6') })}\n`).toString();
    for (const piece of line.split(/(?<=[{,:])/)) stream.raw(piece);
    stream.event('MODIFIED', object('7'));
    stream.bookmark('9');
    stream.end();
    await watch;
    expect(events).toEqual([
      { type: 'ADDED', object: object('6') },
      { type: 'MODIFIED', object: object('7') },
      { type: 'BOOKMARK', resourceVersion: '9' },
    ]);
  });

  it.each([
    ['no JSON', '{"type":"ADDED","object":{"metadata"\n'],
    ['an unknown type', '{"type":"RENAMED","object":{"metadata":{"resourceVersion":"6"}}}\n'],
    ['no version', '{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n'],
    ['no object', '{"type":"BOOKMARK"}\n'],
    ['an array', '[]\n'],
  ])('ends at a line with %s', async (_, line) => {
    const watch = failure(client.watch(THING, options, () => {}));
    const stream = await server.next();
    stream.raw(line);
    expect(await watch).toMatchObject({
      name: 'MalformedEventError',
      message: 'watch Thing ns: a line of the stream is no event',
    });
    await stream.closed;
  });

  it('turns an ERROR event into an error', async () => {
    const watch = failure(client.watch(THING, options, () => {}));
    const stream = await server.next();
    stream.event('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' });
    expect(await watch).toMatchObject({ status: 410, reason: 'Expired' });
  });

  it('has a connection of its own', async () => {
    const watch = client.watch(THING, options, () => {});
    const stream = await server.next();
    const get = client.get(THING, REF);
    const arrival = await server.next();
    arrival.json(200, {});
    await get;
    expect(arrival.connection).not.toBe(stream.connection);
    stream.end();
    await watch;
  });

  it('is not kept waiting when there are more of them than one connection takes', async () => {
    const narrow = await FakeApiServer.start({ streams: 10 });
    const client = narrow.client();
    const watches = Array.from({ length: 35 }, () => client.watch(THING, options, () => {}));
    const streams = [];
    while (streams.length < watches.length) streams.push(await narrow.next());
    for (const stream of streams) stream.end();
    await Promise.all(watches);
    expect(narrow.connections).toBe(4);
    await narrow.stop();
  });

  it('with events by the thousand is read in linear time', async () => {
    const count = 20_000;
    let seen = 0;
    const watch = client.watch(THING, options, () => seen++);
    const stream = await server.next();
    const line = `${JSON.stringify({ type: 'MODIFIED', object: { metadata: { name: 'a', resourceVersion: '6' }, pad: 'x'.repeat(500) } })}\n`;
    stream.raw(line.repeat(count));
    stream.end();
    const cpu = process.cpuUsage();
    await watch;
    const { user, system } = process.cpuUsage(cpu);
    expect(seen).toBe(count);
    expect((user + system) / 1000 / count).toBeLessThan(0.2); // about 0.02 ms here; quadratic work would be seconds
  });
});
