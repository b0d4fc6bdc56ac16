/**
 * NATS, client protocol: the server sends one line, `INFO {...}`; a client that finds tls_required or tls_available in it begins TLS
 * without a word. So on the ports of clients and of leaf nodes. Routes and gateways begin with TLS, and so does a server with
 * handshake_first: those speak plain TLS.
 */
import { type Dialogue, DialogueError, hear } from './dialogue.ts';
import type { Protocol } from './protocol.ts';

const INFO = /^INFO ({.*})\s*$/;

function* begin(): Dialogue<void> {
  const line = yield* hear((come) => {
    const end = come.indexOf('\n');
    return end === -1 ? null : end + 1;
  });
  const info = INFO.exec(line.toString())?.[1];
  if (info === undefined) throw new DialogueError('ProtocolError', 'the server does not speak NATS');
  const { tls_required: required, tls_available: available } = read(info);
  if (required !== true && available !== true) {
    throw new DialogueError('TlsNotOffered', 'the server has no tls block for this port');
  }
}

function read(json: string): { readonly tls_required?: unknown; readonly tls_available?: unknown } {
  try {
    // In braces, so what comes out is an object.
    return JSON.parse(json) as object;
  } catch {
    throw new DialogueError('ProtocolError', 'the server sent an INFO that cannot be read');
  }
}

export const nats: Protocol = { begin, leave: null };
