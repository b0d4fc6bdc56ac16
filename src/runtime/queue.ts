import { backoff, type Clock, systemClock } from './clock.ts';

export interface WorkQueueOptions {
  /** First back-off of a failing key; doubles with each failure. Default 5 ms. */
  readonly baseDelayMs?: number;
  /** Longest back-off. Default 60 s. */
  readonly maxDelayMs?: number;
  readonly clock?: Clock;
}

export interface AddOptions {
  /** Work that may wait: objects that were merely there at the start. A later add without it overtakes. */
  readonly low?: boolean;
}

/** What is known of a key that is waiting, being worked on, or failing. */
interface Item {
  lane: 'high' | 'low' | null;
  working: boolean;
  /** Calls off the pending wake-up, which comes at `wakeAt`. */
  cancelWake: (() => void) | null;
  wakeAt: number;
  wakeLow: boolean;
  failures: number;
}

/** No wake-up is farther away than this: timers beyond 24.8 days fire at once, and clocks are wrong. */
const MAX_WAIT_MS = 3_600_000;
/** So many urgent keys in a row, then one that may wait: low is late, not never. */
const URGENT_RUN = 16;

/**
 * Keys to be worked on. Laws: a key is never worked on twice at a time; adding it during work means one more pass, however often it is
 * added; the earliest time and the highest urgency win; each failing key has its own back-off; after `shutdown` nothing starts.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #baseDelayMs: number;
  readonly #maxDelayMs: number;
  readonly #items = new Map<string, Item>();
  readonly #high = new Fifo();
  readonly #low = new Fifo();
  readonly #ended = Promise.withResolvers<void>();
  #handler: ((key: string) => Promise<void>) | null = null;
  #concurrency = 0;
  #working = 0;
  #ready = 0;
  #urgentRun = 0;
  #pumping = false;
  #shutDown = false;

  constructor({ baseDelayMs = 5, maxDelayMs = 60_000, clock = systemClock }: WorkQueueOptions = {}) {
    this.#clock = clock;
    this.#baseDelayMs = baseDelayMs;
    this.#maxDelayMs = maxDelayMs;
  }

  /** Keys that could be taken now. */
  get ready(): number {
    return this.#ready;
  }

  /** Keys that are being worked on. */
  get working(): number {
    return this.#working;
  }

  /** As soon as possible. A pending wake-up of the key is served by this. */
  add(key: string, { low = false }: AddOptions = {}): void {
    if (this.#shutDown) return;
    const item = this.#item(key);
    unwake(item);
    if (item.lane === 'high' || (item.lane === 'low' && low)) return;
    if (item.lane === null && !item.working) this.#ready++;
    item.lane = low ? 'low' : 'high';
    if (!item.working) this.#line(item.lane, key);
  }

  /** After `ms`, at most an hour; at once when that is not positive. An earlier wake-up or a waiting key is not put off. */
  addAfter(key: string, ms: number, { low = false }: AddOptions = {}): void {
    if (this.#shutDown) return;
    if (!(ms > 0)) return this.add(key, { low });
    const item = this.#item(key);
    if (item.lane !== null) return;
    const delay = Math.min(ms, MAX_WAIT_MS);
    const at = this.#clock.monotonic() + delay;
    if (item.cancelWake !== null) {
      low &&= item.wakeLow;
      if (item.wakeAt <= at) {
        item.wakeLow = low;
        return;
      }
    }
    unwake(item);
    item.wakeAt = at;
    item.wakeLow = low;
    item.cancelWake = this.#clock.after(delay, () => {
      item.cancelWake = null;
      this.add(key, { low: item.wakeLow });
    });
  }

  /** After the key's back-off, which this lengthens, or after `atLeastMs` when that is longer. Returns the delay in milliseconds. */
  retry(key: string, atLeastMs = 0): number {
    const item = this.#item(key);
    const delay = backoff(item.failures, this.#baseDelayMs, this.#maxDelayMs, this.#clock.random());
    item.failures++;
    const wait = Math.min(Math.max(delay, atLeastMs), MAX_WAIT_MS);
    this.addAfter(key, wait);
    return wait;
  }

  /** The key did well: its next failure starts the back-off anew. */
  forget(key: string): void {
    const item = this.#items.get(key);
    if (item === undefined) return;
    item.failures = 0;
    this.#tidy(key, item);
  }

  /** Serves keys, `concurrency` at a time, from now on. The handler settles its own errors: what it rejects with counts as `retry`. */
  work(concurrency: number, handler: (key: string) => Promise<void>): void {
    this.#handler = handler;
    this.#concurrency = concurrency;
    this.#pump();
  }

  /** Nothing starts any more; resolves when what is being worked on has ended. */
  shutdown(): Promise<void> {
    this.#shutDown = true;
    for (const item of this.#items.values()) unwake(item);
    if (this.#working === 0) this.#ended.resolve();
    return this.#ended.promise;
  }

  #item(key: string): Item {
    let item = this.#items.get(key);
    if (item === undefined) {
      item = { lane: null, working: false, cancelWake: null, wakeAt: 0, wakeLow: false, failures: 0 };
      this.#items.set(key, item);
    }
    return item;
  }

  #line(lane: 'high' | 'low', key: string): void {
    (lane === 'high' ? this.#high : this.#low).push(key);
    this.#pump();
  }

  /** Starts passes in a turn of their own, so that passes that never wait for I/O do not keep I/O from happening. */
  #pump(): void {
    if (this.#pumping || this.#handler === null || this.#shutDown || this.#ready === 0) return;
    if (this.#working >= this.#concurrency) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      while (!this.#shutDown && this.#working < this.#concurrency) {
        const key = this.#take();
        if (key === null) return;
        void this.#serve(key);
      }
    });
  }

  #take(): string | null {
    if (this.#urgentRun >= URGENT_RUN) {
      this.#urgentRun = 0;
      const patient = this.#takeFrom(this.#low, 'low');
      if (patient !== null) return patient;
    }
    const urgent = this.#takeFrom(this.#high, 'high');
    if (urgent === null) return this.#takeFrom(this.#low, 'low');
    this.#urgentRun++;
    return urgent;
  }

  #takeFrom(fifo: Fifo, lane: 'high' | 'low'): string | null {
    for (let key = fifo.shift(); key !== undefined; key = fifo.shift()) {
      const item = this.#items.get(key);
      // A key that became urgent leaves its place among the patient ones behind.
      if (item !== undefined && item.lane === lane && !item.working) return key;
    }
    return null;
  }

  async #serve(key: string): Promise<void> {
    const item = this.#item(key);
    item.lane = null;
    item.working = true;
    this.#ready--;
    this.#working++;
    try {
      await this.#handler?.(key);
    } catch {
      this.retry(key);
    }
    this.#working--;
    this.#release(key, item);
    if (this.#shutDown && this.#working === 0) this.#ended.resolve();
    this.#pump();
  }

  /** The pass is over; what was added meanwhile is due now. */
  #release(key: string, item: Item): void {
    item.working = false;
    if (item.lane !== null && !this.#shutDown) {
      this.#ready++;
      this.#line(item.lane, key);
    }
    this.#tidy(key, item);
  }

  /** A key about which nothing needs to be known any more takes no memory. */
  #tidy(key: string, item: Item): void {
    if (item.lane === null && !item.working && item.cancelWake === null && item.failures === 0) this.#items.delete(key);
  }
}

function unwake(item: Item): void {
  item.cancelWake?.();
  item.cancelWake = null;
}

/** First in, first out, without moving what remains at every step. */
class Fifo {
  #keys: string[] = [];
  #head = 0;

  push(key: string): void {
    this.#keys.push(key);
  }

  shift(): string | undefined {
    const key = this.#keys[this.#head];
    if (key === undefined) return undefined;
    this.#head++;
    if (this.#head === this.#keys.length) {
      this.#keys = [];
      this.#head = 0;
    } else if (this.#head >= 1024 && this.#head * 2 > this.#keys.length) {
      this.#keys = this.#keys.slice(this.#head);
      this.#head = 0;
    }
    return key;
  }
}
