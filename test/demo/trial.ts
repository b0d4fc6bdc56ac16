import tls from 'node:tls';
import type { Version } from '../mesh/endpoint.ts';
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
 * Shows a leaf to an endpoint of the mesh, and asks for an answer: only whoever is let in is answered. In TLS 1.2 a client
 * learns before it is through what the server thinks of its leaf; in 1.3 only by the answer.
 * @param trusting the CAs by which the endpoint itself is judged
 */
export function show(
  leaf: Credential,
  to: Omit<MemberAddress, 'name'>,
  trusting: string,
  version: Version = 'TLSv1.2',
): Promise<Answer> {
  return new Promise((resolve) => {
    let connected = false;
    const socket = tls.connect({
      host: to.host,
      port: to.port,
      ca: trusting,
      cert: leaf.certificate,
      key: leaf.key,
      minVersion: version,
      maxVersion: version,
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
  to: Omit<MemberAddress, 'name'>,
  version: Version = 'TLSv1.2',
): Promise<{ readonly control: Answer; readonly after: Answer }> {
  const first = await show(present, to, present.bundle, version);
  const after = await show(saved, to, present.bundle, version);
  const last = await show(present, to, present.bundle, version);
  return { control: first.kind === 'accepted' ? last : first, after };
}
