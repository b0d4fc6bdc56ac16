/** The operator as its own process, with no more rights than deploy/*.yaml gives it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { Patch } from '../rotation/explore/load.ts';
import type { TestCluster } from './cluster.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SYSTEM = 'replicert-system';
const ACCOUNT = 'replicert-operator';

export interface StartOptions {
  /** Who it is in Lease and log. The same again is a container that was restarted: it gets its Lease back at once. Default: `one`. */
  readonly identity?: string;
  /** What Node runs, by path. Default: the sources; a bundle starts faster. */
  readonly program?: string;
  /** Another way to the API server, by path. Default: straight, as the ServiceAccount. */
  readonly kubeconfig?: string;
  /** How wrong its clock is, milliseconds. Default 0. */
  readonly clockOffsetMs?: number;
  /** Bugs in its planner, put in when it is loaded. Default: none. */
  readonly bugs?: readonly Patch[];
  /** How long others wait for it when it is gone, and how long it may be kept from renewing: a busy machine does that. Default 5. */
  readonly leaseSeconds?: number;
  /** Default: a free one, see `healthPort`. */
  readonly healthPort?: number;
  /** What it watches. Default: all that it was made ready for. */
  readonly namespaces?: readonly string[];
  /** Return before it leads: for a second replica. Default: wait for it. */
  readonly standby?: boolean;
}

/** One line of the log, as pino writes it. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What an operator watches: made ready once, then started, killed and started again at will. */
export interface Installation {
  readonly namespaces: readonly string[];
  /** Its own namespace, where the Lease is. */
  readonly system: string;
  /** A kubeconfig (a path) with the operator's own rights. */
  kubeconfig(identity?: string): Promise<string>;
  start(options?: StartOptions): Promise<OperatorProcess>;
}

export interface TestOperators {
  /**
   * Gives a ServiceAccount in a namespace of its own exactly the rights of deploy/operator.yaml, and those of
   * deploy/watched-namespace.yaml in each of these namespaces.
   */
  install(namespaces: readonly string[]): Promise<Installation>;
  /** A text that must not be in any log: a passphrase. */
  conceal(secret: string): void;
  /** Lines that a test provokes and that are no bug. */
  expectLines(pattern: RegExp): void;
}

/** For the top of a test file: when its tests have ended, what still runs is ended, and all logs are read. */
export function testOperators(cluster: TestCluster): TestOperators {
  const processes: OperatorProcess[] = [];
  const secrets = new Set<string>();
  const expected: RegExp[] = [];

  afterAll(async () => {
    const running = processes.filter((each) => each.running);
    const codes = await Promise.all(running.map((each) => each.stop()));
    const failed = codes.findIndex((code) => code !== 0);
    if (failed >= 0)
      throw new Error(`an operator stopped with exit code ${codes[failed]}:\n${running[failed]?.tail()}`);
    const findings = processes.flatMap(({ lines }) => lines.flatMap((line) => findingsIn(line, secrets, expected)));
    if (findings.length > 0) throw new Error(`the operator's log:\n${findings.slice(0, 20).join('\n')}`);
  });

  return {
    conceal: (secret) => void secrets.add(secret),
    expectLines: (pattern) => void expected.push(pattern),
    async install(namespaces) {
      const system = await cluster.namespace('system');
      const own = await manifests('operator.yaml', system);
      const watched = await Promise.all(
        namespaces.map(async (namespace) =>
          (await manifests('watched-namespace.yaml', system)).map((each) => inNamespace(each, namespace)),
        ),
      );
      await cluster.apply(...own, ...watched.flat());
      // A token for each identity, so that the audit log tells them apart.
      const kubeconfigs = new Map<string, Promise<string>>();
      const kubeconfigOf = (identity = 'one'): Promise<string> => {
        const made = kubeconfigs.get(identity) ?? cluster.serviceAccountKubeconfig(system, ACCOUNT);
        kubeconfigs.set(identity, made);
        return made;
      };
      return {
        namespaces,
        system,
        kubeconfig: kubeconfigOf,
        async start(options = {}) {
          const kubeconfig = await kubeconfigOf(options.identity);
          const started = new OperatorProcess({ kubeconfig, namespaces, system, ...options });
          processes.push(started);
          await started.until(options.standby === true ? 'started' : 'leading');
          return started;
        },
      };
    },
  };
}

/** The documents of one file of deploy/, in another namespace than the one that it is written for. */
async function manifests(file: string, system: string): Promise<readonly object[]> {
  const text = await readFile(join(ROOT, 'deploy', file), 'utf8');
  return parseAllDocuments(text.replaceAll(SYSTEM, system)).map((document) => {
    const value: unknown = document.toJS();
    if (typeof value !== 'object' || value === null) throw new Error(`deploy/${file} has an empty document`);
    return value;
  });
}

/** What `kubectl apply -n` does. */
function inNamespace(manifest: object, namespace: string): object {
  const metadata = 'metadata' in manifest && typeof manifest.metadata === 'object' ? manifest.metadata : {};
  return { ...manifest, metadata: { ...metadata, namespace } };
}

