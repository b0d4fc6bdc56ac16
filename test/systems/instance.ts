/** One server of a real system: an unprivileged process in a folder of its own, with what it loads copied from its files, gone with the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { run, tail } from '../control-plane/run.ts';
import { pathOf } from '../support/packages.ts';

/** As databases want it, that refuse to run as root. */
const NOBODY = 65_534;
const asRoot = process.getuid?.() === 0;
const GUARD = fileURLToPath(new URL('../control-plane/guard.ts', import.meta.url));
/** Where the number of its process is. */
const PID = 'process';
const FILES = ['ca.crt', 'tls.crt', 'tls.key'] as const;

export class Instance {
  readonly name: string;
  /** Its own, with `tls/` in it, which it loads from. */
  readonly dir: string;
  readonly port: number;
  readonly #files: string;
  #child: ChildProcess | null = null;

  /** @param files folder with ca.crt, tls.crt and tls.key, as the Secret gives them */
  private constructor(name: string, files: string, port: number) {
    this.name = name;
    this.port = port;
    this.#files = files;
    this.dir = mkdtempSync(path.join(tmpdir(), `system-${name}-`));
    this.own(this.dir, 0o700);
    this.folder('tls', {});
    this.load();
  }

  static async make(name: string, files: string): Promise<Instance> {
    return new Instance(name, files, await freePort());
  }

  /**
   * Copies the files to where it loads them from: servers want a key that is theirs alone, which no mounted Secret is. Files of one moment,
   * and the server sees those of one moment, too, as long as it opens none meanwhile.
   */
  load(): void {
    for (const [file, text] of this.#read()) {
      this.write(path.join('tls', `.${file}`), text);
      renameSync(path.join(this.dir, 'tls', `.${file}`), path.join(this.dir, 'tls', file));
    }
  }

  /** What `load` has copied, PEM. */
  loaded(): { readonly ca: string; readonly cert: string; readonly key: string } {
    const [ca = '', cert = '', key = ''] = FILES.map((file) => readFileSync(path.join(this.dir, 'tls', file), 'utf8'));
    return { ca, cert, key };
  }

  #read(): readonly (readonly [file: string, text: string])[] {
    for (;;) {
      // As the kubelet links them: what it was is removed once it is replaced.
      const data = path.join(this.#files, '..data');
      const from = existsSync(data) ? realpathSync(data) : this.#files;
      try {
        return FILES.map((file) => [file, readFileSync(path.join(from, file), 'utf8')]);
      } catch (error) {
        if (from === this.#files || existsSync(from)) throw error;
      }
    }
  }

  /** Makes a folder of its own, with these files. */
  folder(name: string, files: Readonly<Record<string, string>>): void {
    mkdirSync(path.join(this.dir, name));
    this.own(path.join(this.dir, name), 0o700);
    for (const [file, text] of Object.entries(files)) this.write(path.join(name, file), text);
  }

  write(file: string, text: string, mode = 0o600): void {
    const full = path.join(this.dir, file);
    writeFileSync(full, text);
    this.own(full, mode);
  }

  own(file: string, mode: number): void {
    chmodSync(file, mode);
    if (asRoot) chownSync(file, NOBODY, NOBODY);
  }

  /** Runs a program of the system to its end, as the server. @returns what it printed @throws when it fails */
  async run(program: string, args: readonly string[], input = ''): Promise<string> {
    const [command, ...rest] = unprivileged(program, args);
    const { code, stdout, stderr } = await run(command, rest, { cwd: this.dir, env: ENVIRONMENT, input });
    if (code !== 0) throw new Error(`${this.name}: ${program} ended with ${code}: ${tail(stderr + stdout)}`);
    return stdout;
  }

  /** Starts the server. @returns when `ready` does not throw any more */
  async start(program: string, args: readonly string[], ready: () => Promise<unknown>): Promise<void> {
    // Its log is its standard output and error; the guard ends it with this process, however that ends.
    const log = ['sh', '-c', `printf %s $$ >${PID} && exec "$@" >>log 2>&1`, 'sh', ...unprivileged(program, args)];
    const child = spawn(process.execPath, [GUARD, ...log], {
      cwd: this.dir,
      env: ENVIRONMENT,
      detached: true,
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    this.#child = child;
    const deadline = Date.now() + 60_000;
    for (;;) {
      const problem = await ready().then(
        () => null,
        (error: unknown) => error,
      );
      if (problem === null) return;
      if (this.#hasEnded() || Date.now() > deadline) {
        throw new Error(`${this.name} did not start: ${tail(this.log())}`, { cause: problem });
      }
      await sleep(50);
    }
  }

  /** All that it has logged. */
  log(): string {
    try {
      return readFileSync(path.join(this.dir, 'log'), 'utf8');
    } catch {
      return '';
    }
  }

  /** Sends the server a signal. */
  signal(signal: NodeJS.Signals): void {
    process.kill(Number.parseInt(readFileSync(path.join(this.dir, PID), 'utf8'), 10), signal);
  }

  #hasEnded(): boolean {
    const { exitCode = 0, signalCode = null } = this.#child ?? {};
    return exitCode !== null || signalCode !== null;
  }

  /** Ends the server in its own good order; its folder stays. */
  async stop(signal: NodeJS.Signals): Promise<void> {
    this.signal(signal);
    const deadline = Date.now() + 20_000;
    while (!this.#hasEnded()) {
      if (Date.now() > deadline) throw new Error(`${this.name} does not stop: ${tail(this.log())}`);
      await sleep(20);
    }
  }

  /** Ends it at once, if it runs, and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child?.stdin?.end();
    while (!this.#hasEnded()) await sleep(10);
    // Helpers of a server that was killed may write yet.
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

const ENVIRONMENT = { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8', HOME: '/nonexistent' };

function unprivileged(program: string, args: readonly string[]): [string, ...string[]] {
  const command = pathOf(program);
  if (!asRoot) return [command, ...args];
  const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  return ['setpriv', ...user, command, ...args];
}

/** Just closed: the kernel hands it out again only much later. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}
