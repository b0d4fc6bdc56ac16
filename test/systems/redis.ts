/** Redis as people run it for replication over mutual TLS. */
import { setTimeout as sleep } from 'node:timers/promises';
import { tail } from '../control-plane/run.ts';
import { Instance } from './instance.ts';
import { type Reply, Resp } from './resp.ts';
import { begun, Server } from './server.ts';

export const REDIS = ['redis-server'] as const;

export class Redis extends Server {
  /** Of whoever administers it, by its Unix socket; null before it has begun. */
  #admin: Resp | null = null;

  /** @param primary whose replica it is @param settings lines of redis.conf */
  static async start(name: string, files: string, primary?: Redis, settings: readonly string[] = []): Promise<Redis> {
    const server = new Redis(await Instance.make(name, files));
    const { instance } = server;
    const { dir, port } = instance;
    const lines = [
      'bind 127.0.0.1',
      'port 0',
      `tls-port ${port}`,
      ...Object.entries(server.#files).map(([setting, file]) => `${setting} ${file}`),
      'tls-auth-clients yes',
      'tls-replication yes',
      ...(primary === undefined ? [] : [`replicaof 127.0.0.1 ${primary.port}`]),
      'repl-diskless-sync-delay 0',
      'save ""',
      'loglevel verbose',
      `dir ${dir}`,
      `unixsocket ${dir}/socket`,
      ...settings,
    ];
    instance.write('redis.conf', `${lines.join('\n')}\n`);
    return begun(server);
  }

  get #files(): Readonly<Record<string, string>> {
    const { dir } = this.instance;
    return {
      'tls-ca-cert-file': `${dir}/tls/ca.crt`,
      'tls-cert-file': `${dir}/tls/tls.crt`,
      'tls-key-file': `${dir}/tls/tls.key`,
    };
  }

  async begin(): Promise<void> {
    await this.instance.start('redis-server', [`${this.instance.dir}/redis.conf`], async () => {
      this.#admin?.close();
      this.#admin = await this.connect();
    });
  }

  async connect(): Promise<Resp> {
    return Resp.connect(`${this.instance.dir}/socket`);
  }

  /** As administrator. */
  async call(...command: readonly (string | number)[]): Promise<Reply> {
    if (this.#admin === null) throw new Error(`${this.instance.name} has not begun`);
    return this.#admin.call(...command);
  }

  async reload(): Promise<void> {
    this.instance.load();
    await this.call('CONFIG', 'SET', ...Object.entries(this.#files).flat());
  }

  /** Lets it dial its primary anew, and its replicas dial it. @returns when they have */
  async replicateAnew(): Promise<void> {
    const before = await this.#replication();
    for (const type of ['MASTER', 'REPLICA']) await this.call('CLIENT', 'KILL', 'TYPE', type);
    const deadline = Date.now() + 30_000;
    for (;;) {
      const now = await this.#replication();
      if (now.link === before.link && now.replicas === before.replicas) return;
      if (Date.now() > deadline)
        throw new Error(`${this.instance.name} does not replicate: ${tail(this.instance.log())}`);
      await sleep(20);
    }
  }

  /** State of the link to its primary, if it is a replica, and how many replicas are online. */
  async #replication(): Promise<{ readonly link: string; readonly replicas: number }> {
    const info = String(await this.call('INFO', 'replication'));
    const link = /master_link_status:(\w+)/.exec(info)?.[1] ?? 'primary';
    return { link, replicas: info.split('state=online').length - 1 };
  }

  /** @returns when it is a replica and replicates */
  async replicates(): Promise<void> {
    while ((await this.#replication()).link !== 'up') await sleep(20);
  }

  async stop(): Promise<void> {
    await this.instance.stop('SIGTERM');
  }
}
