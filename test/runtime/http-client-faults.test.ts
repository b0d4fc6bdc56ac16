import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Client, NoAnswerError } from '../../src/runtime/client.ts';
import { FakeApiServer, Valve } from './fake-apiserver.ts';
import { FakeClock } from './fake-clock.ts';
import { failure, REF, THING } from './thing.ts';

/** Longer than any pause before another attempt, shorter than the deadline of an attempt. */
const PAUSE = 6_000;

let server: FakeApiServer;
let client: Client;
beforeEach(async () => {
  server = await FakeApiServer.start();
  client = server.client();
});
afterEach(() => server.stop());

describe('retries', () => {
  it('come after 429 as late as the server wants, whatever the verb', async () => {
    const clock = new FakeClock();
    const create = server.client({ clock }).create(THING, { metadata: REF });
    (await server.next()).refuse(429, 'TooManyRequests', 'slow down', { 'retry-after': '3' });
    expect(await clock.elapse(PAUSE)).toBe(3000);
    (await server.next()).json(201, { metadata: { name: 'a' } });
    expect(await create).toEqual({ metadata: { name: 'a' } });
  });

  it('repeat what may be repeated after a fault of the server', async () => {
    const clock = new FakeClock();
    const get = server.client({ clock }).get(THING, REF);
    (await server.next()).refuse(500, 'InternalError', 'etcd');
    const first = await clock.elapse(PAUSE);
    (await server.next()).refuse(503, 'ServiceUnavailable', 'etcd');
    const second = await clock.elapse(PAUSE);
    (await server.next()).json(200, {});
    await get;
    expect(second).toBe(2 * first);
  });

  it('never repeat a create that may have happened', async () => {
    const create = failure(client.create(THING, { metadata: REF }));
    (await server.next()).refuse(500, 'InternalError', 'etcd');
    expect(await create).toMatchObject({ status: 500 });
    const cut = failure(client.create(THING, { metadata: REF }));
    (await server.next()).hangUp();
    expect(await cut).toBeInstanceOf(NoAnswerError);
    expect(server.log).toHaveLength(2);
  });

  it('repeat a read when the connection breaks', async () => {
    const clock = new FakeClock();
    const get = server.client({ clock }).get(THING, REF);
    (await server.next()).hangUp();
    await clock.elapse(PAUSE);
    (await server.next()).json(200, { ok: true });
    expect(await get).toEqual({ ok: true });
  });

  it('end after four attempts', async () => {
    const clock = new FakeClock();
    const get = failure(server.client({ clock }).get(THING, REF));
    for (let attempt = 1; attempt <= 4; attempt++) {
      (await server.next()).refuse(500, 'InternalError', 'etcd');
      if (attempt < 4) await clock.elapse(PAUSE);
    }
    expect(await get).toMatchObject({ status: 500 });
    expect(server.log).toHaveLength(4);
  });

  it('do not outlast the deadline: the caller hears how long to stay away', async () => {
    const get = failure(client.get(THING, REF, { timeoutMs: 5_000 }));
    (await server.next()).refuse(429, 'TooManyRequests', 'slow down', { 'retry-after': '60' });
    expect(await get).toMatchObject({ status: 429, retryAfterMs: 60_000 });
    expect(server.log).toHaveLength(1);
  });
});

