/**
 * MariaDB, a primary and a replica, both ends proven by certificates, while data is written all the time: a rotation, one that is
 * turned round in the middle, and what is left of the old CA.
 */
import { describe, expect, test } from 'vitest';
import { CANARY_ACCOUNT } from '../../src/probe/protocols/mysql.ts';
import { testBed } from '../controllers/bed.ts';
import { ca, certificate, peer, textOf } from '../controllers/scene.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { MARIADB, Mariadb } from './mariadb.ts';
import * as rows from './rows.ts';
import { ROTATION_TIMEOUT, rotateAndTurnBack } from './rotation.ts';
import { SyncedFiles } from './synced.ts';
import { dial, expectWhole } from './turns.ts';

const why = await lacking(...MARIADB);
const USER = 'replicator';
const settings = (id: number) => [
  `server_id = ${id}`,
  'log_bin = bin',
  'relay_log = relay',
  'log_slave_updates = ON',
  'binlog_format = ROW',
  'gtid_strict_mode = ON',
  'performance_schema = ON',
];
/** A canary that was refused, and that of which nothing more is heard. */
const REFUSED_CANARY = "db: 'unconnected' user: 'unauthenticated'";

describe.skipIf(why !== null)(`MariaDB${why === null ? '' : ` ${why}`}`, () => {
  const bed = testBed(why === null ? 1 : 0);

  test('rotations break no replication of MariaDB and lose no row', {
    timeout: ROTATION_TIMEOUT,
    ...proves('mysql', 'material', 'reload', 'probe', 'rotation', 'rollback'),
  }, async () => {
    const here = await bed.scene();
    const names = ['a', 'b'] as const;
    await here.apply(
      ca('mesh', { profile: 'mysql' }),
      ...names.map((name) => certificate(name, 'mesh', { ipAddresses: ['127.0.0.1'] })),
    );
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names });
    const kubeconfig = bed.cluster.kubeconfig;
    const sync = (secret: string) => SyncedFiles.of({ kubeconfig, namespace: here.namespace, secret, lag: [0, 1_500] });
    await using filesOfA = await sync('a');
    await using filesOfB = await sync('b');

    await using a = await Mariadb.start('a', filesOfA.dir, { settings: settings(1) });
    await using b = await Mariadb.start('b', filesOfB.dir, { settings: settings(2) });
    await a.sql(`${CANARY_ACCOUNT}; ${ACCOUNT}`);
    await rows.prepare(a);
    await b.follow(a, USER);
    await expect.poll(() => rows.areReady(b), { timeout: 20_000 }).toBe(true);
    // New handshakes prove more than a connection that lasts, so replication begins anew with every load, of either end.
    filesOfA.follow(async () => {
      await a.reload();
      await filesOfB.turns.take(() => b.replicateAnew());
    });
    filesOfB.follow(async () => {
      await b.reload();
      await b.replicateAnew();
    });
    await here.apply(peer('mesh', { a: a.port, b: b.port }, '5s'));
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });

    const writing = rows.write(a);
    const end = new AbortController();
    const watching = rows.watch(b);
    const ask = (from: Mariadb, to: Mariadb) => () =>
      from.instance.run('mariadb', [...from.dialling(to.port, USER), '-e', 'SELECT 1']);
    const edges = [dial(filesOfA, ask(a, b), end.signal), dial(filesOfB, ask(b, a), end.signal)] as const;
    const secret = here.secret('b');
    const of1 = { 'tls.crt': textOf(secret, 'tls.crt'), 'tls.key': textOf(secret, 'tls.key') };

    await rotateAndTurnBack(here);

    await rows.stop(a);
    await writing;
    const written = await rows.all(a);
    await expect.poll(() => rows.all(b), { timeout: 20_000 }).toEqual(written);
    end.abort();
    const { longestMs, looks, backwards } = await watching;
    const { count, most } = written;
    expectWhole(here, {
      system: 'MariaDB',
      rows: count,
      newest: most,
      longestMs,
      looks,
      backwards,
      edges: await Promise.all(edges),
      files: [filesOfA, filesOfB],
    });
    for (const server of [a, b]) {
      expect(server.instance.log()).toContain(REFUSED_CANARY);
      expect(troublesOf(server)).toEqual([]);
    }

    // Whoever still has a leaf of generation 1 is refused by both.
    b.instance.folder('old', { ...of1, 'ca.crt': textOf(here.secret('b'), 'ca.crt') });
    for (const server of [a, b]) {
      // In TLS 1.3 a client has begun to log in when the server refuses it, and does not always get to read why.
      const login = (folder?: string) =>
        b.instance.run('mariadb', [
          ...b.dialling(server.port, USER, folder),
          '--tls-version=TLSv1.2',
          '-NBe',
          'SELECT 1',
        ]);
      expect(await login()).toBe('1\n');
      await expect(login('old')).rejects.toThrow('unknown ca');
    }
  });
});

/** Who is let in shows a certificate of the mesh. */
const ACCOUNT = `CREATE USER ${USER}@'%' REQUIRE X509; GRANT REPLICATION SLAVE ON *.* TO ${USER}@'%'`;

const LEFT =
  /Aborted connection \d+ to db: 'unconnected' user: 'replicator' .*Got an error writing communication packets/;

/** What a log tells of certificates and connections that failed, but for canaries that were refused. */
function troublesOf(server: Mariadb): readonly string[] {
  return (
    server.instance
      .log()
      .split('\n')
      .filter((line) => /SSL|certificate|Aborted|denied|\[ERROR\]|error connecting/i.test(line))
      // A replica that was told to dial anew has left the connection that it had.
      .filter((line) => !line.includes(REFUSED_CANARY) && !LEFT.test(line))
  );
}
