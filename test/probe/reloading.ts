/** Servers that change what they trust, each in the way of its kind, and what becomes of their TLS sessions thereby. */
import { spawnSync } from 'node:child_process';
import { constants, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setups } from './setups.ts';
import type { Program } from '../support/packages.ts';
import {
  type Material,
  type ProgramServer,
  type TestServer,
  type Version,
  javaServer,
  keyStore,
  nodeServer,
  opensslServer,
  programServer,
  pythonServer,
  writeMaterial,
} from './servers.ts';

export interface ReloadingServer extends TestServer {
  /** Takes up new files in the way of its kind. */
  load(material: Material): Promise<void>;
  /** Makes it forget its sessions. */
  cure(): Promise<void>;
}

export interface Reloading {
  readonly name: string;
  readonly needs: readonly Program[];
  readonly start: (material: Material) => Promise<ReloadingServer>;
  /** Whether a session from before is still taken up after `load`. */
  readonly remembers: boolean;
  /** The versions in which it takes up sessions at all. */
  readonly resumes: readonly Version[];
  /** How long it says that they live, milliseconds; null: it does not say. */
  readonly lifetimeMs: number | null;
  /** False: its ticket keys are built in, so that nothing makes it forget. Default: true. */
  readonly forgettable?: boolean;
}

const BOTH: readonly Version[] = ['TLSv1.2', 'TLSv1.3'];
const HOUR = 3_600_000;

