/**
 * Stands between an operator and the API server, so that a test decides at which write the operator dies, and whether that was heard;
 * and which event of a watch comes late, twice, or not.
 */
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { LineSplitter } from '../../src/runtime/lines.ts';
import { makeAuthority, makeLeaf } from '../probe/pki.ts';

interface Kubeconfig {
  readonly clusters: readonly {
    readonly name: string;
    readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string };
  }[];
}

const VERBS = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' } as const;

/** An object as a request or an event names it. */
export interface Named {
  /** The plural, e.g. `secrets`. */
  readonly resource: string;
  readonly name: string;
}
export interface Write extends Named {
  readonly verb: (typeof VERBS)[keyof typeof VERBS];
  readonly subresource: string;
  /** What was sent; null: nothing. */
  readonly body: unknown;
}
export interface Told extends Named {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
}

/** What becomes of a write. lost: it never arrives; unanswered: it is done, and nobody hears of it. In both cases nothing else passes until `reopen`. */
export type WriteFate = 'done' | 'lost' | 'unanswered';
/**
 * What becomes of an event.
 * hidden: it never comes. No API server loses an event for good, but one that is restarted or compacted ends the watch with 410 Gone,
 * and what happened meanwhile shows only in the list that follows; so after `PAUSE_MS`, in which later events do come, it ends so.
 * delayed: it comes `PAUSE_MS` late, and with it whatever follows in the same watch (a watch keeps its order; several have none).
 * doubled: it comes once more, as after a watch that was taken up again from an older version.
 */
export type EventFate = 'told' | 'hidden' | 'delayed' | 'doubled';
const PAUSE_MS = 2_000;

export interface Judge {
  /** Asked of every write of an object; not of what keeps a process alive or only tells of it (Leases, Events). */
  write(write: Write): WriteFate;
  event(told: Told): EventFate;
}

export class Gate {
  /** A kubeconfig (a path) with the rights of the one that it was opened for. */
  readonly kubeconfig: string;
  readonly #judge: Judge;
  readonly #server: http2.Http2SecureServer;
  readonly #upstream: http2.ClientHttp2Session;
  readonly #authority: string;
  readonly #sockets = new Set<Socket>();
  #shut = Promise.withResolvers<void>();
  #open = true;

  private constructor(kubeconfig: string, judge: Judge, server: http2.Http2SecureServer, origin: URL, ca: Buffer) {
    this.kubeconfig = kubeconfig;
    this.#judge = judge;
    this.#server = server;
    this.#upstream = http2.connect(origin, { ca });
    // Each request under way tells of it.
    this.#upstream.on('error', () => {});
    this.#authority = origin.host;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    server.on('stream', (stream, headers) => void this.#pass(stream, headers));
  }

  /** @param kubeconfig a path; its file is kept as it is */
  static async open(kubeconfig: string, judge: Judge): Promise<Gate> {
    const config = JSON.parse(await readFile(kubeconfig, 'utf8')) as Kubeconfig;
    const [first] = config.clusters;
    if (first === undefined) throw new Error(`${kubeconfig} names no cluster`);
    const { server: origin, 'certificate-authority-data': ca } = first.cluster;
    const authority = await makeAuthority('gate');
    const { certificate: cert, key } = await makeLeaf(authority, 'gate');
    const server = http2.createSecureServer({ cert, key, settings: { maxConcurrentStreams: 250 } });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const cluster = {
      server: `https://127.0.0.1:${port}`,
      'certificate-authority-data': Buffer.from(authority.certificate.pem).toString('base64'),
    };
    const file = `${kubeconfig}-gate`;
    await writeFile(file, JSON.stringify({ ...config, clusters: [{ name: first.name, cluster }] }), { mode: 0o600 });
    return new Gate(file, judge, server, new URL(origin), Buffer.from(ca, 'base64'));
  }

  /** Resolves when nothing passes any more: a write was lost, or will never be answered. */
  get shut(): Promise<void> {
    return this.#shut.promise;
  }

