import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { type Clock, systemClock } from './clock.ts';
import { ApiError, isConflict } from './errors.ts';
import type { WorkQueue } from './queue.ts';

/** When a key is to be looked at again after a pass that went well. */
export type Wake =
  /** When something changes. */
  | { readonly kind: 'onChange' }
  /** After so many milliseconds (or on a change before): at least 100, at most an hour. */
  | { readonly kind: 'after'; readonly ms: number };

/** The user must act: nothing is tried again until something changes. */
export class StalledError extends Error {
  override readonly name = 'StalledError';
}

/** Something else must happen first: looked at again after `delayMs`, or on a change. */
export class WaitingError extends Error {
  override readonly name = 'WaitingError';
  readonly delayMs: number;

  constructor(message: string, delayMs: number, options?: ErrorOptions) {
    super(message, options);
    this.delayMs = delayMs;
  }
}

export interface Pass {
  /** Carries the key and the id of this pass in every line. */
  readonly log: Logger;
  readonly passId: string;
  /** Aborted at the deadline and when the runner stops. */
  readonly signal: AbortSignal;
}

/** How passes ended so far. */
export interface PassCounts {
  readonly done: number;
  readonly stalled: number;
  readonly waiting: number;
  readonly retried: number;
}

export interface RunnerOptions {
  /** Names the controller in the log. */
  readonly name: string;
  readonly queue: WorkQueue;
  readonly reconcile: (key: string, pass: Pass) => Promise<Wake>;
  readonly log: Logger;
  /** Keys worked on at a time. Default 4. */
  readonly concurrency?: number;
  /** Longest pass. Default 60 s. */
  readonly deadlineMs?: number;
  readonly clock?: Clock;
}

const SHORTEST_WAKE_MS = 100;

/** Works a queue with one function and gives its errors their meaning for the loop. */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #deadlineMs: number;
  readonly #passes = new Map<AbortController, { readonly key: string; readonly began: number }>();
  readonly #counts = { done: 0, stalled: 0, waiting: 0, retried: 0 };
  #stopping = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log.child({ controller: options.name });
    this.#deadlineMs = options.deadlineMs ?? 60_000;
  }

  get counts(): PassCounts {
    return { ...this.#counts };
  }

  start(): void {
    this.#options.queue.work(this.#options.concurrency ?? 4, (key) => this.#pass(key));
  }

  /** Why this process should be started anew: a pass that has not ended long after it was told to. Null: there is none. */
  get hung(): string | null {
    const longest = 2 * this.#deadlineMs;
    for (const { key, began } of this.#passes.values()) {
      const took = this.#clock.monotonic() - began;
      if (took > longest)
        return `${this.#options.name} ${key}: its pass has not ended after ${Math.round(took / 1_000)} s, and is to after ${this.#deadlineMs / 1_000} s`;
    }
    return null;
  }

  /** Aborts the passes under way and resolves when they have ended. No pass follows. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const ended = this.#options.queue.shutdown();
    for (const pass of this.#passes.keys()) pass.abort(new Error('the operator is stopping'));
    await ended;
  }

  async #pass(key: string): Promise<void> {
    const passId = randomBytes(4).toString('hex');
    const log = this.#log.child({ key, pass: passId });
    const abort = new AbortController();
    const cancelDeadline = this.#clock.after(this.#deadlineMs, () => {
      abort.abort(new Error(`the pass took longer than ${this.#deadlineMs} ms`));
    });
    const began = this.#clock.monotonic();
    this.#passes.set(abort, { key, began });
    const took = () => Math.round(this.#clock.monotonic() - began);
    try {
      const wake = await this.#options.reconcile(key, { log, passId, signal: abort.signal });
      this.#succeeded(key, wake);
      log.debug({ ms: took() }, 'pass done');
    } catch (error) {
      if (!this.#stopping) this.#failed(key, error, log);
    } finally {
      cancelDeadline();
      this.#passes.delete(abort);
    }
  }

  #succeeded(key: string, wake: Wake): void {
    const { queue } = this.#options;
    this.#counts.done++;
    queue.forget(key);
    if (wake.kind === 'after') queue.addAfter(key, notSooner(wake.ms));
  }

  #failed(key: string, error: unknown, log: Logger): void {
    const { queue } = this.#options;
    if (error instanceof StalledError) {
      this.#counts.stalled++;
      queue.forget(key);
      log.warn({ err: error }, 'stalled until something changes');
    } else if (error instanceof WaitingError) {
      this.#counts.waiting++;
      queue.forget(key);
      queue.addAfter(key, notSooner(error.delayMs));
      log.info({ reason: error.message }, 'waiting');
    } else {
      this.#counts.retried++;
      const ms = queue.retry(key, (error instanceof ApiError ? error.retryAfterMs : null) ?? 0);
      // Somebody else wrote first: the next pass sees it, nobody needs to be told.
      if (isConflict(error)) log.debug({ err: error, ms }, 'outrun, trying again');
      else log.warn({ err: error, ms }, 'pass failed, trying again');
    }
  }
}

/** A wake-up in the past, or none that is a number, must not become a loop. */
function notSooner(ms: number): number {
  return ms > SHORTEST_WAKE_MS ? ms : SHORTEST_WAKE_MS;
}
