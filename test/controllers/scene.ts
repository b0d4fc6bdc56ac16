/** One watched namespace as its users see it: what they apply, what they wait for, what they read. */
import { decodeLedger, type Ledger } from '../../src/api/ledger.ts';
import {
  API_VERSION,
  CLUSTER_CERTIFICATE,
  FINALIZER,
  type Kind,
  LABELS,
  LEDGER_KEY,
  ledgerSecretName,
  REPLICATION_CA,
  REPLICATION_PEER,
  ROLES,
} from '../../src/api/names.ts';
import type { ObjectOf } from '../../src/api/objects.ts';
import type { ProtocolName } from '../../src/api/replication-peer.ts';
import { type Client, isNotFound, type KubeObject, type Resource } from '../../src/runtime/client.ts';
import { type Condition, conditionOf, Follow, type Stored } from './follow.ts';

export const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' };
export const CONFIG_MAPS: Resource = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' };
export const ROLE_BINDINGS: Resource = {
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  plural: 'rolebindings',
  kind: 'RoleBinding',
};
const EVENTS: Resource = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event' };
const KINDS = {
  ReplicationCA: REPLICATION_CA,
  ClusterCertificate: CLUSTER_CERTIFICATE,
  ReplicationPeer: REPLICATION_PEER,
} as const;

/** One of our objects as `kubectl get -o json` shows it. */
export type Live<K extends Kind> = Stored<
  KubeObject & Pick<ObjectOf<K>, 'spec'> & { status?: NonNullable<ObjectOf<K>['status']> }
>;
export type LiveSecret = Stored<
  KubeObject & { data?: Readonly<Record<string, string>>; type?: string; immutable?: boolean }
>;
export interface LiveEvent extends KubeObject {
  readonly type: string;
  readonly reason: string;
  readonly note: string;
  readonly eventTime: string;
  readonly regarding: { readonly kind: string; readonly name: string };
}

type Spec<K extends Kind> = ObjectOf<K>['spec'];

/** Never without any field: server-side apply makes null of a map that its last field was taken from, which the API server refuses. */
export const ca = (name: string, spec: Spec<'ReplicationCA'> = {}) =>
  manifest('ReplicationCA', name, { profile: 'generic', ...spec });
export const certificate = (name: string, caRef: string, spec: Omit<Spec<'ClusterCertificate'>, 'caRef'> = {}) =>
  manifest('ClusterCertificate', name, { caRef: { name: caRef }, ...spec });
/**
 * A peer of these members by port on loopback, probed every second. Evidence lives for three timeouts: what an idle machine sees in
 * a moment takes a busy one seconds, so whoever rotates under load wants a longer one.
 * @param protocol default: the profile's
 */
export const peer = (
  name: string,
  ports: Readonly<Record<string, number>>,
  timeout = '2s',
  protocol?: ProtocolName,
) => {
  const more = protocol === undefined ? {} : { protocol };
  const at = Object.entries(ports).map(([member, port]) => [member, { host: '127.0.0.1', port, ...more }] as const);
  return peerAt(name, Object.fromEntries(at), timeout);
};

type Endpoint = NonNullable<Spec<'ReplicationPeer'>['members'][number]['endpoints']>[number];
export type Acknowledgement = NonNullable<Spec<'ReplicationPeer'>['members'][number]['acknowledged']>;
/** The same of members that are anywhere; `acknowledged`: what somebody has seen of some of them. */
export const peerAt = (
  name: string,
  members: Readonly<Record<string, Endpoint>>,
  timeout = '2s',
  acknowledged: Readonly<Record<string, Acknowledgement>> = {},
) =>
  manifest('ReplicationPeer', name, {
    members: Object.entries(members).map(([member, endpoint]) => ({
      name: member,
      endpoints: [endpoint],
      ...(acknowledged[member] === undefined ? {} : { acknowledged: acknowledged[member] }),
    })),
    probe: { interval: '1s', timeout },
  });

function manifest(kind: Kind, name: string, spec: object): KubeObject {
  return { apiVersion: API_VERSION, kind, metadata: { name }, spec };
}

export class Scene {
  readonly client: Client;
  readonly namespace: string;
  readonly cas: Follow<Live<'ReplicationCA'>>;
  readonly certificates: Follow<Live<'ClusterCertificate'>>;
  readonly peers: Follow<Live<'ReplicationPeer'>>;
  readonly secrets: Follow<LiveSecret>;
  readonly #events: Follow<LiveEvent>;

