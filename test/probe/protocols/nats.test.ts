/** NATS itself: what comes before TLS at each of its ports. */
import { beforeAll, describe, expect, test } from 'vitest';
import { lacking } from '../../support/packages.ts';
import { Files } from '../../systems/material.ts';
import { NATS, Nats } from '../../systems/nats.ts';
import { ROTATED, TwoGenerations } from './mesh.ts';

const why = await lacking(...NATS);

describe.skipIf(why !== null)(`NATS${why === null ? '' : ` ${why}`}`, () => {
  let mesh: TwoGenerations;

  beforeAll(async () => {
    mesh = await TwoGenerations.make();
  });

  test.each([
    ['clients', 'clients', 'NATS'],
    ['leaf nodes', 'leafNodes', 'NATS'],
    ['routes', 'port', 'TLS'],
  ] as const)('a rotation, at the port of %s', { timeout: 60_000 }, async (_, port, protocol) => {
    using files = new Files(mesh.stages[0]);
    await using server = await Nats.start('a', files.dir);
    const seen = await mesh.rotate({ port: server[port], protocol }, async (material) => {
      files.write(material);
      await server.reload();
    });
    expect(seen).toEqual(ROTATED);
    // Every refusal, and nothing else.
    const errors = server.instance
      .log()
      .split('\n')
      .filter((line) => /\[(ERR|WRN|FTL)\]/.test(line));
    expect(errors.length).toBeGreaterThan(4);
    expect(errors.filter((line) => !/TLS .*handshake error: tls: failed to verify/.test(line))).toEqual([]);
  });

  test('routes do not say INFO before TLS', async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await Nats.start('a', files.dir);
    const seen = await mesh.probe({ port: server.port, protocol: 'NATS', timeoutMs: 500 });
    expect(seen).toMatchObject({ kind: 'unreachable', reason: 'Timeout' });
  });
});
