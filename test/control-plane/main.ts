/** The control plane by hand: see HELP. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBinaries, locate } from './binaries.ts';
import { BINARY_NAMES } from './cache.ts';
import { startControlPlane } from './control-plane.ts';

const HELP = `A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager (no kubelet).

usage: node test/control-plane/main.ts <command>

  up [--fsync]   start one with the CRDs of crds/, print its KUBECONFIG, keep it until Ctrl-C (or SIGTERM)
                 --fsync: etcd flushes every write to disk, as in production
  build          find the binaries, or build them once from the Go modules (about ten minutes on two cores)
  which          say where the binaries are, build nothing; exit code 1 if they are nowhere

The binaries come from KUBEBUILDER_ASSETS if it has all four, else from the cache (XDG_CACHE_HOME or ~/.cache), else
they are built with Go 1.26 or newer and cached.
`;

const log = (line: string): void => void process.stderr.write(`control plane: ${line}\n`);

try {
  const options = { help: { type: 'boolean', short: 'h' }, fsync: { type: 'boolean', default: false } } as const;
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  process.exitCode = values.help === true ? help() : await attempt(positionals[0], values.fsync);
} catch (error) {
  process.exitCode = misused(messageOf(error));
}

async function attempt(command: string | undefined, fsync: boolean): Promise<number> {
  try {
    return await dispatch(command, fsync);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return 1;
  }
}

async function dispatch(command: string | undefined, fsync: boolean): Promise<number> {
  switch (command) {
    case 'up':
      return up(fsync);
    case 'build': {
      const binaries = await ensureBinaries({ env: process.env, log });
      for (const name of BINARY_NAMES) process.stdout.write(`${binaries[name]}\n`);
      return 0;
    }
    case 'which':
      return which();
    default:
      return misused(command === undefined ? 'a command is required' : `there is no command ${command}`);
  }
}

function misused(what: string): number {
  process.stderr.write(`control plane: ${what}\n${HELP}`);
  return 2;
}

async function up(fsync: boolean): Promise<number> {
  const plane = await startControlPlane({ fsync, crds: join(import.meta.dirname, '..', '..', 'crds'), log });
  process.stdout.write(`export KUBECONFIG=${plane.kubeconfig}\n`);
  log(`ready on ${plane.server}; kubectl is ${plane.binaries.kubectl}; Ctrl-C ends it`);
  // Until here a signal simply ended us, and the guard of the build or the keeper cleaned up.
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
  await plane.stop();
  return 0;
}

async function which(): Promise<number> {
  const located = await locate(process.env);
  if (located.from === 'nowhere') {
    for (const line of located.why) log(line);
    return 1;
  }
  log(`from ${located.from}`);
  for (const name of BINARY_NAMES) process.stdout.write(`${located.binaries[name]}\n`);
  return 0;
}

function help(): number {
  process.stdout.write(HELP);
  return 0;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
