/**
 * MySQL and MariaDB, client/server protocol, connection phase: the server greets, the client sends SSLRequest (the beginning of its
 * answer), then TLS begins; within it the client sends its whole answer, and the server lets it in or not.
 *
 * The server counts every connection that ends before it has judged a login: those that go away after the greeting or after TLS, and
 * those whose certificate it refuses. At max_connect_errors (default 100) in a row it shuts out the host of the client, until
 * FLUSH HOSTS or, before it comes to that, a login that succeeds. A login that is denied is not counted, and forgives nothing.
 * (Seen with MariaDB 10.11, in performance_schema.host_cache. MySQL 8.4 Reference Manual, "DNS Lookups and the Host Cache": errors in a row
 * without a successful connection shut out a host; the cache has no entry for loopback, nor any with skip_name_resolve.)
 *
 * Therefore whoever was accepted logs in and quits: as nobody but CANARY_COMMON_NAME, without a password.
 */
import { CANARY_COMMON_NAME } from '../canary.ts';
import { type Dialogue, DialogueError, hear, printable, say } from './dialogue.ts';
import type { Parting, Protocol } from './protocol.ts';

/** May be used by anybody who speaks TLS, and for nothing but to log in. */
export const CANARY_ACCOUNT = `CREATE USER '${CANARY_COMMON_NAME}'@'%' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 1`;

const GREETING = 10;
const OK = 0x00;
const SWITCH_PLUGIN = 0xfe;
const ERROR = 0xff;
const QUIT = Buffer.from([0x01]);

/** CLIENT_SSL, which the greeting must offer: in the lower half of its capabilities. */
const TLS = 0x0800;
/** CLIENT_LONG_PASSWORD, PROTOCOL_41, SSL, SECURE_CONNECTION and PLUGIN_AUTH. */
const CAPABILITIES = 0x0001 | 0x0200 | TLS | 0x8000 | 0x80000;
const MAX_PACKET = 1 << 24;
const UTF8 = 33;
/** A server asks for another plugin once. */
const MAX_SWITCHES = 3;
const MORE_ASKED: Parting = { kind: 'denied', message: 'it asks for more than an empty password' };

/** ER_HOST_IS_BLOCKED, ER_HOST_NOT_PRIVILEGED, ER_CON_COUNT_ERROR: said instead of a greeting. */
const HOST_ERRORS: ReadonlyMap<number, string> = new Map([
  [1129, 'run FLUSH HOSTS there'],
  [1130, 'no account there is for the host that probes'],
  [1040, 'raise max_connections there'],
]);

interface Packet {
  readonly sequence: number;
  readonly body: Buffer;
}

function* hearPacket(): Dialogue<Packet> {
  const packet = yield* hear((come) => (come.length < 4 ? null : 4 + come.readUIntLE(0, 3)));
  return { sequence: packet.readUInt8(3), body: packet.subarray(4) };
}

function packetOf(sequence: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(4);
  header.writeUIntLE(body.length, 0, 3);
  header.writeUInt8(sequence % 256, 3);
  return Buffer.concat([header, body]);
}

/** What SSLRequest is, and with what the client's whole answer begins. */
function opening(): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32LE(CAPABILITIES, 0);
  bytes.writeUInt32LE(MAX_PACKET, 4);
  bytes.writeUInt8(UTF8, 8);
  return bytes;
}

function* begin(): Dialogue<void> {
  const { body } = yield* hearPacket();
  if (body[0] === ERROR && body.length > 3) throw refusedHost(body);
  // A version that ends with NUL, the connection's number, eight random bytes and another NUL.
  const version = body.indexOf(0, 1);
  const capabilities = version + 1 + 4 + 8 + 1;
  if (body[0] !== GREETING || version === -1 || body.length < capabilities + 2) {
    throw new DialogueError('ProtocolError', 'the server does not speak MySQL');
  }
  if ((body.readUInt16LE(capabilities) & TLS) === 0) {
    throw new DialogueError('TlsNotOffered', 'the server has no certificate loaded (ssl_cert, ssl_key)');
  }
  yield* say(packetOf(1, opening()));
}

function refusedHost(body: Buffer): DialogueError {
  const code = body.readUInt16LE(1);
  const next = HOST_ERRORS.get(code) ?? 'see its log';
  return new DialogueError('HostRefused', `the server says "${printable(body.subarray(3))}" (error ${code}): ${next}`);
}

function* leave(): Dialogue<Parting> {
  // No password, and the plugin that every server knows: it asks for another where it wants one.
  const user = Buffer.from(`${CANARY_COMMON_NAME}\0\0mysql_native_password\0`);
  yield* say(packetOf(2, opening(), user));
  for (let asked = 0; asked < MAX_SWITCHES; asked += 1) {
    const { sequence, body } = yield* hearPacket();
    switch (body[0]) {
      case OK:
        yield* say(packetOf(0, QUIT));
        return { kind: 'letIn' };
      case SWITCH_PLUGIN:
        yield* say(packetOf(sequence + 1));
        continue;
      case ERROR:
        // Its code, and five characters of SQLSTATE after a #.
        return { kind: 'denied', message: printable(body.subarray(9)) };
      default:
        return MORE_ASKED;
    }
  }
  return MORE_ASKED;
}

export const mysql: Protocol = { begin, leave };
