/** Stands between an operator and the API server, so that a test decides at which write the operator dies, and whether that was heard. */
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { makeAuthority, makeLeaf } from '../probe/pki.ts';

interface Kubeconfig {
  readonly clusters: readonly {
    readonly name: string;
    readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string };
  }[];
}

/** What becomes of a write. lost: it never arrives; unanswered: it is done, and nobody hears of it. In both cases nothing else passes until `reopen`. */
export type Fate = 'done' | 'lost' | 'unanswered';

export class Gate {
  /** A kubeconfig (a path) with the rights of the one that it was opened for. */
  readonly kubeconfig: string;
  readonly #server: http2.Http2SecureServer;
  readonly #upstream: http2.ClientHttp2Session;
  readonly #authority: string;
  #judge: (resource: string) => Fate = () => 'done';
  #shut: (() => void) | null = null;

  private constructor(kubeconfig: string, server: http2.Http2SecureServer, origin: URL, ca: Buffer) {
    this.kubeconfig = kubeconfig;
    this.#server = server;
    this.#upstream = http2.connect(origin, { ca });
    this.#authority = origin.host;
    server.on('stream', (stream, headers) => this.#pass(stream, headers));
  }

  /** @param kubeconfig a path; its file is kept as it is */
  static async open(kubeconfig: string): Promise<Gate> {
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
    return new Gate(file, server, new URL(origin), Buffer.from(ca, 'base64'));
  }

  /**
   * Lets everything through, and asks `judge` at every write of an object; what keeps a process alive or only tells of it (Leases,
   * Events) is not asked for.
   * @returns when it has shut: at the first write that is not to be done as usual
   */
  reopen(judge: (resource: string) => Fate): Promise<void> {
    this.#judge = judge;
    return new Promise((resolve) => {
      this.#shut = resolve;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#upstream.destroy();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await closed;
  }

  #close(): void {
    const told = this.#shut;
    this.#shut = null;
    told?.();
  }

  #pass(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
    stream.on('error', () => {});
    if (this.#shut === null) return;
    const path = headers[':path'] ?? '';
    // .../namespaces/NS/RESOURCE[/NAME[/SUBRESOURCE]]
    const resource = /\/namespaces\/[^/]+\/([a-z]+)/.exec(path)?.[1] ?? '';
    const writes = headers[':method'] !== 'GET' && resource !== 'leases' && resource !== 'events';
    const fate = writes ? this.#judge(resource) : 'done';
    if (fate === 'lost') return this.#close();

    const request = this.#upstream.request({ ...headers, ':authority': this.#authority });
    request.on('error', () => stream.close());
    stream.on('close', () => request.close());
    stream.pipe(request);
    request.on('response', (answer) => {
      if (fate === 'unanswered') return this.#close();
      // What was asked before the gate shut may be answered by an operator that is dying.
      if (this.#shut === null || stream.destroyed || stream.headersSent) return;
      stream.respond(answer);
      request.pipe(stream);
    });
  }
}
