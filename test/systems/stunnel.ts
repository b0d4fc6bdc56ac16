/** A plain pair over mutual TLS: stunnel in front of a program on each side, for whom it both listens and dials. */
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, Instance } from './instance.ts';

export const STUNNEL = ['stunnel4'] as const;

export class Stunnel {
  readonly instance: Instance;
  /** Where its program dials the other side, in plain. */
  readonly out: number;

  private constructor(instance: Instance, out: number) {
    this.instance = instance;
    this.out = out;
  }

  static async make(name: string, files: string): Promise<Stunnel> {
    return new Stunnel(await Instance.make(name, files), await freePort());
  }

  /** Where it listens for the other side, in TLS. */
  get port(): number {
    return this.instance.port;
  }

  /** @param program port of the program that it listens for @param peer whom it dials, who is this host by its leaf */
  async begin(program: number, peer: Stunnel, host: string): Promise<void> {
    const tls = ['cert = tls/tls.crt', 'key = tls/tls.key', 'CAfile = tls/ca.crt', 'verifyChain = yes'];
    const lines = [
      'foreground = yes',
      'pid =',
      'syslog = no',
      '[in]',
      `accept = 127.0.0.1:${this.port}`,
      `connect = 127.0.0.1:${program}`,
      ...tls,
      '[out]',
      'client = yes',
      `accept = 127.0.0.1:${this.out}`,
      `connect = 127.0.0.1:${peer.port}`,
      `checkHost = ${host}`,
      ...tls,
    ];
    this.instance.write('stunnel.conf', `${lines.join('\n')}\n`);
    await this.instance.start('stunnel4', ['stunnel.conf'], async () => {
      if (this.#sockets().includes(undefined)) throw new Error('it does not listen');
    });
  }

  /** Loads its files anew. It listens anew with that: @returns when it does, for it refuses connections for a moment */
  async reload(): Promise<void> {
    const before = this.#sockets();
    this.instance.load();
    this.instance.signal('SIGHUP');
    while (this.#sockets().some((socket, i) => socket === undefined || socket === before[i])) await sleep(5);
  }

  /** The inodes of its listening sockets; undefined: it does not listen there. */
  #sockets(): readonly (string | undefined)[] {
    const table = readFileSync('/proc/net/tcp', 'utf8').split('\n');
    return [this.port, this.out].map((port) => {
      const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
      const fields = table.map((line) => line.trim().split(/\s+/));
      return fields.find((each) => each[1] === local && each[3] === '0A')?.[9];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.instance[Symbol.asyncDispose]();
  }
}

/** A connection of the program of one side to that of the other, which sends everything back. */
export class Line {
  readonly #socket: net.Socket;
  #text = '';
  #ended = '';

  constructor(from: Stunnel) {
    this.#socket = net.connect(from.out, '127.0.0.1');
    this.#socket.setEncoding('utf8');
    this.#socket.on('data', (text: string) => (this.#text += text));
    this.#socket.on('error', (error) => (this.#ended = error.message));
    this.#socket.on('close', () => (this.#ended ||= 'closed'));
  }

  /** Sends a line. @returns when it has come back @throws when the connection ends first, or something else comes back */
  async say(line: string): Promise<void> {
    this.#text = '';
    this.#socket.write(`${line}\n`);
    while (this.#text !== `${line}\n`) {
      if (this.#ended !== '') throw new Error(`the connection ended: ${this.#ended}`);
      if (this.#text.length > line.length) throw new Error(`${line} came back as ${this.#text}`);
      await sleep(2);
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