interface ProcessOptions extends StartOptions {
  readonly kubeconfig: string;
  readonly namespaces: readonly string[];
  readonly system: string;
}

export class OperatorProcess {
  readonly lines: LogLine[] = [];
  readonly #child: ChildProcess;
  readonly #listeners = new Set<() => void>();
  #end: { readonly code: number | null; readonly signal: string | null } | null = null;

  constructor(options: ProcessOptions) {
    const {
      kubeconfig,
      namespaces,
      system,
      identity = 'one',
      program = join(ROOT, 'src', 'main.ts'),
      clockOffsetMs = 0,
      bugs = [],
      healthPort = 0,
      leaseSeconds = 5,
    } = options;
    const shift = fileURLToPath(new URL('shift-clock.ts', import.meta.url));
    const patch = fileURLToPath(new URL('patch-planner.ts', import.meta.url));
    const args = [
      ...(clockOffsetMs === 0 ? [] : ['--import', shift]),
      ...(bugs.length === 0 ? [] : ['--import', patch]),
      program,
      `--kubeconfig=${kubeconfig}`,
      `--namespaces=${namespaces.join(',')}`,
      `--lease-namespace=${system}`,
      `--identity=${identity}`,
      `--lease-duration=${leaseSeconds}`,
      `--health-port=${healthPort}`,
    ];
    const env = { ...process.env, SHIFT_CLOCK_BY_MS: String(clockOffsetMs), PLANNER_PATCHES: JSON.stringify(bugs) };
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', (text) => this.#hear(text));
    }
    this.#child.once('close', (code, signal) => {
      this.#end = { code, signal };
      this.#wake();
    });
  }

  /** Waits for a line with this message; throws when the process ends before. */
  async until(message: string, timeoutMs = 60_000): Promise<LogLine> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const found = this.lines.find(({ msg }) => msg === message);
      if (found !== undefined) return found;
      if (this.#end !== null) throw new Error(`the operator ended before "${message}":\n${this.tail()}`);
      if (deadline.aborted) throw new Error(`the operator did not say "${message}" in time:\n${this.tail()}`);
      await this.#change(deadline);
    }
  }

  get running(): boolean {
    return this.#end === null;
  }

  /** The port of /healthz and /readyz. */
  get healthPort(): number {
    return Number(this.lines.find(({ msg }) => msg === 'started')?.fields['healthPort']);
  }

  /** Ends it as Kubernetes does. @returns its exit code */
  stop(): Promise<number | null> {
    return this.#kill('SIGTERM');
  }

  /** Ends it in the middle of whatever it does. */
  async kill(): Promise<void> {
    await this.#kill('SIGKILL');
  }

  /** Freezes it, as a machine that swaps or a hypervisor that migrates does. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Waits until it has ended by itself. @returns its exit code */
  async ended(): Promise<number | null> {
    while (this.#end === null) await this.#change(new AbortController().signal);
    return this.#end.code;
  }

  /** The end of its log, for messages. */
  tail(lines = 30): string {
    return this.lines
      .slice(-lines)
      .map(({ text }) => text)
      .join('\n');
  }

  async #kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    if (this.#end === null) {
      this.#child.kill(signal);
      // A test that failed may have left it frozen.
      this.resume();
    }
    return this.ended();
  }

  #hear(text: string): void {
    this.lines.push(readLine(text));
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#listeners) wake();
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#listeners.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#listeners.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}

/** What is no JSON was written by Node itself: a crash. */
function readLine(text: string): LogLine {
  try {
    const fields: unknown = JSON.parse(text);
    if (typeof fields === 'object' && fields !== null) {
      const { level = 60, msg = '' } = { ...fields } as { level?: number; msg?: string };
      return { level, msg, text, fields: { ...fields } };
    }
  } catch {
    // Told below.
  }
  return { level: 60, msg: text, text, fields: {} };
}

/** Base64 of `-----BEGIN `, whatever follows. */
const ENCODED_PEM = 'LS0tLS1CRUdJTi';
/** Errors that the world is to blame for; any other in a pass is a bug of ours. */
const OUTSIDE = new Set(['ApiError', 'NoAnswerError', 'FencedError']);

function findingsIn(line: LogLine, secrets: ReadonlySet<string>, expected: readonly RegExp[]): readonly string[] {
  const { level, text, fields } = line;
  if (/PRIVATE KEY/.test(text) || text.includes(ENCODED_PEM)) return ['a private key (the line is not shown)'];
  for (const secret of secrets) if (text.includes(secret)) return ['a passphrase (the line is not shown)'];
  if (expected.some((pattern) => pattern.test(text))) return [];
  const error = fields['err'];
  const failed = typeof error === 'object' && error !== null ? { type: '', status: 0, ...error } : null;
  if (failed !== null && (!OUTSIDE.has(failed.type) || failed.status === 403)) return [`a failed pass: ${text}`];
  return level >= 50 ? [`level ${level}: ${text}`] : [];
}