/** A new process for new files, as of a Deployment that is rolled out, on the same port. */
async function restarting(
  material: Material,
  start: (material: Material) => Promise<TestServer>,
): Promise<ReloadingServer> {
  let files = material;
  let server = await start(files);
  const restart = async (): Promise<void> => {
    const { port } = server;
    await server[Symbol.asyncDispose]();
    server = await start({ ...files, port });
  };
  return {
    get port() {
      return server.port;
    },
    async load(next) {
      files = next;
      await restart();
    },
    cure: restart,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A process that reads its files anew for each connection. */
async function rereading(
  material: Material,
  start: (material: Material) => Promise<ProgramServer>,
): Promise<ReloadingServer> {
  let files = material;
  let server = await start(files);
  return {
    get port() {
      return server.port;
    },
    async load(next) {
      files = next;
      writeMaterial(server.dir, next);
    },
    async cure() {
      const { port } = server;
      await server[Symbol.asyncDispose]();
      server = await start({ ...files, port });
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function nodeReloading(material: Material, version: Version | null, shared: boolean): Promise<ReloadingServer> {
  const bounds = version === null ? {} : { minVersion: version, maxVersion: version };
  const server = await nodeServer(material, { ...bounds, ...(shared ? { ticketKeys: randomBytes(48) } : {}) });
  return {
    port: server.port,
    async load(next) {
      server.reload(next);
    },
    async cure() {
      server.setTicketKeys(randomBytes(48));
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Session ids in a store of the program's own, as clustered servers have. */
async function nodeCaching(material: Material): Promise<ReloadingServer> {
  const store = new Map<string, Buffer>();
  const server = await nodeServer(material, { maxVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_TICKET });
  server.cacheSessions(store);
  return {
    port: server.port,
    async load(next) {
      server.reload(next);
    },
    async cure() {
      store.clear();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const VERIFY = ['-Verify', '1', '-verify_return_error'] as const;

/** Hot reload by a context per connection: the new one judges certificates, the first one keeps the ticket keys. */
const PYTHON_SERVER = `
import socket, ssl, sys, threading
def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain('tls.crt', 'tls.key')
    made.load_verify_locations('ca.crt')
    made.verify_mode = ssl.CERT_REQUIRED
    return made
first = context()
def renew(connection, name, before):
    connection.context = context()
first.sni_callback = renew
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])), backlog=50)
def serve(connection):
    try:
        with first.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1024)
    except OSError:
        pass
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
`;

/** Hot reload by a trust manager that reads its file anew, the usual way: one SSLContext, with its ticket keys and its cache. */
const JAVA_SERVER = `
import java.io.*; import java.security.*; import java.security.cert.*; import java.security.cert.Certificate; import java.net.*; import javax.net.ssl.*;
public class Server {
  static X509ExtendedTrustManager loaded() {
    try (InputStream in = new FileInputStream("ca.crt")) {
      KeyStore trusted = KeyStore.getInstance("PKCS12");
      trusted.load(null, null);
      int n = 0;
      for (Certificate c : CertificateFactory.getInstance("X.509").generateCertificates(in)) trusted.setCertificateEntry("ca" + n++, c);
      TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
      trust.init(trusted);
      return (X509ExtendedTrustManager) trust.getTrustManagers()[0];
    } catch (Exception e) { throw new IllegalStateException(e); }
  }
  public static void main(String[] args) throws Exception {
    KeyStore own = KeyStore.getInstance("PKCS12");
    try (InputStream in = new FileInputStream("own.p12")) { own.load(in, "changeit".toCharArray()); }
    KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
    keys.init(own, "changeit".toCharArray());
    TrustManager trust = new X509ExtendedTrustManager() {
      public void checkClientTrusted(X509Certificate[] c, String a, Socket s) throws CertificateException { loaded().checkClientTrusted(c, a, s); }
      public void checkClientTrusted(X509Certificate[] c, String a, SSLEngine s) throws CertificateException { loaded().checkClientTrusted(c, a, s); }
      public void checkClientTrusted(X509Certificate[] c, String a) throws CertificateException { loaded().checkClientTrusted(c, a); }
      public void checkServerTrusted(X509Certificate[] c, String a, Socket s) throws CertificateException { throw new CertificateException(); }
      public void checkServerTrusted(X509Certificate[] c, String a, SSLEngine s) throws CertificateException { throw new CertificateException(); }
      public void checkServerTrusted(X509Certificate[] c, String a) throws CertificateException { throw new CertificateException(); }
      public X509Certificate[] getAcceptedIssuers() { return loaded().getAcceptedIssuers(); }
    };
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), new TrustManager[] { trust }, null);
    SSLServerSocket server = (SSLServerSocket) context.getServerSocketFactory().createServerSocket(Integer.parseInt(args[0]), 50, InetAddress.getByName("127.0.0.1"));
    server.setNeedClientAuth(true);
    while (true) {
      SSLSocket socket = (SSLSocket) server.accept();
      new Thread(() -> { try (socket) { socket.startHandshake(); socket.getInputStream().read(); } catch (IOException e) { } }).start();
    }
  }
}
`;

/** Hot reload by GetConfigForClient, with ticket keys that its replicas share. */
const GO_SERVER = `
package main

import ("crypto/tls"; "crypto/x509"; "io"; "net"; "os")

func config(*tls.ClientHelloInfo) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair("tls.crt", "tls.key")
	if err != nil { return nil, err }
	pem, err := os.ReadFile("ca.crt")
	if err != nil { return nil, err }
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	made := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	made.SetSessionTicketKeys([][32]byte{{1, 2, 3}})
	return made, nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil { panic(err) }
	for {
		raw, err := listener.Accept()
		if err != nil { panic(err) }
		go func() {
			defer raw.Close()
			secure := tls.Server(raw, &tls.Config{GetConfigForClient: config})
			if secure.Handshake() == nil { io.Copy(io.Discard, secure) }
		}()
	}
}
`;

function goBuild(dir: string): void {
  writeFileSync(path.join(dir, 'server.go'), GO_SERVER);
  const made = spawnSync('go', ['build', '-o', 'server', 'server.go'], { cwd: dir });
  if (made.status !== 0) throw new Error(`go build: ${made.stderr.toString()}`);
}

const openssl =
  (...extra: readonly string[]): Reloading['start'] =>
  (material) =>
    restarting(material, (files) => opensslServer(files, ...VERIFY, ...extra));

/** A set-up as it is, restarted. */
function restarted(name: string, resumes: readonly Version[], lifetimeMs: number | null): Reloading {
  const setup = setups.find((each) => each.name === name);
  if (setup === undefined) throw new Error(`there is no set-up ${name}`);
  const start = (material: Material): Promise<ReloadingServer> => restarting(material, setup.start);
  return { name: `${name}: restarted`, needs: setup.needs, remembers: false, resumes, lifetimeMs, start };
}

export const reloadings: readonly Reloading[] = [
  ...(['TLSv1.2', 'TLSv1.3', null] as const).flatMap((version): readonly Reloading[] => {
    const spoken = version === null ? '' : `, ${version}`;
    return [
      {
        name: `node${spoken}: setSecureContext makes new ticket keys`,
        needs: [],
        remembers: false,
        resumes: version === null ? BOTH : [version],
        lifetimeMs: 2 * HOUR,
        start: (material) => nodeReloading(material, version, false),
      },
      {
        name: `node${spoken}: shared ticket keys`,
        needs: [],
        remembers: true,
        resumes: version === null ? BOTH : [version],
        lifetimeMs: 2 * HOUR,
        start: (material) => nodeReloading(material, version, true),
      },
    ];
  }),
  {
    name: 'node, TLSv1.2: session ids in a store of its own',
    needs: [],
    remembers: true,
    resumes: ['TLSv1.2'],
    lifetimeMs: null,
    start: nodeCaching,
  },
  {
    name: 'openssl: restarted',
    needs: ['openssl'],
    remembers: false,
    resumes: BOTH,
    lifetimeMs: 2 * HOUR,
    start: openssl(),
  },
  {
    name: 'openssl, TLSv1.2: restarted',
    needs: ['openssl'],
    remembers: false,
    resumes: ['TLSv1.2'],
    lifetimeMs: 2 * HOUR,
    start: openssl('-tls1_2'),
  },
  {
    name: 'openssl, session ids and stateful tickets: restarted',
    needs: ['openssl'],
    remembers: false,
    resumes: BOTH,
    lifetimeMs: null,
    start: openssl('-no_ticket'),
  },
  {
    name: 'openssl, TLSv1.3, no tickets: restarted',
    needs: ['openssl'],
    remembers: false,
    resumes: [],
    lifetimeMs: 0,
    start: openssl('-tls1_3', '-num_tickets', '0'),
  },
  {
    name: 'openssl, TLSv1.2, neither ids nor tickets: restarted',
    needs: ['openssl'],
    remembers: false,
    resumes: [],
    lifetimeMs: 0,
    start: openssl('-tls1_2', '-no_ticket', '-no_cache'),
  },
  {
    name: 'python: restarted',
    needs: ['python3'],
    remembers: false,
    resumes: BOTH,
    lifetimeMs: 2 * HOUR,
    start: (material) => restarting(material, pythonServer),
  },
  {
    name: 'python: a context per connection, ticket keys of the first',
    needs: ['python3'],
    remembers: true,
    resumes: BOTH,
    lifetimeMs: 2 * HOUR,
    start: (material) =>
      rereading(material, (files) =>
        programServer(files, ({ port }) => ['python3', '-c', PYTHON_SERVER, String(port)]),
      ),
  },
  {
    name: 'java: restarted',
    needs: ['java', 'openssl'],
    remembers: false,
    resumes: BOTH,
    lifetimeMs: 24 * HOUR,
    start: (material) => restarting(material, (files) => javaServer(files)),
  },
  {
    name: 'java: one SSLContext, a trust manager that reads its file anew',
    needs: ['java', 'openssl'],
    remembers: true,
    resumes: BOTH,
    lifetimeMs: 24 * HOUR,
    start: (material) =>
      rereading(material, (files) =>
        programServer(
          files,
          ({ port }) => ['java', '-XX:TieredStopAtLevel=1', '-Xshare:auto', 'Server.java', String(port)],
          (dir) => {
            writeFileSync(path.join(dir, 'Server.java'), JAVA_SERVER);
            keyStore(dir);
          },
        ),
      ),
  },
  restarted('gnutls-serv', BOTH, 6 * HOUR),
  restarted('redis', BOTH, HOUR / 12),
  {
    name: 'go: shared ticket keys, certificates judged again',
    needs: ['go'],
    remembers: false,
    resumes: BOTH,
    lifetimeMs: null,
    forgettable: false,
    start: (material) =>
      rereading(material, (files) => programServer(files, ({ port }) => ['./server', String(port)], goBuild)),
  },
];
