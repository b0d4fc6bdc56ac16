/** A NATS server with a port for clients, one for routes and one for leaf nodes, each of which demands certificates. */
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, Instance } from './instance.ts';
import { begun, Server } from './server.ts';

export const NATS = ['nats-server'] as const;

const TLS = '{ cert_file: "tls/tls.crt", key_file: "tls/tls.key", ca_file: "tls/ca.crt", verify: true }';

export class Nats extends Server {
  readonly clients: number;
  readonly leafNodes: number;
  readonly #monitor: number;

  private constructor(instance: Instance, [clients, leafNodes, monitor]: readonly [number, number, number]) {
    super(instance);
    this.clients = clients;
    this.leafNodes = leafNodes;
    this.#monitor = monitor;
  }

  /** @param others ports at which it dials the others of its cluster; none: it is alone */
  static async start(name: string, files: string, others: readonly number[] = []): Promise<Nats> {
    const server = new Nats(await Instance.make(name, files), [await freePort(), await freePort(), await freePort()]);
    const { instance, clients, leafNodes } = server;
    // What servers tell of each other leads nowhere, so that a route goes only where it is told to.
    const routes = others.map((each) => `"nats-route://127.0.0.1:${each}"`);
    instance.write(
      'nats.conf',
      `server_name: ${name}
listen: 127.0.0.1:${clients}
http: 127.0.0.1:${server.#monitor}
tls ${TLS}
cluster { name: mesh, listen: 127.0.0.1:${instance.port}, advertise: "127.0.0.1:1", routes: [${routes.join(', ')}], tls ${TLS} }
leafnodes { listen: 127.0.0.1:${leafNodes}, tls ${TLS} }
${others.length === 0 ? '' : 'jetstream { store_dir: "jetstream" }'}
`,
    );
    return begun(server);
  }

  async begin(): Promise<void> {
    const before = this.instance.log().length;
    await this.instance.start('nats-server', ['-c', 'nats.conf'], async () => {
      // The last that it says; asking at a port would leave a failed handshake in its log.
      if (!this.instance.log().slice(before).includes('Listening for route connections')) throw new Error('not ready');
    });
  }

  async reload(): Promise<void> {
    const reloads = (): number => this.instance.log().split('Reloaded server configuration').length;
    const before = reloads();
    this.instance.load();
    this.instance.signal('SIGHUP');
    while (reloads() === before) await sleep(10);
  }

  /** Numbers of the routes that it has: a new one for each time that it is connected to another server. */
  async routes(): Promise<readonly number[]> {
    const answer = await fetch(`http://127.0.0.1:${this.#monitor}/routez`);
    const text = await answer.text();
    return [...text.matchAll(/"rid": (\d+)/g)].map(([, rid]) => Number(rid));
  }

  async stop(): Promise<void> {
    await this.instance.stop('SIGTERM');
  }
}
