/** What Redis makes of its files, and when. */
import { beforeAll, describe, expect, test } from 'vitest';
import { TwoGenerations } from '../probe/protocols/mesh.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { Files } from './material.ts';
import { expectPageLoads } from './page.ts';
import { REDIS, Redis } from './redis.ts';
import { expectSeenInEachStage } from './server.ts';

const why = await lacking(...REDIS);

describe.skipIf(why !== null)(`Redis${why === null ? '' : ` ${why}`}`, () => {
  let mesh: TwoGenerations;

  beforeAll(async () => {
    mesh = await TwoGenerations.make();
  });

  test('is seen rightly in each stage, after CONFIG SET', proves('redis', 'reload', 'probe'), async () => {
    await expectSeenInEachStage(mesh, (folder) => Redis.start('a', folder));
  });

  test('the loop of its page loads every version of its Secret', {
    timeout: 60_000,
    ...proves('redis', 'reload'),
  }, async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await Redis.start('a', files.dir);
    await expectPageLoads(mesh, server, 'redis', { '/run/redis/socket': `${server.instance.dir}/socket` });
  });

  test('goes on with what it has until then, and when the new files do not belong together', async () => {
    const [start, , roll] = mesh.stages;
    using files = new Files(start);
    await using server = await Redis.start('a', files.dir);
    const presented = async () => {
      const {
        presented: [leaf],
      } = await mesh.look({ port: server.port, protocol: 'TLS', candidates: new Map() });
      return mesh.leaves.findIndex(({ leaf: { pem } }) => pem === leaf);
    };
    files.write(roll);
    server.instance.load();
    expect(await presented()).toBe(0);
    files.write({ ...roll, identity: { ...roll.identity, key: start.identity.key } });
    await expect(server.reload()).rejects.toThrow('Unable to update TLS configuration');
    expect(await presented()).toBe(0);
    files.write(roll);
    await server.reload();
    expect(await presented()).toBe(1);
  });
});