  private constructor(
    client: Client,
    namespace: string,
    [cas, certificates, peers, secrets, events]: Awaited<ReturnType<typeof followAll>>,
  ) {
    this.client = client;
    this.namespace = namespace;
    this.cas = cas;
    this.certificates = certificates;
    this.peers = peers;
    this.secrets = secrets;
    this.#events = events;
  }

  static async open(client: Client, namespace: string): Promise<Scene> {
    return new Scene(client, namespace, await followAll(client, namespace));
  }

  /** Ends the watches and takes our finalizers away, so that the namespace can go. Scans what anybody may read for private keys. */
  async close(): Promise<void> {
    const readable = [this.cas, this.certificates, this.peers, this.#events] as const;
    for (const follow of [...readable, this.secrets]) follow.stop();
    await this.#release();
    for (const { versions, resource } of readable) {
      const leak = versions.find(({ object }) => /PRIVATE KEY|LS0tLS1CRUdJTi/.test(JSON.stringify(object)));
      if (leak !== undefined) throw new Error(`${resource.kind} ${leak.object.metadata.name} shows a private key`);
    }
  }

  async #release(): Promise<void> {
    const { client, namespace } = this;
    for (const resource of [REPLICATION_CA, SECRETS, ROLE_BINDINGS]) {
      const { items } = await client.list(resource, { namespace });
      for (const { metadata } of items.filter((each) => each.metadata.finalizers?.includes(FINALIZER) === true)) {
        await this.#ignoreGone(
          client.patch(resource, refTo(metadata), { type: 'merge', body: { metadata: { finalizers: [] } } }),
        );
      }
    }
  }

  async #ignoreGone(request: Promise<unknown>): Promise<void> {
    try {
      await request;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  // -------------------------------------------------------------------------------------------- what users do

  /** Server-side apply of one of our objects, as a GitOps tool does it: what it does not name any more is removed. */
  async apply(...objects: readonly KubeObject[]): Promise<void> {
    for (const object of objects) {
      const kind = Object.values(KINDS).find((each) => each.kind === object.kind);
      if (kind === undefined) throw new Error(`${String(object.kind)} is none of our kinds`);
      const { name } = object.metadata;
      await this.client.patch(
        kind,
        { namespace: this.namespace, name },
        { type: 'apply', body: object, fieldManager: 'user', force: true },
      );
    }
  }

  async delete(kind: Kind, name: string): Promise<void> {
    await this.client.delete(KINDS[kind], { namespace: this.namespace, name });
  }

  async createSecret(name: string, text: Readonly<Record<string, string>>, type = 'Opaque'): Promise<void> {
    const object = { metadata: { name, namespace: this.namespace }, type, stringData: text };
    await this.client.create(SECRETS, object);
  }

  async patchSecret(name: string, body: object): Promise<LiveSecret> {
    return this.client.patch<LiveSecret>(SECRETS, { namespace: this.namespace, name }, { type: 'merge', body });
  }

  async deleteSecret(name: string): Promise<void> {
    await this.client.delete(SECRETS, { namespace: this.namespace, name });
  }

  // -------------------------------------------------------------------------------------------- what users wait for

  follow<K extends Kind>(kind: K): Follow<Live<K>> {
    const all: { readonly [Each in Kind]: Follow<Live<Each>> } = {
      ReplicationCA: this.cas,
      ClusterCertificate: this.certificates,
      ReplicationPeer: this.peers,
    };
    return all[kind];
  }

  /** Waits until the present spec was acted on, with this outcome. */
  async condition<K extends Kind>(
    kind: K,
    name: string,
    type: string,
    wanted: { readonly status?: string; readonly reason?: string; readonly message?: RegExp },
    timeoutMs?: number,
  ): Promise<Condition> {
    const { status, reason, message } = wanted;
    const what = `${kind} ${name}: ${type} ${status ?? ''} ${reason ?? ''} ${String(message ?? '')}`;
    const look = (): Condition | undefined => {
      const object = this.follow(kind).get(name);
      const found = conditionOf(object, type);
      if (object === undefined || found === undefined || found.observedGeneration !== object.metadata.generation)
        return undefined;
      const matches =
        (status === undefined || found.status === status) &&
        (reason === undefined || found.reason === reason) &&
        (message === undefined || message.test(found.message));
      return matches ? found : undefined;
    };
    return this.follow(kind).until(what, look, timeoutMs);
  }

  /** Waits until all of them are Ready. */
  async ready(names: Partial<Readonly<Record<Kind, readonly string[]>>>, timeoutMs?: number): Promise<void> {
    for (const [kind, each] of Object.entries(names) as [Kind, readonly string[]][]) {
      for (const name of each) await this.condition(kind, name, 'Ready', { status: 'True' }, timeoutMs);
    }
  }

  /** Waits until the object is Stalled for this reason and says so; Ready is False for the same reason. */
  async stalled(kind: Kind, name: string, reason: string, message: RegExp, timeoutMs?: number): Promise<void> {
    await this.condition(kind, name, 'Stalled', { status: 'True', reason, message }, timeoutMs);
    await this.condition(kind, name, 'Ready', { status: 'False', reason, message }, timeoutMs);
  }

  async secretUntil(
    name: string,
    what: string,
    wanted: (secret: LiveSecret) => boolean,
    timeoutMs?: number,
  ): Promise<LiveSecret> {
    const look = (): LiveSecret | undefined => {
      const secret = this.secrets.get(name);
      return secret !== undefined && wanted(secret) ? secret : undefined;
    };
    return this.secrets.until(`Secret ${name}: ${what}`, look, timeoutMs);
  }

  /** Waits until the CA is Stable on this generation and its old one is gone from the bundle. */
  async stable(name: string, signer: number, timeoutMs = 60_000): Promise<void> {
    await this.cas.until(
      `ReplicationCA ${name} Stable on generation ${signer}`,
      () => {
        const status = this.cas.get(name)?.status;
        return (
          status?.phase === 'Stable' && status.signer === signer && status.bundle?.generations.join() === String(signer)
        );
      },
      timeoutMs,
    );
  }

  // -------------------------------------------------------------------------------------------- what users read

  secret(name: string): LiveSecret {
    const secret = this.secrets.get(name);
    if (secret === undefined) throw new Error(`there is no Secret ${name}`);
    return secret;
  }

  /** The Secret of a generation that is there now. */
  generationSecret(name: string, number: number): LiveSecret {
    const found = this.secrets
      .list()
      .find(
        ({ metadata: { labels } }) =>
          labels?.[LABELS.role] === ROLES.generation &&
          labels[LABELS.ca] === name &&
          labels[LABELS.generation] === String(number),
      );
    if (found === undefined) throw new Error(`there is no Secret of generation ${number} of ${name}`);
    return found;
  }

  /** Every ledger that was ever written, in order. */
  ledgers(name: string): readonly Ledger[] {
    return this.secrets
      .historyOf(ledgerSecretName(name))
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map((secret) => decodeLedger(textOf(secret, LEDGER_KEY)));
  }

  ledger(name: string): Ledger {
    return decodeLedger(textOf(this.secret(ledgerSecretName(name)), LEDGER_KEY));
  }

  /** The events about one object, oldest first. */
  eventsOf(kind: Kind, name: string): readonly LiveEvent[] {
    return this.#events
      .list()
      .filter(({ regarding }) => regarding.kind === kind && regarding.name === name)
      .toSorted((a, b) => (a.eventTime < b.eventTime ? -1 : 1));
  }

  async eventUntil(kind: Kind, name: string, reason: string, note: RegExp, timeoutMs?: number): Promise<LiveEvent> {
    return this.#events.until(
      `event ${reason} ${String(note)} about ${kind} ${name}`,
      () => this.eventsOf(kind, name).find((event) => event.reason === reason && note.test(event.note)),
      timeoutMs,
    );
  }
}

function followAll(client: Client, namespace: string) {
  return Promise.all([
    Follow.start<Live<'ReplicationCA'>>({ client, namespace, resource: REPLICATION_CA }),
    Follow.start<Live<'ClusterCertificate'>>({ client, namespace, resource: CLUSTER_CERTIFICATE }),
    Follow.start<Live<'ReplicationPeer'>>({ client, namespace, resource: REPLICATION_PEER }),
    Follow.start<LiveSecret>({ client, namespace, resource: SECRETS }),
    Follow.start<LiveEvent>({ client, namespace, resource: EVENTS }),
  ]);
}

function refTo({ namespace, name }: KubeObject['metadata']) {
  return { namespace, name };
}

/** One key of a Secret as text. */
export function textOf(secret: LiveSecret, key: string): string {
  const value = secret.data?.[key];
  if (value === undefined) throw new Error(`Secret ${secret.metadata.name} has no key ${key}`);
  return Buffer.from(value, 'base64').toString('utf8');
}
