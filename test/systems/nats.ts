/** A NATS server with a port for clients, one for routes and one for leaf nodes, each of which demands certificates. */
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, Instance } from './instance.ts';
import { begun, Server } from './server.ts';

export const NATS = ['nats-server'] as const;

const TLS = '{ cert_file: "tls/tls.crt", key_file: "tls/tls.key", ca_file: "tls/ca.crt", verify: true }';

export class Nats extends Server {
  /** Port of other servers of the cluster. */
  readonly routes: number;
  readonly leafNodes: number;

  private constructor(instance: Instance, routes: number, leafNodes: number) {
    super(instance);
    this.routes = routes;
    this.leafNodes = leafNodes;
  }

  static async start(name: string, files: string): Promise<Nats> {
    const server = new Nats(await Instance.make(name, files), await freePort(), await freePort());
    const { instance, routes, leafNodes } = server;
    instance.write(
      'nats.conf',
      `server_name: ${name}
listen: 127.0.0.1:${instance.port}
tls ${TLS}
cluster { name: mesh, listen: 127.0.0.1:${routes}, tls ${TLS} }
leafnodes { listen: 127.0.0.1:${leafNodes}, tls ${TLS} }
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

  async stop(): Promise<void> {
    await this.instance.stop('SIGTERM');
  }
}
