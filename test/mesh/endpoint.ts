/**
 * A replication endpoint: what a rotation must not break, as a process of its own.
 *
 *   node test/mesh/endpoint.ts --name a --dir DIR --listen 127.0.0.1:7001 --peer b=127.0.0.1:7002
 *     [--versions TLSv1.2,TLSv1.3] [--every 100] [--report 1000] [--no-streams]
 *
 * DIR holds ca.crt, tls.crt and tls.key like a mounted Secret; a new version is loaded without a restart, all three
 * at once. Over every edge it keeps one stream of numbered, acknowledged blocks, and makes a fresh mutual handshake
 * every so many milliseconds, in turn in each of the versions of TLS that follow the peer's address
 * (`b=127.0.0.1:7002@TLSv1.2,TLSv1.3`; without, in whichever both choose). It listens in these `--versions`. At every
 * load, once a second, and on SIGTERM, it prints a `Report` as one line of JSON. `endpoint.py` is the same on OpenSSL.
 */
import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { parseArgs } from 'node:util';
import { type Snapshot, followSnapshots } from './files.ts';
import { BlockReceiver, BlockSender } from './stream.ts';

/** Digests are SHA-256 of the DER in lower-case hex; instants are RFC 3339 with milliseconds. */
export interface Loaded {
  readonly bundle: readonly string[];
  readonly leaf: string;
  readonly at: string;
}

/** A handshake that failed. */
export interface Failure {
  readonly began: string;
  readonly ended: string;
  /** As it was asked for; null: any. */
  readonly version: Version | null;
  readonly error: string;
  /** What the dialling end used. */
  readonly loaded: Loaded;
}

export type Version = 'TLSv1.2' | 'TLSv1.3';

export interface EdgeReport {
  readonly handshakes: { readonly ok: number; readonly failed: number };
  /** Good handshakes by the version that was spoken. */
  readonly versions: Readonly<Partial<Record<Version, number>>>;
  /** The first of those that failed. */
  readonly failures: readonly Failure[];
  /** Each kind of failure and how often it came, streams included. */
  readonly errors: Readonly<Record<string, number>>;
  readonly stream: {
    readonly connected: boolean;
    /** Connections that broke after they had worked. */
    readonly broken: number;
    readonly sentBytes: number;
    readonly ackedBytes: number;
  };
}

export interface Report {
  readonly name: string;
  readonly final: boolean;
  /** Null before the first load. */
  readonly loaded: Loaded | null;
  readonly loads: number;
  /** By peer, as dialled from here. */
  readonly edges: Readonly<Record<string, EdgeReport>>;
  readonly inbound: {
    /** Handshakes that TLS accepted, canaries apart. */
    readonly accepted: number;
    readonly canaries: number;
    /** Refused by TLS, whoever it was: whoever dialled knows whether it was a replication failure. */
    readonly refused: number;
    readonly receivedBytes: number;
    readonly lost: number;
  };
}

const CANARY = 'CN=replicert-canary';
const ANSWER_WITHIN_MS = 10_000;
const BLOCK_EVERY_MS = 25;
const RECONNECT_MS = 100;
const PARTING_MS = 500;
const FAILURES_KEPT = 20;
const VERSIONS: readonly Version[] = ['TLSv1.2', 'TLSv1.3'];

interface Address {
  readonly host: string;
  readonly port: number;
}

interface Peer extends Address {
  /** Dialled in these in turn; empty: in any. */
  readonly versions: readonly Version[];
}

interface Current extends Snapshot {
  readonly loaded: Loaded;
}

/** The listening end: a ping is answered, a stream is received. Its first line tells which: `ping` or `stream <name>`. */
class Listener {
  #server: tls.Server | null = null;
  readonly #receivers = new Map<string, BlockReceiver>();
  readonly #address: Address;
  readonly #versions: readonly Version[];
  accepted = 0;
  canaries = 0;
  refused = 0;

  constructor(address: Address, versions: readonly Version[]) {
    this.#address = address;
    this.#versions = versions;
  }

