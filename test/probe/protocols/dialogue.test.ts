/** Servers that do not get as far as TLS: silent, without TLS, of another protocol, hostile. Each is told from the others, in bounded time. */
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ProtocolName } from '../../../src/api/replication-peer.ts';
import { type Attempt, handshake } from '../../../src/probe/handshake.ts';
import { converse } from '../../../src/probe/protocols/dialogue.ts';
import { protocolOf } from '../../../src/probe/protocols/index.ts';
import { plainServer } from '../servers.ts';
import { mysqlGreeting, mysqlPacket, natsInfo, PREAMBLES, PROTOCOLS } from './front.ts';

function attempt(name: ProtocolName, port: number, signal = AbortSignal.timeout(30_000)): Promise<Attempt> {
  return handshake({ address: '127.0.0.1', port, protocol: protocolOf(name), canary: null, timeoutMs: 1000, signal });
}

/** What becomes of a handshake with a server that does this with each connection. */
async function outcome(name: ProtocolName, onConnection: (socket: Socket) => void): Promise<string> {
  await using server = await plainServer((socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  const { outcome: seen } = await attempt(name, server.port);
  if (seen.kind !== 'failed') return seen.kind;
  return `${seen.reason}: ${seen.message}`;
}

const says =
  (...parts: readonly (Buffer | string)[]) =>
  (socket: Socket): void =>
    void socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))));

const answers =
  (...parts: readonly (Buffer | string)[]) =>
  (socket: Socket): void =>
    void socket.once('data', () => says(...parts)(socket));

const mysqlError = (code: number, message: string): Buffer =>
  mysqlPacket(0, Buffer.concat([Buffer.from([0xff, code & 255, code >> 8]), Buffer.from(message)]));

describe('no TLS', () => {
  test.each<[ProtocolName, (socket: Socket) => void, string]>([
    ['PostgreSQL', answers('N'), 'TlsNotOffered: the server has TLS switched off (ssl = off in postgresql.conf)'],
    ['MySQL', says(mysqlGreeting(0xf7ff)), 'TlsNotOffered: the server has no certificate loaded'],
    ['NATS', says(natsInfo({ server_id: 'N' })), 'TlsNotOffered: the server has no tls block for this port'],
    ['NATS', says(natsInfo({ tls_required: 'true' })), 'TlsNotOffered: '],
  ])('%s', async (name, onConnection, says) => {
    expect(await outcome(name, onConnection)).toContain(says);
  });

  test.each([
    [1129, 'run FLUSH HOSTS there'],
    [1130, 'no account there is for the host that probes'],
    [1040, 'raise max_connections there'],
    [1999, 'see its log'],
  ])('MySQL says error %s instead of a greeting', async (code, next) => {
    expect(await outcome('MySQL', says(mysqlError(code, "Host 'a\n\x1b[31mb' is not wanted")))).toBe(
      `HostRefused: the server says "Host 'a [31mb' is not wanted" (error ${code}): ${next}`,
    );
  });
});

test('a server that offers no TLS is not asked again for another version of it', async () => {
  await using server = await plainServer(answers('N'));
  expect((await attempt('PostgreSQL', server.port)).connections).toBe(1);
});

describe('something else than was asked for', () => {
  const injected = Buffer.from('ROLLBACK');
  test.each<[ProtocolName, (socket: Socket) => void]>([
    ['PostgreSQL', answers('S', injected)],
    ['MySQL', says(mysqlGreeting(), injected)],
    ['NATS', says(natsInfo({ tls_required: true }), injected)],
  ])('%s: plain text after the word that begins TLS (CVE-2021-23222)', async (name, onConnection) => {
    expect(await outcome(name, onConnection)).toBe(
      'ProtocolError: the server, or somebody on the way to it, sent 8 bytes that were not asked for',
    );
  });

  test('PostgreSQL: the same a moment later', async () => {
    const seen = await outcome('PostgreSQL', (socket) => {
      socket.once('data', () => socket.write('S', () => setTimeout(() => socket.write(injected), 50)));
    });
    expect(seen).toMatch(/^NotTls: /);
  });

  test.each<[ProtocolName, string, (socket: Socket) => void]>([
    ['PostgreSQL', 'an error', answers('E\0\0\0\x10Cfork failed')],
    ['PostgreSQL', 'another answer', answers('HTTP/1.1 400 Bad Request\r\n')],
    ['MySQL', 'a greeting of protocol 9', says(mysqlPacket(0, Buffer.from('\x093.20\0')))],
    ['MySQL', 'a greeting that is cut off', says(mysqlPacket(0, mysqlGreeting().subarray(4, 20)))],
    ['MySQL', 'an empty packet', says(mysqlPacket(0, Buffer.alloc(0)))],
    ['MySQL', 'a banner of SSH', says('SSH-2.0-OpenSSH_9.2\r\n'.repeat(1000))],
    ['NATS', 'a banner of SSH', says('SSH-2.0-OpenSSH_9.2\r\n')],
    ['NATS', 'no JSON', says('INFO {tls_required}\r\n')],
    ['NATS', 'a JSON list', says('INFO [true]\r\n')],
  ])('%s: %s', async (name, _, onConnection) => {
    expect(await outcome(name, onConnection)).toMatch(/^ProtocolError: /);
  });

  test.each<ProtocolName>(['PostgreSQL', 'MySQL', 'NATS'])('%s: garbage without end', async (name) => {
    let sent = 0;
    const pouring = (socket: Socket): void => {
      const pour = (): void => {
        // No line ends, no packet of a length that comes.
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 0xfe))) sent += 65_536;
      };
      socket.on('drain', pour);
      pour();
    };
    expect(await outcome(name, pouring)).toMatch(/^ProtocolError: /);
    expect(sent).toBeLessThan(16 * 1024 * 1024);
  });

  test.each<[ProtocolName, ProtocolName]>(
    PROTOCOLS.flatMap((spoken) =>
      PROTOCOLS.flatMap((meant): [ProtocolName, ProtocolName][] => (spoken === meant ? [] : [[meant, spoken]])),
    ),
  )('%s meant, %s spoken', async (meant, spoken) => {
    const { greeting, heard, answer } = PREAMBLES[spoken];
    const seen = await outcome(meant, (socket) => {
      socket.write(greeting);
      // Whoever speaks TLS hears no ClientHello; the others do not hear their client.
      socket.once('data', (said: Buffer) => (said.length === heard ? socket.write(answer) : socket.end()));
    });
    expect(seen).toMatch(/^(ProtocolError|NotTls|ClosedBeforeHandshake|Timeout): /);
  });
});

