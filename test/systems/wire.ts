/** A wire in front of a server, which can be cut: whoever was connected through it must dial, and prove itself, anew. */
import net from 'node:net';
import { freePort } from './instance.ts';

export class Wire {
  readonly port: number;
  readonly #ends = new Set<net.Socket>();
  #server: net.Server | null = null;

  private constructor(port: number) {
    this.port = port;
  }

  /** Nobody listens there before it is connected. */
  static async make(): Promise<Wire> {
    return new Wire(await freePort());
  }

  async connect(to: number): Promise<void> {
    const server = net.createServer((near) => {
      const far = net.connect(to, '127.0.0.1');
      for (const [end, other] of [[near, far] as const, [far, near] as const]) {
        this.#ends.add(end);
        end.on('error', () => other.destroy());
        end.on('close', () => {
          this.#ends.delete(end);
          other.destroy();
        });
        end.pipe(other);
      }
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
  }

  /** Ends all that goes through it; what is dialled from then on goes through again. */
  cut(): void {
    for (const end of this.#ends) end.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    this.cut();
    if (server !== null) await new Promise((resolve) => server.close(resolve));
  }
}
