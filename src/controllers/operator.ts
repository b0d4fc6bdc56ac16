import type { Logger } from 'pino';
import { API_VERSION, type Kind } from '../api/names.ts';
import { Slots } from '../probe/pacing.ts';
import { type Client, refOf } from '../runtime/client.ts';
import type { EventRecorder } from '../runtime/events.ts';
import { WorkQueue } from '../runtime/queue.ts';
import { Runner } from '../runtime/runner.ts';
import { clusterCertificateController } from './clustercertificate/controller.ts';
import { replicationCAController } from './replicationca/controller.ts';
import { replicationPeerController } from './replicationpeer/controller.ts';
import { Authorities } from './shared/authorities.ts';
import { controllerClock } from './shared/clock.ts';
import type { Teller } from './shared/invalid.ts';
import { Ledgers } from './shared/ledgers.ts';
import { ProvidedLeaves } from './shared/provided.ts';
import { Rights } from './shared/rights.ts';
import { Verdicts } from './shared/verdicts.ts';
import { World } from './shared/world.ts';

export interface OperatorOptions {
  readonly client: Client;
  readonly events: EventRecorder;
  readonly namespaces: readonly string[];
  readonly log: Logger;
}

/** Passes of one kind at a time: certificates are many and short, peers wait for handshakes, which have a bound of their own. */
const CONCURRENCY: Readonly<Record<Kind, number>> = {
  ReplicationCA: 4,
  ClusterCertificate: 32,
  ReplicationPeer: Infinity,
};
/** Of peers, in one namespace: they wait for minutes where nobody answers, and those of another namespace are not to wait for that. */
const PEERS_AT_ONCE = 64;
/** A peer with many dark endpoints takes its time: three minutes as a rule, twelve with the longest timeout, and what is done besides. */
const PEER_DEADLINE = 780_000;

/** A CA is looked at once for what many of its members bring, in milliseconds. */
const TOGETHER = 200;

/** The three controllers over one world. It looks as soon as it is started, and acts once it leads. */
export class Operator {
  readonly #world: World;
  readonly #rights: Rights;
  readonly #namespaces: readonly string[];
  readonly #log: Logger;
  readonly #runners: readonly Runner[];
  readonly #queues: Readonly<Record<Kind, WorkQueue>>;
  #acting = false;

  constructor({ client, events, namespaces, log }: OperatorOptions) {
    const queues: Readonly<Record<Kind, WorkQueue>> = {
      ReplicationCA: new WorkQueue(),
      ClusterCertificate: new WorkQueue(),
      ReplicationPeer: new WorkQueue(),
    };
    this.#queues = queues;
    this.#world = new World({
      client,
      namespaces,
      log,
      mark: (kind, key, { low = false, after = 0 } = {}) => queues[kind].addAfter(key, after, { low }),
    });
    const tell: Teller = (resource, { name, namespace, uid }, type, reason, note) => {
      const regarding = { apiVersion: API_VERSION, kind: resource.kind, metadata: { name, namespace, uid } };
      // Whoever reads the log alone is to see what went wrong as well.
      if (type === 'Warning') log.warn({ kind: resource.kind, key: `${namespace}/${name}`, reason }, note);
      events.record(regarding, { type, reason, action: reason, note });
    };
    this.#rights = new Rights(client, log);
    this.#namespaces = namespaces;
    this.#log = log;
    const tools = {
      client,
      world: this.#world,
      ledgers: new Ledgers(client, this.#world),
      authorities: new Authorities(client),
      rights: this.#rights,
      verdicts: new Verdicts((ca) => {
        for (const key of this.#world.certificatesOf(ca)) queues.ClusterCertificate.add(key, { low: true });
      }),
      provided: new ProvidedLeaves(client, this.#world.userSecrets, (ca) => {
        // Many may be judged at a time.
        queues.ReplicationCA.addAfter(ca, TOGETHER, { low: true });
      }),
      tell,
      clock: controllerClock(client, Date.now),
    };
    const reconcilePeer = replicationPeerController(tools);
    const peerPasses = new Slots(Infinity, PEERS_AT_ONCE);
    const runner = (kind: Kind, reconcile: ConstructorParameters<typeof Runner>[0]['reconcile'], deadlineMs?: number) =>
      new Runner({
        name: kind,
        queue: queues[kind],
        // Absence means nothing before. Whoever is left out here is marked again when the namespace has been read.
        reconcile: async (key, pass) =>
          this.#world.reads(refOf(key).namespace ?? '') ? reconcile(key, pass) : { kind: 'onChange' },
        log,
        concurrency: CONCURRENCY[kind],
        ...(deadlineMs === undefined ? {} : { deadlineMs }),
      });
    this.#runners = [
      runner('ReplicationCA', replicationCAController(tools)),
      runner('ClusterCertificate', clusterCertificateController(tools)),
      runner(
        'ReplicationPeer',
        (key, pass) => peerPasses.run(refOf(key).namespace ?? '', () => reconcilePeer(key, pass), pass.signal),
        PEER_DEADLINE,
      ),
    ];
  }

  /** Begins to look; returns at once. */
  look(): void {
    this.#world.start();
  }

  /** Whether every watched kind has been read once in every namespace. */
  get synced(): boolean {
    return this.#world.synced;
  }

  /** Whether somebody waits for a decision or a Secret. Peers are left out: most of their time they wait for handshakes. */
  get busy(): boolean {
    const { ReplicationCA, ClusterCertificate } = this.#queues;
    return [ReplicationCA, ClusterCertificate].some(({ ready, working }) => ready + working > 0);
  }

  /** Why this process should be started anew; null: it works, or there is nothing to do. */
  get hung(): string | null {
    return this.#runners.map((runner) => runner.hung).find((why) => why !== null) ?? null;
  }

  /** What has not been read yet, e.g. `Secret storage`. */
  get unread(): readonly string[] {
    return this.#world.unread;
  }

  /** Begins to act, once every namespace has been read or cannot be; in those that have not been read nothing is done. */
  async act(signal: AbortSignal): Promise<void> {
    try {
      await this.#world.whenSettled(signal);
    } catch (error) {
      // Stopped while it was still reading.
      if (signal.aborted) return;
      throw error;
    }
    this.#acting = true;
    for (const runner of this.#runners) runner.start();
    await this.#letGo(signal);
  }

  /** What a former process could not let go any more: its rights in namespaces without a CA. */
  async #letGo(signal: AbortSignal): Promise<void> {
    for (const namespace of this.#namespaces) {
      if (!this.#world.reads(namespace) || this.#world.hasCa(namespace)) continue;
      try {
        await this.#rights.settle(namespace, false, signal);
      } catch (error) {
        this.#log.warn({ namespace, err: error }, 'the RoleBinding could not be read');
      }
    }
  }

  /** Ends the passes under way, then the watches. */
  async stop(): Promise<void> {
    if (this.#acting) await Promise.all(this.#runners.map((runner) => runner.stop()));
    await this.#world.stop();
  }
}
