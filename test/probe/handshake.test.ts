/** One handshake with servers that are late, silent, hostile or no TLS at all: bounded, tidy, and never an unhandled error. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { Canaries, type Canary } from '../../src/probe/canary.ts';
import { type Attempt, type HandshakeRequest, handshake, lingerFor } from '../../src/probe/handshake.ts';
import { lacking } from '../support/packages.ts';
import { protocolOf } from '../../src/probe/protocols/index.ts';
import { type Identity, makeAuthority, makeLeaf } from './pki.ts';
import { closedPort, nodeServer, opensslServer, plainServer, programServer, slowProxy } from './servers.ts';

const noPython = await lacking('python3');

let authority: SigningAuthority;
let member: Identity;
let trusted: Canary;
let foreign: Canary;

beforeAll(async () => {
  authority = await makeAuthority('mesh G1');
  member = await makeLeaf(authority, 'a.mesh');
  const canaries = await new Canaries(randomBytes).make({
    authorities: new Map([[1, authority]]),
    like: member.leaf,
    now: Date.now(),
  });
  foreign = canaries.control;
  const own = canaries.candidates.get(1);
  if (own === undefined) throw new Error('no canary');
  trusted = own;
});

const material = (): { identity: Identity; bundle: string } => ({
  identity: member,
  bundle: authority.certificate.pem,
});

function attempt(port: number, overrides: Partial<HandshakeRequest> = {}): Promise<Attempt> {
  const signal = AbortSignal.timeout(30_000);
  return handshake({
    address: '127.0.0.1',
    port,
    protocol: protocolOf('TLS'),
    canary: trusted,
    timeoutMs: 2000,
    signal,
    ...overrides,
  });
}

async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const started = performance.now();
  return [await work, performance.now() - started];
}

describe('what the server does with the certificate', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    '%s: accepted and refused, and the chain is seen both times',
    async (version) => {
      await using server = await nodeServer(material(), { minVersion: version, maxVersion: version });
      const accepted = await attempt(server.port);
      expect(accepted.outcome).toEqual({ kind: 'accepted', proof: version === 'TLSv1.2' ? 'finished' : 'ticket' });
      expect(accepted.version).toBe(version);
      const refused = await attempt(server.port, { canary: foreign });
      expect(refused.outcome).toEqual({ kind: 'rejected', alert: null });
      for (const { presented } of [accepted, refused]) {
        expect(presented).toEqual([member.leaf.pem, authority.certificate.pem]);
      }
    },
  );

  test.each(['-tls1_2', '-tls1_3'])('openssl %s: refused with the alert unknown_ca', async (version) => {
    await using server = await opensslServer(material(), '-Verify', '1', '-verify_return_error', version);
    const { outcome, presented } = await attempt(server.port, { canary: foreign });
    expect(outcome).toEqual({ kind: 'rejected', alert: 48 });
    expect(presented[0]).toBe(member.leaf.pem);
  });

  test('an expired canary of a trusted CA is refused for another reason', async () => {
    const past = Date.now() - 30 * 60_000;
    const { candidates } = await new Canaries(randomBytes).make({
      authorities: new Map([[1, authority]]),
      like: null,
      now: past,
    });
    await using server = await opensslServer(material(), '-Verify', '1', '-verify_return_error');
    const expired = candidates.get(1);
    if (expired === undefined) throw new Error('no canary');
    expect((await attempt(server.port, { canary: expired })).outcome).toEqual({ kind: 'rejected', alert: 45 });
  });

  test('a server with keys that OpenSSL finds too weak is observed all the same', async () => {
    const request = ['req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-subj', '/CN=weak', '-days', '2'];
    const openssl = (...args: string[]): string => spawnSync('openssl', args, { encoding: 'utf8' }).stdout;
    const all = openssl(...request, '-keyout', '-', '-out', '-');
    const weak = { identity: { ...member, certificate: all, key: all }, bundle: authority.certificate.pem };
    const cipher = ['-cipher', 'AES128-SHA:@SECLEVEL=0'];
    await using server = await opensslServer(weak, '-Verify', '1', '-verify_return_error', '-tls1_2', ...cipher);
    const { outcome, presented } = await attempt(server.port);
    expect(outcome).toEqual({ kind: 'accepted', proof: 'finished' });
    expect(presented).toHaveLength(1);
  });

  test('without tickets, TLS 1.3 shows no more than silence', async () => {
    await using server = await opensslServer(
      material(),
      '-Verify',
      '1',
      '-verify_return_error',
      '-tls1_3',
      '-num_tickets',
      '0',
    );
    const { outcome, verdictMs } = await attempt(server.port);
    expect(outcome).toEqual({ kind: 'accepted', proof: 'open' });
    expect(verdictMs).toBeGreaterThan(700);
  });

  test('nor does data, which a server may send before it has judged', async () => {
    const quiet = ['-tls1_3', '-num_tickets', '0'];
    await using server = await opensslServer(material(), '-Verify', '1', '-verify_return_error', ...quiet);
    // Not after the end of the connection: what is left over would greet the next one.
    const talking = setInterval(() => server.input.write('data\n'), 100);
    const { outcome } = await attempt(server.port);
    clearInterval(talking);
    expect(outcome).toEqual({ kind: 'accepted', proof: 'open' });
  });

  test('a server that judges after the handshake and hangs up is told from one that accepts', async () => {
    await using server = await nodeServer(
      material(),
      { rejectUnauthorized: false, maxVersion: 'TLSv1.2' },
      {},
      (socket) => {
        // At once, but not before Node has sent what ends the handshake.
        if (!socket.authorized) setImmediate(() => socket.destroy());
      },
    );
    expect((await attempt(server.port)).outcome).toEqual({ kind: 'accepted', proof: 'finished' });
    expect((await attempt(server.port, { canary: foreign })).outcome).toEqual({
      kind: 'accepted',
      proof: 'closedAfter',
    });
  });
});

describe('servers that fail', () => {
  const failure = async (port: number, overrides: Partial<HandshakeRequest> = {}): Promise<string> => {
    const { outcome } = await attempt(port, overrides);
    return outcome.kind === 'failed' ? outcome.reason : outcome.kind;
  };

  test('a closed port', async () => {
    expect(await failure(await closedPort())).toBe('ConnectionRefused');
  });

  test('no route', async () => {
    expect(await failure(1, { address: '255.255.255.255' })).toBe('NoRoute');
  });

  test('silent after accepting: ends at the timeout', async () => {
    await using server = await plainServer(() => {});
    const [result, took] = await timed(attempt(server.port, { timeoutMs: 300 }));
    expect(result.outcome).toMatchObject({ kind: 'failed', reason: 'Timeout' });
    expect(took).toBeGreaterThan(290);
    expect(took).toBeLessThan(1000);
  });

  test.skipIf(noPython !== null)(
    `a full accept queue, so that TCP itself hangs: ends at the timeout ${noPython ?? ''}`,
    async () => {
      await using server = await programServer(material(), ({ port }) => [
        'python3',
        '-c',
        NEVER_ACCEPTS,
        String(port),
      ]);
      // The look whether the server is up has taken the one place in its queue.
      const [result, took] = await timed(attempt(server.port, { timeoutMs: 300 }));
      expect(result.outcome).toMatchObject({ kind: 'failed', reason: 'Timeout' });
      expect(result.outcome).toHaveProperty('message', 'no TCP connection within 300 ms');
      await expect.poll(() => open(/ConnectWrap|TCPSocketWrap/)).toBe(0);
      expect(took).toBeLessThan(1000);
    },
  );

  test('a handshake that drips: ends at the timeout', async () => {
    await using server = await plainServer((socket) => {
      socket.write(Buffer.from([22, 3, 3, 0x40, 0]));
      const timer = setInterval(() => socket.write(Buffer.of(0)), 20);
      socket.on('close', () => clearInterval(timer));
    });
    const [result, took] = await timed(attempt(server.port, { timeoutMs: 400 }));
    expect(result.outcome.kind).toBe('failed');
    expect(took).toBeLessThan(1200);
  });

  test('closes at once', async () => {
    await using server = await plainServer((socket) => socket.destroy());
    expect(await failure(server.port)).toBe('ClosedBeforeHandshake');
  });

  test('closes after the first message', async () => {
    await using server = await plainServer((socket) => socket.once('data', () => socket.end()));
    expect(await failure(server.port)).toBe('ClosedBeforeHandshake');
  });

  test('speaks HTTP', async () => {
    await using server = await plainServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(await failure(server.port)).toBe('NotTls');
  });

  test('greets like SSH', async () => {
    await using server = await plainServer((socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n'));
    expect(await failure(server.port)).toBe('NotTls');
  });

  test('pours out garbage without end', async () => {
    let sent = 0;
    await using server = await plainServer((socket) => {
      const pour = (): void => {
        while (!socket.destroyed && socket.write(randomBytes(65_536))) sent += 65_536;
      };
      socket.on('drain', pour);
      pour();
    });
    const [reason, took] = await timed(failure(server.port));
    expect(['NotTls', 'HandshakeFailed']).toContain(reason);
    expect(took).toBeLessThan(2000);
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  test('wants to compute in a finite field of its own choice, which may be so large that it holds this process', async () => {
    const identity = await makeLeaf(authority, 'a.mesh', { algorithm: 'RSA', size: 2048 });
    const own = { ciphers: 'DHE-RSA-AES128-GCM-SHA256', dhparam: 'auto', maxVersion: 'TLSv1.2' } as const;
    await using server = await nodeServer({ ...material(), identity }, own);
    expect(await failure(server.port)).toBe('HandshakeFailed');
  });

  test('presents a chain beyond all measure', async () => {
    const chain = member.certificate + authority.certificate.pem.repeat(400);
    await using server = await nodeServer({ ...material(), identity: { ...member, certificate: chain } });
    expect(await failure(server.port)).toBe('HandshakeFailed');
  });

  test('pours out data after the handshake, before and instead of a verdict', async () => {
    const pouring = nodeServer(material(), { minVersion: 'TLSv1.3', rejectUnauthorized: false }, {}, (socket) => {
      const pour = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
      };
      socket.on('drain', pour);
      pour();
    });
    await using server = await pouring;
    const [{ outcome }, took] = await timed(attempt(server.port));
    expect(outcome.kind).toBe('accepted');
    expect(took).toBeLessThan(2000);
  });
});

test.each([
  [0.2, 50],
  [250, 250],
  [20_000, 1_000],
])('after a connect that took %s ms a close is waited for %s ms', (roundTripMs, ms) => {
  expect(lingerFor(roundTripMs)).toBe(ms);
});

test('an aborted attempt ends at once with the reason of its signal', async () => {
  await using server = await plainServer(() => {});
  const controller = new AbortController();
  const pending = attempt(server.port, { signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(pending).rejects.toThrow('enough');
  await expect(attempt(server.port, { signal: controller.signal })).rejects.toThrow('enough');
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s over a line with 250 ms each way', async (version) => {
  await using server = await nodeServer(material(), { minVersion: version, maxVersion: version });
  await using slow = await slowProxy(server.port, 250);
  const [accepted, refused] = await Promise.all([
    attempt(slow.port, { timeoutMs: 5000 }),
    attempt(slow.port, { timeoutMs: 5000, canary: foreign }),
  ]);
  expect(accepted.outcome.kind).toBe('accepted');
  expect(refused.outcome.kind).toBe('rejected');
});

test('a refusal that came while this process was busy is heard', async () => {
  const quiet = ['-tls1_3', '-num_tickets', '0'];
  await using server = await opensslServer(material(), '-Verify', '1', '-verify_return_error', ...quiet);
  // From the connection on, whatever comes finds this process busy, and every timer is due before it is read.
  let turn: NodeJS.Immediate | undefined;
  const spin = (): void => {
    const until = performance.now() + 800;
    while (performance.now() < until);
    turn = setImmediate(spin);
  };
  const onSocket = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    socket.once('connect', () => (turn = setImmediate(spin)));
  };
  subscribe('net.client.socket', onSocket);
  const { outcome } = await attempt(server.port, { canary: foreign, timeoutMs: 15_000, version: 'TLSv1.3' });
  unsubscribe('net.client.socket', onSocket);
  clearImmediate(turn);
  expect(outcome).toEqual({ kind: 'rejected', alert: 48 });
});

test('leaves no socket and no timer behind', async () => {
  await using server = await nodeServer(material(), { minVersion: 'TLSv1.3' });
  // It reads, so that its own ends of the connections close too.
  await using silent = await plainServer((socket) => socket.resume());
  await using closing = await plainServer((socket) => socket.destroy());
  const [sockets, timers] = [open(/TCP|TLS|Socket/), open(/Timeout/)];
  const ports = [server.port, silent.port, closing.port, await closedPort()];
  for (let round = 0; round < 8; round += 1) {
    await Promise.all(ports.map((port) => attempt(port, { canary: round % 2 ? trusted : foreign, timeoutMs: 100 })));
  }
  expect(open(/Timeout/)).toBeLessThanOrEqual(timers);
  await expect.poll(() => open(/TCP|TLS|Socket/), { timeout: 2000 }).toBeLessThanOrEqual(sockets);
});

/** What keeps this process alive, by kind. */
function open(kind: RegExp): number {
  return process.getActiveResourcesInfo().filter((name) => kind.test(name)).length;
}

const NEVER_ACCEPTS = `
import socket, sys, time
listener = socket.socket()
listener.bind(('127.0.0.1', int(sys.argv[1])))
listener.listen(0)
time.sleep(60)
`;
