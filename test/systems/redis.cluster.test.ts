/** Redis with two replicas in a row, all links by mutual TLS, through a rotation and one that is turned round. */
import { describe, test } from 'vitest';
import { testBed } from '../controllers/bed.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { REDIS, Redis } from './redis.ts';
import { type Reply, Resp } from './resp.ts';
import { ROTATION_TIMEOUT, rotateLive } from './rotation.ts';

const why = await lacking(...REDIS);

describe.skipIf(why !== null)(`Redis${why === null ? '' : ` ${why}`}`, () => {
  const bed = testBed(why === null ? 1 : 0);
  const timeout = ROTATION_TIMEOUT;

  test('rotations break no replication and lose no record', {
    timeout,
    ...proves('redis', 'material', 'reload', 'rotation', 'rollback'),
  }, async () => {
    await rotateLive<Redis>(bed, {
      profile: 'redis',
      // Names are checked by nobody.
      certificate: () => ({}),
      names: ['a', 'b', 'c'],
      start: async (name, files, before) => {
        const server = await Redis.start(name, files, before.at(-1));
        if (before.length > 0) await server.replicates();
        return server;
      },
      load: async (server) => {
        await server.reload();
        await server.replicateAnew();
      },
      write: async (record, [primary]) => void (await primary?.call('XADD', 'records', '*', 'record', record)),
      read,
      // But for those of ours who dial, shake hands, and are gone.
      trouble: /SSL(?!.*unexpected eof)|[Cc]ertificate|Error condition on socket|Timeout connecting|MASTER aborted/,
      refusal: /Error accepting a client connection: error:\w+:SSL routines::certificate verify failed/,
      longestLag: 5_000,
    });
  });
});

async function read(server: Redis, take: (record: string) => void, signal: AbortSignal): Promise<void> {
  const connection = await Resp.connect(`${server.instance.dir}/socket`);
  let last = '0';
  while (!signal.aborted) {
    // By stream, its entries: each an id, and names and values in turn.
    const streams = await connection.call('XREAD', 'BLOCK', 200, 'STREAMS', 'records', last);
    for (const [id, fields] of listOf(listOf(listOf(streams)[0])[1]).map(listOf)) {
      last = String(id);
      take(String(listOf(fields)[1]));
    }
  }
  connection.close();
}

function listOf(reply: Reply | undefined): readonly Reply[] {
  return typeof reply === 'object' && reply !== null ? reply : [];
}
