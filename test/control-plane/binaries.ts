/** Where etcd, kube-apiserver, kube-controller-manager and kubectl come from. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { build, whyNoGo } from './build.ts';
import { BINARY_NAMES, type Binaries, cacheFolder, inFolder, sweep, unsoundIn, whyNotRunnable } from './cache.ts';
import { withLock } from './lock.ts';

export type { Binaries } from './cache.ts';

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  /** Gets one line of progress at a time. */
  readonly log: (line: string) => void;
}

export type Located =
  | { readonly from: 'KUBEBUILDER_ASSETS' | 'cache'; readonly folder: string; readonly binaries: Binaries }
  | { readonly from: 'nowhere'; readonly why: readonly string[] };

/**
 * Looks for the binaries without building them: in `KUBEBUILDER_ASSETS`, then in the cache. A folder counts only when
 * it has all four: an API server is never paired with another version's controller manager.
 */
export async function locate(env: NodeJS.ProcessEnv): Promise<Located> {
  const why: string[] = [];
  const assets = env['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && assets !== '') {
    const complaints = await complaintsOver(assets);
    if (complaints.length === 0) return { from: 'KUBEBUILDER_ASSETS', folder: assets, binaries: inFolder(assets) };
    why.push(
      `KUBEBUILDER_ASSETS=${assets} is no use: ${complaints.join('; ')}` +
        (complaints.some((line) => line.startsWith('no kube-controller-manager'))
          ? ' (setup-envtest does not bring it; put one of the same version there)'
          : ''),
    );
  }
  const folder = cacheFolder(env);
  const unsound = await unsoundIn(folder);
  if (unsound.length === 0) return { from: 'cache', folder, binaries: inFolder(folder) };
  why.push(`the cache ${folder} has no sound ${unsound.join(', ')}`);
  return { from: 'nowhere', why };
}

/** Finds the binaries, building what the cache lacks. Throws an error that names the three ways to get them. */
export async function ensureBinaries({ env, log }: Surroundings): Promise<Binaries> {
  const located = await locate(env);
  if (located.from !== 'nowhere') return located.binaries;
  for (const line of located.why) log(line);
  const folder = cacheFolder(env);
  await mkdir(folder, { recursive: true });
  return withLock(
    join(folder, 'lock'),
    () => log('another process is building them: waiting for it'),
    async () => {
      // Whoever held the lock before us may have built them.
      const missing = await unsoundIn(folder);
      if (missing.length > 0) {
        const noGo = await whyNoGo(env);
        if (noGo !== null) throw new Error(threeWays([...located.why, `nothing can be built: ${noGo}`], folder));
        await sweep(folder);
        log(`building ${missing.join(', ')} with Go, once: about ten minutes on two cores, 4 GB of Go caches`);
        await build(missing, folder, env, log);
      }
      return inFolder(folder);
    },
  );
}

async function complaintsOver(folder: string): Promise<string[]> {
  const complaints = await Promise.all(
    BINARY_NAMES.map(async (name) => {
      const why = await whyNotRunnable(join(folder, name), name);
      if (why === null) return null;
      return why.includes('ENOENT') ? `no ${name}` : `${name}: ${why}`;
    }),
  );
  return complaints.filter((complaint) => complaint !== null);
}

function threeWays(why: readonly string[], folder: string): string {
  return [
    'etcd, kube-apiserver, kube-controller-manager and kubectl were not found:',
    ...why.map((line) => `  - ${line}`),
    'Three ways to get them:',
    '  1. set KUBEBUILDER_ASSETS to a folder that has all four (setup-envtest brings all but kube-controller-manager);',
    `  2. copy the cache folder of a machine that has built them to ${folder};`,
    '  3. install Go 1.26 or newer: they are then built from the Go modules and kept in the cache.',
  ].join('\n');
}
