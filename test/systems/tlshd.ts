/**
 * GnuTLS in the place of tlshd, by tlshd's rules: every handshake is made by a new process, which opens the files that tlshd.conf names, in
 * TLS 1.3 only; the connecting side looks for the name of the node among the DNS names.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { run, tail } from '../control-plane/run.ts';
import { freePort } from './instance.ts';

export const TLSHD = ['gnutls-serv', 'gnutls-cli'] as const;

const TLS13 = ['--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.3'];

interface Files {
  readonly truststore: string;
  readonly certificate: string;
  readonly privateKey: string;
}

/** What tlshd reads in its configuration for one role: a key file of GLib. */
export function filesFor(role: 'client' | 'server', configuration: string): Files {
  const groups = new Map<string, Map<string, string>>();
  let group = new Map<string, string>();
  for (const line of configuration.split('\n')) {
    const head = /^\[([^\]]+)\]$/.exec(line)?.[1];
    const [key = '', value] = line.split(/=(.*)/);
    if (head !== undefined) groups.set(head, (group = new Map<string, string>()));
    else if (value !== undefined && !line.startsWith('#')) group.set(key, value);
  }
  const named = (key: string): string => {
    const value = groups.get(`authenticate.${role}`)?.get(`x509.${key}`);
    if (value === undefined) throw new Error(`tlshd.conf has no x509.${key} for the ${role}`);
    return value;
  };
  return {
    truststore: named('truststore'),
    certificate: named('certificate'),
    privateKey: named('private_key'),
  };
}

const x509 = ({ truststore, certificate, privateKey }: Files): string[] => [
  '--x509cafile',
  truststore,
  '--x509certfile',
  certificate,
  '--x509keyfile',
  privateKey,
];

/** A node: its name as DRBD has it, and the folder with its tlshd.conf. */
export interface TlshdNode {
  readonly name: string;
  readonly dir: string;
}

const filesOf = (role: 'client' | 'server', { dir }: TlshdNode): Files =>
  filesFor(role, readFileSync(path.join(dir, 'tlshd.conf'), 'utf8'));

/**
 * One socket of a DRBD connection: a handshake, then a word there and back, for in TLS 1.3 a client is through before the server has judged.
 * @throws with what both ends said when it fails
 */
export async function handshake(from: TlshdNode, to: TlshdNode): Promise<void> {
  const port = String(await freePort());
  const asked = ['--require-client-cert', '--verify-client-cert', '--echo'];
  const server = spawn('gnutls-serv', ['--port', port, ...asked, ...TLS13, ...x509(filesOf('server', to))]);
  const said = listenTo(server);
  try {
    await said.until(/listening on IPv4 .*done/);
    const client = ['--port', port, ...TLS13, ...x509(filesOf('client', from)), `--verify-hostname=${to.name}`];
    const { code, stdout, stderr } = await run('gnutls-cli', [...client, '127.0.0.1'], {
      env: process.env,
      input: 'a block\n',
      timeoutMs: 20_000,
    });
    if (code !== 0 || !/^a block$/m.test(stdout))
      throw new Error(
        `${from.name} -> ${to.name}: ${tail(stdout + stderr, 3)}; ${to.name} says: ${tail(said.text(), 2)}`,
      );
  } finally {
    server.kill('SIGKILL');
    await said.end;
  }
}

function listenTo(child: ChildProcess) {
  let text = '';
  let ended = false;
  let wake = (): void => undefined;
  const hear = (chunk: Buffer): void => {
    text += chunk.toString();
    wake();
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  const end = new Promise<void>((resolve) =>
    child.once('close', () => {
      ended = true;
      wake();
      resolve();
    }),
  );
  return {
    end,
    text: () => text,
    async until(wanted: RegExp): Promise<void> {
      while (!wanted.test(text)) {
        if (ended) throw new Error(`it ended: ${tail(text, 3)}`);
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}
