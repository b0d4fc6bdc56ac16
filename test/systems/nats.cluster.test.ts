/** Three NATS servers with routes by mutual TLS, which keep one stream of JetStream, through a rotation and one that is turned round. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test } from 'vitest';
import { testBed } from '../controllers/bed.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { NATS, Nats } from './nats.ts';
import { NatsClient } from './nats-client.ts';
import { ROTATION_TIMEOUT, rotateLive } from './rotation.ts';
import { Turns } from './synced.ts';
import { Wire } from './wire.ts';

const why = await lacking(...NATS);
const NAMES = ['a', 'b', 'c'] as const;
const EDGES = NAMES.flatMap((from) => NAMES.filter((to) => to !== from).map((to) => [from, to] as const));
const STREAM = { name: 'records', subjects: ['records'], num_replicas: 3, storage: 'file', allow_direct: true };

describe.skipIf(why !== null)(`NATS${why === null ? '' : ` ${why}`}`, () => {
  const bed = testBed(why === null ? 1 : 0);
  const timeout = ROTATION_TIMEOUT;

  test('rotations break no route and lose no record', {
    timeout,
    ...proves('nats', 'material', 'reload', 'rotation', 'rollback'),
  }, async () => {
    await using stack = new AsyncDisposableStack();
    const wires = await Promise.all(EDGES.map(async (edge) => ({ edge, wire: stack.use(await Wire.make()) })));
    const loads = new Turns();
    let client: NatsClient | null = null;
    stack.defer(() => client?.close());
    await rotateLive<Nats>(bed, {
      profile: 'nats',
      // By which the others dial it: Go looks at no common name.
      certificate: () => ({ ipAddresses: ['127.0.0.1'] }),
      names: NAMES,
      start: async (name, files, before) => {
        const server = await Nats.start(
          name,
          files,
          wires.filter(({ edge: [from] }) => from === name).map(({ wire }) => wire.port),
        );
        for (const { edge, wire } of wires) if (edge[1] === name) await wire.connect(server.port);
        if (before.length === 2) await makeStream(server);
        return server;
      },
      // One after the other, or routes would be cut for which another waits.
      load: (server, all) =>
        loads.take(async () => {
          await server.reload();
          const own = wires.filter(({ edge }) => edge.some((end) => end === server.instance.name));
          await routeAnew(server, all.length - 1, () => own.forEach(({ wire }) => wire.cut()));
        }),
      write: async (record, [first]) => {
        if (first !== undefined) client ??= await NatsClient.connect(first.clients, first.instance.loaded());
        await publish(client, record);
      },
      read,
      // What TLS itself says: a wire that is cut in the middle of a handshake resets that.
      trouble: /\[(ERR|WRN|FTL)\].*(tls:|x509)/,
      refusal: /TLS route handshake error: tls: failed to verify/,
      longestLag: 10_000,
    });
  });
});

/** Cuts the routes of a server. @returns when they are there again */
async function routeAnew(server: Nats, count: number, cut: () => void): Promise<void> {
  const before = await server.routes();
  cut();
  while ((await server.routes()).filter((route) => !before.includes(route)).length < count) await sleep(20);
}

/** Once the three have found each other. */
async function makeStream(server: Nats): Promise<void> {
  const client = await NatsClient.connect(server.clients, server.instance.loaded());
  for (;;) {
    const reply = await client.request('$JS.API.STREAM.CREATE.records', JSON.stringify(STREAM), 2000);
    if (reply?.text.includes('"created"') === true) break;
    await sleep(100);
  }
  client.close();
}

/** Until it is acknowledged; by its id the stream takes it once however often it is sent. */
async function publish(client: NatsClient | null, record: string): Promise<void> {
  for (;;) {
    const reply = await client?.request('records', record, 1000, record);
    if (reply?.text.includes('"seq"') === true) return;
    await sleep(10);
  }
}

/** From the server's own replica of the stream. */
async function read(server: Nats, take: (record: string) => void, signal: AbortSignal): Promise<void> {
  const client = await NatsClient.connect(server.clients, server.instance.loaded());
  for (let seq = 1; !signal.aborted; ) {
    const reply = await client.request('$JS.API.DIRECT.GET.records', JSON.stringify({ seq }), 1000);
    if (reply?.headers.includes(`Nats-Sequence: ${seq}\r\n`) === true) {
      take(reply.text);
      seq += 1;
    } else await sleep(5);
  }
  client.close();
}
