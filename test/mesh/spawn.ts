/** Mesh endpoints as child processes, for tests and the demo. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Loaded, Report, Version } from './endpoint.ts';

/** What endpoints are made of: Node's TLS, or OpenSSL as Python has it. */
const PROGRAMS = {
  Node: [process.execPath, fileURLToPath(new URL('endpoint.ts', import.meta.url))],
  OpenSSL: ['python3', fileURLToPath(new URL('endpoint.py', import.meta.url))],
} as const;
export type Engine = keyof typeof PROGRAMS;

export interface EndpointOptions {
  readonly name: string;
  readonly engine?: Engine;
  readonly dir: string;
  /** HOST:PORT */
  readonly listen: string;
  /** In which it listens. Default: both. */
  readonly versions?: readonly Version[];
  /** HOST:PORT by name, or HOST:PORT@VERSION,VERSION */
  readonly peers: Readonly<Record<string, string>>;
  /** Pause between fresh handshakes per edge. */
  readonly everyMs?: number;
  /** Pause between reports. */
  readonly reportMs?: number;
  /** Only Node's have them. Default: true. */
  readonly streams?: boolean;
}

export class MeshProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  /** All that it has loaded, in order. */
  readonly loads: Loaded[] = [];
  #latest: Report | null = null;
  #ended = false;

  constructor({ name, engine = 'Node', dir, listen, versions = [], peers, ...rest }: EndpointOptions) {
    this.name = name;
    const { everyMs = 100, reportMs = 1000, streams = true } = rest;
    const [command, program] = PROGRAMS[engine];
    const args = [program, '--name', name, '--dir', dir, '--listen', listen];
    args.push('--every', String(everyMs), '--report', String(reportMs));
    if (versions.length > 0) args.push('--versions', versions.join(','));
    if (engine === 'Node' && !streams) args.push('--no-streams');
    for (const [peer, address] of Object.entries(peers)) args.push('--peer', `${peer}=${address}`);
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      // Printed by a program of this checkout, so its shape is known.
      this.#latest = JSON.parse(line) as Report;
      const { loaded } = this.#latest;
      if (loaded !== null && loaded.at !== this.loads.at(-1)?.at) this.loads.push(loaded);
      this.#wake();
    });
    child.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  get latest(): Report | null {
    return this.#latest;
  }

  /** The first report, from now on, that satisfies `wanted`. */
  async until(wanted: (report: Report) => boolean, timeoutMs = 20_000): Promise<Report> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for (;;) {
      await this.#change(deadline);
      if (this.#latest !== null && wanted(this.#latest)) return this.#latest;
      if (this.#ended) throw new Error(`mesh endpoint ${this.name} ended`);
      if (deadline.aborted)
        throw new Error(
          `mesh endpoint ${this.name}: not within ${timeoutMs} ms; last: ${JSON.stringify(this.#latest)}`,
        );
    }
  }

  /** Ends the process; all of a mesh together, or they see each other go. @returns its final report */
  async stop(): Promise<Report> {
    this.#child.kill('SIGTERM');
    while (!this.#ended) await this.#change(new AbortController().signal);
    if (this.#latest?.final !== true) throw new Error(`mesh endpoint ${this.name} ended without a final report`);
    return this.#latest;
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}

/** All that went wrong on the edges that an endpoint dials, and in what it received; empty: nothing. */
export function failuresOf({ name, edges, inbound }: Report): string[] {
  const failures = Object.entries(edges).flatMap(([peer, edge]) => {
    const errors = Object.entries(edge.errors).map(([error, count]) => `${name} -> ${peer}: ${count} x ${error}`);
    if (edge.stream.broken > 0) errors.push(`${name} -> ${peer}: the stream broke ${edge.stream.broken} times`);
    return errors;
  });
  if (inbound.lost > 0) failures.push(`${name} lost ${inbound.lost} blocks`);
  return failures;
}

/** `kubelet.ts` as a child process: keeps a folder like the volume of one Secret. @returns ends it */
export function spawnKubelet(options: {
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly secret: string;
  readonly dir: string;
  /** Each change arrives after a random time between these, milliseconds. */
  readonly lag: readonly [min: number, max: number];
}): () => Promise<void> {
  const { kubeconfig, namespace, secret, dir, lag } = options;
  const program = fileURLToPath(new URL('kubelet.ts', import.meta.url));
  const args = ['--kubeconfig', kubeconfig, '--namespace', namespace, '--secret', secret, '--dir', dir];
  const lags = ['--lag-min', String(lag[0]), '--lag-max', String(lag[1])];
  const child = spawn(process.execPath, [program, ...args, ...lags], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return () => {
    child.kill('SIGTERM');
    return ended;
  };
}
