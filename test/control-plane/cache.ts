import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run, tail } from './run.ts';

export const BINARY_NAMES = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'] as const;
export type BinaryName = (typeof BINARY_NAMES)[number];
/** Where each binary lies: absolute paths. */
export type Binaries = Readonly<Record<BinaryName, string>>;

/** The folder whose go.mod says what is built, and in which versions. */
export const BUILD_FOLDER = join(import.meta.dirname, 'build');

/** The Kubernetes version that go.mod pins, such as `v1.36.3`. */
export function kubernetesVersion(): string {
  const version = /^\s*k8s\.io\/kubernetes (v[\w.-]+)/m.exec(readFileSync(join(BUILD_FOLDER, 'go.mod'), 'utf8'))?.[1];
  if (version === undefined) throw new Error(`${BUILD_FOLDER}/go.mod requires no k8s.io/kubernetes`);
  return version;
}

/**
 * The cache folder for what go.mod describes on this platform: outside the repository, under `XDG_CACHE_HOME` or
 * `~/.cache`. The hash tells two states of go.mod with the same Kubernetes version apart (another etcd, say).
 */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  const root = env['XDG_CACHE_HOME'] ?? join(env['HOME'] ?? homedir(), '.cache');
  const content = ['go.mod', 'go.sum'].map((file) => readFileSync(join(BUILD_FOLDER, file)));
  const hash = createHash('sha256').update(Buffer.concat(content)).digest('hex').slice(0, 8);
  return join(root, 'replicert', 'control-plane', `${kubernetesVersion()}-${process.platform}-${process.arch}-${hash}`);
}

/** What is known of a binary since it was put into the cache; a binary without it is not trusted. */
interface Seal {
  readonly size: number;
  readonly mtimeMs: number;
  readonly sha256: string;
}

export function inFolder(folder: string): Binaries {
  return {
    etcd: join(folder, 'etcd'),
    'kube-apiserver': join(folder, 'kube-apiserver'),
    'kube-controller-manager': join(folder, 'kube-controller-manager'),
    kubectl: join(folder, 'kubectl'),
  };
}

/** The binaries that a cache folder lacks, or holds truncated, altered or unable to run. */
export async function unsoundIn(folder: string): Promise<BinaryName[]> {
  const sound = await Promise.all(BINARY_NAMES.map((name) => isSound(folder, name)));
  return BINARY_NAMES.filter((_, index) => sound[index] !== true);
}

async function isSound(folder: string, name: BinaryName): Promise<boolean> {
  const path = join(folder, name);
  try {
    const seal = JSON.parse(await readFile(`${path}.json`, 'utf8')) as Partial<Seal>;
    const found = await stat(path);
    if (found.size !== seal.size) return false;
    // Hashing 300 MB takes half a second, so only a file that was touched since is hashed again.
    if (found.mtimeMs !== seal.mtimeMs && (await sha256(path)) !== seal.sha256) return false;
    return (await whyNotRunnable(path, name)) === null;
  } catch {
    return false;
  }
}

/**
 * Moves a freshly built binary into the cache. The seal is removed first and written last: whatever interrupts us,
 * a binary without its seal is built again.
 */
export async function install(built: string, folder: string, name: BinaryName): Promise<void> {
  const path = join(folder, name);
  const { size, mtimeMs } = await stat(built);
  const seal: Seal = { size, mtimeMs, sha256: await sha256(built) };
  await mkdir(folder, { recursive: true });
  await rm(`${path}.json`, { force: true });
  await rename(built, path);
  await writeFile(`${path}.json.new`, JSON.stringify(seal));
  await rename(`${path}.json.new`, `${path}.json`);
}

/** Removes what interrupted builds left. Only for the holder of the lock: nobody else's build can be under way then. */
export async function sweep(folder: string): Promise<void> {
  const entries = await readdir(folder);
  const left = entries.filter((entry) => entry.startsWith('build-'));
  await Promise.all(left.map((entry) => rm(join(folder, entry), { recursive: true, force: true })));
}

/** Runs the binary for its version: null, or one line that says why it is no use. */
export async function whyNotRunnable(path: string, name: BinaryName, version?: string): Promise<string | null> {
  try {
    const args = name === 'kubectl' ? ['version', '--client'] : ['--version'];
    const { code, stdout, stderr } = await run(path, args, { timeoutMs: 20_000, env: { HOME: '/', KUBERC: 'off' } });
    if (code !== 0) return `${args.join(' ')} ended with ${code}: ${tail(stderr, 1)}`;
    if (version !== undefined && !stdout.includes(version)) return `is not ${version} but ${tail(stdout, 1)}`;
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
