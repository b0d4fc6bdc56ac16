import type { Logger } from 'pino';
import {
  type CallOptions,
  type Client,
  isAlreadyExists,
  isConflict,
  isNotFound,
  type ObjectMeta,
  type Resource,
} from './client.ts';
import { type Clock, microTime, sleep, systemClock } from './clock.ts';

const LEASE: Resource = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease' };

interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
}

interface Lease {
  metadata: ObjectMeta;
  spec?: LeaseSpec;
}

export interface LeaderElectionOptions {
  /** Must not be fenced by this election: nobody could ever be elected. */
  readonly client: Pick<Client, 'get' | 'create' | 'update'>;
  readonly namespace: string;
  readonly name: string;
  /** Unique to this process, also among its own restarts. */
  readonly identity: string;
  /** How long others wait after the last renewal that they saw. Default 15 s. */
  readonly leaseDurationMs?: number;
  /** How long this process counts itself leader without a renewal. Less than the duration; default 10 s. */
  readonly renewDeadlineMs?: number;
  /** Between two tries to renew or to acquire. Default 2 s. */
  readonly retryPeriodMs?: number;
  readonly onElected: () => void;
  /** Leadership is gone and does not come back: end the process. Called at most once. */
  readonly onLost: (reason: string) => void;
  readonly log?: Pick<Logger, 'debug' | 'info' | 'warn'> | undefined;
  readonly clock?: Clock;
}

