/** A client of NATS over mutual TLS: requests with one reply each, as much as tests need. */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';

export interface Message {
  /** '' where there are none. */
  readonly headers: string;
  readonly text: string;
}

export class NatsClient {
  readonly #socket: tls.TLSSocket;
  readonly #waiting = new Map<string, (message: Message) => void>();
  #input = Buffer.alloc(0);
  #requests = 0;

  private constructor(socket: tls.TLSSocket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => undefined);
    socket.write(
      `CONNECT ${JSON.stringify({ verbose: false, headers: true, no_responders: true })}\r\nSUB inbox.> 1\r\n`,
    );
  }

  /** @param files PEM of its own, and the CAs of the server */
  static async connect(
    port: number,
    files: { readonly ca: string; readonly cert: string; readonly key: string },
  ): Promise<NatsClient> {
    const plain = net.connect(port, '127.0.0.1');
    // Its INFO.
    await once(plain, 'data');
    const socket = tls.connect({ socket: plain, host: '127.0.0.1', ...files });
    await once(socket, 'secureConnect');
    return new NatsClient(socket);
  }

  /** @param id by which the server knows a message that it has already @returns null when no reply came within this time */
  async request(subject: string, text: string, timeoutMs: number, id = ''): Promise<Message | null> {
    this.#requests += 1;
    const inbox = `inbox.${this.#requests}`;
    const headers = `NATS/1.0\r\n${id === '' ? '' : `Nats-Msg-Id: ${id}\r\n`}\r\n`;
    const sizes = `${headers.length} ${headers.length + Buffer.byteLength(text)}`;
    try {
      return await new Promise((resolve) => {
        const timer = setTimeout(() => resolve(null), timeoutMs);
        this.#waiting.set(inbox, (message) => {
          clearTimeout(timer);
          resolve(message);
        });
        this.#socket.write(`HPUB ${subject} ${inbox} ${sizes}\r\n${headers}${text}\r\n`);
      });
    } finally {
      this.#waiting.delete(inbox);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk]);
    for (;;) {
      const end = this.#input.indexOf('\r\n');
      if (end < 0) return;
      const [kind = '', ...words] = this.#input.toString('utf8', 0, end).split(' ');
      const sizes = words.slice(kind === 'HMSG' ? -2 : -1).map(Number);
      const size = kind === 'MSG' || kind === 'HMSG' ? (sizes.at(-1) ?? 0) + 2 : 0;
      const start = end + 2;
      if (this.#input.length < start + size) return;
      if (kind === 'PING') this.#socket.write('PONG\r\n');
      if (kind === '-ERR') this.#socket.destroy(new Error(`NATS: ${words.join(' ')}`));
      if (size > 0) {
        const body = kind === 'HMSG' ? start + (sizes[0] ?? 0) : start;
        const headers = this.#input.toString('utf8', start, body);
        const text = this.#input.toString('utf8', body, start + size - 2);
        this.#waiting.get(words[0] ?? '')?.({ headers, text });
      }
      this.#input = this.#input.subarray(start + size);
    }
  }
}
