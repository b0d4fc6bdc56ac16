import type { Clock } from '../../src/runtime/clock.ts';

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** Lets everything happen that does not wait for a timer or for the network. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** Time that only a test moves. Randomness is 0.5 unless a test says otherwise. */
export class FakeClock implements Clock {
  readonly #timers = new Set<Timer>();
  readonly #watchers = new Set<() => void>();
  #elapsed = 0;
  chance = 0.5;
  epoch = Date.parse('2026-11-22T12:00:00Z');

  now(): number {
    return this.epoch + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  random(): number {
    return this.chance;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#elapsed + ms, run };
    this.#timers.add(timer);
    for (const look of this.#watchers) look();
    return () => this.#timers.delete(timer);
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** Moves time on; what falls due on the way happens at its own instant. */
  async advance(ms: number): Promise<void> {
    await settle();
    const until = this.#elapsed + ms;
    for (let timer = this.#next(); timer !== null && timer.at <= until; timer = this.#next()) {
      await this.#fire(timer);
    }
    this.#elapsed = until;
    await settle();
  }

  /** Time passes and nothing runs, as in a process that was stopped: what fell due is due now. */
  freeze(ms: number): void {
    this.#elapsed += ms;
  }

  /**
   * Waits until somebody waits for at most `withinMs` (not for a far deadline), then moves time on to that instant.
   * Returns for how long that one had to wait.
   */
  async elapse(withinMs = Number.POSITIVE_INFINITY): Promise<number> {
    let timer = this.#next();
    while (timer === null || timer.at - this.#elapsed > withinMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#watchers.add(resolve);
      await promise;
      this.#watchers.delete(resolve);
      timer = this.#next();
    }
    const waited = timer.at - this.#elapsed;
    await this.#fire(timer);
    return waited;
  }

  async #fire(timer: Timer): Promise<void> {
    this.#timers.delete(timer);
    this.#elapsed = Math.max(this.#elapsed, timer.at);
    timer.run();
    await settle();
  }

  #next(): Timer | null {
    let first: Timer | null = null;
    for (const timer of this.#timers) if (first === null || timer.at < first.at) first = timer;
    return first;
  }
}
