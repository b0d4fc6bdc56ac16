import { lookup } from 'node:dns/promises';
import { Slots } from './pacing.ts';

/** The addresses of a name; rejects or gives none when it does not resolve. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** By `getaddrinfo`: hosts file and search domains count as they do for everybody else on the machine. */
async function systemResolve(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

/** So many calls of `getaddrinfo` libuv runs at one time (half of its threads); the others wait in a queue that knows no owners. */
const AT_ONCE = 2;

interface Lookup {
  /** Never rejects; empty: no address. */
  readonly addresses: Promise<readonly string[]>;
  readonly withdraw: AbortController;
  begun: boolean;
  /** How many want to know. */
  asking: number;
}

/**
 * Looks up names for many owners. A lookup cannot be cancelled, and one of a name whose server is silent takes far longer than anybody waits
 * for it. So it keeps its slot until it has really ended, no owner has all of them, and whoever asks for the name meanwhile joins it.
 */
export class Lookups {
  readonly #resolve: Resolve;
  readonly #slots = new Slots(AT_ONCE, AT_ONCE - 1);
  readonly #lookups = new Map<string, Lookup>();

  constructor(resolve: Resolve = systemResolve) {
    this.#resolve = resolve;
  }

  /**
   * @param timeoutMs bound on the whole, waiting for others included
   * @returns the addresses, each once; null: none, in time
   * @throws only `signal.reason`
   */
  async addresses(
    owner: string,
    host: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<readonly string[] | null> {
    signal.throwIfAborted();
    const key = JSON.stringify([owner, host]);
    const one = this.#lookups.get(key) ?? this.#begin(key, owner, host);
    one.asking += 1;
    try {
      const found = await within(one.addresses, timeoutMs, signal);
      return found === null || found.length === 0 ? null : [...new Set(found)];
    } finally {
      one.asking -= 1;
      // Nobody wants to know any more, and nobody has been asked yet.
      if (one.asking === 0 && !one.begun) {
        one.withdraw.abort();
        this.#forget(key, one);
      }
    }
  }

  #begin(key: string, owner: string, host: string): Lookup {
    const withdraw = new AbortController();
    const work = async (): Promise<readonly string[]> => {
      one.begun = true;
      return this.#resolve(host);
    };
    const addresses = this.#slots
      .run(owner, work, withdraw.signal)
      .catch(() => [])
      .finally(() => this.#forget(key, one));
    const one: Lookup = { addresses, withdraw, begun: false, asking: 0 };
    this.#lookups.set(key, one);
    return one;
  }

  #forget(key: string, one: Lookup): void {
    if (this.#lookups.get(key) === one) this.#lookups.delete(key);
  }
}

/** @returns null: not in time. Rejects with the reason of the signal. */
function within<T>(answer: Promise<T>, timeoutMs: number, signal: AbortSignal): Promise<T | null> {
  return new Promise((settle, reject) => {
    const timer = setTimeout(() => finish(null), timeoutMs);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const finish = (value: T | null): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      settle(value);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    answer.then(finish, reject);
  });
}
