/** Records that are written one after the other, and what arrives of them elsewhere: whether one is lost or out of order, and how late. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Arrival {
  readonly name: string;
  /** Records that arrived, each counted once. */
  readonly count: number;
  /** Records that arrived again, as they may after a connection has broken. */
  readonly repeated: number;
  /** Every record that came before another that was written earlier. */
  readonly disorders: readonly string[];
  /** Longest time from before it was written until it arrived, milliseconds. */
  readonly longestMs: number;
}

export class Records {
  readonly #arrivals: Arrival[] = [];
  #written = 0;

  /** How many have been written. */
  get written(): number {
    return this.#written;
  }

  get arrivals(): readonly Arrival[] {
    return this.#arrivals;
  }

  /** Writes record after record, each when the last one has been, until it is aborted. */
  async write(write: (record: string) => Promise<void>, paceMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await write(`${this.#written + 1} ${Date.now()}`);
      this.#written += 1;
      await sleep(paceMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** @returns takes each record that arrives at one place */
  arriving(name: string): (record: string) => void {
    const arrival = { name, count: 0, repeated: 0, disorders: [] as string[], longestMs: 0 };
    this.#arrivals.push(arrival);
    return (record) => {
      const [number = 0, at = 0] = (/^(\d+) (\d+)$/.exec(record) ?? fail(name, record)).slice(1).map(Number);
      if (number <= arrival.count) arrival.repeated += 1;
      else {
        if (number > arrival.count + 1) arrival.disorders.push(`${name}: ${number} after ${arrival.count}`);
        arrival.count = number;
        arrival.longestMs = Math.max(arrival.longestMs, Date.now() - at);
      }
    };
  }
}

function fail(name: string, record: string): never {
  throw new Error(`${name}: no record is ${JSON.stringify(record)}`);
}
