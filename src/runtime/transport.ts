import type { Socket } from 'node:net';
import { buildConnector, Client, type Dispatcher, Pool } from 'undici';
import type { Clock } from './clock.ts';
import { CredentialCache, type Credentials, type CredentialSource, type TlsMaterial } from './credentials.ts';
import { AnswerTooLargeError, FencedError, NoAnswerError } from './errors.ts';

/** One HTTP exchange. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** The whole exchange is given up after this. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Asked at the instant at which the request would leave, however long it has waited for a connection. */
  readonly maySend?: (() => boolean) | undefined;
  /** Receives the body of a 2xx answer piece by piece; what it throws ends the exchange. Such exchanges have connections of their own. */
  readonly onChunk?: ((chunk: Buffer) => void) | undefined;
  /** Greatest body that is kept; a larger one is an AnswerTooLargeError as soon as that shows. Of no meaning with `onChunk`. */
  readonly maxBytes: number;
  /** Names the request in errors. */
  describe(): string;
}

export interface HttpResponse {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** The server's clock, as its Date header says. */
  readonly date: string | undefined;
  /** The body, unless `onChunk` took it. */
  readonly text: string;
}

/** How dead connections are found: an HTTP/2 ping makes a living peer speak, so one that says nothing at all is dead. */
export interface Liveness {
  readonly pingMs: number;
  /** Longer than two pings. */
  readonly silenceMs: number;
}

const LIVENESS: Liveness = { pingMs: 10_000, silenceMs: 30_000 };

/**
 * All traffic with one API server: one HTTP/2 connection for calls and one for watches, made anew only when CA or client
 * certificate change. Credentials that the server refuses are looked up once more, and the request is repeated with others.
 */
export class Transport {
  readonly #credentials: CredentialCache;
  readonly #clock: Clock;
  readonly #liveness: Liveness;
  #clockOffset: number | null = null;
  #lanes: { readonly madeFor: string; readonly prefix: string; readonly calls: Lane; readonly watches: Lane } | null =
    null;

  constructor(source: CredentialSource, clock: Clock, liveness: Liveness = LIVENESS) {
    this.#credentials = new CredentialCache(source, clock);
    this.#clock = clock;
    this.#liveness = liveness;
  }

  /** Any answer of the server is a result; a NoAnswerError, FencedError or the reason of the signal is thrown. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const held = this.#credentials.current();
    const credentials = held instanceof Promise ? await held : held;
    const response = await this.#exchange(request, credentials);
    // The answer to a watch is as old as the watch.
    if (response.date !== undefined && request.onChunk === undefined) {
      const offset = Date.parse(response.date) - this.#clock.now();
      if (!Number.isNaN(offset)) this.#clockOffset = offset;
    }
    if (response.status !== 401) return response;
    const others = await this.#credentials.instead(credentials);
    return others === null ? response : this.#exchange(request, others);
  }

  /** Milliseconds by which the server's clock was ahead of ours at the last answer; null before the first. */
  get clockOffset(): number | null {
    return this.#clockOffset;
  }

  /** Ends every connection at once. */
  async close(): Promise<void> {
    const lanes = this.#lanes;
    this.#lanes = null;
    await Promise.all([lanes?.calls.destroy(), lanes?.watches.destroy()]);
  }

  #exchange(request: HttpRequest, credentials: Credentials): Promise<HttpResponse> {
    request.signal?.throwIfAborted();
    const lanes = this.#lanesFor(credentials);
    const lane = request.onChunk === undefined ? lanes.calls : lanes.watches;
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(request, lane, this.#clock, resolve, reject);
      lane.pool.dispatch(
        {
          method: request.method,
          path: lanes.prefix + request.path,
          headers: { ...request.headers, ...credentials.headers },
          body: request.body ?? null,
          headersTimeout: 0, // one deadline holds for the whole exchange, see Exchange
          bodyTimeout: 0,
        },
        exchange,
      );
    });
  }

  #lanesFor(credentials: Credentials) {
    const { server, tls } = credentials;
    const madeFor = [server, tls.servername, tls.rejectUnauthorized, tls.ca, tls.cert, tls.key].join('\n');
    if (this.#lanes?.madeFor === madeFor) return this.#lanes;
    const former = this.#lanes;
    const { origin, pathname } = new URL(server);
    this.#lanes = {
      madeFor,
      prefix: pathname.replace(/\/$/, ''),
      calls: new Lane(origin, tls, this.#liveness),
      watches: new Lane(origin, tls, this.#liveness),
    };
    // What is under way may finish: watches end by themselves within minutes.
    former?.calls.retire();
    former?.watches.retire();
    return this.#lanes;
  }
}

const CONNECT_TIMEOUT_MS = 5_000;
/** Of one HTTP/2 connection; the server may allow fewer. What is beyond gets another connection. */
const MAX_STREAMS = 100;

/**
 * A pool that an HTTP/2 server fills with a single connection (HTTP/1.1 falls back to one per concurrent request).
 * Dead connections are cut, so that nobody waits on them for the minutes that the kernel takes.
 */
class Lane {
  readonly pool: Pool;
  readonly #sockets = new Set<Socket>();
  #http2 = false;

