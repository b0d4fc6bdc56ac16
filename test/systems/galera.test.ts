/** A node of Galera by itself: what it makes of files that have changed. */
import { describe, expect, test } from 'vitest';
import { TwoGenerations } from '../probe/protocols/mesh.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { GALERA, Galera } from './galera.ts';
import { freePort } from './instance.ts';
import { Files } from './material.ts';

const why = await lacking(...GALERA);

describe.skipIf(why !== null)(`Galera${why === null ? '' : ` ${why}`}`, () => {
  test('a CA that it has loaded once is trusted until it begins anew', {
    timeout: 90_000,
    ...proves('galera', 'reload'),
  }, async () => {
    const mesh = await TwoGenerations.make();
    using files = new Files(mesh.stages[0]);
    const port = await freePort();
    await using node = await Galera.install('a', files.dir, port, [port]);
    const begin = () => node.begin('--wsrep-new-cluster');
    await begin();
    const look = async () => {
      const { trusts, presented } = await mesh.look({ port, protocol: 'TLS' });
      const leaf = 1 + mesh.leaves.findIndex((each) => each.leaf.pem === presented[0]);
      return `${[...trusts.values()].map(({ answer }) => answer).join(' ')}, presents ${leaf}`;
    };
    const seen: string[] = [];
    for (const stage of mesh.stages) {
      files.write(stage);
      node.fetch();
      await node.reload();
      seen.push(await look());
    }
    expect(seen).toEqual(['yes no, presents 1', 'yes yes, presents 1', 'yes yes, presents 2', 'yes yes, presents 2']);
    await node.server.stop();
    await begin();
    expect(await look()).toBe('no yes, presents 2');
  });
});
