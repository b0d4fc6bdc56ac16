/** Endpoints: names with several addresses, trust that changes, slow lines, and everything that is no answer. */
import { randomBytes } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { encodeBundle } from '../../src/pki/bundle.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { Canaries, type CanarySet } from '../../src/probe/canary.ts';
import { combineEvidence } from '../../src/probe/evidence.ts';
import { Lookups } from '../../src/probe/lookups.ts';
import { Slots } from '../../src/probe/pacing.ts';
import { type EndpointObservation, type ProbeRequest, longestLook, probeEndpoint } from '../../src/probe/probe.ts';
import { type Identity, makeAuthority, makeLeaf } from './pki.ts';
import { type Material, closedPort, nodeServer, opensslServer, plainServer, slowProxy } from './servers.ts';

let old: SigningAuthority;
let next: SigningAuthority;
let member: Identity;
let canaries: CanarySet;

beforeAll(async () => {
  [old, next] = [await makeAuthority('mesh G1'), await makeAuthority('mesh G2')];
  member = await makeLeaf(old, 'a.mesh');
  canaries = await new Canaries(randomBytes).make({
    authorities: new Map([
      [1, old],
      [2, next],
    ]),
    like: member.leaf,
    now: Date.now(),
  });
});

function trusting(...authorities: readonly SigningAuthority[]): Material {
  return { identity: member, bundle: encodeBundle(authorities.map(({ certificate }) => certificate)) };
}

function probe(port: number, overrides: Partial<ProbeRequest> = {}): Promise<EndpointObservation[]> {
  const signal = AbortSignal.timeout(60_000);
  return probeEndpoint({ host: '127.0.0.1', port, timeoutMs: 3000, ...canaries, signal, ...overrides });
}

type Answers = Record<number, string> | string;

/** By address: what each generation's answer is, or why there is none. */
function summary(observations: readonly EndpointObservation[]): Record<string, Answers> {
  return Object.fromEntries(
    observations.map((at): [string, Answers] => [
      at.address,
      at.kind === 'unreachable'
        ? at.reason
        : Object.fromEntries([...at.trusts].map(([generation, { answer }]) => [generation, answer])),
    ]),
  );
}

test('trust that changes at run time changes the verdict', async () => {
  await using server = await nodeServer(trusting(old));
  expect(summary(await probe(server.port))).toEqual({ '127.0.0.1': { 1: 'yes', 2: 'no' } });
  server.reload(trusting(old, next));
  expect(summary(await probe(server.port))).toEqual({ '127.0.0.1': { 1: 'yes', 2: 'yes' } });
  const leaf = await makeLeaf(next, 'a.mesh');
  server.reload({ ...trusting(next), identity: leaf });
  const after = await probe(server.port);
  expect(summary(after)).toEqual({ '127.0.0.1': { 1: 'no', 2: 'yes' } });
  expect(after[0]).toMatchObject({ alsoPresented: [], presented: [leaf.leaf.pem, next.certificate.pem] });
});

