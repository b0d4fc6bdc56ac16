import { FINALIZER } from '../../api/names.ts';
import { type Client, type KubeObject, keyOf, type Resource } from '../../runtime/client.ts';
import { type Finalizers, finalizersOf } from '../../runtime/finalizers.ts';
import { type Change, Informer, type Unreadable } from '../../runtime/informer.ts';
import type { Log } from './log.ts';

/** The part of an object's metadata that stores keep. */
export interface Meta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly createdAt: string;
  readonly deleting: boolean;
  readonly finalizers: Finalizers;
}

export interface HasMeta {
  readonly meta: Meta;
}

/** Reads the metadata that every object from the API server has. */
export function metaOf({ metadata }: KubeObject): Meta {
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '0',
    generation: metadata.generation ?? 0,
    createdAt: metadata.creationTimestamp ?? '',
    deleting: metadata.deletionTimestamp !== undefined,
    finalizers: finalizersOf(metadata, FINALIZER),
  };
}

export interface ViewOptions<T extends HasMeta> {
  readonly client: Pick<Client, 'listPage' | 'watch'>;
  readonly resource: Resource;
  readonly namespaces: readonly string[];
  readonly labelSelector?: string;
  readonly pageSize?: number;
  /** What is kept of an object; `known`: of another version of it. */
  readonly keep: (raw: KubeObject, known: T | undefined) => T;
  readonly onChange: (change: Seen<T>) => void;
  /** Whether a namespace is read, or cannot be read, is no more what it was. */
  readonly onStanding?: (namespace: string) => void;
  readonly log: Log;
}

/** A change as the watch shows it. `own`: it is the write of ours that was remembered last, so it is no news. */
export type Seen<T> = Change<T> & { readonly own: boolean };

/**
 * What is known of one kind in the watched namespaces: informers, overlaid with our own writes until the watch has shown them.
 * Without the overlay a pass that follows a write sees the state before it and does everything once more.
 */
export class View<T extends HasMeta> {
  readonly #informers: ReadonlyMap<string, Informer<T>>;
  readonly #own = new Map<string, T>();
  /** UIDs of objects that were seen to go, oldest first: an answer about one of them may still be on its way. */
  readonly #gone = new Set<string>();
  readonly #keep: ViewOptions<T>['keep'];
  readonly #kind: string;

  constructor({ namespaces, onChange, onStanding, keep, ...rest }: ViewOptions<T>) {
    this.#keep = keep;
    this.#kind = rest.resource.kind;
    const pass = (change: Change<T>): void => {
      onChange({ ...change, own: this.#settle(change) });
    };
    this.#informers = new Map(
      namespaces.map((namespace) => [
        namespace,
        new Informer<T>({
          ...rest,
          namespace,
          keep: (raw) => this.#read(raw),
          onChange: pass,
          onListed: (resourceVersion) => {
            for (const lost of this.#lostBefore(namespace, resourceVersion)) pass(lost);
          },
          onStanding: () => onStanding?.(namespace),
        }),
      ]),
    );
  }

  /** What is known in this very version is not read again: certificates and schemas are most of the work of a write. */
  #read(raw: KubeObject): T {
    const { uid, resourceVersion } = raw.metadata;
    const key = keyOf(raw.metadata);
    const [own, seen] = [this.#own.get(key), this.#informers.get(raw.metadata.namespace ?? '')?.get(key)];
    for (const known of [own, seen]) {
      if (known !== undefined && known.meta.uid === uid && known.meta.resourceVersion === resourceVersion) return known;
    }
    return this.#keep(raw, own ?? seen);
  }

  start(): void {
    for (const namespace of this.#informers.keys()) this.startIn(namespace);
  }

  startIn(namespace: string): void {
    this.#informers.get(namespace)?.start();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.stop()));
  }

  get unread(): readonly string[] {
    return [...this.#informers].flatMap(([namespace, informer]) =>
      informer.synced ? [] : [`${this.#kind} ${namespace}`],
    );
  }

  get synced(): boolean {
    return [...this.#informers.values()].every((informer) => informer.synced);
  }

  /** Whether absence means something: somebody looks at this namespace and has read it. */
  watches(namespace: string): boolean {
    return this.#informers.get(namespace)?.synced === true;
  }

  /** Why this namespace cannot be read: what is known of it is from before, or nothing. Null: it can, or is being read. */
  unreadable(namespace: string): Unreadable | null {
    return this.#informers.get(namespace)?.unreadable ?? null;
  }

  get(key: string): T | undefined {
    return this.#own.get(key) ?? this.#informers.get(key.slice(0, key.indexOf('/')))?.get(key);
  }

  *list(): Iterable<T> {
    for (const informer of this.#informers.values()) {
      for (const item of informer.list()) {
        if (!this.#own.has(keyOf(item.meta))) yield item;
      }
    }
    yield* this.#own.values();
  }

  /**
   * Takes over what the API server answered to a write of ours.
   * @param anew read it again although it is known in this very version: what is kept of it depends on what else is known
   */
  remember(raw: KubeObject, { anew = false }: { readonly anew?: boolean } = {}): T {
    const kept = anew ? this.#keep(raw, undefined) : this.#read(raw);
    if (this.#gone.has(kept.meta.uid)) return kept;
    const key = keyOf(kept.meta);
    const seen = this.#informers.get(kept.meta.namespace)?.get(key);
    if (
      seen === undefined ||
      seen.meta.uid !== kept.meta.uid ||
      isNewer(kept.meta, seen.meta) ||
      (anew && !isNewer(seen.meta, kept.meta))
    )
      this.#own.set(key, kept);
    return kept;
  }

  #settle({ key, before, after }: Change<T>): boolean {
    if (after !== undefined) this.#gone.delete(after.meta.uid);
    else if (before !== undefined) this.#bury(before.meta.uid);
    const own = this.#own.get(key);
    if (own === undefined) return false;
    const gone = after === undefined && (before === undefined || before.meta.uid === own.meta.uid);
    const caughtUp = after !== undefined && !isNewer(own.meta, after.meta);
    if (gone || caughtUp) this.#own.delete(key);
    return after !== undefined && after.meta.resourceVersion === own.meta.resourceVersion;
  }

  /** Writes of ours that a list does not show although it is newer: deleted while the watch was broken. */
  #lostBefore(namespace: string, resourceVersion: string): Change<T>[] {
    return [...this.#own].flatMap(([key, own]) => {
      const { meta } = own;
      const listed = meta.namespace !== namespace || this.#informers.get(namespace)?.get(key) !== undefined;
      if (listed || BigInt(meta.resourceVersion) > BigInt(resourceVersion)) return [];
      return [{ key, before: own, after: undefined, initial: false }];
    });
  }

  #bury(uid: string): void {
    this.#gone.add(uid);
    const [oldest] = this.#gone;
    if (this.#gone.size > MAX_GONE && oldest !== undefined) this.#gone.delete(oldest);
  }
}

/** More than can be deleted while one answer is on its way. */
const MAX_GONE = 10_000;

/** Resource versions of one resource are comparable as numbers (Kubernetes 1.35 made that a promise; etcd always kept it). */
function isNewer(a: Meta, b: Meta): boolean {
  return BigInt(a.resourceVersion) > BigInt(b.resourceVersion);
}
