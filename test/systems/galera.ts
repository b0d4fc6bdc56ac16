/** A node of Galera 4 in MariaDB: its group talks by TLS, each end proven by a certificate. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tail } from '../control-plane/run.ts';
import { pathOf } from '../support/packages.ts';
import { freePort } from './instance.ts';
import { MARIADB, Mariadb } from './mariadb.ts';

export const GALERA = [...MARIADB, 'libgalera_smm.so', 'garbd'] as const;

const GROUP = 'mesh';
/** A busy machine is no dead node: nobody is put out of the group before it could come back from `replicateAnew`. */
const PATIENCE = ['evs.suspect_timeout=PT20S', 'evs.inactive_timeout=PT40S', 'evs.install_timeout=PT40S'];

/**
 * A state transfer that transfers no state: whoever asks for one has a copy of the data, and what it misses of that the group sends it
 * itself (IST). Another one is refused.
 */
const NO_TRANSFER = `#!/bin/sh
role='' address='' bypass=''
while [ $# -gt 0 ]; do
  case "$1" in
    --role) role=$2 ;;
    --address) address=$2 ;;
    --gtid) gtid=$2 ;;
    --bypass) bypass=yes ;;
  esac
  shift
done
if [ "$role" = donor ]; then
  [ -n "$bypass" ] || exit 1
  echo "$gtid" > "$address.new" && mv "$address.new" "$address"
  echo "done $gtid"
else
  rm -f transferred
  echo "ready $PWD/transferred"
  until [ -e transferred ]; do sleep 0.05; done
  cat transferred
fi
`;

export class Galera {
  readonly server: Mariadb;
  /** Where the group talks. */
  readonly port: number;

  private constructor(server: Mariadb, port: number) {
    this.server = server;
    this.port = port;
  }

  /** One that has not begun. @param ports of all nodes @param copyOf one that has been in the group, and has stopped */
  static async install(
    name: string,
    files: string,
    port: number,
    ports: readonly number[],
    copyOf?: Galera,
  ): Promise<Galera> {
    const options = [`gmcast.listen_addr=ssl://127.0.0.1:${port}`, `ist.recv_addr=127.0.0.1:${await freePort()}`];
    const settings = [
      'binlog_format = ROW',
      'innodb_autoinc_lock_mode = 2',
      'wsrep_on = ON',
      `wsrep_provider = ${pathOf('libgalera_smm.so')}`,
      `wsrep_cluster_name = ${GROUP}`,
      `wsrep_cluster_address = gcomm://${ports.map((each) => `127.0.0.1:${each}`).join(',')}`,
      `wsrep_node_name = ${name}`,
      `wsrep_node_address = 127.0.0.1:${port}`,
      'wsrep_sst_method = no_transfer',
      `wsrep_provider_options = "${[...options, ...tls('../tls'), ...PATIENCE, 'gcache.size=16M'].join(';')}"`,
    ];
    const scripts = { wsrep_sst_no_transfer: NO_TRANSFER };
    const copy = copyOf === undefined ? {} : { copyOf: copyOf.server };
    return new Galera(await Mariadb.install(name, files, { settings, scripts, ...copy }), port);
  }

  /** @returns when it has all that the group has */
  async begin(...options: readonly string[]): Promise<void> {
    await this.server.begin(...options);
    const deadline = Date.now() + 60_000;
    while ((await this.status('wsrep_local_state_comment')) !== 'Synced') {
      if (Date.now() > deadline) throw new Error(`is not in the group: ${tail(this.server.instance.log())}`);
      await sleep(50);
    }
  }

  /** Puts its files where it loads them from. @returns whether a CA has left its bundle */
  fetch(): boolean {
    const before = this.#bundle();
    this.server.instance.load();
    const after = this.#bundle();
    return before.some((certificate) => !after.includes(certificate));
  }

  #bundle(): readonly string[] {
    return readFileSync(join(this.server.instance.dir, 'tls', 'ca.crt'), 'utf8').split(
      /(?<=-----END CERTIFICATE-----)\n/,
    );
  }

  /** Loads its files anew, after which it still trusts every CA that it has ever loaded. @returns when it has */
  async reload(): Promise<void> {
    await this.server.sql("SET GLOBAL wsrep_provider_options = 'socket.ssl_reload=1'; FLUSH LOCAL SSL");
  }

  /** Begins anew with the files that there are now. @returns when it is in the group again */
  async restart(): Promise<void> {
    await this.server.stop();
    await this.begin();
  }

  /** Breaks its connections to all others, for so short a time that nobody misses it; then each end dials the other anew. @returns when all talk again */
  async replicateAnew(): Promise<void> {
    await this.server.sql("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'");
    await sleep(200);
    await this.server.sql("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'");
    // Answered when what it has not been told meanwhile has come.
    await this.server.sql('SET SESSION wsrep_sync_wait = 1; SELECT count(*) FROM mysql.user');
  }

  /** Joins the group as an arbiter for some seconds, with the files of a folder of its own. @returns what that has logged */
  async arbiter(folder = 'tls'): Promise<string> {
    const provider = [`gmcast.listen_addr=ssl://127.0.0.1:${await freePort()}`, ...tls(folder)].join(';');
    const options = ['--group', GROUP, '--address', `gcomm://127.0.0.1:${this.port}`, '--options', provider];
    const command = ['timeout', '--preserve-status', '8', pathOf('garbd'), ...options];
    return this.server.instance.run('sh', ['-c', '"$@" 2>&1 || true', 'sh', ...command]);
  }

  async status(name: string): Promise<string> {
    return (await this.server.sql(`SHOW GLOBAL STATUS LIKE '${name}'`)).split('\t')[1] ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }
}

/** Three nodes, of which each talks to each. */
export class Group {
  readonly nodes: readonly [Galera, Galera, Galera];

  private constructor(nodes: readonly [Galera, Galera, Galera]) {
    this.nodes = nodes;
  }

  /** @param folders of each, with ca.crt, tls.crt and tls.key @returns when all are in the group */
  static async start(folders: { readonly [Node in 'a' | 'b' | 'c']: string }): Promise<Group> {
    await using started = new AsyncDisposableStack();
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    const a = started.use(await Galera.install('a', folders.a, ports[0], ports));
    // So that there is a group, and a place in its history, of which the others have a copy.
    await a.begin('--wsrep-new-cluster');
    await a.server.stop();
    const b = started.use(await Galera.install('b', folders.b, ports[1], ports, a));
    const c = started.use(await Galera.install('c', folders.c, ports[2], ports, a));
    await a.begin('--wsrep-new-cluster');
    await b.begin();
    await c.begin();
    started.move();
    return new Group([a, b, c]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) await node[Symbol.asyncDispose]();
  }
}

const tls = (dir: string): readonly string[] => [
  'socket.ssl=YES',
  `socket.ssl_ca=${dir}/ca.crt`,
  `socket.ssl_cert=${dir}/tls.crt`,
  `socket.ssl_key=${dir}/tls.key`,
];
