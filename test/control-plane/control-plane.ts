/** A real Kubernetes control plane (no kubelet: no pods run) for tests, the benchmark and the demo. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Binaries, ensureBinaries } from './binaries.ts';
import type { Component, Message, Order } from './serve.ts';

export interface ControlPlaneOptions {
  /** Let etcd flush to disk at every write, as in production: for benchmarks and tests of durability. Default false. */
  readonly fsync?: boolean;
  /** A folder of CRDs to apply, and to wait for, before the garbage collector starts. Default: none. */
  readonly crds?: string;
  /** Gets progress (a first build takes minutes) and the news of a component that died. Default: standard error. */
  readonly log?: (line: string) => void;
  /** Where binaries are looked for, see binaries.ts. Default: this process's environment. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface ControlPlane {
  /** The admin's kubeconfig (a path): cluster-admin, one context. */
  readonly kubeconfig: string;
  /** `https://127.0.0.1:<port>` */
  readonly server: string;
  /** The API server's audit log (a path): JSON lines, level Metadata, one line per answered request. */
  readonly auditLog: string;
  /** Everything of this control plane lies here, `logs/<component>.log` among it; removed when it stops. */
  readonly dir: string;
  readonly binaries: Binaries;
  /** Process ids, the keeper's (serve.ts) among them. */
  readonly processes: Readonly<Record<Component | 'keeper', number>>;
  /** Ends all processes and removes `dir`. May be called twice. */
  stop(): Promise<void>;
}

/**
 * Starts etcd, kube-apiserver and kube-controller-manager on free loopback ports, with RBAC, the usual admission and
 * an audit log, and returns when the API server is ready. They end with this process, however it ends.
 * Throws with the end of the log of the component that failed.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const log = options.log ?? ((line: string) => process.stderr.write(`control plane: ${line}\n`));
  const binaries = await ensureBinaries({ env: options.env ?? process.env, log });
  const dir = await mkdtemp(join(tmpdir(), 'replicert-control-plane-'));
  const order: Order = { binaries, dir, fsync: options.fsync ?? false, crds: options.crds ?? null };

  const keeper = spawn(process.execPath, [join(import.meta.dirname, 'serve.ts'), JSON.stringify(order)], {
    // Its own session: Ctrl-C in the terminal reaches us, and the keeper only through us.
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, KUBECONFIG: '' },
  });
  const ended = new Promise<void>((resolve) => keeper.once('close', () => resolve()));
  const pids = new Map<Component, number>();
  let stopping = false;
  // Only somebody who kills the keeper itself makes it end before we ask: then its children are ours to kill.
  keeper.once('exit', () => {
    if (stopping) return;
    for (const pid of pids.values()) killQuietly(pid);
  });
  const stop = async (): Promise<void> => {
    stopping = true;
    keeper.stdin.end();
    await ended;
    await rm(dir, { recursive: true, force: true });
  };

  try {
    const server = await untilReady(keeper, pids, log);
    const pid = (component: Component): number => pids.get(component) ?? 0;
    return {
      kubeconfig: join(dir, 'kubeconfig'),
      server,
      auditLog: join(dir, 'audit.log'),
      dir,
      binaries,
      processes: {
        keeper: keeper.pid ?? 0,
        etcd: pid('etcd'),
        'kube-apiserver': pid('kube-apiserver'),
        'kube-controller-manager': pid('kube-controller-manager'),
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function untilReady(keeper: ChildProcess, pids: Map<Component, number>, log: (line: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    keeper.once('error', reject);
    keeper.once('exit', () => reject(new Error('the keeper of the control plane ended before it was ready')));
    if (keeper.stdout === null) return reject(new Error('the keeper of the control plane has no output'));
    createInterface({ input: keeper.stdout }).on('line', (line) => {
      const message = JSON.parse(line) as Message;
      switch (message.type) {
        case 'started':
          pids.set(message.component, message.pid);
          break;
        case 'ready':
          resolve(message.server);
          break;
        case 'died':
          log(message.message);
          break;
        case 'failed':
          reject(new Error(`the control plane did not start: ${message.message}`));
          break;
      }
    });
  });
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}
