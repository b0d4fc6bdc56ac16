/** PostgreSQL itself: what its answers mean, and what it writes into its log about them. */
import { beforeAll, describe, expect, test } from 'vitest';
import { CANARY_COMMON_NAME } from '../../../src/probe/canary.ts';
import { lacking } from '../../support/packages.ts';
import { Files } from '../../systems/material.ts';
import { POSTGRESQL, Postgresql, type PostgresqlOptions } from '../../systems/postgresql.ts';
import { ROTATED, TwoGenerations } from './mesh.ts';

const protocol = 'PostgreSQL';
const why = await lacking(...POSTGRESQL);

describe.skipIf(why !== null)(`PostgreSQL${why === null ? '' : ` ${why}`}`, () => {
  let mesh: TwoGenerations;

  beforeAll(async () => {
    mesh = await TwoGenerations.make();
  });

  const start = (files: Files, options?: PostgresqlOptions) => Postgresql.start('a', files.dir, options);

  const REFUSED = 'could not accept SSL connection: certificate verify failed';
  const NEWER = 'could not accept SSL connection: unsupported protocol';

  test.each([
    ['TLSv1.2', [REFUSED]],
    // Each probe begins with 1.2.
    ['TLSv1.3', [NEWER, REFUSED]],
  ])('a rotation, from %s on', { timeout: 60_000 }, async (version, logged) => {
    using files = new Files(mesh.stages[0]);
    await using server = await start(files, { settings: [`ssl_min_protocol_version = '${version}'`] });
    const seen = await mesh.rotate({ port: server.port, protocol }, async (material) => {
      files.write(material);
      await server.reload();
    });
    expect(seen).toEqual(ROTATED);
    // Every refusal, and nothing else: nobody has begun to log in.
    const own = /starting|listening|shut down at|ready to accept|received SIGHUP|checkpoint/;
    const lines = server.instance
      .log()
      .split('\n')
      .filter((line) => /(LOG|ERROR|FATAL):/.test(line) && !own.test(line));
    expect([...new Set(lines.map((line) => line.replace(/^.*?: {2}/, '')))]).toEqual(logged);
  });

  test('in quiet times the leaf is read by one connection', async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await start(files);
    const seen = await mesh.look({ port: server.port, protocol, candidates: new Map() });
    expect(seen).toMatchObject({ connections: 1, enforced: true });
    expect(seen.presented[0]).toBe(mesh.leaves[0].leaf.pem);
  });

  test('the trust store is seen, and not pg_hba.conf: who shows no certificate, or which names are let in', async () => {
    using files = new Files(mesh.stages[0]);
    const rules = ['hostssl all guest 127.0.0.1/32 trust', 'hostssl all all 127.0.0.1/32 cert clientcert=verify-full'];
    await using server = await start(files, { rules });
    await server.sql('CREATE ROLE guest LOGIN');
    const to = (user: string, more = '') =>
      server.instance.run('psql', [
        `host=127.0.0.1 port=${server.port} dbname=postgres user=${user} sslmode=require ${more}`,
        '-AtXc',
        'SELECT 1',
      ]);
    const leaf = `sslcert=tls/tls.crt sslkey=tls/tls.key`;
    // Trusted, and of another name.
    await expect(to('postgres', leaf)).rejects.toThrow('certificate authentication failed');
    await expect(to(CANARY_COMMON_NAME)).rejects.toThrow('connection requires a valid client certificate');
    expect(await to('guest', 'sslcert=none')).toBe('1\n');
    expect(await mesh.look({ port: server.port, protocol })).toMatchObject({ enforced: true });
  });

  test('without a CA nothing is enforced', async () => {
    using files = new Files(mesh.stages[0]);
    const rules = ['hostssl all all 127.0.0.1/32 trust'];
    await using server = await start(files, { rules, settings: ["ssl_ca_file = ''"] });
    const { enforced, trusts } = await mesh.look({ port: server.port, protocol });
    expect(enforced).toBe(false);
    expect([...trusts.values()].map(({ answer }) => answer)).toEqual(['unknown', 'unknown']);
  });

  test('without TLS it says so', async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await start(files, { rules: [], settings: ['ssl = off'] });
    expect(await mesh.probe({ port: server.port, protocol })).toMatchObject({
      kind: 'unreachable',
      reason: 'TlsNotOffered',
    });
  });
});
