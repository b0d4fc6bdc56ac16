/**
 * How gently members are probed: how many handshakes at one time, how often one endpoint, how seldom a dead one.
 * The rules are pure functions; clock and randomness come from outside.
 */

/** How often an endpoint may be probed now. */
export interface Pace {
  /** Wanted pause between the starts of two probes, milliseconds. */
  readonly intervalMs: number;
  /** The profile's bound; probes are spread over the hour, so that there is always fresh evidence. */
  readonly maxProbesPerHour: number;
}

const HOUR_MS = 3_600_000;
/** A dead endpoint is probed at most this much more seldom. */
export const MAX_BACK_OFF = 10;
/** Added at random, up to this share of the pause, so that endpoints do not march in step. Never taken off: see the budget. */
const JITTER = 0.1;

/**
 * Pause between the starts of two probes of one endpoint, milliseconds.
 * @param failures probes in a row that did not reach it
 * @param random in [0, 1)
 */
export function pauseBetween({ intervalMs, maxProbesPerHour }: Pace, failures: number, random: number): number {
  const backedOff = intervalMs * Math.min(2 ** failures, MAX_BACK_OFF);
  return Math.max(backedOff, HOUR_MS / maxProbesPerHour) * (1 + JITTER * random);
}

/** A bound on work done at one time; whoever waits is served in order. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count = 16) {
    this.#free = count;
  }

  /** Runs `work` when a slot is free. Rejects with `signal.reason` when aborted while it waits. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#take(signal);
    try {
      return await work();
    } finally {
      this.#give();
    }
  }

  #take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const taken = (): void => {
        signal.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(taken), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', aborted, { once: true });
      this.#waiting.push(taken);
    });
  }

  #give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}

export type Paced<T> =
  | { readonly kind: 'observed'; readonly startedAt: number; readonly value: T }
  /** Too early: ask again at this instant. */
  | { readonly kind: 'later'; readonly at: number };

interface Visit<T> {
  readonly startedAt: number;
  readonly question: string;
  readonly random: number;
  /** Settles after `state` is known. */
  readonly result: Promise<T>;
  state:
    | 'running'
    | { readonly answered: boolean /** Probes in a row that did not reach it. */; readonly failures: number };
}

/** Paces the probes of all endpoints of one process, and shares them between peers that ask the same. */
export class Pacer<T> {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #reached: (value: T) => boolean;
  readonly #visits = new Map<string, Visit<T>>();

  /** @param reached whether a probe found its endpoint alive */
  constructor(options: { now: () => number; random: () => number; reached: (value: T) => boolean }) {
    this.#now = options.now;
    this.#random = options.random;
    this.#reached = options.reached;
  }

  /**
   * Probes an endpoint if it may be probed now, or joins a probe that asks the same and is under way or recent enough.
   * A probe that throws counts as one that did not reach; its error goes to all who joined.
   * @param endpoint `host:port`
   * @param question whatever makes an older answer useless: ledger epoch, revision, generations asked for
   */
  async probe(endpoint: string, question: string, pace: Pace, run: () => Promise<T>): Promise<Paced<T>> {
    for (;;) {
      const last = this.#visits.get(endpoint);
      if (last === undefined) return this.#visit(endpoint, question, 0, run);
      const same = last.question === question;
      if (last.state === 'running') {
        if (same) return { kind: 'observed', startedAt: last.startedAt, value: await last.result };
        await last.result.catch(() => {});
        continue;
      }
      const at = this.dueAt(endpoint, pace);
      if (this.#now() >= at) return this.#visit(endpoint, question, last.state.failures, run);
      if (!same || !last.state.answered) return { kind: 'later', at };
      return { kind: 'observed', startedAt: last.startedAt, value: await last.result };
    }
  }

  /** The instant from which an endpoint may be probed again; one never probed: now. */
  dueAt(endpoint: string, pace: Pace): number {
    const last = this.#visits.get(endpoint);
    if (last === undefined) return this.#now();
    const failures = last.state === 'running' ? 0 : last.state.failures;
    return last.startedAt + pauseBetween(pace, failures, last.random);
  }

  /** Forgets endpoints that no peer names any more. */
  retain(endpoints: ReadonlySet<string>): void {
    for (const [endpoint, { state }] of this.#visits) {
      if (state !== 'running' && !endpoints.has(endpoint)) this.#visits.delete(endpoint);
    }
  }

  async #visit(endpoint: string, question: string, failures: number, run: () => Promise<T>): Promise<Paced<T>> {
    const startedAt = this.#now();
    const result = run().then(
      (value) => {
        visit.state = { answered: true, failures: this.#reached(value) ? 0 : failures + 1 };
        return value;
      },
      (error: unknown) => {
        visit.state = { answered: false, failures: failures + 1 };
        throw error;
      },
    );
    const visit: Visit<T> = { startedAt, question, random: this.#random(), result, state: 'running' };
    this.#visits.set(endpoint, visit);
    return { kind: 'observed', startedAt, value: await result };
  }
}
