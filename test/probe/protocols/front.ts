/** Servers on Node's TLS that speak a protocol around it, as it is written down; real ones are in `test/systems`. */
import net from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ProtocolName } from '../../../src/api/replication-peer.ts';
import { type Material, type NodeServer, nodeServer, plainServer, type TestServer } from '../servers.ts';

export const PROTOCOLS: readonly ProtocolName[] = ['TLS', 'PostgreSQL', 'MySQL', 'NATS'];

interface Preamble {
  /** Said at once. */
  readonly greeting: Buffer;
  /** Bytes that the client then says. */
  readonly heard: number;
  readonly answer: Buffer;
}

export function mysqlPacket(sequence: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([body.length % 256, body.length >> 8, 0, sequence]), body]);
}

/** HandshakeV10, with or without CLIENT_SSL. */
export function mysqlGreeting(capabilities = 0xffff): Buffer {
  const low = Buffer.from([capabilities & 255, capabilities >> 8]);
  const rest = Buffer.from([33, 2, 0, 0xff, 0x81, 21, ...Buffer.alloc(10), ...Buffer.alloc(12, 'b'), 0]);
  const parts = [Buffer.from('\n8.0.36\0'), Buffer.from([1, 0, 0, 0]), Buffer.alloc(8, 'a'), Buffer.of(0), low, rest];
  return mysqlPacket(0, Buffer.concat([...parts, Buffer.from('caching_sha2_password\0')]));
}

export const natsInfo = (info: object): Buffer => Buffer.from(`INFO ${JSON.stringify(info)} \r\n`);

const NOTHING = Buffer.alloc(0);
export const PREAMBLES: Readonly<Record<ProtocolName, Preamble>> = {
  TLS: { greeting: NOTHING, heard: 0, answer: NOTHING },
  PostgreSQL: { greeting: NOTHING, heard: 8, answer: Buffer.from('S') },
  MySQL: { greeting: mysqlGreeting(), heard: 36, answer: NOTHING },
  NATS: { greeting: natsInfo({ server_id: 'N', tls_required: true }), heard: 0, answer: NOTHING },
};

/** What a client of MySQL has said after TLS, by connection. */
export type Logins = (readonly string[])[];

interface FrontOptions {
  /** With rejectUnauthorized: of whoever shows no certificate, too. Default: as the protocol's servers do. */
  readonly tls?: Parameters<typeof nodeServer>[1];
  readonly host?: string;
  readonly port?: number;
  /** Whether the account of the canaries is there. Default: true. */
  readonly letsIn?: () => boolean;
}

export interface Front extends TestServer {
  readonly server: NodeServer;
  readonly logins: Logins;
}

/** A TLS server behind the preamble of a protocol. */
export async function front(name: ProtocolName, material: Material, options: FrontOptions = {}): Promise<Front> {
  const { tls = {}, host = '127.0.0.1', port = 0, letsIn = () => true } = options;
  const logins: Logins = [];
  const greet = name === 'MySQL' ? login(logins, letsIn) : (socket: TLSSocket) => void socket.resume();
  const anonymous = tls.rejectUnauthorized === undefined && (name === 'MySQL' || name === 'PostgreSQL');
  const server = await nodeServer(material, anonymous ? { ...tls, rejectUnauthorized: false } : tls, {}, (socket) => {
    // At once, before Node has sent what ends the handshake.
    if (anonymous && !socket.authorized && hasCertificate(socket)) socket.destroy();
    else greet(socket);
  });
  const { greeting, heard, answer } = PREAMBLES[name];
  const outer = await plainServer(
    (near) => {
      near.on('error', () => undefined);
      near.write(greeting);
      let come = NOTHING;
      const onData = (chunk: Buffer): void => {
        come = Buffer.concat([come, chunk]);
        if (come.length >= heard) begin();
      };
      const begin = (): void => {
        near.off('data', onData);
        near.write(answer);
        const far = net.connect(server.port, '127.0.0.1');
        far.on('error', () => near.destroy());
        far.on('close', () => near.destroy());
        near.on('close', () => far.destroy());
        if (come.length > heard) far.write(come.subarray(heard));
        near.pipe(far).pipe(near);
      };
      if (heard === 0) begin();
      else near.on('data', onData);
    },
    { host, port },
  );
  return {
    port: outer.port,
    server,
    logins,
    [Symbol.asyncDispose]: async () => {
      await outer[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

function hasCertificate(socket: TLSSocket): boolean {
  // Node's types promise more than there is.
  return Object.keys(socket.getPeerCertificate()).length > 0;
}

/** Lets whoever logs in first change to its own plugin, as MySQL 8 does. */
function login(logins: Logins, letsIn: () => boolean): (socket: TLSSocket) => void {
  return (socket) => {
    const said: string[] = [];
    logins.push(said);
    let come = NOTHING;
    socket.on('data', (chunk: Buffer) => {
      come = Buffer.concat([come, chunk]);
      while (come.length >= 4 && come.length >= 4 + come.readUIntLE(0, 3)) {
        const length = 4 + come.readUIntLE(0, 3);
        const [sequence, body] = [come.readUInt8(3), come.subarray(4, length)];
        come = come.subarray(length);
        if (sequence === 2) {
          said.push(body.subarray(32, body.indexOf(0, 32)).toString());
          socket.write(mysqlPacket(3, Buffer.from('\xfecaching_sha2_password\0salt\0', 'latin1')));
        } else if (sequence === 4) {
          said.push(`password of ${body.length}`);
          const ok = Buffer.from([0, 0, 0, 2, 0, 0, 0]);
          const denied = Buffer.from("\xff\x15\x04#28000Access denied for user 'replicert-canary'", 'latin1');
          socket.write(mysqlPacket(5, letsIn() ? ok : denied));
        } else {
          said.push(body.equals(Buffer.of(1)) ? 'quit' : body.toString('hex'));
          socket.end();
        }
      }
    });
  };
}
