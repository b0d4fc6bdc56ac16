import { mkdtemp, readFile, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Snapshot, followSnapshots, readSnapshot, syncSecretToDir } from './files.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'volume-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function secret(version: string): Record<string, Buffer> {
  return Object.fromEntries(['ca.crt', 'tls.crt', 'tls.key'].map((name) => [name, Buffer.from(version)]));
}

test('names are symlinks through ..data, and the old version goes', async () => {
  await syncSecretToDir({ ...secret('1'), extra: Buffer.from('x') }, dir);
  const first = await readlink(path.join(dir, '..data'));
  expect(await syncSecretToDir(secret('2'), dir)).toBe(true);
  expect(await readlink(path.join(dir, 'tls.key'))).toBe('..data/tls.key');
  expect(await readFile(path.join(dir, 'tls.key'), 'utf8')).toBe('2');
  const names = await readdir(dir);
  expect(names).not.toContain(first);
  expect(names.filter((name) => !name.startsWith('..')).toSorted()).toEqual(['ca.crt', 'tls.crt', 'tls.key']);
});

test('the same content is not written again', async () => {
  await syncSecretToDir(secret('1'), dir);
  const before = await readlink(path.join(dir, '..data'));
  expect(await syncSecretToDir(secret('1'), dir)).toBe(false);
  expect(await readlink(path.join(dir, '..data'))).toBe(before);
});

test('a reader sees one version or none, while versions change under it', async () => {
  await syncSecretToDir(secret('0'), dir);
  const writing = new AbortController();
  const seen = new Set<string>();
  const reading = (async () => {
    while (!writing.signal.aborted) {
      const snapshot = await readSnapshot(dir);
      if (snapshot === null) continue;
      expect([snapshot.certificate, snapshot.key]).toEqual([snapshot.bundle, snapshot.bundle]);
      seen.add(snapshot.bundle);
    }
  })();
  for (let version = 1; version <= 60; version += 1) await syncSecretToDir(secret(String(version)), dir);
  writing.abort();
  await reading;
  expect(seen.size).toBeGreaterThan(5);
});

test('a follower gets the last version, and each at most once', async () => {
  const got: string[] = [];
  const last = Promise.withResolvers<void>();
  const stop = await followSnapshots(dir, ({ bundle }: Snapshot) => {
    got.push(bundle);
    if (bundle === '20') last.resolve();
  });
  for (let version = 1; version <= 20; version += 1) await syncSecretToDir(secret(String(version)), dir);
  await last.promise;
  stop();
  expect(new Set(got).size).toBe(got.length);
});
