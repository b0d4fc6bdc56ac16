import { ApiError } from '../../runtime/client.ts';
import { Refusal } from './refusal.ts';

/** Nobody tells when a policy, a quota or a right has changed: it is tried again, ever more seldom. Milliseconds. */
const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 120_000;
/** Whoever has not tried again for so long after that will not. */
const FORGOTTEN_AFTER = 600_000;

interface Denial {
  readonly refusal: Refusal;
  readonly pause: number;
  /** When it may be tried again. */
  readonly until: number;
}

/**
 * What the API server denies the operator. A denial is told to the user in the server's own words, and the same is not asked again before
 * a pause has passed, however often something else gives cause to.
 */
export class Denials {
  readonly #now: () => number;
  readonly #denied = new Map<string, Denial>();

  /** @param now milliseconds of a clock that is never set */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Does what ends in a write, unless that was denied a moment ago.
   * @param what the object that is written, as in `Secret storage/a`
   * @throws Refusal `WriteDenied` with what the API server says, and the next step; and whatever `write` throws besides
   */
  async attempt<T>(what: string, write: () => Promise<T>): Promise<T> {
    this.check(what);
    const known = this.#denied.get(what);
    try {
      const done = await write();
      this.#denied.delete(what);
      return done;
    } catch (error) {
      if (!(error instanceof ApiError) || !isDenied(error)) throw error;
      const pause = Math.min(LONGEST_PAUSE, known === undefined ? FIRST_PAUSE : 2 * known.pause);
      const refusal = new Refusal('WriteDenied', messageOf(what, error), pause);
      this.#forgetOld();
      this.#denied.set(what, { refusal, pause, until: this.#now() + pause });
      throw refusal;
    }
  }

  /** @throws Refusal `WriteDenied` if that was denied a moment ago: for whoever is to do something else before it */
  check(what: string): void {
    const known = this.#denied.get(what);
    const rest = known === undefined ? 0 : known.until - this.#now();
    if (known !== undefined && rest > 0) throw new Refusal(known.refusal.reason, known.refusal.message, rest);
  }

  #forgetOld(): void {
    const now = this.#now();
    for (const [what, { until }] of this.#denied) if (until + FORGOTTEN_AFTER < now) this.#denied.delete(what);
  }
}

/**
 * Whether the API server understood a write and will not have it: for want of rights or by a quota (403), or by admission, whose policies
 * answer with 422 or 403 and whose webhooks with whatever they like. What is wrong with the object itself is said in other words.
 */
export function isDenied(error: unknown): error is ApiError {
  if (!(error instanceof ApiError)) return false;
  return error.status === 403 || (error.status >= 400 && error.status < 500 && DENIED.test(error.message));
}

const DENIED = /\bdenied (?:the )?request\b/;

function messageOf(what: string, { message }: ApiError): string {
  return `${what} cannot be written, for the API server denies it: ${withoutContent(message)}. ${remedyFor(message)}`;
}

/** A policy or webhook may quote the object that it denies, and with it a key. */
function withoutContent(text: string): string {
  return text.replace(/[A-Za-z0-9+/=]{64,}/g, '...').replace(/-----BEGIN [^]*/, '...');
}

function remedyFor(message: string): string {
  const again = 'It is tried again by itself, within two minutes.';
  if (/because it is being terminated/.test(message)) return 'Nothing is to be done: the namespace is being deleted.';
  if (/exceeded quota/.test(message))
    return `Raise that ResourceQuota, or delete what it counts and nobody needs. ${again}`;
  if (DENIED.test(message)) return `Let that policy or webhook admit what the operator's account writes. ${again}`;
  const [, namespace = '<namespace>'] = /in the namespace "([^"]*)"/.exec(message) ?? [];
  return `Give the operator its rights in that namespace: kubectl apply -n ${namespace} -f deploy/watched-namespace.yaml. ${again}`;
}
