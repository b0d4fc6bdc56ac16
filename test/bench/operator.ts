/** The operator as a process of its own, under the permissions that are shipped. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { kubectlEnvironment } from '../control-plane/kubectl.ts';
import { run, tail } from '../control-plane/run.ts';
import type { MemoryLimit } from './cgroup.ts';

const DEPLOY = join(import.meta.dirname, '..', '..', 'deploy');
const SYSTEM = 'replicert-system';
const ACCOUNT = 'replicert-operator';

/** The name under which the API server knows the operator. */
export const OPERATOR_USER = `system:serviceaccount:${SYSTEM}:${ACCOUNT}`;

/** Applies deploy/*.yaml for one watched namespace and returns a kubeconfig (a path) of the operator's account. */
export async function installOperator(plane: ControlPlane, namespace: string): Promise<string> {
  const kubectl = async (...args: string[]): Promise<string> => {
    const env = kubectlEnvironment(plane.dir);
    const done = await run(plane.binaries.kubectl, ['--kubeconfig', plane.kubeconfig, ...args], { env });
    if (done.code !== 0) throw new Error(`kubectl ${args.join(' ')}:\n${tail(done.stderr)}`);
    return done.stdout;
  };
  await kubectl('create', 'namespace', namespace);
  await kubectl('apply', '-f', join(DEPLOY, 'operator.yaml'));
  await kubectl('apply', '-n', namespace, '-f', join(DEPLOY, 'watched-namespace.yaml'));
  const token = (await kubectl('create', 'token', ACCOUNT, '-n', SYSTEM, '--duration=2h')).trim();
  const config = JSON.parse(await readFile(plane.kubeconfig, 'utf8')) as { users: { name: string; user: object }[] };
  config.users = config.users.map(({ name }) => ({ name, user: { token } }));
  const file = join(plane.dir, 'operator.kubeconfig');
  await writeFile(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

export interface OperatorOptions {
  /** The program: the bundle, or src/main.ts. */
  readonly entry: string;
  /** Of Node. */
  readonly flags: readonly string[];
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly logFile: string;
  /** Null: as much memory as the machine has. */
  readonly limit: MemoryLimit | null;
  /** Where CPU profiles go; null: none are made. */
  readonly profile: string | null;
}

/** A running operator. It ends by itself when its API server is gone, because it loses its Lease. */
export class OperatorProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  readonly #logFile: string;
  /** When it was started, by performance.now(). */
  readonly startedAt = performance.now();

  constructor({ entry, flags, kubeconfig, namespace, logFile, limit, profile }: OperatorOptions) {
    const log = openSync(logFile, 'w');
    this.#logFile = logFile;
    const node = [...flags, ...(profile === null ? [] : ['--cpu-prof', '--cpu-prof-dir', profile])];
    const options = ['--kubeconfig', kubeconfig, '--namespaces', namespace, '--lease-namespace', SYSTEM];
    const own = [process.execPath, ...node, entry, ...options, '--health-port', '0'] as const;
    const [command, ...args] = limit === null ? own : [...limit.prefix, ...own];
    this.#child = spawn(command, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code) => resolve(code));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when it has been elected. */
  async leading(signal: AbortSignal): Promise<void> {
    for (;;) {
      const text = await readFile(this.#logFile, 'utf8');
      if (text.includes('"msg":"leading"')) return;
      if (this.#child.exitCode !== null) throw new Error(`the operator ended:\n${tail(text)}`);
      await sleep(20, undefined, { signal });
    }
  }

  /** What it had to complain about: warnings and worse. */
  async complaints(): Promise<readonly string[]> {
    const lines = (await readFile(this.#logFile, 'utf8')).split('\n');
    return lines.filter((line) => /^\{"level":(40|50|60),/.test(line));
  }

  /** Asks it to end, and waits. Throws when it did not end in good order. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const code = await this.#ended;
    if (code !== 0) throw new Error(`the operator ended with ${code}:\n${tail(await readFile(this.#logFile, 'utf8'))}`);
  }

  /** Ends it at once, if it still runs. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
