/** The files of a member as a pod has them: kept like its Secret, late, and loaded by its server whenever they change. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { followSnapshots } from '../mesh/files.ts';
import { spawnKubelet } from '../mesh/spawn.ts';

/** What changes one after the other: whoever opens a member's certificate and key must not do so while they are replaced. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

export class SyncedFiles {
  readonly dir = mkdtempSync(path.join(tmpdir(), 'synced-'));
  /** Of the member's files. */
  readonly turns = new Turns();
  readonly failures: string[] = [];
  readonly #stopKubelet: () => Promise<void>;
  #load: (() => Promise<void>) | null = null;
  #stopWatch = (): void => undefined;
  #loads = 0;

  private constructor(stopKubelet: (dir: string) => () => Promise<void>) {
    this.#stopKubelet = stopKubelet(this.dir);
  }

  /** @returns when they are there */
  static async of(request: {
    readonly kubeconfig: string;
    readonly namespace: string;
    readonly secret: string;
    /** Each change arrives after a random time between these, milliseconds. */
    readonly lag: readonly [min: number, max: number];
  }): Promise<SyncedFiles> {
    const synced = new SyncedFiles((dir) => spawnKubelet({ ...request, dir }));
    await new Promise<void>((resolve, reject) => {
      const onSnapshot = (): void => {
        resolve();
        synced.#changed();
      };
      followSnapshots(synced.dir, onSnapshot).then((stop) => (synced.#stopWatch = stop), reject);
    });
    return synced;
  }

  /** From now on each change is loaded in this way, one at a time. */
  follow(load: () => Promise<void>): void {
    this.#load = load;
  }

  /** How often they were loaded. */
  get loads(): number {
    return this.#loads;
  }

  #changed(): void {
    const load = this.#load;
    if (load === null) return;
    this.turns
      .take(load)
      .then(() => (this.#loads += 1))
      .catch((error: unknown) => this.failures.push(String(error)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopWatch();
    await this.#stopKubelet();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
