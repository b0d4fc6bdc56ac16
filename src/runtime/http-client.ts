import type {
  CallOptions,
  Client,
  DeleteOptions,
  ListOptions,
  ListPage,
  Patch,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from './client.ts';
import { backoff, type Clock, sleep, systemClock } from './clock.ts';
import { type CredentialSource, inClusterCredentials, kubeconfigCredentials } from './credentials.ts';
import {
  AnswerTooLargeError,
  ApiError,
  apiErrorOf,
  apiErrorOfStatus,
  isExpired,
  isRecord,
  MalformedEventError,
  NoAnswerError,
} from './errors.ts';
import { LineSplitter } from './lines.ts';
import {
  type ApiObject,
  apiVersionOf,
  type KubeObject,
  keyOf,
  type ObjectList,
  type ObjectRef,
  pathOf,
  type Resource,
} from './objects.ts';
import { type HttpRequest, type Liveness, Transport } from './transport.ts';

export interface ClientOptions {
  readonly credentials: CredentialSource;
  readonly userAgent?: string;
  readonly clock?: Clock;
  readonly liveness?: Liveness;
}

/**
 * A client for the API server that a kubeconfig file names, or, without one, for the cluster this pod runs in.
 * Reads nothing yet: wrong credentials show in the first call.
 */
export function loadClient(
  options: { readonly kubeconfig?: string | undefined; readonly userAgent?: string } = {},
): Client {
  const { kubeconfig, ...rest } = options;
  const credentials = kubeconfig === undefined ? inClusterCredentials(process.env) : kubeconfigCredentials(kubeconfig);
  return createClient({ credentials, ...rest });
}

export function createClient({
  credentials,
  userAgent = 'replicert',
  clock = systemClock,
  liveness,
}: ClientOptions): Client {
  return new HttpClient(new Transport(credentials, clock, liveness), userAgent, clock, undefined);
}

const JSON_TYPE = 'application/json';
const METADATA_TYPE = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
const METADATA_LIST_TYPE = METADATA_TYPE.replace('Metadata;', 'MetadataList;');
const PAGE = 500;
/**
 * Greatest page of a list, in bytes. It may have hundreds of objects, and is in memory four times while it is read: as pieces, as one, as
 * text and as objects. A larger one is asked for in smaller ones.
 */
const MAX_PAGE = 8 << 20;
/** Greatest object. etcd takes 1.5 MiB of one, of which JSON makes up to six times as much (one octet becomes `\u003c`). */
const MAX_OBJECT = 16 << 20;
/** A watch ends by the server's clock; this much later it has failed. */
const WATCH_GRACE_MS = 15_000;

interface Call {
  readonly verb: string;
  readonly method: HttpRequest['method'];
  readonly resource: Resource;
  readonly ref: { readonly namespace?: string | undefined; readonly name?: string };
  /** Names the object in errors where the path does not: a create. */
  readonly describeAs?: string;
  readonly subresource?: string | undefined;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly accept?: string;
  readonly contentType?: string;
  readonly body?: unknown;
  /** May be repeated although the first attempt possibly had its effect. */
  readonly repeatable: boolean;
  readonly attemptMs: number;
  readonly timeoutMs: number;
  /** Of the answer. Default: of one object. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

class HttpClient implements Client {
  readonly #transport: Transport;
  readonly #userAgent: string;
  readonly #clock: Clock;
  readonly #mayWrite: (() => boolean) | undefined;

  constructor(transport: Transport, userAgent: string, clock: Clock, mayWrite: (() => boolean) | undefined) {
    this.#transport = transport;
    this.#userAgent = userAgent;
    this.#clock = clock;
    this.#mayWrite = mayWrite;
  }

  fenced(mayWrite: () => boolean): Client {
    return new HttpClient(this.#transport, this.#userAgent, this.#clock, mayWrite);
  }

  get clockOffset(): number | null {
    return this.#transport.clockOffset;
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async get<T = KubeObject>(resource: Resource, ref: ObjectRef, options: CallOptions = {}): Promise<T> {
    return parse(await this.#call({ verb: 'get', method: 'GET', resource, ref, ...read(options, UNARY) }));
  }

  async getMetadata(resource: Resource, ref: ObjectRef, options: CallOptions = {}): Promise<KubeObject> {
    const call: Call = { verb: 'get', method: 'GET', resource, ref, accept: METADATA_TYPE, ...read(options, UNARY) };
    return parse(await this.#call(call));
  }

  async list<T = KubeObject>(resource: Resource, options: ListOptions = {}): Promise<ObjectList<T>> {
    for (let restarts = 0; ; restarts++) {
      try {
        const items: T[] = [];
        let token: string | null = null;
        let limit = PAGE;
        for (;;) {
          const page: ListPage<T> = await this.listPage<T>(resource, { ...options, limit, continue: token });
          for (const item of page.items) items.push(item);
          ({ limit } = page);
          token = page.continue;
          if (token === null) return { items, resourceVersion: page.resourceVersion };
        }
      } catch (error) {
        if (!isExpired(error) || restarts === 3) throw error;
      }
    }
  }

  async listPage<T = KubeObject>(
    resource: Resource,
    options: ListOptions & { readonly limit?: number; readonly continue?: string | null } = {},
  ): Promise<ListPage<T>> {
    const { namespace, labelSelector, fieldSelector, metadataOnly } = options;
    const accept = metadataOnly === true ? METADATA_LIST_TYPE : JSON_TYPE;
    let { limit = PAGE } = options;
    let text: string | null = null;
    while (text === null) {
      const query = { limit, continue: options.continue ?? undefined, labelSelector, fieldSelector };
      const maxBytes = limit === 1 ? MAX_OBJECT : MAX_PAGE;
      const what = { verb: 'list', method: 'GET', resource, ref: { namespace }, query, accept, maxBytes } as const;
      const call: Call = { ...what, ...read(options, LIST) };
      try {
        text = await this.#call(call);
      } catch (error) {
        if (!(error instanceof AnswerTooLargeError) || limit === 1) throw error;
        limit = Math.ceil(limit / 8);
      }
    }
    const page = parse<{ items?: T[] | null; metadata: { resourceVersion: string; continue?: string } }>(text);
    const { resourceVersion, continue: next } = page.metadata;
    return {
      items: page.items ?? [],
      resourceVersion,
      continue: next === undefined || next === '' ? null : next,
      limit,
    };
  }

  async create<T extends ApiObject>(resource: Resource, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace, name } = object.metadata;
    const text = await this.#call({
      verb: 'create',
      method: 'POST',
      resource,
      ref: { namespace },
      body: complete(resource, object),
      describeAs: name,
      ...write(options, false),
    });
    return parse(text);
  }

  async update<T extends ApiObject>(resource: Resource, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace, name } = object.metadata;
    const text = await this.#call({
      verb: 'update',
      method: 'PUT',
      resource,
      ref: { namespace, name },
      body: complete(resource, object),
      ...write(options, true),
    });
    return parse(text);
  }

  async patch<T = KubeObject>(
    resource: Resource,
    ref: ObjectRef,
    patch: Patch,
    options: WriteOptions = {},
  ): Promise<T> {
    const call = { verb: 'patch', method: 'PATCH', resource, ref } as const;
    switch (patch.type) {
      case 'merge': {
        const contentType = 'application/merge-patch+json';
        return parse(await this.#call({ ...call, contentType, body: patch.body, ...write(options, true) }));
      }
      case 'json': {
        const contentType = 'application/json-patch+json';
        return parse(await this.#call({ ...call, contentType, body: patch.operations, ...write(options, false) }));
      }
      case 'apply': {
        const contentType = 'application/apply-patch+yaml'; // JSON is YAML
        const { fieldManager, force } = patch;
        const rest = write({ ...options, fieldManager }, true);
        const query = { ...rest.query, force: force === true ? 'true' : undefined };
        return parse(await this.#call({ ...call, contentType, body: complete(resource, patch.body), ...rest, query }));
      }
    }
  }

  async delete(resource: Resource, ref: ObjectRef, options: DeleteOptions = {}): Promise<void> {
    const { uid, resourceVersion, propagationPolicy } = options;
    await this.#call({
      verb: 'delete',
      method: 'DELETE',
      resource,
      ref,
      body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion }, propagationPolicy },
      ...write(options, true),
      query: {},
    });
  }

  async watch(resource: Resource, options: WatchOptions, onEvent: (event: WatchEvent) => void): Promise<void> {
    const { namespace, labelSelector, fieldSelector, metadataOnly, resourceVersion, timeoutSeconds, signal } = options;
    const what = () => describe({ verb: 'watch', resource, ref: { namespace } });
    const lines = new LineSplitter((line) => onEvent(eventOf(line, what)), MAX_OBJECT);
    const timeoutMs = timeoutSeconds * 1000 + WATCH_GRACE_MS;
    const response = await this.#transport.send({
      method: 'GET',
      path: withQuery(pathOf(resource, { namespace }), {
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion,
        timeoutSeconds,
        labelSelector,
        fieldSelector,
      }),
      headers: { accept: metadataOnly === true ? METADATA_TYPE : JSON_TYPE, 'user-agent': this.#userAgent },
      timeoutMs,
      signal,
      onChunk: (chunk) => lines.push(chunk),
      maxBytes: MAX_OBJECT,
      describe: what,
    });
    if (response.status >= 300) throw apiErrorOf(what(), response.status, response.text, response.retryAfter);
  }

  /** Sends, and sends again where that is safe, until there is a good answer or no more time. Returns the body. */
  async #call(call: Call): Promise<string> {
    const deadline = this.#clock.monotonic() + call.timeoutMs;
    const what = () => describe(call);
    const headers: Record<string, string> = { accept: call.accept ?? JSON_TYPE, 'user-agent': this.#userAgent };
    if (call.body !== undefined) headers['content-type'] = call.contentType ?? JSON_TYPE;
    const request = {
      method: call.method,
      path: withQuery(
        pathOf(call.resource, call.ref) + (call.subresource === undefined ? '' : `/${call.subresource}`),
        call.query,
      ),
      headers,
      body: call.body === undefined ? undefined : JSON.stringify(call.body),
      signal: call.signal,
      maxBytes: call.maxBytes ?? MAX_OBJECT,
      maySend: call.method === 'GET' ? undefined : this.#mayWrite,
      describe: what,
    };
    for (let attempt = 0; ; attempt++) {
      const timeoutMs = Math.min(call.attemptMs, deadline - this.#clock.monotonic());
      let failure: unknown;
      try {
        const response = await this.#transport.send({ ...request, timeoutMs });
        if (response.status < 300) return response.text;
        failure = apiErrorOf(what(), response.status, response.text, response.retryAfter);
      } catch (error) {
        failure = error;
      }
      const pause = pauseBeforeRetry(failure, call.repeatable, attempt, this.#clock.random());
      if (pause === null || this.#clock.monotonic() + pause >= deadline) throw failure;
      await sleep(this.#clock, pause, call.signal);
      call.signal?.throwIfAborted();
    }
  }
}

const ATTEMPTS = 4;

/**
 * Milliseconds to wait before another attempt, or null when the failure stands.
 * 429 says that nothing was done; any other answer of overload or fault, and silence, leave open what was done.
 */
function pauseBeforeRetry(failure: unknown, repeatable: boolean, attempt: number, random: number): number | null {
  if (attempt + 1 >= ATTEMPTS) return null;
  const pause = backoff(attempt, 200, 5_000, random);
  if (failure instanceof NoAnswerError) return repeatable || !failure.sent ? pause : null;
  if (!(failure instanceof ApiError)) return null;
  if (failure.status !== 429 && !(failure.status >= 500 && repeatable)) return null;
  return Math.max(pause, failure.retryAfterMs ?? 0);
}

const UNARY = { attemptMs: 10_000, timeoutMs: 30_000 };
const LIST = { attemptMs: 30_000, timeoutMs: 60_000 };

function read({ signal, timeoutMs }: CallOptions, limits: { attemptMs: number; timeoutMs: number }) {
  return { repeatable: true, signal, attemptMs: limits.attemptMs, timeoutMs: timeoutMs ?? limits.timeoutMs };
}

function write({ signal, timeoutMs, subresource, fieldManager }: WriteOptions, repeatable: boolean) {
  const query = { fieldValidation: 'Strict', fieldManager };
  return {
    repeatable,
    signal,
    subresource,
    query,
    attemptMs: UNARY.attemptMs,
    timeoutMs: timeoutMs ?? UNARY.timeoutMs,
  };
}

function complete(resource: Resource, object: object): object {
  return { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
}

function withQuery(path: string, query: Readonly<Record<string, string | number | undefined>> = {}): string {
  let joined = path;
  let mark = '?';
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === '') continue;
    joined += `${mark}${name}=${encodeURIComponent(value)}`;
    mark = '&';
  }
  return joined;
}

function describe({
  verb,
  resource,
  ref,
  describeAs,
}: Pick<Call, 'verb' | 'resource' | 'ref'> & { describeAs?: string }): string {
  const name = ref.name ?? describeAs;
  const object = name === undefined ? (ref.namespace ?? '') : keyOf({ namespace: ref.namespace, name });
  return `${verb} ${resource.kind} ${object}`.trimEnd();
}

function parse<T>(text: string): T {
  const value: unknown = JSON.parse(text);
  return value as T;
}

/** Reads one line of a watch stream. */
function eventOf(line: string, what: () => string): WatchEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    event = null;
  }
  if (isRecord(event)) {
    const { type, object } = event;
    if (type === 'ERROR') throw apiErrorOfStatus(what(), object, 500);
    if (isKubeObject(object)) {
      if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') return { type, object };
      if (type === 'BOOKMARK') return { type, resourceVersion: object.metadata.resourceVersion };
    }
  }
  throw new MalformedEventError(`${what()}: a line of the stream is no event`);
}

function isKubeObject(value: unknown): value is KubeObject & { metadata: { resourceVersion: string } } {
  return isRecord(value) && isRecord(value['metadata']) && typeof value['metadata']['resourceVersion'] === 'string';
}
