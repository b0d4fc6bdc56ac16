import type { ApiObject, KubeObject, ObjectList, ObjectRef, Resource } from './objects.ts';

export {
  ApiError,
  FencedError,
  isAlreadyExists,
  isConflict,
  isForbidden,
  isInvalid,
  isNotFound,
  NoAnswerError,
} from './errors.ts';
export {
  type ApiObject,
  type KubeObject,
  keyOf,
  type ObjectList,
  type ObjectMeta,
  type ObjectRef,
  type OwnerReference,
  type Resource,
  refOf,
} from './objects.ts';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Limit for the whole call, retries included. Default 30 s, 60 s for lists. */
  readonly timeoutMs?: number | undefined;
}

export interface WriteOptions extends CallOptions {
  readonly subresource?: 'status' | undefined;
  /** Who is noted in managedFields. Default: the first word of the user agent. */
  readonly fieldManager?: string | undefined;
}

export interface ListOptions extends CallOptions {
  /** All namespaces when left out. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Metadata only: for Secrets whose content nobody needs. */
  readonly metadataOnly?: boolean | undefined;
}

export interface ListPage<T> extends ObjectList<T> {
  /** Hand this to the next `listPage`; null after the last page. */
  readonly continue: string | null;
  /** How many objects were asked for in the end; what comes next is as large, so ask for no more of it. */
  readonly limit: number;
}

export interface DeleteOptions extends CallOptions {
  /** Delete only this very object (uid), only in this very state (resourceVersion). A mismatch is a Conflict. */
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan' | undefined;
}

export interface WatchOptions extends Omit<ListOptions, 'timeoutMs'> {
  /** Events after this version are sent. */
  readonly resourceVersion: string;
  /** When the server is to end the stream. */
  readonly timeoutSeconds: number;
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export type JsonPatchOperation =
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

export type Patch =
  | { readonly type: 'merge'; readonly body: object }
  | { readonly type: 'json'; readonly operations: readonly JsonPatchOperation[] }
  /** Server-side apply. `body` needs metadata.name; apiVersion and kind are filled in. */
  | { readonly type: 'apply'; readonly body: object; readonly fieldManager: string; readonly force?: boolean };

/**
 * The API server, as raw JSON: what comes back is what was sent, no field is dropped or turned into a Date.
 * Every method throws ApiError (the server said no), NoAnswerError (it said nothing) or the reason of the signal. Reads, and writes
 * that may be repeated without harm, are repeated after 429, 5xx and broken connections; others only when they certainly had no effect.
 * The type argument is the caller's claim about the shape; nothing is checked.
 */
export interface Client {
  get<T = KubeObject>(resource: Resource, ref: ObjectRef, options?: CallOptions): Promise<T>;
  /** Metadata only: for Secrets whose content nobody needs. */
  getMetadata(resource: Resource, ref: ObjectRef, options?: CallOptions): Promise<KubeObject>;
  /** All objects at one version, read in pages. */
  list<T = KubeObject>(resource: Resource, options?: ListOptions): Promise<ObjectList<T>>;
  /** One page; Expired (410) when the continue token is too old. Smaller than asked for where the objects are large. */
  listPage<T = KubeObject>(
    resource: Resource,
    options?: ListOptions & { readonly limit?: number; readonly continue?: string | null },
  ): Promise<ListPage<T>>;
  create<T extends ApiObject>(resource: Resource, object: T, options?: WriteOptions): Promise<T>;
  /** PUT: with metadata.resourceVersion, a Conflict when the object has changed since. */
  update<T extends ApiObject>(resource: Resource, object: T, options?: WriteOptions): Promise<T>;
  patch<T = KubeObject>(resource: Resource, ref: ObjectRef, patch: Patch, options?: WriteOptions): Promise<T>;
  delete(resource: Resource, ref: ObjectRef, options?: DeleteOptions): Promise<void>;
  /**
   * Follows changes until the server ends the stream (then resolves). Events are handed over synchronously, in order; what `onEvent`
   * throws ends the stream, as does a line that is no event (MalformedEventError) or an ERROR event (ApiError).
   */
  watch(resource: Resource, options: WatchOptions, onEvent: (event: WatchEvent) => void): Promise<void>;
  /**
   * The same client, but a write leaves only while `mayWrite` says true, asked at the instant of sending; else FencedError.
   * Both share their connections.
   */
  fenced(mayWrite: () => boolean): Client;
  /** Milliseconds by which the API server's clock is ahead of ours, by its last answer; null before the first. Exact to a second or two. */
  readonly clockOffset: number | null;
  /** Ends all connections. Calls under way fail. */
  close(): Promise<void>;
}
