/** A member of an etcd cluster whose peers prove themselves to each other; clients need not. */
import { freePort, Instance } from './instance.ts';
import { begun, Server } from './server.ts';
import type { Wire } from './wire.ts';

export const ETCD = ['etcd'] as const;

interface Joining {
  /** Through which the others dial it. */
  readonly wire: Wire;
  /** Of the cluster that it joins; none: it begins one. */
  readonly members: readonly Etcd[];
}

export class Etcd extends Server {
  readonly #clients: number;
  readonly #advertised: number;
  #bundle = '';
  #args: readonly string[] = [];

  private constructor(instance: Instance, clients: number, advertised = instance.port) {
    super(instance);
    this.#clients = clients;
    this.#advertised = advertised;
  }

  static async start(name: string, files: string, joining?: Joining): Promise<Etcd> {
    const server = new Etcd(await Instance.make(name, files), await freePort(), joining?.wire.port);
    const [first, ...others] = joining?.members ?? [];
    return begun(server, async () => {
      await joining?.wire.connect(server.port);
      await first?.call('cluster/member/add', { peerURLs: [server.#address] });
      server.#configure(first === undefined ? [] : [first, ...others]);
    });
  }

  get #address(): string {
    return `https://127.0.0.1:${this.#advertised}`;
  }

  #configure(others: readonly Etcd[]): void {
    const clients = `http://127.0.0.1:${this.#clients}`;
    const members = [...others, this].map((member) => `${member.instance.name}=${member.#address}`);
    const options = {
      name: this.instance.name,
      'data-dir': 'data',
      logger: 'zap',
      'listen-client-urls': clients,
      'advertise-client-urls': clients,
      'listen-peer-urls': `https://127.0.0.1:${this.port}`,
      'initial-advertise-peer-urls': this.#address,
      'initial-cluster': members.join(','),
      'initial-cluster-state': others.length === 0 ? 'new' : 'existing',
      'peer-trusted-ca-file': 'tls/ca.crt',
      'peer-cert-file': 'tls/tls.crt',
      'peer-key-file': 'tls/tls.key',
      // Members join one right after the other.
      'strict-reconfig-check': 'false',
      // For a machine that does much besides.
      'heartbeat-interval': '200',
      'election-timeout': '2000',
    };
    this.#args = ['--peer-client-cert-auth', ...Object.entries(options).map(([name, value]) => `--${name}=${value}`)];
  }

  async begin(): Promise<void> {
    this.#bundle = this.instance.loaded().ca;
    await this.instance.start('etcd', this.#args, () => this.serves());
  }

  /** @throws while its cluster has no leader that it knows, or while it does not answer */
  async serves(): Promise<void> {
    const answer = await fetch(`http://127.0.0.1:${this.#clients}/health`, { signal: AbortSignal.timeout(2000) });
    const { health } = (await answer.json()) as { readonly health?: string };
    if (health !== 'true') throw new Error(`${this.instance.name} is not healthy`);
  }

  /** Leaf and key are read at each handshake, the CAs at the start only. */
  async reload(): Promise<void> {
    this.instance.load();
    if (this.instance.loaded().ca === this.#bundle) return;
    await this.stop();
    await this.begin();
  }

  /** @param path below `/v3/` @throws what it says when it refuses */
  async call(path: string, body: object): Promise<unknown> {
    const answer = await this.#post(path, body, AbortSignal.timeout(5000));
    return answer.json();
  }

  /** Lines of an answer that goes on. */
  async *follow(path: string, body: object, signal: AbortSignal): AsyncGenerator<unknown> {
    const answer = await this.#post(path, body, signal);
    let text = '';
    for await (const chunk of (answer.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
      const lines = (text + chunk).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line);
    }
  }

  async #post(path: string, body: object, signal: AbortSignal): Promise<Response> {
    const request = { method: 'POST', body: JSON.stringify(body), signal };
    const answer = await fetch(`http://127.0.0.1:${this.#clients}/v3/${path}`, request);
    if (!answer.ok) throw new Error(`${this.instance.name}: ${path}: ${await answer.text()}`);
    return answer;
  }

  async stop(): Promise<void> {
    await this.instance.stop('SIGTERM');
  }
}
