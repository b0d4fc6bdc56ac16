/** STOMP 1.2 without TLS: sends with receipts, and one subscription. */
import { once } from 'node:events';
import net from 'node:net';

export class Stomp {
  readonly #socket: net.Socket;
  readonly #receipts = new Map<string, () => void>();
  #input = '';
  #sent = 0;
  /** Gets the text of each message. */
  onMessage = (_text: string): void => undefined;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => this.#take(chunk));
    socket.on('error', () => undefined);
  }

  /** As guest. @returns when the broker has let it in */
  static async connect(port: number): Promise<Stomp> {
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const stomp = new Stomp(socket);
    await stomp.#ask('CONNECT', { 'accept-version': '1.2', host: '/', login: 'guest', passcode: 'guest' }, 'CONNECTED');
    return stomp;
  }

  /** @returns when the broker has it */
  async send(destination: string, text: string): Promise<void> {
    this.#sent += 1;
    const receipt = String(this.#sent);
    await this.#ask('SEND', { destination, receipt, persistent: 'true' }, receipt, text);
  }

  async subscribe(destination: string): Promise<void> {
    await this.#ask('SUBSCRIBE', { destination, id: '0', receipt: 'subscribed' }, 'subscribed');
  }

  close(): void {
    this.#socket.destroy();
  }

  async #ask(command: string, headers: Readonly<Record<string, string>>, answer: string, text = ''): Promise<void> {
    const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
    await new Promise<void>((resolve) => {
      this.#receipts.set(answer, resolve);
      this.#socket.write(`${command}\n${lines.join('')}\n${text}\0`);
    });
  }

  #take(chunk: string): void {
    const frames = (this.#input + chunk).split('\0');
    this.#input = frames.pop() ?? '';
    for (const frame of frames) {
      const [, command = '', headers = '', text = ''] = /^\n*(\w+)\n([^]*?)\n\n([^]*)$/.exec(`${frame}`) ?? [];
      if (command === 'MESSAGE') this.onMessage(text);
      const answer = command === 'RECEIPT' ? (/receipt-id:(.*)/.exec(headers)?.[1] ?? '') : command;
      this.#receipts.get(answer)?.();
      this.#receipts.delete(answer);
    }
  }
}
