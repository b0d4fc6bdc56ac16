/** All that the API server tells of one kind in one namespace: what is, and every version that was. */
import type { Client, KubeObject, ObjectMeta, Resource } from '../../src/runtime/client.ts';

/** An object as it came from the API server, with the complete metadata that it has there. */
export type Stored<T extends KubeObject = KubeObject> = T & {
  readonly metadata: ObjectMeta & {
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
  };
};

export type Version<T extends KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED'; readonly object: Stored<T> }
  | { readonly type: 'DELETED'; readonly object: Stored<T> };

export interface FollowOptions {
  readonly client: Client;
  readonly resource: Resource;
  readonly namespace: string;
}

/** What is being waited for, by a description of what there is: a test that runs out of its own time has nothing else to tell. */
const waits = new Map<string, () => string>();

export function waitedFor(): readonly string[] {
  return [...waits].map(([what, describe]) => `still waiting for ${what}. ${describe()}`);
}

export class Follow<T extends KubeObject> {
  /** In the order in which they came, since the start. */
  readonly versions: Version<T>[] = [];
  readonly resource: Resource;
  readonly namespace: string;
  readonly #objects = new Map<string, Stored<T>>();
  readonly #listeners = new Set<() => void>();
  readonly #end = new AbortController();
  #failure: unknown = null;

  private constructor({ resource, namespace }: FollowOptions) {
    this.resource = resource;
    this.namespace = namespace;
  }

  /** Resolves when everything that is there has been read. */
  static async start<T extends KubeObject>(options: FollowOptions): Promise<Follow<T>> {
    const follow = new Follow<T>(options);
    const { client, resource, namespace } = options;
    const { items, resourceVersion } = await client.list<Stored<T>>(resource, { namespace });
    for (const object of items) follow.#take({ type: 'ADDED', object });
    void follow.#watch(client, resourceVersion);
    return follow;
  }

  stop(): void {
    this.#end.abort();
  }

  get(name: string): Stored<T> | undefined {
    return this.#objects.get(name);
  }

  list(): readonly Stored<T>[] {
    return [...this.#objects.values()];
  }

  /** Every version of one object, in order. */
  historyOf(name: string): readonly Stored<T>[] {
    return this.versions.filter(({ object }) => object.metadata.name === name).map(({ object }) => object);
  }

  /** Calls back after every change. @returns ends that */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * The first answer of `look` that is neither undefined nor false, asked now and after every change.
   * @param what for the message when it does not come in time
   */
  async until<A>(what: string, look: () => A | undefined | false, timeoutMs = 60_000): Promise<A> {
    const answer = Promise.withResolvers<A>();
    const check = (): void => {
      try {
        if (this.#failure !== null) throw this.#failure;
        const found = look();
        if (found !== undefined && found !== false) answer.resolve(found);
      } catch (error) {
        answer.reject(error);
      }
    };
    const timer = setTimeout(() => {
      answer.reject(new Error(`${what}: not within ${timeoutMs} ms.\n${this.describe()}`));
    }, timeoutMs);
    const off = this.onChange(check);
    check();
    waits.set(what, () => this.describe());
    try {
      return await answer.promise;
    } finally {
      waits.delete(what);
      clearTimeout(timer);
      off();
    }
  }

  /** What there is, for messages: never the content of a Secret. */
  describe(): string {
    const lines = this.list().map(({ metadata, status }) => {
      const told = conditionsOf({ status }).map(
        ({ type, status: is, reason, message }) => `${type}=${is} ${reason}: ${message}`,
      );
      return [`${this.resource.kind} ${metadata.name} (generation ${metadata.generation ?? 0})`, ...told].join('\n  ');
    });
    return lines.length === 0 ? `There is no ${this.resource.kind} in ${this.namespace}.` : lines.join('\n');
  }

  async #watch(client: Client, from: string): Promise<void> {
    let resourceVersion = from;
    const { resource, namespace } = this;
    const { signal } = this.#end;
    const ended = (): boolean => signal.aborted;
    while (!ended()) {
      try {
        await client.watch(resource, { namespace, resourceVersion, timeoutSeconds: 300, signal }, (event) => {
          if (event.type === 'BOOKMARK') return void (resourceVersion = event.resourceVersion);
          const version = event as Version<T>;
          resourceVersion = version.object.metadata.resourceVersion;
          this.#take(version);
        });
      } catch (error) {
        if (ended()) return;
        this.#failure = error;
        this.#tell();
        return;
      }
    }
  }

  #take(version: Version<T>): void {
    this.versions.push(version);
    const { name } = version.object.metadata;
    if (version.type === 'DELETED') this.#objects.delete(name);
    else this.#objects.set(name, version.object);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

/** The conditions of an object of any kind; empty when it has none. */
function conditionsOf({ status }: { readonly status?: unknown }): readonly Condition[] {
  if (typeof status !== 'object' || status === null || !('conditions' in status)) return [];
  const list: readonly unknown[] = Array.isArray(status.conditions) ? status.conditions : [];
  return list.filter((each): each is Condition => typeof each === 'object' && each !== null);
}

export function conditionOf(object: { readonly status?: unknown } | undefined, type: string): Condition | undefined {
  return object === undefined ? undefined : conditionsOf(object).find((each) => each.type === type);
}
