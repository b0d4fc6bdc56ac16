/** What NATS makes of its files, and when. */
import { beforeAll, describe, test } from 'vitest';
import { TwoGenerations } from '../probe/protocols/mesh.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { Files } from './material.ts';
import { NATS, Nats } from './nats.ts';
import { expectPageLoads } from './page.ts';
import { expectSeenInEachStage } from './server.ts';

const why = await lacking(...NATS);

describe.skipIf(why !== null)(`NATS${why === null ? '' : ` ${why}`}`, () => {
  let mesh: TwoGenerations;

  beforeAll(async () => {
    mesh = await TwoGenerations.make();
  });

  test('is seen rightly in each stage, after SIGHUP', proves('nats', 'reload', 'probe'), async () => {
    await expectSeenInEachStage(mesh, (folder) => Nats.start('a', folder));
  });

  test('the loop of its page loads every version of its Secret', {
    timeout: 60_000,
    ...proves('nats', 'reload'),
  }, async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await Nats.start('a', files.dir);
    await expectPageLoads(mesh, server, 'nats', { '/run/nats.pid': `${server.instance.dir}/process` });
  });
});
