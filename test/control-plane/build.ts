import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUILD_FOLDER, type BinaryName, install, kubernetesVersion, whyNotRunnable } from './cache.ts';
import { run, tail } from './run.ts';

const PACKAGES: Readonly<Record<BinaryName, string>> = {
  etcd: 'go.etcd.io/etcd/server/v3',
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
};
const OLDEST_GO = [1, 26] as const;
const PROGRESS_MS = 15_000;

/** Why Go cannot build here, as one line for people; null when it can. */
export async function whyNoGo(env: NodeJS.ProcessEnv): Promise<string | null> {
  let printed: string;
  try {
    const result = await run('go', ['version'], { env: goEnvironment(env), cwd: tmpdir() });
    printed = result.stdout;
    if (result.code !== 0) return `\`go version\` failed: ${tail(result.stderr, 1)}`;
  } catch {
    return 'there is no `go` on the PATH';
  }
  const [, major, minor] = /\bgo(\d+)\.(\d+)/.exec(printed) ?? [];
  if (major === undefined || minor === undefined) return `\`go version\` printed no version: ${tail(printed, 1)}`;
  const newEnough = Number(major) > OLDEST_GO[0] || (Number(major) === OLDEST_GO[0] && Number(minor) >= OLDEST_GO[1]);
  return newEnough ? null : `Go ${major}.${minor} is on the PATH, ${OLDEST_GO.join('.')} or newer is needed`;
}

/**
 * Builds the named binaries from the Go modules into `folder`, one after the other so that each finished one stays.
 * A binary gets its name in the folder only after it has run. Throws with the end of Go's own message.
 */
export async function build(
  names: readonly BinaryName[],
  folder: string,
  env: NodeJS.ProcessEnv,
  log: (line: string) => void,
): Promise<void> {
  const version = kubernetesVersion();
  const workFolder = await mkdtemp(join(folder, 'build-'));
  try {
    for (const [index, name] of names.entries()) {
      const label = `${name} (${index + 1} of ${names.length})`;
      const output = join(workFolder, name);
      await reportingTime(`building ${label}`, log, () => goBuild(PACKAGES[name], output, version, env));
      const complaint = await whyNotRunnable(output, name, name === 'etcd' ? undefined : version);
      if (complaint !== null) throw new Error(`the ${name} that was just built does not run: ${complaint}`);
      await install(output, folder, name);
    }
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

async function goBuild(pkg: string, output: string, version: string, env: NodeJS.ProcessEnv): Promise<void> {
  const [major, minor] = version.slice(1).split('.');
  const stamp = 'k8s.io/component-base/version';
  // Without these flags the binaries call themselves v0.0.0, and kubectl and the API server quarrel over the skew.
  const flags = `-s -w -X ${stamp}.gitVersion=${version} -X ${stamp}.gitMajor=${major} -X ${stamp}.gitMinor=${minor}`;
  const args = ['build', '-mod=readonly', '-buildvcs=false', '-trimpath', '-ldflags', flags, '-o', output, pkg];
  const { code, stderr } = await runGuarded('go', args, goEnvironment(env), BUILD_FOLDER);
  if (code !== 0) throw new Error(`go build ${pkg} failed:\n${tail(stderr)}`);
}

/** No surprises from outside: the toolchain that is installed, no flags of the user's, this module alone. */
function goEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { GOFLAGS: _flags, GOOS: _os, GOARCH: _arch, ...rest } = env;
  // GOFLAGS= would let a value from `go env -w` through.
  return { ...rest, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly', GOWORK: 'off' };
}

/** Runs a long command that ends with us, however we end. */
function runGuarded(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  cwd: string,
): Promise<{ code: number; stderr: string }> {
  return new Promise((resolve, reject) => {
    const guard = join(import.meta.dirname, 'guard.ts');
    const child = spawn(process.execPath, [guard, command, ...args], {
      env,
      cwd,
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, stderr }));
  });
}

async function reportingTime(what: string, log: (line: string) => void, work: () => Promise<void>): Promise<void> {
  const began = performance.now();
  const elapsed = (): string => `${Math.round((performance.now() - began) / 1000)} s`;
  log(`${what} ...`);
  const timer = setInterval(() => log(`${what} ... ${elapsed()}`), PROGRESS_MS);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  log(`${what}: done in ${elapsed()}`);
}
