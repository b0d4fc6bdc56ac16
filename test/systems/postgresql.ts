/** PostgreSQL as people run it for replication over mutual TLS. */
import { tail } from '../control-plane/run.ts';
import { Instance } from './instance.ts';
import { begun, Server } from './server.ts';

export const POSTGRESQL = ['postgres', 'psql'] as const;

export interface PostgresqlOptions {
  /** Lines of postgresql.conf. */
  readonly settings?: readonly string[];
  /** Lines of pg_hba.conf for connections by TCP. */
  readonly rules?: readonly string[];
  /** Lines of pg_ident.conf. */
  readonly names?: readonly string[];
}

interface Upstream {
  readonly primary: Postgresql;
  readonly host: string;
  readonly user: string;
}

const TLS = ["ssl_ca_file = '../tls/ca.crt'", "ssl_cert_file = '../tls/tls.crt'", "ssl_key_file = '../tls/tls.key'"];
const SETTINGS = [
  'ssl = on',
  ...TLS,
  "listen_addresses = '127.0.0.1'",
  'fsync = off',
  'shared_buffers = 16MB',
  'max_connections = 50',
];
/** A certificate of the CA, in the name of the user. */
const RULES = ['hostssl all all 127.0.0.1/32 cert clientcert=verify-full'];

export class Postgresql extends Server {
  static async start(name: string, files: string, options: PostgresqlOptions = {}): Promise<Postgresql> {
    const server = new Postgresql(await Instance.make(name, files));
    return begun(server, async () => {
      await server.instance.run('initdb', ['-D', 'data', '-U', 'postgres', '-A', 'trust', '-N']);
      server.#configure(options);
    });
  }

  /** A standby of another one, which it dials as this role by that name. @param host as in the leaf of the primary */
  static async standby(
    name: string,
    files: string,
    { primary, host, user, ...options }: PostgresqlOptions & Upstream,
  ): Promise<Postgresql> {
    const server = new Postgresql(await Instance.make(name, files));
    return begun(server, async () => {
      const from = server.dialling(primary.port, host, user);
      await server.instance.run('pg_basebackup', ['-D', 'data', '-c', 'fast', '-R', '-d', from]);
      server.#configure(options);
    });
  }

  /** A connection string by which this one proves itself with the files of a folder of its own, and wants the other to be this host. */
  dialling(port: number, host: string, user: string, folder = 'tls'): string {
    const dir = `${this.instance.dir}/${folder}`;
    const files = `sslcert=${dir}/tls.crt sslkey=${dir}/tls.key sslrootcert=${dir}/ca.crt`;
    return `host=${host} hostaddr=127.0.0.1 port=${port} user=${user} dbname=postgres sslmode=verify-full ${files}`;
  }

  #configure({ settings = [], rules = RULES, names = [] }: PostgresqlOptions): void {
    const { dir, port } = this.instance;
    const lines = [...SETTINGS, `port = ${port}`, `unix_socket_directories = '${dir}'`, ...settings];
    this.instance.write('data/postgresql.conf', `${lines.join('\n')}\n`);
    this.instance.write('data/pg_hba.conf', `local all all trust\n${rules.join('\n')}\n`);
    this.instance.write('data/pg_ident.conf', `${names.join('\n')}\n`);
  }

  async begin(): Promise<void> {
    await this.instance.start('postgres', ['-D', 'data'], () => this.sql('SELECT 1'));
  }

  /** As superuser, by its Unix socket. @returns rows of fields */
  async sql(command: string): Promise<string> {
    const to = ['-h', this.instance.dir, '-p', String(this.port), '-U', 'postgres', '-d', 'postgres'];
    return (await this.instance.run('psql', [...to, '-AtX', '-v', 'ON_ERROR_STOP=1', '-c', command])).trim();
  }

  async reload(): Promise<void> {
    const before = await this.sql('SELECT pg_conf_load_time()');
    this.instance.load();
    await this.sql('SELECT pg_reload_conf()');
    while ((await this.sql('SELECT pg_conf_load_time()')) === before);
  }

  /** Of a standby: lets it dial its primary anew. @returns when it streams again */
  async replicateAnew(): Promise<void> {
    const receiver = "SELECT coalesce(max(pid), 0) FROM pg_stat_wal_receiver WHERE status = 'streaming'";
    const before = await this.sql(receiver);
    // It is no backend, so no function ends it.
    if (before !== '0') process.kill(Number(before), 'SIGTERM');
    const deadline = Date.now() + 30_000;
    for (;;) {
      const now = await this.sql(receiver);
      if (now !== '0' && now !== before) return;
      if (Date.now() > deadline) throw new Error(`${this.instance.name} does not stream: ${tail(this.instance.log())}`);
    }
  }

  async stop(): Promise<void> {
    await this.instance.stop('SIGINT');
  }
}
