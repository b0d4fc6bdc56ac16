/** What OpenSSL says of the Secrets that members get. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Finished, run } from '../control-plane/run.ts';
import { type LiveSecret, textOf } from './scene.ts';

/** Runs openssl in a folder that holds these files, gone afterwards. */
export async function openssl(files: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Finished> {
  const dir = await mkdtemp(join(tmpdir(), 'openssl-'));
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content, { mode: 0o600 });
    return await run('openssl', args, { cwd: dir });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The leaf verifies under the bundle for both roles, and the key is the leaf's. */
export async function expectGoodMember(secret: LiveSecret): Promise<void> {
  const files = Object.fromEntries(['ca.crt', 'tls.crt', 'tls.key'].map((key) => [key, textOf(secret, key)]));
  for (const purpose of ['sslserver', 'sslclient']) {
    const verdict = await openssl(files, 'verify', '-x509_strict', '-purpose', purpose, '-CAfile', 'ca.crt', 'tls.crt');
    expect(verdict.stdout.trim() + verdict.stderr).toBe('tls.crt: OK');
  }
  const ofKey = await openssl(files, 'pkey', '-in', 'tls.key', '-pubout');
  const ofLeaf = await openssl(files, 'x509', '-in', 'tls.crt', '-noout', '-pubkey');
  expect(ofLeaf.stdout).toContain('BEGIN PUBLIC KEY');
  expect(ofKey.stdout === ofLeaf.stdout, 'tls.key belongs to tls.crt').toBe(true);
}