  constructor(origin: string, tls: TlsMaterial, { pingMs, silenceMs }: Liveness) {
    const connect = buildConnector({
      ...definedOnly(tls),
      allowH2: true,
      timeout: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    });
    this.pool = new Pool(origin, {
      connect: (options, done) =>
        connect(options, (...[error, socket]) => {
          if (error !== null) return done(error, null);
          this.#adopt(socket, silenceMs);
          done(null, socket);
        }),
      allowH2: true,
      h2Options: { pingInterval: pingMs, maxConcurrentStreams: MAX_STREAMS },
      keepAliveTimeout: 120_000, // keep the connection between two lease renewals, and then some
      factory: (url, options) => {
        const client = new Client(url, options);
        // While a connection that is going away (GOAWAY) finishes its streams, undici counts by HTTP/1.1's rule, one request at a
        // time: new requests would wait for the last watch to end. So the rule is set by what the server speaks.
        client.on('connect', () => {
          client.pipelining = this.#http2 ? MAX_STREAMS : 1;
        });
        return client;
      },
    });
  }

  /** Bytes that have arrived on the open connections. */
  received(): number {
    let bytes = 0;
    for (const socket of this.#sockets) bytes += socket.bytesRead;
    return bytes;
  }

  /** Cuts the connections; what was under way fails, what comes next connects anew. */
  cut(why: Error): void {
    for (const socket of this.#sockets) socket.destroy(why);
  }

  retire(): void {
    this.pool.close().catch(() => {});
  }

  destroy(): Promise<void> {
    return this.pool.destroy();
  }

  #adopt(socket: Socket, silenceMs: number): void {
    this.#sockets.add(socket);
    this.#http2 = 'alpnProtocol' in socket && socket.alpnProtocol === 'h2';
    let heard = socket.bytesRead;
    const listen = setInterval(() => {
      if (this.#http2 && socket.bytesRead === heard) socket.destroy(new Error('the connection fell silent'));
      heard = socket.bytesRead;
    }, silenceMs).unref();
    socket.once('close', () => {
      clearInterval(listen);
      this.#sockets.delete(socket);
    });
  }
}

function definedOnly(tls: TlsMaterial): object {
  return Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
}

/** Follows one request through undici's lowest interface: no stream objects, no async bookkeeping, one settlement. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: HttpRequest;
  readonly #lane: Lane;
  readonly #resolve: (response: HttpResponse) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #cancelDeadline: () => void;
  readonly #receivedBefore: number;
  #controller: Dispatcher.DispatchController | null = null;
  #failure: unknown = null;
  #settled = false;
  #status = 0;
  #retryAfter: string | undefined;
  #date: string | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(
    request: HttpRequest,
    lane: Lane,
    clock: Clock,
    resolve: (response: HttpResponse) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#request = request;
    this.#lane = lane;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#receivedBefore = lane.received();
    this.#cancelDeadline = clock.after(request.timeoutMs, () => this.#expire());
    request.signal?.addEventListener('abort', this);
  }

  handleEvent(): void {
    this.#fail(this.#request.signal?.reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (!this.#settled && this.#request.maySend?.() === false) this.#fail(new FencedError(this.#request.describe()));
    // Nothing has left yet.
    if (this.#settled) controller.abort(asError(this.#failure));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Record<string, unknown>): void {
    if (status < 200) return;
    this.#status = status;
    const retryAfter = headers['retry-after'];
    if (typeof retryAfter === 'string') this.#retryAfter = retryAfter;
    const date = headers['date'];
    if (typeof date === 'string') this.#date = date;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled) return;
    if (this.#request.onChunk === undefined || this.#status >= 300) {
      this.#bytes += chunk.length;
      if (this.#bytes > this.#request.maxBytes) {
        this.#chunks = [];
        this.#fail(new AnswerTooLargeError(this.#request.describe(), this.#request.maxBytes));
      } else this.#chunks.push(chunk);
      return;
    }
    try {
      this.#request.onChunk(chunk);
    } catch (error) {
      this.#fail(error);
    }
  }

  onResponseEnd(): void {
    if (!this.#settle()) return;
    const [first] = this.#chunks;
    let text: string;
    try {
      text =
        first === undefined
          ? ''
          : this.#chunks.length === 1
            ? first.toString()
            : Buffer.concat(this.#chunks).toString();
    } catch (error) {
      // More than a string may hold: whoever asked must not wait for ever.
      this.#reject(error);
      return;
    }
    this.#resolve({ status: this.#status, retryAfter: this.#retryAfter, date: this.#date, text });
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
    this.#fail(new NoAnswerError(this.#request.describe(), code, this.#controller !== null, error));
  }

  #expire(): void {
    // Not one byte from the server in all that time: the connection is the fault, the next request needs another.
    if (this.#lane.received() === this.#receivedBefore) this.#lane.cut(new Error('no answer within the deadline'));
    this.#fail(new NoAnswerError(this.#request.describe(), 'TIMEOUT', this.#controller !== null));
  }

  #fail(reason: unknown): void {
    if (!this.#settle()) return;
    this.#failure = reason;
    this.#reject(reason);
    // A body that is under way is left alone: resetting its stream can send Node's HTTP/2 into an endless loop (24.21).
    if (this.#request.body === undefined) this.#controller?.abort(asError(reason));
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#cancelDeadline();
    this.#request.signal?.removeEventListener('abort', this);
    return true;
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}
