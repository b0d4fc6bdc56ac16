/** What etcd makes of its files, and when. */
import { beforeAll, describe, expect, test } from 'vitest';
import { TwoGenerations } from '../probe/protocols/mesh.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { ETCD, Etcd } from './etcd.ts';
import { Files } from './material.ts';
import { expectSeenInEachStage } from './server.ts';

const why = await lacking(...ETCD);

describe.skipIf(why !== null)(`etcd${why === null ? '' : ` ${why}`}`, () => {
  let mesh: TwoGenerations;

  beforeAll(async () => {
    mesh = await TwoGenerations.make();
  });

  test('is seen rightly in each stage, after a restart', proves('etcd', 'reload', 'probe'), async () => {
    await expectSeenInEachStage(mesh, (folder) => Etcd.start('a', folder));
  });

  test('without one it takes a new leaf, and is seen not to have taken a new CA', proves('etcd', 'probe'), async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await Etcd.start('a', files.dir);
    const seen = await mesh.rotate({ port: server.port, protocol: 'TLS' }, async (material) => {
      files.write(material);
      server.instance.load();
    });
    expect(seen).toEqual([
      'yes no, presents 1, sessions not asked',
      'yes no, presents 1, sessions not asked',
      'yes no, presents 2, sessions not asked',
      'yes no, presents 2, sessions not asked',
    ]);
  });
});
