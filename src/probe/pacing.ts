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

/**
 * A bound on work done at one time, and on how much of it is one owner's. Of those who wait, whoever's owner has the fewest slots is served
 * next, and of several such owners the one that has given none back for the longest time. So an owner with much to do, say with many dead endpoints, holds no
 * more than its share as soon as others come.
 * Owners are named `group/name`, and groups come first: whoever may create owners in one group takes nothing from other groups by creating many.
 */
export class Slots {
  #free: number;
  readonly #perOwner: number;
  readonly #whole: Slots | null;
  /** By owner, and by group. */
  readonly #held = new Map<string, number>();
  /** What each owner waits for; whoever has just given one back is last. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /**
   * @param perOwner of `count`, so many may be one owner's, even when others stay free
   * @param whole slots of which these are a part: whoever has one of these waits for one of those as well
   */
  constructor(count = 16, perOwner = count, whole: Slots | null = null) {
    this.#free = count;
    this.#perOwner = perOwner;
    this.#whole = whole;
  }

  /** Runs `work` when a slot is free. Rejects with `signal.reason` when aborted while it waits. */
  async run<T>(owner: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#take(owner, signal);
    try {
      signal.throwIfAborted();
      return await (this.#whole === null ? work() : this.#whole.run(owner, work, signal));
    } finally {
      this.#give(owner);
    }
  }

  #take(owner: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0 && this.#heldBy(owner) < this.#perOwner) {
      this.#count(owner, 1);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const taken = (): void => {
        signal.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = (): void => {
        this.#leave(owner, taken);
        reject(signal.reason);
      };
      signal.addEventListener('abort', aborted, { once: true });
      const waiting = this.#waiting.get(owner);
      if (waiting === undefined) this.#waiting.set(owner, [taken]);
      else waiting.push(taken);
    });
  }

  #give(owner: string): void {
    this.#count(owner, -1);
    const own = this.#waiting.get(owner);
    if (own !== undefined) {
      this.#waiting.delete(owner);
      this.#waiting.set(owner, own);
    }
    let next: string | null = null;
    let fewest = [Infinity, Infinity] as const;
    for (const each of this.#waiting.keys()) {
      const held = [this.#heldBy(groupOf(each)), this.#heldBy(each)] as const;
      if (held[1] >= this.#perOwner || held[0] > fewest[0] || (held[0] === fewest[0] && held[1] >= fewest[1])) continue;
      next = each;
      fewest = held;
    }
    if (next === null) return;
    const waiting = this.#waiting.get(next) ?? [];
    const taken = waiting.shift();
    if (waiting.length === 0) this.#waiting.delete(next);
    this.#count(next, 1);
    taken?.();
  }

  #leave(owner: string, taken: () => void): void {
    const waiting = this.#waiting.get(owner) ?? [];
    waiting.splice(waiting.indexOf(taken), 1);
    if (waiting.length === 0) this.#waiting.delete(owner);
  }

  #heldBy(owner: string): number {
    return this.#held.get(owner) ?? 0;
  }

  #count(owner: string, by: 1 | -1): void {
    this.#free -= by;
    for (const name of new Set([owner, groupOf(owner)])) {
      const held = this.#heldBy(name) + by;
      if (held === 0) this.#held.delete(name);
      else this.#held.set(name, held);
    }
  }
}

/** Of an owner without a group: itself. */
function groupOf(owner: string): string {
  const slash = owner.indexOf('/');
  return slash === -1 ? owner : owner.slice(0, slash);
}

export type Paced<T> =
  | { readonly kind: 'observed'; readonly startedAt: number; readonly value: T }
  /** Too early: ask again at this instant. */
  | { readonly kind: 'later'; readonly at: number };

interface Visit<T> {
  readonly startedAt: number;
  readonly question: string;
  readonly random: number;
  readonly result: Promise<T>;
  /** Whether it came to an answer; null while it runs. */
  answered: boolean | null;
}

interface Endpoint<T> {
  /** Its last probe, whoever asked. */
  last: Visit<T> | null;
  /** Probes in a row that did not reach it. */
  failures: number;
  /** The last probe of each who asks. */
  readonly visits: Map<string, Visit<T>>;
  /** Who was sent away although due, and the instant for which. */
  readonly waiting: Map<string, number>;
}

type Run<T> = (begun: () => void) => Promise<T>;

/**
 * Paces the probes of all endpoints of one process. Several may ask at one endpoint, each at its own pace; how often the endpoint is
 * probed in all stays bounded, and who waits longest is next. Whoever asks the same as before shares the answer.
 */
