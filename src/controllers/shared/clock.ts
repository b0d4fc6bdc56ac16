import type { Client } from '../../runtime/client.ts';
import { Refusal } from './refusal.ts';

/** What controllers know of time. */
export interface ControllerClock {
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Why nothing may be signed or judged by this clock; null: nothing is known against it. */
  readonly refusal: () => Refusal | null;
}

/** Less than the set-back of notBefore, so that what is signed is valid at once for whoever goes by the API server's clock. */
const TOLERANCE = 240_000;
const RETRY = 15_000;

/**
 * The operator's clock, held against the API server's. A clock that is far off would sign leaves that nobody accepts, see leaves expire
 * that do not, and begin rotations that nobody wants; which of the two is wrong, a person must find out.
 */
export function controllerClock(client: Pick<Client, 'clockOffset'>, now: () => number): ControllerClock {
  return {
    now,
    refusal: () => {
      const offset = client.clockOffset;
      if (offset === null || Math.abs(offset) <= TOLERANCE) return null;
      const own = new Date(now());
      const server = new Date(now() + offset);
      return new Refusal(
        'ClockWrong',
        `The operator's clock says ${text(own)}, the API server's ${text(server)}. Nothing is signed, probed or rotated until they agree: correct the clock that is wrong (NTP).`,
        RETRY,
      );
    },
  };
}

/** Whole hours only: a message that changes every second would be written every second. */
function text(instant: Date): string {
  return Number.isNaN(instant.getTime()) ? 'nothing sensible' : `${instant.toISOString().slice(0, 13)}h`;
}