  /** Lets everything through again. */
  reopen(): void {
    this.#shut = Promise.withResolvers();
    this.#open = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#upstream.destroy();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // A session does not always end with the operator at its other end.
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #close(): void {
    this.#open = false;
    this.#shut.resolve();
  }

  async #pass(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): Promise<void> {
    stream.on('error', () => {});
    const body = await readAll(stream);
    // What was asked when the gate was shut belongs to an operator that is dying.
    if (!this.#open || stream.destroyed) return;
    const write = writeOf(headers, body);
    const fate = write === null ? 'done' : this.#judge.write(write);
    if (fate === 'lost') return this.#close();

    const request = this.#upstream.request({ ...headers, ':authority': this.#authority }, { endStream: false });
    request.on('error', () => stream.close());
    stream.on('close', () => request.close());
    request.end(body);
    request.on('response', (answer) => {
      if (fate === 'unanswered') return this.#close();
      if (!this.#open || stream.destroyed || stream.headersSent) return;
      stream.respond(answer);
      const watched = watchedIn(headers);
      if (watched === null || answer[':status'] !== 200) request.pipe(stream);
      else this.#tell(request, stream, watched);
    });
  }

  /** Hands the events of a watch on, one by one. */
  #tell(from: http2.ClientHttp2Stream, to: http2.ServerHttp2Stream, resource: string): void {
    let held: string[] | null = null;
    const send = (line: string): void => {
      if (held !== null) held.push(line);
      else if (!to.destroyed && !to.writableEnded) to.write(`${line}\n`);
    };
    const after = (work: () => void): void => void setTimeout(work, PAUSE_MS).unref();
    const lines = new LineSplitter((line) => {
      const told = toldIn(resource, line);
      const fate = told === null ? 'told' : this.#judge.event(told);
      if (fate === 'delayed' && held === null) {
        held = [];
        after(() => {
          const late = held ?? [];
          held = null;
          late.forEach(send);
        });
      }
      if (fate === 'hidden') {
        after(() => {
          send(GONE);
          to.end();
        });
        return;
      }
      send(line);
      if (fate === 'doubled') send(line);
    });
    from.on('data', (chunk: Buffer) => lines.push(chunk));
    from.on('end', () => to.end());
  }
}

const GONE = JSON.stringify({
  type: 'ERROR',
  object: { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'Expired', code: 410, message: 'too old' },
});

async function readAll(stream: http2.ServerHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve) => {
    stream.once('end', resolve);
    stream.once('close', resolve);
  });
  return Buffer.concat(chunks);
}

/** .../namespaces/NS/RESOURCE[/NAME[/SUBRESOURCE]][?QUERY] */
const PATH = /\/namespaces\/[^/]+\/(?<resource>[a-z]+)(?:\/(?<name>[^/?]+)(?:\/(?<subresource>[^/?]+))?)?(?:\?|$)/;

function writeOf(headers: http2.IncomingHttpHeaders, raw: Buffer): Write | null {
  const method = headers[':method'];
  const { resource = '', name, subresource = '' } = PATH.exec(headers[':path'] ?? '')?.groups ?? {};
  if (method === undefined || !isWriting(method) || resource === 'leases' || resource === 'events') return null;
  const body: unknown = raw.length === 0 ? null : JSON.parse(raw.toString('utf8'));
  return { verb: VERBS[method], resource, name: name ?? nameIn(body), subresource, body };
}

function isWriting(method: string): method is keyof typeof VERBS {
  return Object.hasOwn(VERBS, method);
}

function watchedIn(headers: http2.IncomingHttpHeaders): string | null {
  const path = headers[':path'] ?? '';
  return /[?&]watch=(?:true|1)(?:&|$)/.test(path) ? (PATH.exec(path)?.groups?.['resource'] ?? null) : null;
}

/** Null: a bookmark or an error, which tells of no object. */
function toldIn(resource: string, line: string): Told | null {
  const { type, object } = JSON.parse(line) as { type: string; object: unknown };
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') return null;
  return { type, resource, name: nameIn(object) };
}

function nameIn(object: unknown): string {
  return (object as { metadata?: { name?: string } } | null)?.metadata?.name ?? '';
}
