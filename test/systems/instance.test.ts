/** Servers of real systems stop, begin again, and leave nothing behind. */
import { existsSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { TwoGenerations } from '../probe/protocols/mesh.ts';
import { lacking } from '../support/packages.ts';
import { MARIADB, Mariadb } from './mariadb.ts';
import { Files } from './material.ts';
import { NATS, Nats } from './nats.ts';
import { POSTGRESQL, Postgresql } from './postgresql.ts';

const SYSTEMS = [
  { name: 'PostgreSQL', needs: POSTGRESQL, start: (dir: string) => Postgresql.start('a', dir), protocol: 'PostgreSQL' },
  { name: 'MariaDB', needs: MARIADB, start: (dir: string) => Mariadb.start('a', dir), protocol: 'MySQL' },
  { name: 'NATS', needs: NATS, start: (dir: string) => Nats.start('a', dir), protocol: 'TLS' },
] as const;

for (const { name, needs, start, protocol } of SYSTEMS) {
  const why = await lacking(...needs);
  describe.skipIf(why !== null)(`${name}${why === null ? '' : ` ${why}`}`, () => {
    let mesh: TwoGenerations;

    beforeAll(async () => {
      mesh = await TwoGenerations.make();
    });

    test('stops, begins again, and is gone with its folder', { timeout: 60_000 }, async () => {
      using files = new Files(mesh.stages[0]);
      await using server = await start(files.dir);
      const { dir } = server.instance;
      const serves = async () => {
        const seen = await mesh.probe({ port: server.port, protocol, candidates: new Map() });
        return !(seen.kind === 'unreachable' && seen.reason === 'ConnectionRefused');
      };
      expect(await serves()).toBe(true);
      await server.stop();
      expect(await serves()).toBe(false);
      await server.begin();
      expect(await serves()).toBe(true);
      expect(existsSync(dir)).toBe(true);
      await server[Symbol.asyncDispose]();
      expect(await serves()).toBe(false);
      expect(existsSync(dir)).toBe(false);
    });
  });
}