test('every address of a name is probed, and each speaks for itself', async () => {
  await using one = await nodeServer(trusting(old, next));
  await using two = await nodeServer(trusting(old), {}, { host: '127.0.0.2', port: one.port });
  expect(two.port).toBe(one.port);
  const lookups = new Lookups(async () => ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.1']);
  const seen = await probe(one.port, { host: 'a.mesh.test', lookups });
  expect(seen).toHaveLength(3);
  expect(summary(seen)).toEqual({
    '127.0.0.1': { 1: 'yes', 2: 'yes' },
    '127.0.0.2': { 1: 'yes', 2: 'no' },
    '127.0.0.3': 'ConnectionRefused',
  });
});

test('a host name is sent as server name, an address is not', async () => {
  const names: (string | false | null)[] = [];
  await using server = await nodeServer(trusting(old), {}, {}, (socket) => names.push(socket.servername));
  const lookups = new Lookups(async () => ['127.0.0.1']);
  const candidates = new Map([...canaries.candidates].slice(0, 1));
  await probe(server.port, { host: 'a.mesh.test', lookups, candidates });
  await probe(server.port, { host: 'a.mesh.test', servername: 'other.test', lookups, candidates });
  await probe(server.port, { candidates });
  expect([...new Set(names)]).toEqual(['a.mesh.test', 'other.test', false]);
});

test.each([
  ['rejects', () => Promise.reject(new Error('ENOTFOUND'))],
  ['gives nothing', async () => []],
  ['never answers', () => new Promise<string[]>(() => {})],
])('a name that does not resolve: the resolver %s', async (_, resolve: () => Promise<string[]>) => {
  expect(await probe(1, { host: 'nowhere.test', lookups: new Lookups(resolve), timeoutMs: 200 })).toEqual([
    {
      kind: 'unreachable',
      address: 'nowhere.test',
      port: 1,
      connections: 0,
      reason: 'NameNotResolved',
      message: 'the name nowhere.test does not resolve',
    },
  ]);
});

test("the system's own resolver: a name of the machine, and one that RFC 6761 says is none", async () => {
  const port = await closedPort();
  const seen = await probe(port, { host: 'localhost' });
  expect(summary(seen)).toHaveProperty(['127.0.0.1'], 'ConnectionRefused');
  expect(summary(await probe(port, { host: 'name.invalid' }))).toEqual({ 'name.invalid': 'NameNotResolved' });
});

test('a name with too many addresses is not probed', async () => {
  const lookups = new Lookups(async () => Array.from({ length: 33 }, (_, i) => `127.0.1.${i}`));
  expect(summary(await probe(1, { host: 'many.test', lookups }))).toEqual({ 'many.test': 'TooManyAddresses' });
});

test('a server that is not reached has no verdict', async () => {
  await using silent = await plainServer(() => {});
  expect(summary(await probe(silent.port, { timeoutMs: 200 }))).toEqual({ '127.0.0.1': 'Timeout' });
  expect(summary(await probe(await closedPort()))).toEqual({ '127.0.0.1': 'ConnectionRefused' });
});

test('a server that hangs up on everybody after the handshake has no verdict', async () => {
  const options = { rejectUnauthorized: false, maxVersion: 'TLSv1.2' } as const;
  await using server = await nodeServer(trusting(old), options, {}, (s) => setImmediate(() => s.destroy()));
  const [seen] = await probe(server.port);
  if (seen?.kind !== 'reached') throw new Error('not reached');
  expect(seen.trusts.get(1)?.answer).toBe('unknown');
  expect(seen.trusts.get(1)?.detail).toContain('closes every connection');
  expect(seen.enforced).toBeNull();
});

test('a server that judges after the handshake is judged by three rounds', async () => {
  const options = { rejectUnauthorized: false, maxVersion: 'TLSv1.2' } as const;
  await using server = await nodeServer(trusting(old), options, {}, (socket) => {
    socket.resume();
    if (!socket.authorized) setImmediate(() => socket.destroy());
  });
  const [seen] = await probe(server.port);
  if (seen?.kind !== 'reached') throw new Error('not reached');
  expect([seen.trusts.get(1)?.answer, seen.trusts.get(2)?.answer, seen.enforced]).toEqual(['yes', 'unknown', true]);
});

test('different answers in two rounds are no answer', async () => {
  let connections = 0;
  await using server = await nodeServer(trusting(old));
  await using relay = await slowProxy(server.port, 0, () => {
    connections += 1;
    // After the control and a first refusal.
    if (connections === 3) server.reload(trusting(old, next));
  });
  const [seen] = await probe(relay.port, { candidates: new Map([...canaries.candidates].slice(1)) });
  if (seen?.kind !== 'reached') throw new Error('not reached');
  expect(seen.trusts.get(2)?.answer).toBe('unknown');
  expect(seen.trusts.get(2)?.detail).toContain('answers differ');
});

test('two processes behind one address, of which one has loaded the new bundle: no yes, whichever comes first', async () => {
  await using lagging = await nodeServer(trusting(old));
  await using reloaded = await nodeServer(trusting(old, next));
  for (const first of [0, 1]) {
    let connections = first;
    const inTurn = () => (connections++ % 2 === 0 ? lagging : reloaded).port;
    await using pool = await slowProxy(inTurn, 0);
    const [seen] = await probe(pool.port, { candidates: new Map([...canaries.candidates].slice(1)) });
    if (seen?.kind !== 'reached') throw new Error('not reached');
    const { answer, mixed } = seen.trusts.get(2) ?? {};
    expect({ answer, mixed }).toEqual({ answer: 'unknown', mixed: true });
    const endpoints = [{ host: 'pool.test', port: 443, instances: 'One' as const, observations: [seen] }];
    expect(combineEvidence({ member: 'a', generations: [2], endpoints })).toMatchObject({
      reason: 'Unsteady',
      message:
        /^a at 127\.0\.0\.1:\d+ answers differently about generation 2 .*; else several processes or machines answer there/,
    });
  }
});

test('a leaf that changes within a probe is told', async () => {
  const other = await makeLeaf(next, 'a.mesh');
  let connections = 0;
  await using server = await nodeServer(trusting(old), {}, {}, (socket) => socket.resume());
  await using relay = await slowProxy(server.port, 0, () => {
    connections += 1;
    if (connections === 2) server.reload({ ...trusting(old), identity: other });
  });
  const [seen] = await probe(relay.port);
  if (seen?.kind !== 'reached') throw new Error('not reached');
  expect([seen.presented[0], ...seen.alsoPresented]).toEqual([other.leaf.pem, member.leaf.pem]);
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)('a line with 250 ms each way, %s', async (version) => {
  await using server = await nodeServer(trusting(old), { minVersion: version, maxVersion: version });
  await using slow = await slowProxy(server.port, 250);
  expect(summary(await probe(slow.port))).toEqual({ '127.0.0.1': { 1: 'yes', 2: 'no' } });
});

test('a slow line and no tickets: silence counts only beyond the time that a refusal takes', async () => {
  const only13 = ['-Verify', '1', '-verify_return_error', '-tls1_3', '-num_tickets', '0'];
  await using server = await opensslServer(trusting(old), ...only13);
  await using slow = await slowProxy(server.port, 100);
  const candidates = new Map([...canaries.candidates].slice(1));
  expect(summary(await probe(slow.port, { candidates }))).toEqual({ '127.0.0.1': { 2: 'no' } });
});

test('an abort ends a probe at once', async () => {
  await using silent = await plainServer(() => {});
  const controller = new AbortController();
  const lookups = new Lookups(async () => ['127.0.0.1', '127.0.0.2']);
  const pending = probe(silent.port, { host: 'a.test', lookups, signal: controller.signal });
  setTimeout(() => controller.abort(new Error('leader lost')), 50);
  await expect(pending).rejects.toThrow('leader lost');
  const resolving = new AbortController();
  const never = new Lookups(() => new Promise(() => {}));
  const stuck = probe(1, { host: 'a.test', lookups: never, signal: resolving.signal });
  resolving.abort(new Error('shut down'));
  await expect(stuck).rejects.toThrow('shut down');
});

test('the handshakes of many probes share a bound', async () => {
  let open = 0;
  let most = 0;
  await using server = await plainServer((socket) => {
    open += 1;
    most = Math.max(most, open);
    socket.resume();
    socket.on('close', () => (open -= 1));
  });
  const slots = new Slots(3);
  await Promise.all(Array.from({ length: 12 }, () => probe(server.port, { timeoutMs: 50, slots })));
  expect(most).toBeGreaterThan(0);
  // The server notices the end of a connection a little after the prober.
  expect(most).toBeLessThanOrEqual(6);
});

test('a TLS 1.3 server without session tickets at a round trip of 300 ms is provable with a longer timeout', async () => {
  const only13 = ['-Verify', '1', '-verify_return_error', '-tls1_3', '-num_tickets', '0'];
  await using server = await opensslServer(trusting(old, next), ...only13);
  await using slow = await slowProxy(server.port, 150);
  const seen = await probe(slow.port, { timeoutMs: 20_000 });
  expect(summary(seen)).toEqual({ '127.0.0.1': { 1: 'yes', 2: 'yes' } });
}, 120_000);

test.each([
  [100, 30_000],
  [5_000, 30_000],
  [15_000, 30_000],
  [20_000, 40_000],
  [60_000, 120_000],
])('with a timeout of %i ms an address is looked at for %i ms', (timeoutMs, maxMs) => {
  expect(longestLook(timeoutMs)).toBe(maxMs);
});

test('who answers slowly, again and again, is given up after a while as a whole', async () => {
  await using server = await nodeServer(trusting(old));
  await using slow = await slowProxy(server.port, 200);
  const began = performance.now();
  const seen = await probe(slow.port, { maxMs: 1_000 });
  expect(seen).toMatchObject([
    {
      kind: 'unreachable',
      reason: 'TooSlow',
      message:
        'it answers, but too slowly: after 1 s it was not known what it accepts. Raise spec.probe.timeout to 1s: twice that time is given. A server of TLS 1.3 that gives session tickets is judged sooner',
    },
  ]);
  const endpoints = [{ host: 'slow.test', port: slow.port, instances: 'One' as const, observations: seen }];
  expect(combineEvidence({ member: 'a', generations: [1, 2], endpoints })).toMatchObject({
    reason: 'Unreachable',
    message: expect.stringMatching(/^a at 127\.0\.0\.1:\d+ is not known: it answers, .* is judged sooner\.$/) as string,
  });
  // No longer timeout can be given.
  const last = await probe(slow.port, { timeoutMs: 60_000, maxMs: 1_000 });
  expect(last).toMatchObject([
    {
      reason: 'TooSlow',
      message:
        'it answers, but too slowly: after 1 s it was not known what it accepts. A server of TLS 1.3 that gives session tickets is judged sooner; else acknowledge the member',
    },
  ]);
  expect(performance.now() - began).toBeLessThan(2_500);
  expect(seen[0]?.connections).toBeGreaterThan(0);
});

test('the bound counts from its turn, which it is told', async () => {
  await using server = await nodeServer(trusting(old));
  const slots = new Slots(1);
  const gate = Promise.withResolvers<void>();
  const busy = slots.run('other', () => gate.promise, AbortSignal.timeout(60_000));
  let begun = 0;
  const waiting = probe(server.port, { slots, maxMs: 3_000, begun: () => begun++ });
  const stopped = new AbortController();
  const never = probe(server.port, { slots, signal: stopped.signal, begun: () => expect.unreachable('it has begun') });
  stopped.abort(new Error('shut down'));
  await expect(never).rejects.toThrow('shut down');
  expect(begun).toBe(0);
  gate.resolve();
  await busy;
  expect(summary(await waiting)).toEqual({ '127.0.0.1': { 1: 'yes', 2: 'no' } });
  expect(begun).toBe(1);
});

test('a verdict costs few connections', async () => {
  await using server = await nodeServer(trusting(old));
  const [seen] = await probe(server.port);
  // Control, trusted four times, refused twice.
  expect(seen?.connections).toBe(7);
  const [quiet] = await probe(server.port, { candidates: new Map() });
  expect(quiet?.connections).toBe(1);
});
