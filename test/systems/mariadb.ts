/** MariaDB as people run it for replication over mutual TLS. */
import { Instance } from './instance.ts';
import { begun, Server } from './server.ts';

export const MARIADB = ['mariadbd', 'mariadb'] as const;

export interface MariadbOptions {
  /** Lines of my.cnf. */
  readonly settings?: readonly string[];
}

const SETTINGS = [
  'bind_address = 127.0.0.1',
  'innodb_buffer_pool_size = 16M',
  'innodb_log_file_size = 4M',
  'innodb_flush_log_at_trx_commit = 0',
];

export class Mariadb extends Server {
  static async start(name: string, files: string, { settings = [] }: MariadbOptions = {}): Promise<Mariadb> {
    const server = new Mariadb(await Instance.make(name, files));
    const { instance } = server;
    const { dir, port } = instance;
    const tls = [`ssl_ca = ${dir}/tls/ca.crt`, `ssl_cert = ${dir}/tls/tls.crt`, `ssl_key = ${dir}/tls/tls.key`];
    const own = [`datadir = ${dir}/data`, `socket = ${dir}/socket`, `port = ${port}`];
    instance.write('my.cnf', `[mariadbd]\n${[...SETTINGS, ...own, ...tls, ...settings].join('\n')}\n`);
    const install = ['--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db'];
    return begun(server, () => instance.run('mariadb-install-db', [...install, `--datadir=${dir}/data`]));
  }

  async begin(): Promise<void> {
    const files = `--defaults-file=${this.instance.dir}/my.cnf`;
    await this.instance.start('mariadbd', [files], () => this.sql('SELECT 1'));
  }

  /** As root, by its Unix socket. @returns rows of fields */
  async sql(command: string): Promise<string> {
    const to = ['--no-defaults', '-S', `${this.instance.dir}/socket`, '-u', 'root', '-N', '-B', '-e', command];
    return (await this.instance.run('mariadb', to)).trim();
  }

  async reload(): Promise<void> {
    this.instance.load();
    await this.sql('FLUSH SSL');
  }

  async stop(): Promise<void> {
    await this.instance.stop('SIGTERM');
  }
}