  load({ bundle, certificate, key }: Snapshot): void {
    const context = { ca: bundle, cert: certificate, key, ...boundsOf(this.#versions) };
    if (this.#server !== null) return this.#server.setSecureContext(context);
    this.#server = tls.createServer({ ...context, requestCert: true, rejectUnauthorized: true });
    this.#server.on('tlsClientError', () => (this.refused += 1));
    this.#server.on('secureConnection', (socket) => this.#serve(socket));
    this.#server.listen(this.#address.port, this.#address.host);
  }

  get receivedBytes(): number {
    return [...this.#receivers.values()].reduce((sum, receiver) => sum + receiver.receivedBytes, 0);
  }

  get lost(): number {
    return [...this.#receivers.values()].reduce((sum, receiver) => sum + receiver.lost, 0);
  }

  #serve(socket: tls.TLSSocket): void {
    socket.on('error', () => {});
    if (socket.getPeerX509Certificate()?.subject === CANARY) {
      this.canaries += 1;
      socket.resume();
      return;
    }
    this.accepted += 1;
    let greeting = Buffer.alloc(0);
    const onGreeting = (chunk: Buffer): void => {
      greeting = Buffer.concat([greeting, chunk]);
      const end = greeting.indexOf('\n');
      if (end < 0) return;
      socket.off('data', onGreeting);
      const [kind, peer = ''] = greeting.subarray(0, end).toString().split(' ');
      if (kind === 'stream') this.#receive(socket, peer, greeting.subarray(end + 1));
      else socket.end('pong\n');
    };
    socket.on('data', onGreeting);
  }

  #receive(socket: tls.TLSSocket, peer: string, first: Buffer): void {
    const receiver = this.#receivers.get(peer) ?? new BlockReceiver();
    this.#receivers.set(peer, receiver);
    receiver.resume();
    const take = (chunk: Buffer): void => {
      for (const ack of receiver.receive(chunk)) socket.write(ack);
    };
    take(first);
    socket.on('data', take);
  }
}

/** The dialling end of one edge. */
class Edge {
  readonly #self: string;
  readonly #peer: Peer;
  readonly #current: () => Current | null;
  readonly #sender = new BlockSender();
  readonly #errors = new Map<string, number>();
  readonly #versions: Partial<Record<Version, number>> = {};
  readonly #failures: Failure[] = [];
  #ok = 0;
  #failed = 0;
  #connected = false;
  #broken = 0;

  constructor(self: string, peer: Peer, current: () => Current | null) {
    this.#self = self;
    this.#peer = peer;
    this.#current = current;
  }

  report(): EdgeReport {
    return {
      handshakes: { ok: this.#ok, failed: this.#failed },
      versions: this.#versions,
      failures: this.#failures,
      errors: Object.fromEntries(this.#errors),
      stream: {
        connected: this.#connected,
        broken: this.#broken,
        sentBytes: this.#sender.sentBytes,
        ackedBytes: this.#sender.ackedBytes,
      },
    };
  }

  async handshakeEvery(ms: number): Promise<never> {
    for (let turn = 0; ; turn += 1) {
      const next = sleep(ms);
      const current = this.#current();
      const { versions } = this.#peer;
      if (current !== null) await this.#handshake(current, versions[turn % versions.length] ?? null);
      await next;
    }
  }

  async #handshake(current: Current, version: Version | null): Promise<void> {
    const began = now();
    try {
      const spoken = await this.#ping(current, version);
      this.#ok += 1;
      this.#versions[spoken] = (this.#versions[spoken] ?? 0) + 1;
    } catch (error) {
      if (!this.#count(error)) return;
      this.#failed += 1;
      if (this.#failures.length === FAILURES_KEPT) return;
      this.#failures.push({ began, ended: now(), version, error: describe(error), loaded: current.loaded });
    }
  }

  async stream(): Promise<never> {
    for (;;) {
      const snapshot = this.#current();
      if (snapshot !== null) {
        try {
          await this.#streamOver(snapshot);
        } catch (error) {
          this.#count(error);
        }
        if (this.#connected) this.#broken += 1;
        this.#connected = false;
      }
      await sleep(RECONNECT_MS);
    }
  }

  /** A peer that was never there is not up yet: no failure. @returns whether it was counted */
  #count(error: unknown): boolean {
    const code = describe(error);
    if (code === 'ECONNREFUSED' && this.#ok === 0) return false;
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1);
    return true;
  }

  /** A handshake of its own, never a resumed one. In TLS 1.3 only the answer tells that we were accepted. @returns what was spoken */
  #ping(snapshot: Snapshot, version: Version | null): Promise<Version> {
    return new Promise((resolve, reject) => {
      const socket = this.#dial(snapshot, version === null ? [] : [version]);
      socket.setTimeout(ANSWER_WITHIN_MS, () => socket.destroy(new Error('no answer')));
      socket.on('secureConnect', () => socket.write('ping\n'));
      socket.once('data', () => {
        const spoken = VERSIONS.find((each) => each === socket.getProtocol());
        if (spoken === undefined || socket.isSessionReused()) reject(new Error('no full handshake'));
        else resolve(spoken);
        socket.destroy();
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('closed without an answer')));
    });
  }

  #streamOver(snapshot: Snapshot): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.#dial(snapshot, this.#peer.versions);
      let timer: NodeJS.Timeout | undefined;
      socket.on('secureConnect', () => {
        socket.write(`stream ${this.#self}\n`);
        for (const block of this.#sender.resume()) socket.write(block);
        timer = setInterval(() => {
          const block = this.#sender.next();
          if (block !== null) socket.write(block);
        }, BLOCK_EVERY_MS);
      });
      socket.on('data', (chunk: Buffer) => {
        this.#connected = true;
        try {
          this.#sender.receive(chunk);
        } catch (error) {
          socket.destroy(error instanceof Error ? error : new Error(String(error)));
        }
      });
      socket.on('error', reject);
      socket.on('close', () => {
        clearInterval(timer);
        resolve();
      });
    });
  }

  /** The chain is verified against our bundle; replication peers are known by their CA, not by a host name. */
  #dial({ bundle, certificate, key }: Snapshot, versions: readonly Version[]): tls.TLSSocket {
    const { host, port } = this.#peer;
    const own = { ca: bundle, cert: certificate, key, checkServerIdentity: () => undefined };
    return tls.connect({ host, port, ...own, ...boundsOf(versions) });
  }
}

interface Options {
  readonly name: string;
  readonly dir: string;
  readonly listen: Address;
  readonly versions: readonly Version[];
  readonly peers: ReadonlyMap<string, Peer>;
  readonly everyMs: number;
  readonly reportMs: number;
  readonly streams: boolean;
}

async function run({ name, dir, listen, versions, peers, everyMs, reportMs, streams }: Options): Promise<void> {
  let current: Current | null = null;
  let loads = 0;
  let parting = false;
  const listener = new Listener(listen, versions);
  const edges = new Map([...peers].map(([peer, address]) => [peer, new Edge(name, address, () => current)]));

  const report = (final: boolean): string => {
    const { accepted, canaries, refused, receivedBytes, lost } = listener;
    const whole: Report = {
      name,
      final,
      loaded: current?.loaded ?? null,
      loads,
      edges: Object.fromEntries([...edges].map(([peer, edge]) => [peer, edge.report()])),
      inbound: { accepted, canaries, refused, receivedBytes, lost },
    };
    return `${JSON.stringify(whole)}\n`;
  };

  await followSnapshots(dir, (snapshot) => {
    listener.load(snapshot);
    current = { ...snapshot, loaded: { ...fingerprints(snapshot), at: now() } };
    loads += 1;
    // The final report is the last one, whatever still comes.
    if (!parting) process.stdout.write(report(false));
  });
  for (const edge of edges.values()) {
    void edge.handshakeEvery(everyMs);
    if (streams) void edge.stream();
  }
  const reporting = setInterval(() => process.stdout.write(report(false)), reportMs);
  // Whoever reads the reports is gone: so is the mesh.
  process.stdout.on('error', () => process.exit(1));
  process.once('SIGTERM', () => {
    clearInterval(reporting);
    parting = true;
    process.stdout.write(report(true));
    // Partners are ended at the same time: none may see us gone before its own last report.
    setTimeout(() => process.exit(0), PARTING_MS);
  });
}

const now = (): string => new Date().toISOString();

function describe(error: unknown): string {
  const known = error instanceof Error ? error : new Error(String(error));
  return 'code' in known ? String(known.code) : known.message;
}

function boundsOf(versions: readonly Version[]): Pick<tls.SecureContextOptions, 'minVersion' | 'maxVersion'> {
  const [minVersion, maxVersion = minVersion] = versions;
  return minVersion === undefined || maxVersion === undefined ? {} : { minVersion, maxVersion };
}

function fingerprints({ bundle, certificate }: Snapshot): { bundle: string[]; leaf: string } {
  const blocks = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return { bundle: blocks.map(fingerprint), leaf: fingerprint(certificate) };
}

function fingerprint(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
}

function addressOf(text: string): Address {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  if (colon < 1 || !Number.isInteger(port)) throw new Error(`${text} is not HOST:PORT`);
  return { host: text.slice(0, colon), port };
}

/** In the order of `VERSIONS`. */
function versionsOf(text: string): readonly Version[] {
  const named = text.split(',');
  const found = VERSIONS.filter((version) => named.includes(version));
  if (found.length !== named.length) throw new Error(`${text} is not a list of ${VERSIONS.join(', ')}`);
  return found;
}

function peerOf(text: string): Peer {
  const [address = '', versions] = text.split('@');
  return { ...addressOf(address), versions: versions === undefined ? [] : versionsOf(versions) };
}

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      name: { type: 'string' },
      dir: { type: 'string' },
      listen: { type: 'string' },
      versions: { type: 'string', default: VERSIONS.join(',') },
      peer: { type: 'string', multiple: true, default: [] },
      every: { type: 'string', default: '100' },
      report: { type: 'string', default: '1000' },
      'no-streams': { type: 'boolean', default: false },
    },
  });
  const { name, dir, listen, versions, peer, every, report } = values;
  if (name === undefined || dir === undefined || listen === undefined) {
    throw new Error(
      'usage: endpoint.ts --name NAME --dir DIR --listen HOST:PORT [--versions V,V] [--peer NAME=HOST:PORT[@V,V]]... ' +
        '[--every MS] [--report MS] [--no-streams]',
    );
  }
  const peers = peer.map((text): [string, Peer] => {
    const equals = text.indexOf('=');
    return [text.slice(0, equals), peerOf(text.slice(equals + 1))];
  });
  return {
    name,
    dir,
    listen: addressOf(listen),
    versions: versionsOf(versions),
    peers: new Map(peers),
    everyMs: Number(every),
    reportMs: Number(report),
    streams: !values['no-streams'],
  };
}

await run(optionsOf(process.argv.slice(2)));
