import type { Logger } from 'pino';
import type { Client, WatchEvent } from './client.ts';
import { backoff, type Clock, sleep, systemClock } from './clock.ts';
import { AnswerTooLargeError, ApiError, isExpired, isForbidden, MalformedEventError } from './errors.ts';
import { apiVersionOf, type KubeObject, keyOf, type Resource } from './objects.ts';
import { advance, type Outcome, type Phase, START } from './reflect.ts';

export interface Change<T> {
  /** `ns/name`, or `name` for kinds without a namespace. */
  readonly key: string;
  readonly before: T | undefined;
  /** Undefined: deleted (or kept out). */
  readonly after: T | undefined;
  /** Part of the first list: nothing has happened, the object was merely there. */
  readonly initial: boolean;
}

export interface InformerOptions<T> {
  readonly client: Pick<Client, 'listPage' | 'watch'>;
  readonly resource: Resource;
  /** All namespaces when left out. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  /** Metadata only, of objects whose content nobody needs. */
  readonly metadataOnly?: boolean | undefined;
  /** Objects in one page of a list. Default: the client's. */
  readonly pageSize?: number | undefined;
  /**
   * What the store holds of an object; the rest is garbage at once. When it throws, the object is logged and kept out of the store (one that
   * must stay visible needs a `keep` that returns a value for it).
   */
  readonly keep: (raw: KubeObject) => T;
  /** Called synchronously after the store has changed. It should only add keys to queues; what it throws is logged. */
  readonly onChange: (change: Change<T>) => void;
  /** Called when a list is complete, with its version: what is not in the store did not exist then. */
  readonly onListed?: ((resourceVersion: string) => void) | undefined;
  /** Called when `synced` is no more what it was, or whether it is `unreadable`. */
  readonly onStanding?: (() => void) | undefined;
  readonly log?: Pick<Logger, 'debug' | 'warn' | 'error'> | undefined;
  readonly clock?: Clock;
}

/** Why nothing can be read. */
export interface Unreadable {
  /** By the rights of the operator; else the server has no answer that can be used. */
  readonly forbidden: boolean;
  readonly message: string;
}

interface Entry<T> {
  readonly value: T;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
}

/** Lists in a row that fail by an answer, some seconds, until it is said that there is none. */
const UNREADABLE_AFTER = 4;
const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 30_000;
/** A watch that told nothing and lasted less than this did not work, however politely it ended. */
const HEALTHY_AFTER_MS = 10_000;

/**
 * A store that follows one kind: a paged list, then a watch, and again whatever is needed after a fault, for ever.
 * It never rejects and never gives up; the only end is `stop`. An object deleted and created again while nobody was looking shows as
 * two changes, because another uid is another object.
 */
