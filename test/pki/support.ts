/** What the tests of this room share: keys made once per file, CAs and leaves of plain shape, and OpenSSL as a judge. */
import { spawn } from 'node:child_process';
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Certificate } from '../../src/pki/certificate.ts';
import { PkiError, type PkiReason } from '../../src/pki/errors.ts';
import { type SigningAuthority, type CaRequest, issueCa, issueLeaf, type LeafRequest } from '../../src/pki/issue.ts';
import { generatePrivateKey, type KeySpec } from '../../src/pki/keys.ts';

export const DAY = 86_400_000;
/** Whole seconds, so that what is asked for is what a certificate says. */
export const NOW = Math.floor(Date.now() / 1000) * 1000;

export const P256: KeySpec = { algorithm: 'ECDSA', size: 256 };
export const ALL_SPECS: readonly KeySpec[] = [
  { algorithm: 'RSA', size: 2048 },
  { algorithm: 'RSA', size: 3072 },
  { algorithm: 'RSA', size: 4096 },
  P256,
  { algorithm: 'ECDSA', size: 384 },
  { algorithm: 'Ed25519' },
];

export function specName(spec: KeySpec): string {
  return spec.algorithm === 'Ed25519' ? spec.algorithm : `${spec.algorithm}-${spec.size}`;
}

/** A serial number that is the same in every run. */
export function serialOf(seed: string): Buffer {
  const serial = createHash('sha256').update(seed).digest().subarray(0, 16);
  serial[0] = 0x71;
  return serial;
}

export async function authority(
  name: string,
  spec: KeySpec = P256,
  over: Partial<CaRequest> = {},
): Promise<SigningAuthority> {
  const key = over.key ?? (await generatePrivateKey(spec));
  const certificate = issueCa({
    subject: { commonName: name },
    notBefore: NOW - DAY,
    notAfter: NOW + 3650 * DAY,
    serial: serialOf(name),
    ...over,
    key,
  });
  return { certificate, key };
}

export interface Leaf {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

export async function leafOf(
  signer: SigningAuthority,
  { key, ...over }: Partial<Omit<LeafRequest, 'authority' | 'publicKey'>> & { readonly key?: KeyObject } = {},
): Promise<Leaf> {
  const own = key ?? (await generatePrivateKey(P256));
  const certificate = issueLeaf({
    authority: signer,
    publicKey: createPublicKey(own),
    subject: { commonName: 'member' },
    dnsNames: ['member.example'],
    ipAddresses: [],
    uris: [],
    notBefore: NOW - 300_000,
    notAfter: NOW + 30 * DAY,
    serial: serialOf('leaf'),
    ...over,
  });
  return { certificate, key: own };
}

// ---- OpenSSL -------------------------------------------------------------------------------------------------

/** A directory of the test file's own, removed after it. */
export function temporaryDirectory(): { readonly path: string; write(name: string, content: string | Buffer): string } {
  const path = mkdtempSync(join(tmpdir(), 'replicert-pki-'));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    write(name, content) {
      const file = join(path, name);
      writeFileSync(file, content, { mode: 0o600 });
      return file;
    },
  };
}

export interface Outcome {
  readonly code: number | null;
  /** Standard output and standard error, as they came. */
  readonly output: string;
}

/** Runs the OpenSSL of the PATH to its end. */
export function openssl(args: readonly string[], input: string | Buffer = ''): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', (cause) => reject(new Error('the openssl command is needed for this test', { cause })));
    child.on('close', (code) => resolve({ code, output }));
    child.stdin.on('error', () => undefined); // it may end without reading all of its input
    child.stdin.end(input);
  });
}

/** Runs `task` for every item, two at a time: more processes than cores only wait for each other. */
export async function twoAtATime<T>(items: readonly T[], task: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const work = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await task(item);
  };
  await Promise.all([work(), work()]);
}

/** The refusal of an action. */
export function thrown(action: () => unknown): PkiError {
  try {
    action();
  } catch (error) {
    if (error instanceof PkiError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

export const refusal = (action: () => unknown): PkiReason => thrown(action).reason;
