/**
 * PostgreSQL in streaming replication, both ends proven by certificates, while data is written all the time: a rotation, one that
 * is turned round in the middle, and what is left of the old CA.
 */
import { describe, expect, test } from 'vitest';
import { testBed } from '../controllers/bed.ts';
import { ca, certificate, peer, textOf } from '../controllers/scene.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { POSTGRESQL, Postgresql } from './postgresql.ts';
import { ROTATION_TIMEOUT, rotateAndTurnBack } from './rotation.ts';
import { SyncedFiles } from './synced.ts';
import { dial, expectWhole } from './turns.ts';

const why = await lacking(...POSTGRESQL);
const USER = 'replicator';
const RULES = ['replication', 'postgres'].map(
  (database) => `hostssl ${database} ${USER} 127.0.0.1/32 cert clientcert=verify-full map=mesh`,
);
const OPTIONS = {
  rules: RULES,
  names: [`mesh a ${USER}`, `mesh b ${USER}`],
  // Replication would wait for whoever watches the standby, if rows were cleaned up meanwhile.
  settings: ["wal_retrieve_retry_interval = '100ms'", 'autovacuum = off'],
};
const REFUSED_CANARY = 'could not accept SSL connection: certificate verify failed';
const hostOf = (name: string): string => `${name}.mesh.test`;

describe.skipIf(why !== null)(`PostgreSQL${why === null ? '' : ` ${why}`}`, () => {
  const bed = testBed(why === null ? 1 : 0);

  test('rotations break no replication and lose no row', {
    timeout: ROTATION_TIMEOUT,
    ...proves('postgres', 'material', 'reload', 'probe', 'rotation', 'rollback'),
  }, async () => {
    const here = await bed.scene();
    const names = ['a', 'b'] as const;
    await here.apply(
      ca('mesh', { profile: 'postgres' }),
      ...names.map((name) => certificate(name, 'mesh', { dnsNames: [hostOf(name)] })),
    );
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names });
    const kubeconfig = bed.cluster.kubeconfig;
    const sync = (secret: string) => SyncedFiles.of({ kubeconfig, namespace: here.namespace, secret, lag: [0, 1_500] });
    await using filesOfA = await sync('a');
    await using filesOfB = await sync('b');

    await using a = await Postgresql.start('a', filesOfA.dir, OPTIONS);
    await a.sql(`CREATE ROLE ${USER} LOGIN REPLICATION`);
    await a.sql('CREATE TABLE rows (id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())');
    await a.sql('CREATE TABLE stop ()');
    await a.sql(WRITE);
    await a.sql(WATCH);
    await using b = await Postgresql.standby('b', filesOfB.dir, {
      ...OPTIONS,
      primary: a,
      host: hostOf('a'),
      user: USER,
    });
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

    const writing = a.sql('CALL write()');
    const end = new AbortController();
    const watching = b.sql('SELECT watch()');
    const edges = [
      dial(filesOfA, () => ask(a, b, hostOf('b')), end.signal),
      dial(filesOfB, () => ask(b, a, hostOf('a')), end.signal),
    ] as const;
    const secret = here.secret('b');
    const of1 = { 'tls.crt': textOf(secret, 'tls.crt'), 'tls.key': textOf(secret, 'tls.key') };

    await rotateAndTurnBack(here);

    await a.sql('INSERT INTO stop DEFAULT VALUES');
    await writing;
    const all = "SELECT count(*), min(id), max(id), md5(string_agg(id::text || at::text, ',' ORDER BY id)) FROM rows";
    const written = await a.sql(all);
    await expect.poll(() => b.sql(all), { timeout: 20_000 }).toBe(written);
    end.abort();
    const [longestMs = 0, looks = 0, backwards] = (await watching).replaceAll(/[()]/g, '').split(',').map(Number);
    const [rows, , newest] = written.split('|').map(Number);
    expectWhole(here, {
      system: 'PostgreSQL',
      rows,
      newest,
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
    for (const [server, name] of [[a, 'a'] as const, [b, 'b'] as const]) {
      const to = (folder?: string) => b.dialling(server.port, hostOf(name), USER, folder);
      expect(await b.instance.run('psql', ['-XAtc', 'SELECT 1', to()])).toBe('1\n');
      await expect(b.instance.run('psql', ['-XAtc', 'SELECT 1', to('old')])).rejects.toThrow('unknown ca');
    }
  });
});

/** Commits row after row until there is something in `stop`. */
const WRITE = `CREATE PROCEDURE write() LANGUAGE plpgsql AS $$
BEGIN
  LOOP
    INSERT INTO rows DEFAULT VALUES;
    COMMIT;
    EXIT WHEN EXISTS (SELECT FROM stop);
    PERFORM pg_sleep(0.01);
  END LOOP;
END $$`;

/** On the standby, until there is something in `stop`: how far it was behind, how often that was looked at, and how often rows went away. */
const WATCH = `CREATE FUNCTION watch(OUT longest_ms int, OUT looks int, OUT backwards int) LANGUAGE plpgsql AS $$
DECLARE
  newest record;
  last bigint := 0;
BEGIN
  longest_ms := 0; looks := 0; backwards := 0;
  LOOP
    SELECT id, at INTO newest FROM rows ORDER BY id DESC LIMIT 1;
    IF FOUND THEN
      looks := looks + 1;
      longest_ms := greatest(longest_ms, extract(epoch FROM clock_timestamp() - newest.at) * 1000);
      IF newest.id < last THEN backwards := backwards + 1; END IF;
      last := newest.id;
    END IF;
    EXIT WHEN EXISTS (SELECT FROM stop);
    PERFORM pg_sleep(0.005);
  END LOOP;
END $$`;

const ask = (from: Postgresql, to: Postgresql, host: string) =>
  from.instance.run('psql', ['-XAtc', 'SELECT 1', from.dialling(to.port, host, USER)]);

/** What a log tells of certificates and connections that failed, but for canaries that were refused. */
function troublesOf(server: Postgresql): readonly string[] {
  return server.instance
    .log()
    .split('\n')
    .filter((line) => /SSL|certificate|could not connect|authentication failed/i.test(line))
    .filter((line) => !line.includes(REFUSED_CANARY));
}
