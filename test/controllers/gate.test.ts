/** The gate itself, before a fake API server: a proxy that lets everything through would make every crash test pass. */
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Client, Resource } from '../../src/runtime/client.ts';
import { loadClient } from '../../src/runtime/http-client.ts';
import { FakeApiServer } from '../runtime/fake-apiserver.ts';
import { type EventFate, Gate, type Told, type Write, type WriteFate } from './gate.ts';

const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' };
const LEASES: Resource = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease' };
const secret = (name: string, resourceVersion?: string) => ({
  metadata: { namespace: 'ns', name, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
});

let server: FakeApiServer;
let dir: string;
let gate: Gate;
let client: Client;
let fates: { write: WriteFate; readonly event: Map<string, EventFate> };
let judged: { readonly writes: Write[]; readonly told: Told[] };

beforeEach(async () => {
  server = await FakeApiServer.start();
  dir = await mkdtemp(join(tmpdir(), 'gate-'));
  const cluster = { server: server.url, 'certificate-authority-data': Buffer.from(server.ca).toString('base64') };
  const config = {
    clusters: [{ name: 'here', cluster }],
    users: [{ name: 'me', user: { token: 'good' } }],
    contexts: [{ name: 'it', context: { cluster: 'here', user: 'me' } }],
    'current-context': 'it',
  };
  await writeFile(join(dir, 'kubeconfig'), JSON.stringify(config));
  fates = { write: 'done', event: new Map() };
  judged = { writes: [], told: [] };
  gate = await Gate.open(join(dir, 'kubeconfig'), {
    write(write) {
      judged.writes.push(write);
      return fates.write;
    },
    event(told) {
      judged.told.push(told);
      return fates.event.get(told.name) ?? 'told';
    },
  });
  client = loadClient({ kubeconfig: gate.kubeconfig });
});

afterEach(async () => {
  await client.close();
  await gate[Symbol.asyncDispose]();
  await server.stop();
  await rm(dir, { recursive: true });
});

test('what is to be done is done and answered; Leases are not asked for', async () => {
  const created = client.create(SECRETS, secret('a'));
  const arrival = await server.next();
  expect(arrival.body).toMatchObject(secret('a'));
  expect(arrival.headers['authorization']).toBe('Bearer good');
  arrival.json(201, secret('a', '7'));
  expect(await created).toEqual(secret('a', '7'));
  const lease = client.create(LEASES, secret('l'));
  (await server.next()).json(201, secret('l', '8'));
  await lease;
  const write = { verb: 'create', resource: 'secrets', name: 'a', subresource: '' };
  expect(judged.writes).toMatchObject([write]);
});

test('what the API server refuses is refused', async () => {
  const refused = client.update(SECRETS, secret('a', '1'), { subresource: 'status' });
  (await server.next()).refuse(409, 'Conflict', 'somebody was faster');
  await expect(refused).rejects.toThrow('somebody was faster');
  expect(judged.writes).toMatchObject([{ verb: 'update', name: 'a', subresource: 'status' }]);
});

test('what is lost never arrives, and nothing passes until the gate is open again', async () => {
  fates.write = 'lost';
  const end = new AbortController();
  const lost = client.delete(SECRETS, { namespace: 'ns', name: 'a' }, { signal: end.signal });
  await gate.shut;
  const late = client.get(SECRETS, { namespace: 'ns', name: 'late' }, { signal: end.signal });
  end.abort(new Error('killed'));
  await expect(lost).rejects.toThrow('killed');
  await expect(late).rejects.toThrow('killed');
  gate.reopen();
  const next = client.get(SECRETS, { namespace: 'ns', name: 'next' });
  (await server.next()).json(200, secret('next', '1'));
  await next;
  expect(server.log).toEqual(['GET /api/v1/namespaces/ns/secrets/next']);
});

test('what is unanswered has arrived', async () => {
  fates.write = 'unanswered';
  const end = new AbortController();
  const written = client.patch(
    SECRETS,
    { namespace: 'ns', name: 'a' },
    { type: 'merge', body: { x: 1 } },
    { signal: end.signal },
  );
  const arrival = await server.next();
  expect(arrival.body).toEqual({ x: 1 });
  arrival.json(200, secret('a', '2'));
  await gate.shut;
  end.abort(new Error('killed'));
  await expect(written).rejects.toThrow('killed');
});

test('it closes although somebody is still there', { timeout: 5_000 }, async () => {
  const { clusters } = JSON.parse(await readFile(gate.kubeconfig, 'utf8')) as {
    clusters: [{ cluster: { server: string } }];
  };
  const socket = connect(Number(new URL(clusters[0].cluster.server).port), '127.0.0.1');
  const gone = once(socket, 'close');
  await once(socket, 'connect');
  await gate[Symbol.asyncDispose]();
  await gone;
});

test.each<[EventFate, readonly string[], string]>([
  ['told', ['MODIFIED a', 'ADDED b', 'BOOKMARK'], 'ends'],
  ['doubled', ['MODIFIED a', 'MODIFIED a', 'ADDED b', 'BOOKMARK'], 'ends'],
  // Late, and so is what follows: until then the watch cannot end either.
  ['delayed', ['MODIFIED a', 'ADDED b', 'BOOKMARK'], 'ends'],
  ['hidden', ['ADDED b', 'BOOKMARK'], 'too old'],
])('an event that is %s', async (fate, expected, outcome) => {
  fates.event.set('a', fate);
  const seen: { readonly what: string; readonly at: number }[] = [];
  const watch = client.watch(
    SECRETS,
    { namespace: 'ns', resourceVersion: '1', timeoutSeconds: 60 },
    (event) =>
      void seen.push({
        what: event.type === 'BOOKMARK' ? event.type : `${event.type} ${event.object.metadata.name}`,
        at: performance.now(),
      }),
  );
  const ended = watch.then(
    () => 'ends',
    (error: unknown) => (error instanceof Error ? error.message : ''),
  );
  const began = performance.now();
  const arrival = await server.next();
  arrival.event('MODIFIED', secret('a', '2'));
  arrival.event('ADDED', secret('b', '3'));
  arrival.bookmark('4');
  while (seen.length < expected.length) await new Promise((resolve) => setTimeout(resolve, 5));
  if (fate !== 'hidden') arrival.end();
  expect(await ended).toContain(outcome);
  expect(seen.map(({ what }) => what)).toEqual(expected);
  const waited = (seen[0]?.at ?? 0) - began;
  expect(waited > 1_500).toBe(fate === 'delayed');
  expect(judged.told).toMatchObject([
    { type: 'MODIFIED', resource: 'secrets', name: 'a' },
    { type: 'ADDED', resource: 'secrets', name: 'b' },
  ]);
});
