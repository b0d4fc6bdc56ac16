/** The listening end of a member, in this process: it serves what its Secret holds, as soon as that changes. */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import type { Scene } from './scene.ts';
import { type LiveSecret, textOf } from './scene.ts';

/** serving: as it should; hanging: takes connections and says nothing; open: takes any client certificate; frozen: keeps its old files. */
type Manner = 'serving' | 'hanging' | 'open' | 'frozen';

/** What a member has loaded, PEM. */
export interface Files {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export class Member {
  readonly name: string;
  readonly #scene: Scene;
  #secretName: string;
  readonly #lagMs: () => number;
  readonly #sockets = new Set<net.Socket>();
  #server: net.Server;
  #port = 0;
  #manner: Manner = 'serving';
  #files: Files | null = null;
  #ticketKeys: Buffer | null = null;
  #sessionSeconds: number | undefined;
  #loaded = '';
  #off = (): void => {};

  private constructor(scene: Scene, name: string, secretName: string, lagMs: () => number) {
    this.name = name;
    this.#scene = scene;
    this.#secretName = secretName;
    this.#lagMs = lagMs;
    this.#server = this.#listener();
  }

  /** Listens at once, and gives handshakes once its Secret is there. */
  static async start(scene: Scene, name: string, { secretName = name, lagMs = (): number => 0 } = {}): Promise<Member> {
    const member = new Member(scene, name, secretName, lagMs);
    await member.#listen(0);
    member.#off = scene.secrets.onChange(() => member.#follow());
    member.#follow();
    return member;
  }

  get port(): number {
    return this.#port;
  }

  /** For its dialling end; null before its Secret came. */
  get files(): Files | null {
    return this.#files;
  }

  /** Takes its files from another Secret from now on. */
  mount(secretName: string): void {
    this.#secretName = secretName;
    this.#follow();
  }

  /** Comes back with the files of an older version of its Secret, and keeps them until it is to serve again. */
  restore(old: LiveSecret): void {
    this.#manner = 'frozen';
    this.#files = filesOf(old);
    this.#loaded = '';
  }

  /** Behaves so from the next connection on. */
  behave(manner: Manner): void {
    this.#manner = manner;
    this.#follow();
  }

  /**
   * Takes up TLS sessions from now on, over reloads too, as servers do that share ticket keys; by itself it has new keys for every
   * connection. Again: with other keys, as after a restart.
   */
  resumeSessions(seconds?: number): void {
    this.#ticketKeys = randomBytes(48);
    this.#sessionSeconds = seconds;
  }

  /** Closes the port. */
  async goDark(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Opens the same port again. */
  async comeBack(): Promise<void> {
    this.#server = this.#listener();
    await this.#listen(this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#off();
    await this.goDark();
  }

  #follow(): void {
    const secret = this.#scene.secrets.get(this.#secretName);
    if (secret === undefined || this.#manner === 'frozen' || secret.metadata.resourceVersion === this.#loaded) return;
    this.#loaded = secret.metadata.resourceVersion;
    const lag = this.#lagMs();
    if (lag === 0) this.#load(secret);
    else setTimeout(() => this.#load(secret), lag).unref();
  }

  #load(secret: LiveSecret): void {
    if (this.#manner === 'frozen' || this.#loaded !== secret.metadata.resourceVersion) return;
    const files = filesOf(secret);
    try {
      tls.createSecureContext(files);
      this.#files = files;
    } catch {
      // A Secret that somebody broke: a real server keeps its old files, too.
    }
  }

  #listener(): net.Server {
    return net.createServer((raw) => {
      this.#sockets.add(raw);
      raw.on('error', () => {});
      raw.on('close', () => this.#sockets.delete(raw));
      if (this.#manner === 'hanging') return;
      if (this.#files === null) return void raw.destroy();
      const options = {
        ...this.#files,
        requestCert: true,
        rejectUnauthorized: this.#manner !== 'open',
        ...(this.#ticketKeys === null ? {} : { ticketKeys: this.#ticketKeys }),
        ...(this.#sessionSeconds === undefined ? {} : { sessionTimeout: this.#sessionSeconds }),
      };
      const server = tls.createServer(options, (secure) => {
        secure.on('error', () => raw.destroy());
        secure.resume();
      });
      server.on('tlsClientError', () => raw.destroy());
      server.emit('connection', raw);
    });
  }

  async #listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    this.#port = address.port;
  }
}

function filesOf(secret: LiveSecret): Files {
  return { ca: textOf(secret, 'ca.crt'), cert: textOf(secret, 'tls.crt'), key: textOf(secret, 'tls.key') };
}
