import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { tail } from '../control-plane/run.ts';
import { DemoFailure } from './failure.ts';

const GUARD = join(import.meta.dirname, '..', 'control-plane', 'guard.ts');

interface CommandOptions {
  readonly onLine?: ((line: string) => void) | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** Processes of the demo. Each runs under a guard: it ends with us, however we end. */
export class Company {
  readonly #logs: string;
  readonly #onDeath: (failure: DemoFailure) => void;
  readonly #guards: ChildProcess[] = [];
  #ending = false;

  /** @param onDeath told of a process that ends by itself; none of them should */
  constructor(logs: string, onDeath: (failure: DemoFailure) => void) {
    this.#logs = logs;
    this.#onDeath = onDeath;
  }

  /** Starts a program with Node. Its output goes to `<name>.log`, its standard output to `onLine` if there is one. */
  start(name: string, args: readonly string[], onLine?: (line: string) => void): void {
    this.startCommand(name, [process.execPath, ...args], { onLine });
  }

  /** The same with any command. */
  startCommand(name: string, command: readonly string[], { onLine, env, cwd }: CommandOptions = {}): void {
    const file = join(this.#logs, `${name}.log`);
    const log = openSync(file, 'w', 0o600);
    const guard = spawn(process.execPath, [GUARD, ...command], {
      // A process group of its own, which the guard kills as a whole; Ctrl-C reaches us alone.
      detached: true,
      stdio: ['pipe', onLine === undefined ? log : 'pipe', log],
      env,
      cwd,
    });
    closeSync(log);
    this.#guards.push(guard);
    if (onLine !== undefined && guard.stdout !== null) createInterface({ input: guard.stdout }).on('line', onLine);
    // It may be gone before we close its input.
    guard.stdin?.on('error', () => undefined);
    guard.once('exit', (code, signal) => {
      if (this.#ending) return;
      const words = tail(readFileSync(file, 'utf8'), 3);
      const how = signal ?? `exit code ${code}`;
      this.#onDeath(new DemoFailure(`${name} ended by itself (${how}):\n${words}`, `read ${name}.log in the logs`));
    });
  }

  /** Ends them all. May be called twice. */
  async end(): Promise<void> {
    this.#ending = true;
    const running = this.#guards.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    await Promise.all(
      running.map((guard) => {
        const ended = new Promise((resolve) => guard.once('exit', resolve));
        guard.stdin?.end();
        return ended;
      }),
    );
  }
}
