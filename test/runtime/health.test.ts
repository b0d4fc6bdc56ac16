import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { serveHealth } from '../../src/runtime/health.ts';

let sick: string | null;
let unready: string | null;
let health: Awaited<ReturnType<typeof serveHealth>>;
beforeEach(async () => {
  sick = null;
  unready = null;
  health = await serveHealth(0, { sick: () => sick, notReady: () => unready });
});
afterEach(() => health.close());

async function ask(path: string): Promise<[number, string]> {
  const response = await fetch(`http://127.0.0.1:${health.port}${path}`);
  return [response.status, await response.text()];
}

it('a kubelet hears ok, or why not', async () => {
  expect(await ask('/healthz')).toEqual([200, 'ok\n']);
  expect(await ask('/readyz?verbose')).toEqual([200, 'ok\n']);
  unready = 'nothing has been read yet';
  expect(await ask('/readyz')).toEqual([503, 'nothing has been read yet\n']);
  expect(await ask('/healthz')).toEqual([200, 'ok\n']);
  sick = 'stuck';
  expect(await ask('/healthz')).toEqual([503, 'stuck\n']);
});

it.each(['/', '/metrics', '/__proto__', '/toString'])('%s is not found', async (path) => {
  expect((await ask(path))[0]).toBe(404);
});

it.each(['toString', '__proto__', 'constructor'])(
  'a request for %s, which no browser would send, harms nobody',
  async (path) => {
    const socket = connect(health.port, '127.0.0.1');
    socket.end(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    expect(await text(socket)).toMatch(/^HTTP\/1.1 40[04] /);
    expect(await ask('/healthz')).toEqual([200, 'ok\n']);
  },
);