/**
 * Leader election on a Lease, by client-go's rules: a lease has run out when this process has watched it unchanged for its whole
 * duration (the clocks of others are not believed), and a leader gives up before that can be so for anybody else.
 * A Lease alone does not stop a process that was frozen, hence `mayWrite`, to be given to `client.fenced`.
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #clock: Clock;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #stop = new AbortController();
  #running: Promise<void> | null = null;
  /** The lease as last written by this process; null while somebody else has it. */
  #held: Lease | null = null;
  /** Monotonic instant before the last successful renewal was sent: the lease is good from then on at least. */
  #renewedAt = 0;
  /** What was last seen of the lease of another, and when it was first seen so. */
  #observed = { record: '', at: 0 };

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    if (this.#renewDeadlineMs >= this.#leaseDurationMs || this.#retryPeriodMs >= this.#renewDeadlineMs) {
      throw new RangeError('leader election: it must hold that retry period < renew deadline < lease duration');
    }
  }

  /** True while no other process can have been elected, as far as this one's monotonic clock can tell. */
  mayWrite = (): boolean => this.#held !== null && this.#unrenewedFor() < this.#renewDeadlineMs;

  /**
   * Why this process should be started anew: it was elected, and has neither renewed the lease nor ended (client-go asks the same). Null:
   * it leads, or is not to.
   */
  get hung(): string | null {
    const unrenewed = this.#unrenewedFor();
    if (this.#held === null || unrenewed <= this.#leaseDurationMs) return null;
    return `the lease was not renewed for ${Math.round(unrenewed / 1_000)} s, and this process has not ended`;
  }

  start(): void {
    if (!this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  /** Withdraws; a leader hands the lease back, so that the next one need not wait. Call it when nothing writes any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const lease = this.mayWrite() ? this.#held : null;
    this.#held = null;
    if (lease === null) return;
    try {
      if (await this.#release(lease)) return;
      // A renewal that the stop cut short may have arrived all the same: then the lease is newer than what is held here.
      const stored = await this.#read({ timeoutMs: this.#retryPeriodMs });
      if (stored?.spec?.holderIdentity === this.#options.identity) await this.#release(stored);
    } catch (error) {
      this.#options.log?.debug({ err: error }, 'lease not released, it will run out');
    }
  }

  /** False when `lease` is not what is stored. */
  async #release(lease: Lease): Promise<boolean> {
    const spec: LeaseSpec = {
      ...lease.spec,
      holderIdentity: '',
      leaseDurationSeconds: 1,
      renewTime: this.#microTime(),
    };
    try {
      await this.#options.client.update(LEASE, { ...lease, spec }, { timeoutMs: this.#retryPeriodMs });
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }

  async #run(): Promise<void> {
    const { log, onElected, onLost } = this.#options;
    while (!(await this.#attempt(() => this.#acquire()))) {
      await this.#pause(1.2);
      if (this.#stopped()) return;
    }
    if (this.#stopped()) return;
    log?.info('elected');
    onElected();
    let reason: string | null = null;
    while (reason === null) {
      reason = await this.#hold();
      if (this.#stopped()) return;
    }
    this.#held = null;
    log?.warn({ reason }, 'leadership lost');
    onLost(reason);
  }

  /** Waits for the next renewal and does it, if that can still be in time. Returns why leadership is gone, or null. */
  async #hold(): Promise<string | null> {
    await this.#pause(1);
    if (this.mayWrite()) await this.#attempt(() => this.#renew());
    if (this.#held === null) return 'the lease belongs to another process';
    const unrenewed = this.#unrenewedFor();
    return unrenewed < this.#renewDeadlineMs ? null : `the lease was not renewed for ${Math.round(unrenewed)} ms`;
  }

  /** One try; a failure is logged and reads as false. */
  async #attempt(work: () => Promise<boolean>): Promise<boolean> {
    try {
      return await work();
    } catch (error) {
      if (!this.#stopped()) this.#options.log?.warn({ err: error }, 'lease not reached');
      return false;
    }
  }

  /** Takes the lease if nobody has it. */
  async #acquire(): Promise<boolean> {
    const lease = await this.#read();
    if (lease === null || lease.spec?.holderIdentity === this.#options.identity) return this.#write(lease);
    const { holderIdentity = '', renewTime = '', leaseDurationSeconds = 0, leaseTransitions = 0 } = lease.spec ?? {};
    const record = `${holderIdentity} ${renewTime} ${leaseTransitions}`;
    const now = this.#clock.monotonic();
    if (record !== this.#observed.record) this.#observed = { record, at: now };
    if (holderIdentity !== '' && now - this.#observed.at <= leaseDurationSeconds * 1000) return false;
    return this.#write(lease);
  }

  /** Renews on top of what was last written; when that is outdated, looks who has the lease. */
  async #renew(): Promise<boolean> {
    if (await this.#write(this.#held)) return true;
    const lease = await this.#read();
    if (lease !== null && lease.spec?.holderIdentity !== this.#options.identity) {
      this.#held = null;
      return false;
    }
    return this.#write(lease);
  }

  async #read(limits: CallOptions = this.#limits()): Promise<Lease | null> {
    const { client, namespace, name } = this.#options;
    try {
      return await client.get<Lease>(LEASE, { namespace, name }, limits);
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  /** Writes this process as holder on top of `lease` (null: there is none). False when another was faster. */
  async #write(lease: Lease | null): Promise<boolean> {
    const { client, namespace, name, identity } = this.#options;
    const sentAt = this.#clock.monotonic();
    const now = this.#microTime();
    const mine = lease?.spec?.holderIdentity === identity;
    const transitions = lease?.spec?.leaseTransitions ?? 0;
    const spec: LeaseSpec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
      acquireTime: (mine ? lease.spec?.acquireTime : undefined) ?? now,
      renewTime: now,
      leaseTransitions: mine || lease === null ? transitions : transitions + 1,
    };
    try {
      this.#held =
        lease === null
          ? await client.create<Lease>(LEASE, { metadata: { namespace, name }, spec }, this.#limits())
          : await client.update<Lease>(LEASE, { ...lease, spec }, this.#limits());
      this.#renewedAt = sentAt;
      return true;
    } catch (error) {
      if (isConflict(error) || isAlreadyExists(error) || isNotFound(error)) return false;
      throw error;
    }
  }

  /** A request about the lease is short, so that a silent connection leaves time for another; and none outlives the leadership. */
  #limits() {
    const left = this.#held === null ? this.#renewDeadlineMs : this.#renewDeadlineMs - this.#unrenewedFor();
    return { signal: this.#stop.signal, timeoutMs: Math.max(1, Math.min(left, this.#renewDeadlineMs / 3)) };
  }

  #stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  #unrenewedFor(): number {
    return this.#clock.monotonic() - this.#renewedAt;
  }

  #microTime(): string {
    return microTime(this.#clock.now());
  }

  #pause(spread: number): Promise<void> {
    const factor = 1 + (spread - 1) * this.#clock.random();
    return sleep(this.#clock, this.#retryPeriodMs * factor, this.#stop.signal);
  }
}
