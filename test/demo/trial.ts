import tls from 'node:tls';
import type { MemberAddress } from './manifest.ts';
import type { Answer } from './verdict.ts';

/** What a member has in its Secret, as PEM. */
export interface Credential {
  readonly bundle: string;
  readonly certificate: string;
  readonly key: string;
}

const ANSWER_WITHIN_MS = 10_000;

/**
 * Shows a leaf to an endpoint of the mesh in a handshake of TLS 1.2, in which a client learns before it is through what
 * the server thinks of its leaf, and asks for an answer: only whoever is let in is answered.
 * @param trusting the CAs by which the endpoint itself is judged
 */
export function show(leaf: Credential, to: MemberAddress, trusting: string): Promise<Answer> {
  return new Promise((resolve) => {
    let connected = false;
    const socket = tls.connect({
      host: to.host,
      port: to.port,
      ca: trusting,
      cert: leaf.certificate,
      key: leaf.key,
      maxVersion: 'TLSv1.2',
      // Replication partners are known by their CA, not by a host name.
      checkServerIdentity: () => undefined,
    });
    const end = (answer: Answer): void => {
      resolve(answer);
      socket.destroy();
    };
    const broken = (how: string): void => {
      end(connected && REFUSALS.test(how) ? { kind: 'refused', how } : { kind: 'unclear', why: how });
    };
    socket.setTimeout(ANSWER_WITHIN_MS, () => end({ kind: 'unclear', why: `${to.host}:${to.port} does not answer` }));
    socket.once('connect', () => (connected = true));
    socket.once('secureConnect', () => socket.write('ping\n'));
    socket.once('data', () => end({ kind: 'accepted' }));
    socket.on('error', (error: NodeJS.ErrnoException) => broken(error.code ?? error.message));
    socket.on('close', () => broken('ECONNRESET'));
  });
}

/** The server hung up on us: with an alert, or as Node's server does it, by closing the connection. */
const REFUSALS = /ALERT|^ECONNRESET$|^EPIPE$/;

/** A leaf and one of now: what is refused is refused on account of its CA only if the other is let in at the same time. */
export async function compare(
  saved: Credential,
  present: Credential,
  to: MemberAddress,
): Promise<{ readonly control: Answer; readonly after: Answer }> {
  const first = await show(present, to, present.bundle);
  const after = await show(saved, to, present.bundle);
  const last = await show(present, to, present.bundle);
  return { control: first.kind === 'accepted' ? last : first, after };
}
