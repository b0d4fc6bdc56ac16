/**
 * What two programs say to each other outside of TLS, written down as one of them sees it: a generator that says bytes and takes
 * what it waits for. It knows no socket and no clock; `converse` gives it both ends of a stream.
 */
import type { Duplex } from 'node:stream';

type Move =
  | { readonly kind: 'say'; readonly bytes: Buffer }
  /** How many bytes the next message has, given all that has come; null: not all of it is there. */
  | { readonly kind: 'hear'; readonly length: (come: Buffer) => number | null };

export type Dialogue<T> = Generator<Move, T, Buffer>;

export type BreakOff = 'TlsNotOffered' | 'ProtocolError' | 'HostRefused';

/** Why a dialogue cannot come to its end. */
export class DialogueError extends Error {
  readonly reason: BreakOff;

  constructor(reason: BreakOff, message: string) {
    super(message);
    this.reason = reason;
  }
}

export function* say(bytes: Buffer): Dialogue<void> {
  yield { kind: 'say', bytes };
}

export function* hear(length: (come: Buffer) => number | null): Dialogue<Buffer> {
  return yield { kind: 'hear', length };
}

/** Far more than any server has to say before TLS, or to a login. */
const MAX_UNREAD = 16 * 1024;
const MAX_SHOWN = 200;

/** What a server says of itself, for people: it may be anything. */
export function printable(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .slice(0, MAX_SHOWN)
    .replaceAll(/[^ -~]+/g, ' ')
    .trim();
}

/**
 * Holds a dialogue over a stream. When it ends, nothing may be left over that nobody asked for: before TLS that would be taken for
 * something said within (CVE-2021-23222). Who ends the stream, or lets it time out, looks for that itself; then `ended` is not called.
 * @param ended called once, with the stream left as it was before
 */
export function converse<T>(stream: Duplex, dialogue: Dialogue<T>, ended: (end: T | DialogueError) => void): void {
  let come = Buffer.alloc(0);
  let move = dialogue.next();

  const onData = (chunk: Buffer): void => {
    come = Buffer.concat([come, chunk]);
    goOn();
  };
  const end = (how: T | DialogueError): void => {
    stream.off('data', onData);
    ended(how);
  };
  function goOn(): void {
    try {
      while (move.done !== true) {
        const { value } = move;
        if (value.kind === 'say') {
          stream.write(value.bytes);
          move = dialogue.next();
          continue;
        }
        const length = value.length(come);
        if (length === null || length > come.length) {
          if (come.length <= MAX_UNREAD) return;
          throw new DialogueError('ProtocolError', `the server sent ${come.length} bytes that make no message`);
        }
        const message = come.subarray(0, length);
        come = come.subarray(length);
        move = dialogue.next(message);
      }
      if (come.length > 0) throw new DialogueError('ProtocolError', unaskedFor(come));
    } catch (error) {
      if (!(error instanceof DialogueError)) throw error;
      return end(error);
    }
    end(move.value);
  }
  stream.on('data', onData);
  goOn();
}

function unaskedFor(bytes: Buffer): string {
  return `the server, or somebody on the way to it, sent ${bytes.length} bytes that were not asked for`;
}