describe('deadlines and silence', () => {
  it('give up a call that is not answered, and the connection with it', async () => {
    const get = failure(client.get(THING, REF, { timeoutMs: 150 }));
    const first = await server.next();
    expect(await get).toMatchObject({ name: 'NoAnswerError', code: 'TIMEOUT', sent: true });
    await first.closed;
  });

  it('find a silent connection by a call’s deadline and use another afterwards', async () => {
    const valve = await Valve.before(server.url);
    const through = { ...server.credentials(), server: `https://127.0.0.1:${valve.port}` };
    const client = server.client({ credentials: async () => through });
    const warm = client.get(THING, REF);
    const first = await server.next();
    first.json(200, {});
    await warm;
    valve.freeze();
    expect(await failure(client.create(THING, { metadata: REF }, { timeoutMs: 150 }))).toBeInstanceOf(NoAnswerError);
    const again = client.get(THING, REF);
    const second = await server.next();
    second.json(200, {});
    await again;
    expect(second.connection).not.toBe(first.connection);
    await valve.stop();
  });

  it('find a silent watch by its pings, long before the watch is due to end', async () => {
    const valve = await Valve.before(server.url);
    const through = { ...server.credentials(), server: `https://127.0.0.1:${valve.port}` };
    const client = server.client({ credentials: async () => through, liveness: { pingMs: 40, silenceMs: 150 } });
    const watch = failure(client.watch(THING, { resourceVersion: '1', timeoutSeconds: 300 }, () => {}));
    (await server.next()).bookmark('2');
    valve.freeze();
    expect(await watch).toBeInstanceOf(NoAnswerError);
    await valve.stop();
  });

  it('leave a quiet watch alone as long as its peer answers pings', async () => {
    const client = server.client({ liveness: { pingMs: 20, silenceMs: 60 } });
    const watch = client.watch(THING, { resourceVersion: '1', timeoutSeconds: 300 }, () => {});
    const stream = await server.next();
    stream.bookmark('2');
    await server.pinged(10);
    stream.end();
    await watch;
    expect(server.connections).toBe(1);
  });

  it('end with the signal, whose reason is the error', async () => {
    const abort = new AbortController();
    const get = failure(client.get(THING, REF, { signal: abort.signal }));
    const arrival = await server.next();
    const reason = new Error('enough');
    abort.abort(reason);
    expect(await get).toBe(reason);
    await arrival.closed;
    expect(await failure(client.get(THING, REF, { signal: abort.signal }))).toBe(reason);
    expect(server.log).toHaveLength(1);
  });

  it('say when nothing listens', async () => {
    const clock = new FakeClock();
    const nobody = { ...server.credentials(), server: 'https://127.0.0.1:1' };
    const create = failure(server.client({ clock, credentials: async () => nobody }).create(THING, { metadata: REF }));
    // Nothing was sent, so even a create is tried again.
    for (let attempt = 1; attempt < 4; attempt++) await clock.elapse(PAUSE);
    expect(await create).toMatchObject({ name: 'NoAnswerError', code: 'ECONNREFUSED', sent: false });
  });
});

describe('credentials', () => {
  it('that are refused are read once more, and the request is repeated', async () => {
    const tokens = ['old', 'new'];
    const asked: boolean[] = [];
    const client = server.client({
      credentials: async (fresh) => {
        asked.push(fresh);
        return server.credentials(tokens.shift());
      },
    });
    const get = client.get(THING, REF);
    const first = await server.next();
    expect(first.headers['authorization']).toBe('Bearer old');
    first.refuse(401, 'Unauthorized', 'Unauthorized');
    const second = await server.next();
    expect(second.headers['authorization']).toBe('Bearer new');
    second.json(200, {});
    await get;
    expect(asked).toEqual([false, true]);
    expect(server.connections).toBe(1);
  });

  it('that stay refused are not read for every request', async () => {
    let reads = 0;
    const client = server.client({
      credentials: async () => {
        reads++;
        return server.credentials();
      },
    });
    for (let i = 0; i < 3; i++) {
      const get = failure(client.get(THING, REF));
      for (let attempt = 0; attempt < (i === 0 ? 2 : 1); attempt++) {
        (await server.next()).refuse(401, 'Unauthorized', 'Unauthorized');
      }
      expect(await get).toMatchObject({ status: 401 });
    }
    expect(reads).toBe(2);
  });

  it('with another CA get another connection', async () => {
    let ca = server.ca;
    const clock = new FakeClock();
    const client = server.client({ clock, credentials: async () => ({ ...server.credentials(), tls: { ca } }) });
    const first = client.get(THING, REF);
    (await server.next()).json(200, {});
    await first;
    ca = `${server.ca}\n`;
    await clock.advance(61_000);
    const second = client.get(THING, REF);
    (await server.next()).json(200, {});
    await second;
    expect(server.connections).toBe(2);
  });

  it('that cannot be read for a moment are used on', async () => {
    const clock = new FakeClock();
    let broken = false;
    const client = server.client({
      clock,
      credentials: async () => {
        if (broken) throw new Error('ENOENT');
        return server.credentials();
      },
    });
    const first = client.get(THING, REF);
    (await server.next()).json(200, {});
    await first;
    broken = true;
    await clock.advance(61_000);
    const second = client.get(THING, REF);
    (await server.next()).json(200, {});
    await second;
  });
});
