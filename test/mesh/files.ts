/** Certificate files as a pod sees them: written like a kubelet writes a Secret volume, read so that all are of one moment. */
import { randomBytes } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { mkdir, readFile, readdir, readlink, realpath, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

const DATA = '..data';

/**
 * Writes a Secret's keys as the kubelet's AtomicWriter does: into a new folder, to which the symlink `..data` is then
 * renamed. Visible names are symlinks through `..data`, so a reader that follows it once sees one version.
 * @returns false when the folder held the same already
 */
export async function syncSecretToDir(data: Readonly<Record<string, Buffer>>, dir: string): Promise<boolean> {
  await mkdir(dir, { recursive: true });
  const before = await readlink(path.join(dir, DATA)).catch(() => null);
  if (before !== null && (await holds(path.join(dir, before), data))) return false;

  const version = `..${new Date().toISOString().replaceAll(/[-:T.Z]/g, '_')}${randomBytes(4).toString('hex')}`;
  await mkdir(path.join(dir, version));
  for (const [name, content] of Object.entries(data)) {
    await writeFile(path.join(dir, version, name), content, { mode: 0o600 });
  }
  const pending = path.join(dir, '..data_tmp');
  await rm(pending, { force: true });
  await symlink(version, pending);
  await rename(pending, path.join(dir, DATA));

  for (const name of Object.keys(data)) await symlink(path.join(DATA, name), path.join(dir, name)).catch(ifNotThere);
  const visible = (await readdir(dir)).filter((name) => !name.startsWith('..') && !(name in data));
  for (const name of visible) await unlink(path.join(dir, name));
  if (before !== null) await rm(path.join(dir, before), { recursive: true, force: true });
  return true;
}

function ifNotThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

async function holds(folder: string, data: Readonly<Record<string, Buffer>>): Promise<boolean> {
  const names = await readdir(folder).catch(() => []);
  if (names.length !== Object.keys(data).length) return false;
  for (const [name, content] of Object.entries(data)) {
    const known = await readFile(path.join(folder, name)).catch(() => null);
    if (known === null || !known.equals(content)) return false;
  }
  return true;
}

export interface Snapshot {
  /** The folder that was read; another one means another version. */
  readonly version: string;
  readonly bundle: string;
  readonly certificate: string;
  readonly key: string;
}

/** Reads ca.crt, tls.crt and tls.key of one version. Null: there is none (yet), or it was replaced meanwhile. */
export async function readSnapshot(dir: string): Promise<Snapshot | null> {
  try {
    const version = await realpath(path.join(dir, DATA));
    const [bundle, certificate, key] = await Promise.all(
      ['ca.crt', 'tls.crt', 'tls.key'].map((name) => readFile(path.join(version, name), 'utf8')),
    );
    if (bundle === undefined || certificate === undefined || key === undefined) return null;
    return { version, bundle, certificate, key };
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null;
    throw error;
  }
}

/**
 * Calls `onSnapshot` with the first snapshot and with every later version, one at a time.
 * @returns ends the watch
 */
export async function followSnapshots(dir: string, onSnapshot: (snapshot: Snapshot) => void): Promise<() => void> {
  await mkdir(dir, { recursive: true });
  let version = '';
  const look = async (): Promise<void> => {
    const snapshot = await readSnapshot(dir);
    if (snapshot === null || snapshot.version === version) return;
    version = snapshot.version;
    onSnapshot(snapshot);
  };
  // One look after another; each event is followed by a look that began after it.
  let looks = Promise.resolve();
  const watcher: FSWatcher = watch(dir, () => void (looks = looks.then(look)));
  await (looks = looks.then(look));
  return () => watcher.close();
}
