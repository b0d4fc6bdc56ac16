/** What RabbitMQ makes of its files, and when. */
import { beforeAll, describe, expect, test } from 'vitest';
import { ROTATED, TwoGenerations } from '../probe/protocols/mesh.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { Files } from './material.ts';
import { expectPageLoads } from './page.ts';
import { RABBITMQ, Rabbitmq } from './rabbitmq.ts';

const why = await lacking(...RABBITMQ);
const timeout = 120_000;

describe.skipIf(why !== null)(`RabbitMQ${why === null ? '' : ` ${why}`}`, () => {
  let mesh: TwoGenerations;

  beforeAll(async () => {
    mesh = await TwoGenerations.make();
  });

  const rotate = async (settings?: readonly string[]): Promise<readonly string[]> => {
    using files = new Files(mesh.stages[0]);
    await using server = await Rabbitmq.start('a', files.dir, settings);
    return await mesh.rotate({ port: server.port, protocol: 'TLS' }, async (material) => {
      files.write(material);
      await server.reload();
    });
  };

  test('is seen rightly in each stage, after its PEM cache was cleared', {
    timeout,
    ...proves('rabbitmq', 'reload', 'probe'),
  }, async () => {
    expect(await rotate()).toEqual(ROTATED);
  });

  test('the loop of its page loads every version of its Secret', {
    timeout,
    ...proves('rabbitmq', 'reload'),
  }, async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await Rabbitmq.start('a', files.dir);
    const rabbitmqctl = server.commanding.map((word) => `'${word}'`).join(' ');
    await expectPageLoads(mesh, server, 'rabbitmq', { rabbitmqctl });
  });

  test('is seen to let in whom it has dropped where it takes up sessions from before', {
    timeout,
    ...proves('rabbitmq', 'probe'),
  }, async () => {
    expect((await rotate(['ssl_options.versions.1 = tlsv1.2'])).at(-1)).toBe('no yes, presents 2, sessions accepts');
  });
});