export class Pacer<T> {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #reached: (value: T) => boolean;
  readonly #endpoints = new Map<string, Endpoint<T>>();

  /** @param reached whether a probe found its endpoint alive */
  constructor(options: { now: () => number; random: () => number; reached: (value: T) => boolean }) {
    this.#now = options.now;
    this.#random = options.random;
    this.#reached = options.reached;
  }

  /**
   * Probes an endpoint if it may be probed now, or joins a probe that asks the same and is under way or recent enough.
   * A probe that throws counts as one that did not reach, unless it had not begun: then nobody was asked. Its error goes to all who joined.
   * @param endpoint what tells one from another
   * @param asker for whom: its questions replace each other, those of others do not
   * @param question whatever makes an older answer useless: ledger epoch, revision, generations asked for
   * @param run calls `begun` when it begins to dial
   */
  async probe(endpoint: string, asker: string, question: string, pace: Pace, run: Run<T>): Promise<Paced<T>> {
    const state: Endpoint<T> = this.#endpoints.get(endpoint) ?? untouched();
    this.#endpoints.set(endpoint, state);
    for (;;) {
      const own = state.visits.get(asker);
      const same = own?.question === question;
      if (state.last?.answered === null) {
        if (same && own === state.last) return observed(own);
        await state.last.result.catch(() => {});
        continue;
      }
      const at = this.dueAt(endpoint, asker, pace);
      if (this.#now() >= at) return this.#visit(state, asker, question, run);
      if (own === undefined || this.#now() >= dueAfter(own, pace, 0)) state.waiting.set(asker, at);
      if (!same || own.answered !== true) return { kind: 'later', at };
      return observed(own);
    }
  }

  /** The instant from which an endpoint may be probed again for this asker; one never probed: now. */
  dueAt(endpoint: string, asker: string, pace: Pace): number {
    const { last, failures, visits, waiting } = this.#endpoints.get(endpoint) ?? untouched<T>();
    if (last === null) return this.#now();
    const own = visits.get(asker);
    // A dead endpoint is dead for all who ask.
    const bound = failures > 0 ? dueAfter(last, pace, failures) : dueAfter(last, { ...pace, intervalMs: 0 }, 0);
    const due = Math.max(own === undefined ? 0 : dueAfter(own, pace, 0), bound);
    const slot = HOUR_MS / pace.maxProbesPerHour;
    const turns = [...waiting].flatMap(([other, at]) => {
      const before = (visits.get(other)?.startedAt ?? -1) < (own?.startedAt ?? -1);
      // Who does not come in time loses its turn.
      return other !== asker && before && this.#now() < at + slot ? [at + slot] : [];
    });
    return Math.max(due, ...turns);
  }

  /** Forgets endpoints that no peer names any more. */
  retain(endpoints: ReadonlySet<string>): void {
    for (const [endpoint, { last }] of this.#endpoints) {
      if (last?.answered !== null && !endpoints.has(endpoint)) this.#endpoints.delete(endpoint);
    }
  }

  async #visit(state: Endpoint<T>, asker: string, question: string, run: Run<T>): Promise<Paced<T>> {
    const startedAt = this.#now();
    const before = { last: state.last, own: state.visits.get(asker) };
    let begun = false;
    const result = run(() => (begun = true)).then(
      (value) => {
        visit.answered = true;
        state.failures = this.#reached(value) ? 0 : state.failures + 1;
        return value;
      },
      (error: unknown) => {
        visit.answered = false;
        if (begun) state.failures += 1;
        else {
          state.last = before.last;
          if (before.own === undefined) state.visits.delete(asker);
          else state.visits.set(asker, before.own);
        }
        throw error;
      },
    );
    const visit: Visit<T> = { startedAt, question, random: this.#random(), result, answered: null };
    state.last = visit;
    state.visits.set(asker, visit);
    state.waiting.delete(asker);
    return observed(visit);
  }
}

function untouched<T>(): Endpoint<T> {
  return { last: null, failures: 0, visits: new Map(), waiting: new Map() };
}

async function observed<T>({ startedAt, result }: Visit<T>): Promise<Paced<T>> {
  return { kind: 'observed', startedAt, value: await result };
}

function dueAfter({ startedAt, random }: Visit<unknown>, pace: Pace, failures: number): number {
  return startedAt + pauseBetween(pace, failures, random);
}
