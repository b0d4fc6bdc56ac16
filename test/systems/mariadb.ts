/** MariaDB as people run it for replication over mutual TLS. */
import { tail } from '../control-plane/run.ts';
import { pathOf } from '../support/packages.ts';
import { Instance } from './instance.ts';
import { begun, Server } from './server.ts';

export const MARIADB = ['mariadbd', 'mariadb'] as const;

export interface MariadbOptions {
  /** Lines of my.cnf. */
  readonly settings?: readonly string[];
  /** One that has stopped, with whose data it begins. Default: with none. */
  readonly copyOf?: Mariadb;
  /** Programs of ours that it finds on its PATH. */
  readonly scripts?: Readonly<Record<string, string>>;
}

const SETTINGS = [
  'bind_address = 127.0.0.1',
  'innodb_buffer_pool_size = 16M',
  'innodb_log_file_size = 4M',
  'innodb_flush_log_at_trx_commit = 0',
];

export class Mariadb extends Server {
  static async start(name: string, files: string, options: MariadbOptions = {}): Promise<Mariadb> {
    return begun(await Mariadb.install(name, files, options));
  }

  /** One that has not begun. */
  static async install(
    name: string,
    files: string,
    { settings = [], copyOf, scripts = {} }: MariadbOptions = {},
  ): Promise<Mariadb> {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(new Mariadb(await Instance.make(name, files)));
    const { instance } = server;
    const { dir, port } = instance;
    const tls = [`ssl_ca = ${dir}/tls/ca.crt`, `ssl_cert = ${dir}/tls/tls.crt`, `ssl_key = ${dir}/tls/tls.key`];
    const own = [`datadir = ${dir}/data`, `socket = ${dir}/socket`, `port = ${port}`];
    instance.write('my.cnf', `[mariadbd]\n${[...SETTINGS, ...own, ...tls, ...settings].join('\n')}\n`);
    for (const [script, text] of Object.entries(scripts)) instance.write(script, text, 0o700);
    const install = ['--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db'];
    if (copyOf === undefined) await instance.run('mariadb-install-db', [...install, `--datadir=${dir}/data`]);
    else await instance.run('cp', ['-R', `${copyOf.instance.dir}/data`, 'data']);
    stack.move();
    return server;
  }

  /** @param options of this one time */
  async begin(...options: readonly string[]): Promise<void> {
    const files = `--defaults-file=${this.instance.dir}/my.cnf`;
    const path = `PATH=${this.instance.dir}:${process.env['PATH']}`;
    await this.instance.start('env', [path, pathOf('mariadbd'), files, ...options], () => this.sql('SELECT 1'));
  }

  /** As root, by its Unix socket. @returns rows of fields */
  async sql(command: string): Promise<string> {
    const to = ['--no-defaults', '-S', `${this.instance.dir}/socket`, '-u', 'root', '-N', '-B', '-e', command];
    return (await this.instance.run('mariadb', to)).trim();
  }

  async reload(): Promise<void> {
    this.instance.load();
    // LOCAL: else it is a transaction, which replicas load their own files by, at a time that is not theirs.
    await this.sql('FLUSH LOCAL SSL');
  }

  /** Options by which its client proves itself with the files of a folder of its own, and wants the address dialled to be in the other's leaf. */
  dialling(port: number, user: string, folder = 'tls'): readonly string[] {
    const dir = `${this.instance.dir}/${folder}`;
    const files = [`--ssl-ca=${dir}/ca.crt`, `--ssl-cert=${dir}/tls.crt`, `--ssl-key=${dir}/tls.key`];
    return ['--no-defaults', '-h', '127.0.0.1', '-P', String(port), '-u', user, '--ssl-verify-server-cert', ...files];
  }

  /** Makes it a replica of another one, which it dials as this user, with all that this has written since it was installed. */
  async follow(primary: Mariadb, user: string): Promise<void> {
    const dir = `${this.instance.dir}/tls`;
    await this.sql(`CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = ${primary.port}, MASTER_USER = '${user}',
      MASTER_SSL = 1, MASTER_SSL_CA = '${dir}/ca.crt', MASTER_SSL_CERT = '${dir}/tls.crt', MASTER_SSL_KEY = '${dir}/tls.key',
      MASTER_SSL_VERIFY_SERVER_CERT = 1, MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos`);
    await this.sql('START SLAVE');
    await this.#replicates();
  }

  /** Of a replica: lets it dial its primary anew. @returns when it has */
  async replicateAnew(): Promise<void> {
    await this.sql('STOP SLAVE IO_THREAD');
    await this.sql('START SLAVE IO_THREAD');
    await this.#replicates();
  }

  async #replicates(): Promise<void> {
    const deadline = Date.now() + 30_000;
    for (;;) {
      // Slave_IO_Running and Slave_SQL_Running.
      const [io, sql] = (await this.sql('SHOW SLAVE STATUS')).split('\t').slice(10);
      if (io === 'Yes' && sql === 'Yes') return;
      if (Date.now() > deadline)
        throw new Error(`${this.instance.name} does not replicate: ${tail(this.instance.log())}`);
    }
  }

  async stop(): Promise<void> {
    await this.instance.stop('SIGTERM');
  }
}
