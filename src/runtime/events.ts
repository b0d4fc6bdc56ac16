import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { type ApiObject, type Client, isNotFound, type Resource } from './client.ts';
import { type Clock, microTime, sleep, systemClock } from './clock.ts';

const EVENT: Resource = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event' };

export interface EventDetails {
  readonly type: 'Normal' | 'Warning';
  /** Why, as one word: `RotationStarted`. */
  readonly reason: string;
  /** What was done or tried, as one word: `Rotate`. */
  readonly action: string;
  /** One sentence for people. Cut at 1,024 bytes. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: Pick<Client, 'create' | 'patch'>;
  /** The qualified name of who reports, e.g. `replicert.io/operator`. */
  readonly reportingController: string;
  /** Which of its processes, e.g. the pod's name. At most 128 characters. */
  readonly reportingInstance: string;
  /** An event that repeats within this time is counted, and written once more at its end. Default 5 min. */
  readonly windowMs?: number;
  /** Distinct events remembered at a time; more are dropped, and counted. Default 500. */
  readonly capacity?: number;
  /** Whether there is more urgent work for the API server; events wait for its end, but not longer than ten seconds. */
  readonly busy?: () => boolean;
  readonly log?: Pick<Logger, 'debug' | 'warn'> | undefined;
  readonly clock?: Clock;
}

/** Longest wait of an event for more urgent work, and how often it is asked for. */
const PATIENCE_MS = 10_000;
const BUSY_PERIOD_MS = 100;

/** An ObjectReference: not the object, which would stay in memory with it. */
interface Regarding {
  readonly apiVersion: string | undefined;
  readonly kind: string | undefined;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
}

interface Series {
  readonly regarding: Regarding;
  readonly details: EventDetails;
  readonly firstAt: number;
  lastAt: number;
  count: number;
  /** How many of them the API server knows of. */
  told: number;
  /** The Event object that tells them; null until one was created. */
  name: string | null;
  /** Waits in the outbox, since this monotonic instant. */
  waiting: boolean;
  waitsSince: number;
  cancelWindow: () => void;
}

/**
 * Tells the story of objects as events. An event is written as soon as nothing more urgent is; the same again within the window costs no write but a count, and
 * one patch when the window ends. Nothing here fails or delays a caller: what cannot be written is lost, with a line in the log.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #capacity: number;
  readonly #series = new Map<string, Series>();
  readonly #outbox: Series[] = [];
  #writing: Promise<void> | null = null;
  #dropped = 0;
  #stopped = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#windowMs = options.windowMs ?? 300_000;
    this.#capacity = options.capacity ?? 500;
  }

  /** Events that were not even tried, because too many different ones came at a time. */
  get dropped(): number {
    return this.#dropped;
  }

  record({ apiVersion, kind, metadata }: ApiObject, { type, reason, action, note }: EventDetails): void {
    if (this.#stopped) return;
    const { uid, namespace, name, resourceVersion } = metadata;
    const key = [kind, uid, namespace, name, type, reason, action, note].join('\0');
    const now = this.#clock.now();
    const known = this.#series.get(key);
    if (known !== undefined) {
      known.count++;
      known.lastAt = now;
      return;
    }
    if (this.#series.size >= this.#capacity) {
      this.#dropped++;
      if (this.#dropped === 1) this.#options.log?.warn({ reason }, 'too many different events, some are dropped');
      return;
    }
    const series: Series = {
      regarding: { apiVersion, kind, namespace, name, uid, resourceVersion },
      details: { type, reason, action, note: cutNote(note) },
      firstAt: now,
      lastAt: now,
      count: 1,
      told: 0,
      name: null,
      waiting: false,
      waitsSince: 0,
      cancelWindow: () => {},
    };
    this.#series.set(key, series);
    this.#openWindow(key, series);
    this.#send(series);
  }

  /** Gives what is still to be written two seconds; records nothing any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const series of this.#series.values()) series.cancelWindow();
    if (this.#writing !== null) await Promise.race([this.#writing, sleep(this.#clock, 2_000)]);
    this.#outbox.length = 0;
  }

  #openWindow(key: string, series: Series): void {
    series.cancelWindow = this.#clock.after(this.#windowMs, () => {
      if (series.count === series.told) {
        this.#series.delete(key);
        return;
      }
      this.#openWindow(key, series);
      this.#send(series);
    });
  }

  /** One write at a time: events are never worth a burst. */
  #send(series: Series): void {
    if (!series.waiting) {
      series.waiting = true;
      series.waitsSince = this.#clock.monotonic();
      this.#outbox.push(series);
    }
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = null;
    });
  }

  async #drain(): Promise<void> {
    for (let next = this.#outbox.shift(); next !== undefined; next = this.#outbox.shift()) {
      while (this.#isOutrun(next)) await sleep(this.#clock, BUSY_PERIOD_MS);
      next.waiting = false;
      const { count } = next;
      try {
        await this.#write(next);
      } catch (error) {
        this.#options.log?.warn({ reason: next.details.reason, err: error }, 'event not written');
      }
      next.told = count; // also when it failed: the next window tries again only if there is more to tell
    }
  }

  /** Whether something more urgent is under way, and this event has not waited long enough for that. */
  #isOutrun({ waitsSince }: Series): boolean {
    const waited = this.#clock.monotonic() - waitsSince;
    return !this.#stopped && waited < PATIENCE_MS && this.#options.busy?.() === true;
  }

  async #write(series: Series): Promise<void> {
    const { client } = this.#options;
    const namespace = series.regarding.namespace ?? 'default'; // where events live about objects without one
    if (series.name !== null) {
      try {
        const body = { series: seriesOf(series) };
        await client.patch(EVENT, { namespace, name: series.name }, { type: 'merge', body });
        return;
      } catch (error) {
        if (!isNotFound(error)) throw error; // not found: it has expired, the story goes on in a new one
      }
    }
    const name = eventName(series.regarding.name);
    await client.create(EVENT, this.#eventOf(series, namespace, name));
    series.name = name;
  }

  #eventOf(series: Series, namespace: string, name: string) {
    return {
      metadata: { namespace, name },
      eventTime: microTime(series.firstAt),
      reportingController: this.#options.reportingController,
      reportingInstance: this.#options.reportingInstance.slice(0, 128),
      ...series.details,
      regarding: series.regarding,
      series: series.count > 1 ? seriesOf(series) : undefined,
    };
  }
}

function seriesOf({ count, lastAt }: Series) {
  return { count, lastObservedTime: microTime(lastAt) };
}

function eventName(about: string): string {
  return `${about.slice(0, 230).replace(/[^a-z0-9]+$/, '')}.${randomBytes(8).toString('hex')}`;
}

const MAX_NOTE_BYTES = 1024;

/** The first 1,024 bytes of UTF-8 at most, without half a character, and with a sign that something is missing. */
export function cutNote(note: string): string {
  if (Buffer.byteLength(note) <= MAX_NOTE_BYTES) return note;
  const room = Buffer.alloc(MAX_NOTE_BYTES - Buffer.byteLength('…'));
  return `${room.toString('utf8', 0, room.write(note))}…`; // Buffer.write never writes part of a character
}
