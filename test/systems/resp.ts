/** RESP 2, the protocol of Redis and Valkey, over a Unix socket: as much of it as tests need. */
import net from 'node:net';
import { once } from 'node:events';

export type Reply = string | number | null | readonly Reply[];

export class Resp {
  readonly #socket: net.Socket;
  readonly #waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void }[] = [];
  #input = Buffer.alloc(0);

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#waiting.splice(0).forEach(({ reject }) => reject(new Error('connection closed'))));
  }

  static async connect(path: string): Promise<Resp> {
    const socket = net.connect(path);
    await once(socket, 'connect');
    return new Resp(socket);
  }

  /** @throws what the server says when it refuses */
  async call(...command: readonly (string | number)[]): Promise<Reply> {
    const parts = command.map((part) => `$${Buffer.byteLength(String(part))}\r\n${part}\r\n`);
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Error('connection closed'));
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`*${parts.length}\r\n${parts.join('')}`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk]);
    for (;;) {
      const read = readReply(this.#input, 0);
      if (read === null) return;
      this.#input = this.#input.subarray(read.end);
      const { resolve, reject } = this.#waiting.shift() ?? {};
      if (read.reply instanceof Error) reject?.(read.reply);
      else resolve?.(read.reply);
    }
  }
}

/** @returns null when it is not complete yet */
function readReply(input: Buffer, start: number): { readonly reply: Reply | Error; readonly end: number } | null {
  const line = input.indexOf('\r\n', start);
  if (line < 0) return null;
  const head = input.toString('utf8', start + 1, line);
  const end = line + 2;
  const kind = input.toString('latin1', start, start + 1);
  if (kind === '+') return { reply: head, end };
  if (kind === '-') return { reply: new Error(head), end };
  const number = Number(head);
  if (kind === ':') return { reply: number, end };
  if (number < 0) return { reply: null, end };
  if (kind === '$') {
    if (input.length < end + number + 2) return null;
    return { reply: input.toString('utf8', end, end + number), end: end + number + 2 };
  }
  if (kind !== '*') throw new Error(`no reply begins with ${JSON.stringify(kind)}`);
  const items: Reply[] = [];
  let at = end;
  for (let i = 0; i < number; i += 1) {
    const read = readReply(input, at);
    if (read === null) return null;
    if (read.reply instanceof Error) throw read.reply;
    items.push(read.reply);
    at = read.end;
  }
  return { reply: items, end: at };
}
