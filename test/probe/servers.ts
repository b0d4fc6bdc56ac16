/** Servers of every kind that a prober meets, on loopback, each closed by `dispose`. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Writable } from 'node:stream';
import tls from 'node:tls';
import type { Identity } from './pki.ts';

export interface TestServer {
  readonly port: number;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Material {
  readonly identity: Identity;
  /** PEM of the CAs that clients must come from. */
  readonly bundle: string;
  /** Of a program; default: a free one. */
  readonly port?: number;
}

export type Version = 'TLSv1.2' | 'TLSv1.3';

async function listen(server: net.Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}

/** Closes the server together with its connections. */
function closing(server: net.Server): () => Promise<void> {
  const open = new Set<net.Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  });
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of open) socket.destroy();
    });
}

export async function plainServer(
  onConnection: (socket: net.Socket) => void,
  { host = '127.0.0.1', port = 0 } = {},
): Promise<TestServer> {
  const server = net.createServer(onConnection);
  const close = closing(server);
  return { port: await listen(server, host, port), [Symbol.asyncDispose]: close };
}

export interface NodeServer extends TestServer {
  reload(material: Material): void;
  /** 48 bytes. */
  setTicketKeys(keys: Buffer): void;
  /** Keeps session ids of TLS 1.2 in this store: Node by itself has none. */
  cacheSessions(store: Map<string, Buffer>): void;
}

export async function nodeServer(
  { identity, bundle }: Material,
  options: tls.TlsOptions = {},
  { host = '127.0.0.1', port = 0 } = {},
  onSecure: (socket: tls.TLSSocket) => void = (socket) => socket.resume(),
): Promise<NodeServer> {
  const context = { cert: identity.certificate, key: identity.key, ca: bundle };
  const server = tls.createServer({ ...context, requestCert: true, rejectUnauthorized: true, ...options });
  server.on('tlsClientError', () => {});
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    onSecure(socket);
  });
  const close = closing(server);
  return {
    port: await listen(server, host, port),
    reload: (material) =>
      server.setSecureContext({
        ...options,
        cert: material.identity.certificate,
        key: material.identity.key,
        ca: material.bundle,
      }),
    setTicketKeys: (keys) => server.setTicketKeys(keys),
    cacheSessions: (store) => {
      server.on('newSession', (id: Buffer, session: Buffer, done: () => void) => {
        store.set(id.toString('hex'), session);
        done();
      });
      server.on('resumeSession', (id: Buffer, done: (error: Error | null, session: Buffer | null) => void) =>
        done(null, store.get(id.toString('hex')) ?? null),
      );
    },
    [Symbol.asyncDispose]: close,
  };
}

/** A port that nothing listens on (just closed: the kernel hands it out again only much later). */
export async function closedPort(): Promise<number> {
  await using server = await plainServer(() => {});
  return server.port;
}

/** Passes everything on after `delayMs` each way; connecting itself is not delayed. */
export async function slowProxy(
  port: number | (() => number),
  delayMs: number,
  onConnection = (): void => {},
): Promise<TestServer> {
  return plainServer((near) => {
    onConnection();
    const far = net.connect(typeof port === 'number' ? port : port(), '127.0.0.1');
    const relay = (from: net.Socket, to: net.Socket): void => {
      from.on('data', (chunk) => setTimeout(() => to.write(chunk), delayMs));
      from.on('end', () => setTimeout(() => to.end(), delayMs));
      from.on('error', () => to.destroy());
      from.on('close', () => setTimeout(() => to.destroy(), delayMs));
    };
    relay(near, far);
    relay(far, near);
  });
}

export interface ProgramServer extends TestServer {
  readonly input: Writable;
  /** Where ca.crt, tls.crt and tls.key are. */
  readonly dir: string;
}

export function writeMaterial(dir: string, { identity, bundle }: Material): void {
  writeFileSync(path.join(dir, 'ca.crt'), bundle);
  writeFileSync(path.join(dir, 'tls.crt'), identity.certificate);
  writeFileSync(path.join(dir, 'tls.key'), identity.key, { mode: 0o600 });
}