describe('at any point', () => {
  const protocols = PROTOCOLS.filter((name) => name !== 'TLS');

  test.each(protocols)('%s: silence ends at the timeout', async (name) => {
    const started = performance.now();
    expect(await outcome(name, () => undefined)).toBe(
      'Timeout: connected, but nothing that leads to TLS within 1000 ms',
    );
    expect(performance.now() - started).toBeLessThan(2500);
  });

  test.each(protocols)('%s: what drips ends at the timeout', async (name) => {
    const seen = await outcome(name, (socket) => {
      const timer = setInterval(() => socket.write(name === 'PostgreSQL' ? '' : '\x01'), 20);
      socket.on('close', () => clearInterval(timer));
    });
    expect(seen).toMatch(/^Timeout: /);
  });

  test.each(protocols)('%s: its words, byte by byte, lead to TLS all the same', async (name) => {
    const { greeting, answer } = PREAMBLES[name];
    const drop = (socket: Socket, bytes: Buffer, done: () => void): void => {
      const [first, ...rest] = bytes;
      if (first === undefined) return done();
      socket.write(Buffer.of(first), () => setImmediate(() => drop(socket, Buffer.from(rest), done)));
    };
    await using server = await plainServer((socket) => {
      socket.setNoDelay(true);
      drop(socket, greeting, () => socket.once('data', () => drop(socket, answer, () => socket.end())));
    });
    const { outcome: seen, connections } = await attempt(name, server.port);
    expect(seen).toMatchObject({ kind: 'failed', reason: 'ClosedBeforeHandshake' });
    // Only a server that came as far as TLS is asked for another version of it.
    expect(connections).toBe(2);
  });

  test.each(protocols)('%s: a close is told from silence', async (name) => {
    expect(await outcome(name, (socket) => socket.end())).toMatch(/^ClosedBeforeHandshake: /);
    expect(await outcome(name, (socket) => socket.destroy())).toMatch(/^ClosedBeforeHandshake: /);
    expect(await outcome(name, (socket) => socket.resetAndDestroy())).toMatch(/^ClosedBeforeHandshake: /);
  });

  test.each(protocols)('%s: an aborted attempt ends at once', async (name) => {
    await using server = await plainServer(() => undefined);
    const controller = new AbortController();
    const pending = attempt(name, server.port, controller.signal);
    setTimeout(() => controller.abort(new Error('enough')), 50);
    await expect(pending).rejects.toThrow('enough');
  });
});

describe('whatever a server says', () => {
  const dialogues = PROTOCOLS.flatMap((name) => {
    const { begin, leave } = protocolOf(name);
    return [
      ...(begin === null ? [] : [[name, 'before TLS', begin] as const]),
      ...(leave === null ? [] : [[name, 'within TLS', leave] as const]),
    ];
  });
  const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
  /** What is right, cut off and changed somewhere. */
  const nearly = fc
    .tuple(fc.constantFrom(...PROTOCOLS), fc.nat(100), fc.nat(255), fc.nat(100))
    .map(([name, at, byte, cut]) => {
      const { greeting, answer } = PREAMBLES[name];
      const said = Buffer.concat([greeting, answer]);
      if (at < said.length) said[at] = byte;
      return said.subarray(0, Math.max(said.length - cut, 0));
    });
  const packet = noise.map((body) => mysqlPacket(3, body));

  test.each(dialogues)('%s, %s: it waits, ends, or breaks off', (_, __, dialogue) => {
    const chunks = fc.array(fc.oneof(noise, nearly, packet), { maxLength: 6 });
    fc.assert(
      fc.property(chunks, (said) => {
        const stream = new PassThrough();
        const ends: unknown[] = [];
        converse<unknown>(silenced(stream), dialogue(), (end) => ends.push(end));
        for (const chunk of said) stream.emit('data', chunk);
        expect(ends.length).toBeLessThanOrEqual(1);
        expect(stream.listenerCount('data')).toBe(1 - ends.length);
      }),
      { numRuns: 2_000 },
    );
  });
});

/** What is written to it is not heard from it. */
function silenced(stream: PassThrough): PassThrough {
  stream.write = () => true;
  return stream;
}
