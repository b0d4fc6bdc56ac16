/** One mutual TLS handshake with real stacks, over loopback; both ends must accept the other's certificate. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { openssl } from './support.ts';

/** PEM texts. */
export interface Party {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** What each end made of the other's certificate: null when it accepted it, else the error code. */
export interface Verdicts {
  readonly ofServer: string | null;
  readonly ofClient: string | null;
}

/**
 * Node on both ends. Neither end hangs up on a bad certificate, because a refused client could then not learn why
 * (in TLS 1.3 it is done before the server has judged it); what they would have done is in `authorizationError`.
 */
export async function handshakeWithNode(server: Party, client: Party): Promise<Verdicts> {
  const listener = tls.createServer({
    cert: server.certificate,
    key: server.key,
    ca: server.trust,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const ofServer = new Promise<string | null>((resolve, reject) => {
    listener.on('tlsClientError', reject);
    listener.on('secureConnection', (socket) => {
      socket.on('error', reject);
      socket.end();
      resolve(verdictOf(socket));
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const socket = tls.connect({
    host: '127.0.0.1',
    port: (listener.address() as AddressInfo).port,
    servername: 'member.example',
    cert: client.certificate,
    key: client.key,
    ca: client.trust,
    rejectUnauthorized: false,
  });
  const ofClient = once(socket, 'secureConnect').then(() => verdictOf(socket));
  try {
    const [byServer, byClient] = await Promise.all([ofServer, ofClient]);
    return { ofServer: byServer, ofClient: byClient };
  } finally {
    socket.destroy();
    listener.close();
    await once(listener, 'close');
  }
}

export const ACCEPTED: Verdicts = { ofServer: null, ofClient: null };

/** Declared as an Error, but a server's socket has the code itself. */
function verdictOf(socket: tls.TLSSocket): string | null {
  if (socket.authorized) return null;
  const error: Error | string = socket.authorizationError;
  return typeof error === 'string' ? error : 'code' in error ? String(error.code) : error.message;
}

/** Files with PEM. */
export interface PartyFiles {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** `openssl s_server` and `s_client`. Resolves to null when both accepted, else to what they said. */
export async function handshakeWithOpenssl(server: PartyFiles, client: PartyFiles): Promise<string | null> {
  const listener = spawn(
    'openssl',
    [
      's_server',
      '-accept',
      '127.0.0.1:0',
      '-naccept',
      '1',
      '-www',
      '-Verify',
      '1',
      '-verify_return_error',
      ...party(server),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const closed = once(listener, 'close');
  try {
    const said = { text: '' };
    const port = await new Promise<string>((resolve, reject) => {
      const hear = (chunk: Buffer): void => {
        said.text += chunk.toString();
        const found = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(said.text);
        if (found?.[1] !== undefined) resolve(found[1]);
      };
      listener.stdout.on('data', hear);
      listener.stderr.on('data', hear);
      listener.on('error', reject);
      listener.on('close', () => reject(new Error(`openssl s_server ended: ${said.text}`)));
    });
    const { output } = await openssl(
      ['s_client', '-connect', `127.0.0.1:${port}`, '-verify', '1', '-verify_return_error', '-quiet', ...party(client)],
      'GET / HTTP/1.0\r\n\r\n',
    );
    if (output.includes('HTTP/1.0 200 ok')) return null;
    await closed;
    return `${output}\n${said.text}`;
  } finally {
    listener.kill();
    await closed;
  }
}

function party({ certificate, key, trust }: PartyFiles): string[] {
  return ['-cert', certificate, '-key', key, '-CAfile', trust];
}
