/**
 * PostgreSQL, frontend/backend protocol 3.0, section "SSL Session Encryption": the client sends SSLRequest, the server answers with
 * one byte, S (TLS begins) or N (it has none).
 *
 * A client that ends after TLS without a startup message leaves no line in the server's log, and nothing is counted. So nobody logs in.
 */
import { type Dialogue, DialogueError, hear, printable, say } from './dialogue.ts';
import type { Protocol } from './protocol.ts';

/** Length 8, and the number that no version of the protocol has: 1234.5679. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

function* begin(): Dialogue<void> {
  yield* say(SSL_REQUEST);
  const answer = printable(yield* hear((come) => (come.length === 0 ? null : 1)));
  switch (answer) {
    case 'S':
      return;
    case 'N':
      throw new DialogueError('TlsNotOffered', 'the server has TLS switched off (ssl = off in postgresql.conf)');
    case 'E':
      // The server could not even start a process: the message is in plain text, so its content is nobody's word.
      throw new DialogueError('ProtocolError', 'the server answered SSLRequest with an error; see its log');
    default:
      throw new DialogueError('ProtocolError', 'the server does not speak PostgreSQL');
  }
}

export const postgresql: Protocol = { begin, leave: null };
