/**
 * Galera 4, three nodes that prove themselves to each other by certificates, while data is written all the time: a rotation, one that is
 * turned round in the middle, and what is left of the old CA.
 */
import { describe, expect, test } from 'vitest';
import { testBed } from '../controllers/bed.ts';
import { ca, certificate, peer, textOf } from '../controllers/scene.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { GALERA, type Galera, Group } from './galera.ts';
import { ROTATION_TIMEOUT, rotateAndTurnBack } from './rotation.ts';
import { SyncedFiles, Turns } from './synced.ts';
import { expectOrderly } from './turns.ts';

const why = await lacking(...GALERA);
const NAMES = ['a', 'b', 'c'] as const;

describe.skipIf(why !== null)(`Galera${why === null ? '' : ` ${why}`}`, () => {
  const bed = testBed(why === null ? 1 : 0);

  test('rotations break no group and lose no row', {
    timeout: ROTATION_TIMEOUT,
    ...proves('galera', 'material', 'reload', 'probe', 'rotation', 'rollback'),
  }, async () => {
    const here = await bed.scene();
    await here.apply(ca('mesh', { profile: 'galera' }), ...NAMES.map((name) => certificate(name, 'mesh')));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: NAMES });
    const kubeconfig = bed.cluster.kubeconfig;
    const sync = (secret: string) => SyncedFiles.of({ kubeconfig, namespace: here.namespace, secret, lag: [0, 1_500] });
    await using filesOfA = await sync('a');
    await using filesOfB = await sync('b');
    await using filesOfC = await sync('c');
    const files = [filesOfA, filesOfB, filesOfC] as const;

    await using group = await Group.start({ a: filesOfA.dir, b: filesOfB.dir, c: filesOfC.dir });
    const [a, b] = group.nodes;
    await a.server.sql('CREATE DATABASE IF NOT EXISTS test; CREATE TABLE test.rows (id bigint PRIMARY KEY)');
    const clients = new Clients(group);
    // One node at a time. New handshakes prove more than connections that last, so with every load they begin anew.
    const turns = new Turns();
    for (const [i, node] of group.nodes.entries()) {
      files[i]?.follow(() =>
        turns.take(async () => {
          if (node.fetch()) return clients.without(node, () => node.restart());
          await node.reload();
          return node.replicateAnew();
        }),
      );
    }
    await here.apply(peer('mesh', Object.fromEntries(NAMES.map((name, i) => [name, group.nodes[i]?.port ?? 0])), '5s'));
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });

    const writing = clients.write();
    const secret = here.secret('b');
    const of1 = { 'tls.crt': textOf(secret, 'tls.crt'), 'tls.key': textOf(secret, 'tls.key') };

    await rotateAndTurnBack(here);

    await clients.stop();
    const { count, longestMs, missing } = await writing;
    for (const { server } of group.nodes) {
      await expect.poll(() => server.sql('SELECT count(*), max(id) FROM test.rows')).toBe(`${count}\t${count}`);
    }
    console.log(
      `Galera: ${count} rows, loaded ${files.map(({ loads }) => loads).join(', ')} times, longest time until a row was elsewhere ${longestMs} ms`,
    );

    // Every row that was written was elsewhere right after, all are there, and the group never stood still.
    expect(missing).toEqual([]);
    expect(count).toBeGreaterThan(500);
    expect(longestMs).toBeLessThan(10_000);
    for (const { loads } of files) expect(loads).toBeGreaterThan(3);
    expectOrderly(here, files);
    for (const { server } of group.nodes) {
      expect(server.instance.log()).toContain(REFUSED_CANARY);
      expect(troublesIn(server.instance.log())).toEqual([]);
    }

    // Whoever still has a leaf of generation 1 is refused.
    b.server.instance.folder('old', { ...of1, 'ca.crt': textOf(here.secret('b'), 'ca.crt') });
    expect(await b.arbiter()).toContain('primary = yes');
    const refused = await b.arbiter('old');
    expect(refused).toContain('alert unknown ca');
    expect(refused).not.toContain('primary = yes');
  });
});

/** What write to a group, and read from it: of the nodes that are not being restarted, one after the other. */
class Clients {
  readonly #group: Group;
  readonly #end = new AbortController();
  #without: Galera | null = null;
  #count = 0;
  #batch: Promise<unknown> = Promise.resolve();

  constructor(group: Group) {
    this.#group = group;
  }

  /** Leaves a node alone for as long as this takes. */
  async without(node: Galera, work: () => Promise<void>): Promise<void> {
    this.#without = node;
    await this.#batch;
    await work();
    this.#without = null;
  }

  /** Writes rows to one node and looks at once whether another one has them, until `stop`. */
  async write() {
    const missing: string[] = [];
    let longestMs = 0;
    while (!this.#end.signal.aborted) {
      const [to, from] = this.#group.nodes.filter((node) => node !== this.#without);
      if (to === undefined || from === undefined) throw new Error('of three nodes one is left out at most');
      const batch = this.#write(to, from);
      this.#batch = batch;
      const { wanted, seen, ms } = await batch;
      if (seen !== wanted) missing.push(`${seen}, not ${wanted}`);
      longestMs = Math.max(longestMs, ms);
    }
    return { count: this.#count, longestMs, missing };
  }

  async #write(to: Galera, from: Galera) {
    const ids = Array.from({ length: 20 }, () => (this.#count += 1));
    const begin = performance.now();
    await to.server.sql(ids.map((id) => `INSERT INTO test.rows VALUES (${id})`).join(';'));
    const seen = await from.server.sql('SET SESSION wsrep_sync_wait = 1; SELECT max(id), count(*) FROM test.rows');
    return { wanted: `${this.#count}\t${this.#count}`, seen, ms: performance.now() - begin };
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#batch;
  }
}

/** Without an address. A node that refuses another one leaves it as well; but then the other one says that it was refused. */
const REFUSED_CANARY =
  'Failed to establish connection: certificate verify failed: unable to get local issuer certificate';

/** What a log tells of certificates and connections that failed, but for canaries that were refused. */
const troublesIn = (log: string): readonly string[] =>
  log
    .split('\n')
    .filter((line) => /SSL routines|certificate|alert|handshake|\[ERROR\]/.test(line))
    .filter((line) => !line.includes(REFUSED_CANARY));