export class Informer<T> {
  readonly #options: InformerOptions<T>;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #stop = new AbortController();
  readonly #firstList = Promise.withResolvers<void>();
  #listed = new Set<string>();
  /** Of the list under way: as large as its pages could be so far. */
  #limit: number | undefined;
  #synced = false;
  #unreadable: Unreadable | null = null;
  /** Answers in a row that were no list. */
  #failedLists = 0;
  #running: Promise<void> | null = null;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  start(): void {
    if (!this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  /** Resolves when nothing is under way any more; no request follows. The store stays readable. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** The first list is complete. What is not in the store then did not exist. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Why it cannot be read; null: nothing is known against it. It is asked again all the same; what the store holds is what was true before. */
  get unreadable(): Unreadable | null {
    return this.#unreadable;
  }

  /** Rejects with the reason of the signal, or when the informer is stopped before. */
  async whenSynced(signal?: AbortSignal): Promise<void> {
    const ended = Promise.withResolvers<never>();
    const end = () =>
      ended.reject(signal?.reason ?? new Error(`the informer of ${this.#options.resource.kind} was stopped`));
    const signals = signal === undefined ? [this.#stop.signal] : [this.#stop.signal, signal];
    for (const each of signals) each.addEventListener('abort', end);
    if (!this.#synced && signals.some(({ aborted }) => aborted)) end();
    try {
      await Promise.race([this.#firstList.promise, ended.promise]);
    } finally {
      for (const each of signals) each.removeEventListener('abort', end);
    }
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)?.value;
  }

  get size(): number {
    return this.#entries.size;
  }

  *list(): Generator<T, void, undefined> {
    for (const { value } of this.#entries.values()) yield value;
  }

  async #run(): Promise<void> {
    for (let progress = START; !this.#stop.signal.aborted; ) {
      progress = advance(progress, await this.#perform(progress.phase));
      if (!progress.pause) continue;
      const pause = backoff(progress.failures - 1, BACKOFF_BASE_MS, BACKOFF_CAP_MS, this.#clock.random());
      await sleep(this.#clock, pause, this.#stop.signal);
    }
  }

  /** One request, and what came of it. Never throws. */
  async #perform(phase: Phase): Promise<Outcome> {
    const watch = { resourceVersion: phase.at === 'watch' ? phase.resourceVersion : null, told: false };
    const began = this.#clock.monotonic();
    const healthy = () => watch.told || this.#clock.monotonic() - began >= HEALTHY_AFTER_MS;
    try {
      if (phase.at === 'list') return await this.#readPage(phase.continue);
      await this.#follow(phase.resourceVersion, (version) => {
        watch.resourceVersion = version;
        watch.told = true;
        this.#stand(null);
      });
      return { got: 'end', resourceVersion: watch.resourceVersion ?? phase.resourceVersion, healthy: healthy() };
    } catch (error) {
      if (this.#stop.signal.aborted) return { got: 'gap' }; // nobody will act on it
      const { kind } = this.#options.resource;
      this.#judge(error, phase);
      if (isExpired(error) || error instanceof MalformedEventError) {
        this.#options.log?.warn({ kind, err: error }, 'events may have been missed, listing anew');
        return { got: 'gap' };
      }
      this.#options.log?.warn({ kind, err: error }, phase.at === 'list' ? 'list failed' : 'watch failed');
      return {
        got: 'failure',
        resourceVersion: watch.resourceVersion,
        healthy: phase.at === 'watch' && healthy(),
      };
    }
  }

  async #readPage(token: string | null): Promise<Outcome> {
    const { client, resource, namespace, labelSelector, metadataOnly } = this.#options;
    const { signal } = this.#stop;
    if (token === null) this.#limit = this.#options.pageSize;
    const page = await client.listPage<KubeObject>(resource, {
      namespace,
      labelSelector,
      metadataOnly,
      signal,
      continue: token,
      ...(this.#limit === undefined ? {} : { limit: this.#limit }),
    });
    this.#limit = page.limit;
    if (token === null) this.#listed = new Set();
    const apiVersion = apiVersionOf(resource);
    for (const object of page.items) {
      object.apiVersion ??= apiVersion; // the items of a list come without
      object.kind ??= resource.kind;
      this.#listed.add(keyOf(object.metadata));
      this.#upsert(object);
    }
    this.#failedLists = 0;
    if (page.continue === null) this.#completeList(page.resourceVersion);
    this.#stand(null);
    return { got: 'page', continue: page.continue, resourceVersion: page.resourceVersion };
  }

  #completeList(resourceVersion: string): void {
    for (const key of this.#entries.keys()) if (!this.#listed.has(key)) this.#remove(key);
    this.#listed = new Set();
    this.#options.onListed?.(resourceVersion);
    if (this.#synced) return;
    this.#synced = true;
    this.#firstList.resolve();
    this.#options.onStanding?.();
  }

  /** One fault passes; a server that has no list to give, time after time, must not hold whoever waits for it. Silence is no answer. */
  #judge(error: unknown, phase: Phase): void {
    const message = error instanceof Error ? error.message : String(error);
    if (isForbidden(error)) return this.#stand({ forbidden: true, message });
    const answered = error instanceof ApiError || error instanceof AnswerTooLargeError;
    if (phase.at !== 'list' || !answered || isExpired(error)) return;
    this.#failedLists += 1;
    if (this.#failedLists >= UNREADABLE_AFTER) this.#stand({ forbidden: false, message });
  }

  #stand(unreadable: Unreadable | null): void {
    const before = this.#unreadable;
    this.#unreadable = unreadable;
    if ((before === null) !== (unreadable === null)) this.#options.onStanding?.();
  }

  #follow(resourceVersion: string, seen: (resourceVersion: string) => void): Promise<void> {
    const { client, resource, namespace, labelSelector, metadataOnly } = this.#options;
    const { signal } = this.#stop;
    const timeoutSeconds = 240 + Math.floor(this.#clock.random() * 300); // spread, so that watches do not all return together
    const onEvent = (event: WatchEvent) => {
      if (event.type === 'BOOKMARK') return seen(event.resourceVersion);
      if (event.type === 'DELETED') this.#remove(keyOf(event.object.metadata));
      else this.#upsert(event.object);
      if (event.object.metadata.resourceVersion !== undefined) seen(event.object.metadata.resourceVersion);
    };
    const wanted = { namespace, labelSelector, metadataOnly, resourceVersion, timeoutSeconds, signal };
    return client.watch(resource, wanted, onEvent);
  }

  #upsert(object: KubeObject): void {
    const { uid, resourceVersion } = object.metadata;
    const key = keyOf(object.metadata);
    let before = this.#entries.get(key);
    if (before !== undefined && before.uid !== uid) {
      this.#remove(key);
      before = undefined;
    }
    if (before !== undefined && before.resourceVersion === resourceVersion) return;
    let value: T;
    try {
      value = this.#options.keep(object);
    } catch (error) {
      this.#options.log?.error(
        { kind: this.#options.resource.kind, key, err: error },
        'object cannot be read, it is ignored',
      );
      this.#remove(key);
      return;
    }
    this.#entries.set(key, { value, uid, resourceVersion });
    this.#tell({ key, before: before?.value, after: value, initial: !this.#synced });
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#tell({ key, before: entry.value, after: undefined, initial: !this.#synced });
  }

  #tell(change: Change<T>): void {
    try {
      this.#options.onChange(change);
    } catch (error) {
      const { kind } = this.#options.resource;
      this.#options.log?.error({ kind, key: change.key, err: error }, 'a change handler failed');
    }
  }
}
