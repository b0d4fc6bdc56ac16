/** MariaDB itself: what its answers mean, and that it never shuts out the host that probes it. */
import net from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { handshake } from '../../../src/probe/handshake.ts';
import { CANARY_ACCOUNT, mysql } from '../../../src/probe/protocols/mysql.ts';
import { lacking } from '../../support/packages.ts';
import { MARIADB, Mariadb } from '../../systems/mariadb.ts';
import { Files } from '../../systems/material.ts';
import { plainServer, type TestServer } from '../servers.ts';
import { ROTATED, TwoGenerations } from './mesh.ts';

const protocol = 'MySQL';
const why = await lacking(...MARIADB);
/** The one address of which MariaDB does not count the errors is 127.0.0.1. */
const ELSEWHERE = '127.0.0.2';

describe.skipIf(why !== null)(`MariaDB${why === null ? '' : ` ${why}`}`, () => {
  let mesh: TwoGenerations;

  beforeAll(async () => {
    mesh = await TwoGenerations.make();
  });

  const start = (files: Files, ...settings: readonly string[]) =>
    Mariadb.start('a', files.dir, { settings: ['max_connect_errors = 3', 'performance_schema = ON', ...settings] });

  /** Errors in a row, and how often the host was shut out. */
  const counted = (server: Mariadb) =>
    server.sql(
      `SELECT SUM_CONNECT_ERRORS, COUNT_HOST_BLOCKED_ERRORS FROM performance_schema.host_cache WHERE IP = '${ELSEWHERE}'`,
    );

  const grows = /Access denied|blocked|Aborted connection/;
  const linesOf = (server: Mariadb) =>
    server.instance
      .log()
      .split('\n')
      .filter((line) => grows.test(line));

  test.each(['TLSv1.2', 'TLSv1.3'])(
    'a rotation, in %s, with max_connect_errors = 3',
    { timeout: 90_000 },
    async (version) => {
      using files = new Files(mesh.stages[0]);
      await using server = await start(files, `tls_version = ${version}`);
      await using elsewhere = await from(ELSEWHERE, server.port);
      await server.sql(CANARY_ACCOUNT);
      const where = { port: elsewhere.port, protocol } as const;
      const seen = await mesh.rotate(where, async (material) => {
        files.write(material);
        await server.reload();
      });
      expect(seen).toEqual(ROTATED);
      // One that trusts neither generation refuses whatever it is shown.
      const stranger = await TwoGenerations.make();
      for (let again = 0; again < 3; again += 1) {
        const { trusts } = await stranger.look(where);
        expect([...trusts.values()].map(({ answer }) => answer)).toEqual(['no', 'no']);
      }
      expect(await counted(server)).toBe('0\t0');
      // Refusals, and nothing else: every login has succeeded, and quit.
      expect(linesOf(server).filter((line) => !line.includes('without authentication'))).toEqual([]);
    },
  );

  test('without those logins the fourth connection finds the host shut out', async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await start(files);
    await using elsewhere = await from(ELSEWHERE, server.port);
    await server.sql(CANARY_ACCOUNT);
    const rude = { begin: mysql.begin, leave: null };
    const attempt = async (canary = mesh.canaries.control) => {
      const signal = AbortSignal.timeout(10_000);
      const request = { address: '127.0.0.1', port: elsewhere.port, protocol: rude, timeoutMs: 5000, signal };
      return (await handshake({ ...request, canary })).outcome;
    };
    // One that is refused counts as much as one that is accepted, and then just goes.
    expect(await attempt()).toEqual({ kind: 'rejected', alert: 48 });
    expect(await attempt(mesh.canaries.candidates.get(1))).toMatchObject({ kind: 'accepted' });
    expect(await attempt()).toEqual({ kind: 'rejected', alert: 48 });
    expect(await attempt()).toMatchObject({ kind: 'failed', reason: 'HostRefused' });
    const seen = await mesh.probe({ port: elsewhere.port, protocol });
    expect(seen).toMatchObject({ kind: 'unreachable', reason: 'HostRefused' });
    expect(seen).toHaveProperty(
      'message',
      `the server says "Host '${ELSEWHERE}' is blocked because of many connection errors; unblock with 'mariadb-admin flush-hosts'" (error 1129): run FLUSH HOSTS there`,
    );
  });

  test('without the account its leaf is seen, and it is shown no certificate', async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await start(files);
    await using elsewhere = await from(ELSEWHERE, server.port);
    await server.sql("CREATE USER replication@'%' IDENTIFIED BY 'secret' REQUIRE X509");
    for (let again = 0; again < 5; again += 1) {
      const seen = await mesh.look({ port: elsewhere.port, protocol });
      expect(seen.unasked).toContain("Access denied for user 'replicert-canary'");
      expect(seen.presented[0]).toBe(mesh.leaves[0].leaf.pem);
    }
    expect(await counted(server)).toBe('0\t0');
  });

  test('without any account for the host it says so', async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await start(files);
    await using elsewhere = await from(ELSEWHERE, server.port);
    const seen = await mesh.probe({ port: elsewhere.port, protocol });
    expect(seen).toMatchObject({ kind: 'unreachable', reason: 'HostRefused' });
    expect(seen).toHaveProperty(
      'message',
      `the server says "Host '${ELSEWHERE}' is not allowed to connect to this MariaDB server" (error 1130): no account there is for the host that probes`,
    );
  });

  test('in quiet times one login without a certificate reads the leaf', async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await start(files);
    await server.sql(CANARY_ACCOUNT);
    const seen = await mesh.look({ port: server.port, protocol, candidates: new Map() });
    expect(seen).toMatchObject({ connections: 1, unasked: null });
    expect(seen.presented[0]).toBe(mesh.leaves[0].leaf.pem);
    expect(linesOf(server)).toEqual([]);
  });

  test("without a CA whoever shows a certificate is judged by the system's, so that no generation is trusted", async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await start(files, 'ssl_ca =');
    await server.sql(CANARY_ACCOUNT);
    const { trusts } = await mesh.look({ port: server.port, protocol });
    expect([...trusts.values()].map(({ answer }) => answer)).toEqual(['no', 'no']);
  });

  test('without TLS it says so', async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await start(files, 'skip_ssl');
    expect(await mesh.probe({ port: server.port, protocol })).toMatchObject({
      kind: 'unreachable',
      reason: 'TlsNotOffered',
    });
  });

  test('the account is let do nothing', async () => {
    using files = new Files(mesh.stages[0]);
    await using server = await start(files);
    await server.sql(CANARY_ACCOUNT);
    const to = ['--no-defaults', '-h', '127.0.0.1', '-P', String(server.port), '-u', 'replicert-canary'];
    const query = (...more: readonly string[]) => server.instance.run('mariadb', [...to, ...more]);
    await expect(query('--skip-ssl', '-e', 'SELECT 1')).rejects.toThrow('Access denied');
    await expect(query('-e', 'SELECT 1; SELECT 2')).rejects.toThrow('max_queries_per_hour');
  });
});

/** Passes everything on, from another address of this machine. */
function from(localAddress: string, port: number): Promise<TestServer> {
  return plainServer((near) => {
    const far = net.connect({ port, host: '127.0.0.1', localAddress });
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
    near.pipe(far).pipe(near);
  });
}
