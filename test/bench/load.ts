/** Who makes the work: creates objects as fast as is sensible, and watches what becomes of them. */
import { API_VERSION, CLUSTER_CERTIFICATE, REPLICATION_CA } from '../../src/api/names.ts';
import type { Client, KubeObject, Resource } from '../../src/runtime/client.ts';
import { Informer } from '../../src/runtime/informer.ts';

const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' };
const EVENTS: Resource = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event' };

/** Requests under way at a time: enough to keep an API server busy, few enough not to queue there. */
const CONCURRENCY = 24;

/** Does `work` for 0 .. count-1, a few at a time; the first failure ends it. */
export async function forEachConcurrently(
  count: number,
  work: (index: number) => Promise<unknown>,
  concurrency = CONCURRENCY,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
}

/** Watches one kind for objects that become Ready, and remembers when that was seen (performance.now()). */
export class ReadyWatch {
  readonly #readyAt = new Map<string, number>();
  readonly #waiting = new Map<string, () => void>();
  readonly #informer: Informer<boolean>;

  constructor(client: Client, resource: Resource, namespace: string) {
    this.#informer = new Informer({
      client,
      resource,
      namespace,
      keep: isReady,
      onChange: ({ key, after }) => {
        const name = key.slice(namespace.length + 1);
        if (after !== true || this.#readyAt.has(name)) return;
        this.#readyAt.set(name, performance.now());
        this.#waiting.get(name)?.();
      },
    });
  }

  /** Begins to watch; resolves when everything that is created from now on will be seen. */
  async start(signal: AbortSignal): Promise<this> {
    this.#informer.start();
    await this.#informer.whenSynced(signal);
    return this;
  }

  /** How many were seen Ready. */
  get count(): number {
    return this.#readyAt.size;
  }

  /** When it was seen Ready; undefined: not yet. */
  readyAt(name: string): number | undefined {
    return this.#readyAt.get(name);
  }

  /** Resolves when it is seen Ready. */
  async ready(name: string): Promise<void> {
    if (this.#readyAt.has(name)) return;
    await new Promise<void>((resolve) => this.#waiting.set(name, resolve));
    this.#waiting.delete(name);
  }

  stop(): Promise<void> {
    return this.#informer.stop();
  }
}

function isReady(object: KubeObject): boolean {
  const { status } = object as { status?: { conditions?: readonly { type: string; status: string }[] } };
  return status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True') ?? false;
}

export function createAuthority(client: Client, namespace: string, name: string): Promise<object> {
  const metadata = { name, namespace };
  const spec = { commonName: 'Benchmark-Root-CA', privateKey: { algorithm: 'ECDSA', size: 256 } };
  return client.create(REPLICATION_CA, { apiVersion: API_VERSION, kind: REPLICATION_CA.kind, metadata, spec });
}

export function createCertificate(client: Client, namespace: string, ca: string, name: string): Promise<object> {
  const spec = {
    caRef: { name: ca },
    dnsNames: [`${name}.replication.example`],
    privateKey: { algorithm: 'ECDSA', size: 256 },
  };
  return client.create(CLUSTER_CERTIFICATE, {
    apiVersion: API_VERSION,
    kind: CLUSTER_CERTIFICATE.kind,
    metadata: { name, namespace },
    spec,
  });
}

/** How many Secrets of a certificate's size this API server takes per second when nothing else happens: the yardstick. */
export async function measureSecretCreates(client: Client, namespace: string, count: number): Promise<number> {
  const data = { 'ca.crt': filler(900), 'tls.crt': filler(1_000), 'tls.key': filler(330) };
  const began = performance.now();
  await forEachConcurrently(count, (index) =>
    client.create(SECRETS, { metadata: { name: `yardstick-${index}`, namespace }, data }),
  );
  return count / ((performance.now() - began) / 1_000);
}

function filler(bytes: number): string {
  return Buffer.alloc(bytes, 'x').toString('base64');
}

/** How many objects the API server holds of what a certificate brings with it. */
export async function countOutcome(client: Client, namespace: string) {
  const count = async (resource: Resource, labelSelector?: string): Promise<number> =>
    (await client.list(resource, { namespace, labelSelector })).items.length;
  return { secrets: await count(SECRETS, 'replicert.io/role=member'), events: await count(EVENTS) };
}