/** A program that serves TLS. It gets a folder with ca.crt, tls.crt and tls.key, and is ready once the port answers. */
export async function programServer(
  material: Material,
  command: (files: { dir: string; port: number }) => readonly [string, ...string[]],
  prepare: (dir: string) => void = () => {},
): Promise<ProgramServer> {
  const dir = mkdtempSync(path.join(tmpdir(), 'probe-'));
  writeMaterial(dir, material);
  prepare(dir);
  const port = material.port ?? (await closedPort());
  const [program, ...args] = command({ dir, port });
  // s_server ends when its standard input does.
  const child = spawn(program, args, { cwd: dir, stdio: ['pipe', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-2000)));
  const dispose = async (): Promise<void> => {
    await ended(child);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await answers(port, child);
  } catch (error) {
    await dispose();
    throw new Error(`${program} did not start: ${errors}`, { cause: error });
  }
  return { port, input: child.stdin, dir, [Symbol.asyncDispose]: dispose };
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('close', () => resolve());
    child.kill('SIGKILL');
  });
}

async function answers(port: number, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (child.exitCode === null) {
    if (Date.now() > deadline) throw new Error('timed out');
    const open = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  throw new Error(`ended with ${child.exitCode}`);
}

export function opensslServer(material: Material, ...extra: readonly string[]): Promise<ProgramServer> {
  return programServer(material, ({ port }) => [
    'openssl',
    's_server',
    '-accept',
    `127.0.0.1:${port}`,
    '-cert',
    'tls.crt',
    '-key',
    'tls.key',
    '-CAfile',
    'ca.crt',
    '-quiet',
    ...extra,
  ]);
}

const PYTHON_SERVER = `
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('tls.crt', 'tls.key')
context.load_verify_locations('ca.crt')
context.verify_mode = ssl.CERT_REQUIRED
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])), backlog=50)
def serve(connection):
    try:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1024)
    except OSError:
        pass
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
`;

export function pythonServer(material: Material): Promise<TestServer> {
  return programServer(material, ({ port }) => ['python3', '-c', PYTHON_SERVER, String(port)]);
}

const JAVA_SERVER = `
import java.io.*; import java.nio.file.*; import java.security.*; import java.security.cert.*; import java.util.*; import javax.net.ssl.*;
public class Server {
  public static void main(String[] args) throws Exception {
    KeyStore own = KeyStore.getInstance("PKCS12");
    try (InputStream in = new FileInputStream("own.p12")) { own.load(in, "changeit".toCharArray()); }
    KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
    keys.init(own, "changeit".toCharArray());
    KeyStore trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, null);
    int n = 0;
    try (InputStream in = new FileInputStream("ca.crt")) {
      for (java.security.cert.Certificate c : CertificateFactory.getInstance("X.509").generateCertificates(in)) trusted.setCertificateEntry("ca" + n++, c);
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
    trust.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    SSLServerSocket server = (SSLServerSocket) context.getServerSocketFactory().createServerSocket(Integer.parseInt(args[0]), 50, java.net.InetAddress.getByName("127.0.0.1"));
    server.setNeedClientAuth(true);
    if (args.length > 1) server.setEnabledProtocols(new String[] { args[1] });
    while (true) {
      SSLSocket socket = (SSLSocket) server.accept();
      new Thread(() -> { try (socket) { socket.startHandshake(); socket.getInputStream().read(); } catch (IOException e) { } }).start();
    }
  }
}
`;

export function javaServer(material: Material, ...protocols: readonly Version[]): Promise<TestServer> {
  return programServer(
    material,
    ({ port }) => ['java', '-XX:TieredStopAtLevel=1', '-Xshare:auto', 'Server.java', String(port), ...protocols],
    (dir) => {
      writeFileSync(path.join(dir, 'Server.java'), JAVA_SERVER);
      keyStore(dir);
    },
  );
}

/** own.p12 of the member's leaf, as Java wants it. */
export function keyStore(dir: string): void {
  const files = ['-in', 'tls.crt', '-inkey', 'tls.key', '-out', 'own.p12'];
  const made = spawnSync('openssl', ['pkcs12', '-export', ...files, '-passout', 'pass:changeit'], { cwd: dir });
  if (made.status !== 0) throw new Error(`openssl pkcs12: ${made.stderr.toString()}`);
}
