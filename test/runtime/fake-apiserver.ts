import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import {
  constants,
  createSecureServer,
  Http2ServerRequest,
  Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { encodePrivateKey } from '../../src/pki/keys.ts';
import { issueCa, issueLeaf } from '../../src/pki/issue.ts';
import type { Client } from '../../src/runtime/client.ts';
import { type ClientOptions, createClient } from '../../src/runtime/http-client.ts';
import type { Credentials } from '../../src/runtime/credentials.ts';

type Request = IncomingMessage | Http2ServerRequest;
/** What the responses of both protocols can do. */
interface Response extends Writable {
  readonly headersSent: boolean;
  writeHead(status: number, headers: Record<string, string>): unknown;
}

/** One request that has arrived, and the means to answer it. */
export interface Arrival {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
  /** Tells connections apart. */
  readonly connection: number;
  readonly protocol: string;
  /** An answer as a whole. */
  json(status: number, body: object, headers?: Record<string, string>): void;
  /** A Status object, as the API server refuses things. */
  refuse(status: number, reason: string, message: string, headers?: Record<string, string>): void;
  /** A page of a list. */
  page(resourceVersion: string, items: readonly object[], next?: string): void;
  /** Begins a stream, or goes on with it. */
  event(type: string, object: object): void;
  bookmark(resourceVersion: string): void;
  raw(text: string): void;
  end(): void;
  /** Says that this connection is to take no new requests, as an API server does that is going to restart. */
  goAway(): void;
  /** Resets this one request. */
  cut(): void;
  /** Ends the connection without a word. */
  hangUp(): void;
  /** Resolves when the client is gone from it. */
  readonly closed: Promise<void>;
}

/** An API server that does what a test tells it: requests are answered one by one, in the order of their arrival. */
export class FakeApiServer {
  readonly url: string;
  readonly ca: string;
  /** Everything that ever arrived, as `METHOD path?query`. */
  readonly log: string[] = [];
  connections = 0;
  readonly #waiting: Arrival[] = [];
  readonly #awaited: ((arrival: Arrival) => void)[] = [];
  readonly #clients: Client[] = [];
  readonly #numbers = new WeakMap<object, number>();
  readonly #close: () => Promise<void>;
  #count = 1;
  #onPing = () => {};

  private constructor(url: string, ca: string, close: () => Promise<void>) {
    this.url = url;
    this.ca = ca;
    this.#close = close;
  }

  static async start({
    http2 = true,
    streams = 100,
  }: {
    http2?: boolean;
    streams?: number;
  } = {}): Promise<FakeApiServer> {
    const { ca, cert, key } = serverCertificate();
    const server = http2
      ? createSecureServer({ cert, key, settings: { maxConcurrentStreams: streams }, maxSessionMemory: 1_000 })
      : createHttpsServer({ cert, key });
    const sockets = new Set<Socket>();
    server.on('secureConnection', (socket: Socket) => {
      fake.connections++;
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    });
    server.on('session', (session: ServerHttp2Session) => {
      session.on('error', () => {});
      session.on('ping', () => fake.#onPing());
    });
    server.on('request', (request: Request, response: Response) => void fake.#arrive(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const close = async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    };
    const fake = new FakeApiServer(`https://127.0.0.1:${address.port}`, ca, close);
    return fake;
  }

  credentials(token = 'good'): Credentials {
    return { server: this.url, headers: { authorization: `Bearer ${token}` }, tls: { ca: this.ca } };
  }

  /** A client of this server; closed with it. */
  client(options: Partial<ClientOptions> = {}): Client {
    const client = createClient({ credentials: async () => this.credentials(), userAgent: 'test', ...options });
    this.#clients.push(client);
    return client;
  }

  /** The next request that no test step has taken yet. */
  next(): Promise<Arrival> {
    const arrival = this.#waiting.shift();
    if (arrival !== undefined) return Promise.resolve(arrival);
    return new Promise((resolve) => this.#awaited.push(resolve));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.#close();
  }

  /** Resolves after so many HTTP/2 pings from now. */
  pinged(times: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onPing = () => {
        if (--times === 0) resolve();
      };
    });
  }

  #connectionOf(request: Request): number {
    const peer = request instanceof Http2ServerRequest ? (request.stream.session ?? request) : request.socket;
    const number = this.#numbers.get(peer) ?? this.#count++;
    this.#numbers.set(peer, number);
    return number;
  }

  async #arrive(request: Request, response: Response): Promise<void> {
    const url = new URL(request.url ?? '', this.url);
    this.log.push(`${request.method} ${request.url}`);
    const connection = this.#connectionOf(request);
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    response.on('close', close);
    response.on('error', () => {});
    request.on('error', () => {});
    let text = '';
    const incoming: Readable = request;
    for await (const chunk of incoming) text += String(chunk);
    const begin = () => {
      if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json' });
    };
    const arrival: Arrival = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
      connection,
      protocol: request.httpVersion,
      json(status, body, headers = {}) {
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end(JSON.stringify(body));
      },
      refuse(status, reason, message, headers = {}) {
        this.json(
          status,
          { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: status, reason, message },
          headers,
        );
      },
      page(resourceVersion, items, next) {
        const metadata = { resourceVersion, ...(next === undefined ? {} : { continue: next }) };
        this.json(200, { kind: 'ThingList', apiVersion: 'test/v1', metadata, items });
      },
      event(type, object) {
        this.raw(`${JSON.stringify({ type, object })}\n`);
      },
      bookmark(resourceVersion) {
        this.event('BOOKMARK', { kind: 'Thing', apiVersion: 'test/v1', metadata: { resourceVersion } });
      },
      raw(piece) {
        begin();
        response.write(piece);
      },
      end() {
        begin();
        response.end();
      },
      goAway() {
        if (response instanceof Http2ServerResponse) response.stream.session?.close();
      },
      cut() {
        if (response instanceof Http2ServerResponse) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
        else request.socket.destroy();
      },
      hangUp() {
        if (response instanceof Http2ServerResponse) response.stream.session?.destroy();
        else request.socket.destroy();
      },
      closed,
    };
    const taker = this.#awaited.shift();
    if (taker === undefined) this.#waiting.push(arrival);
    else taker(arrival);
  }
}

/** A TCP relay that can stop relaying without closing anything: what a lost route or a frozen peer looks like. */
export class Valve {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, port: number, sockets: Set<Socket>) {
    this.#server = server;
    this.port = port;
    this.#sockets = sockets;
  }

  static async before(url: string): Promise<Valve> {
    const target = Number(new URL(url).port);
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      const far = connect(target, '127.0.0.1');
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(from);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          sockets.delete(from);
          to.destroy();
        });
        from.on('data', (chunk) => to.write(chunk));
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return new Valve(server, address.port, sockets);
  }

  /** The connections that exist now carry nothing any more; new ones do. */
  freeze(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function serverCertificate() {
  const validity = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 86_400_000 };
  const [caKey, serverKey] = [
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ];
  const serial = () => Buffer.concat([Buffer.from([1]), randomBytes(15)]);
  const ca = issueCa({ key: caKey.privateKey, subject: { commonName: 'test' }, serial: serial(), ...validity });
  const leaf = issueLeaf({
    authority: { certificate: ca, key: caKey.privateKey },
    publicKey: serverKey.publicKey,
    subject: { commonName: 'apiserver' },
    dnsNames: [],
    ipAddresses: ['127.0.0.1'],
    uris: [],
    serial: serial(),
    ...validity,
  });
  return { ca: ca.pem, cert: leaf.pem, key: encodePrivateKey(serverKey.privateKey, 'PKCS8') };
}
