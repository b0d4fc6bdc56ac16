import { describe, expect, it } from 'vitest';
import { ApiError, type ApiObject, NoAnswerError } from '../../src/runtime/client.ts';
import { sleep } from '../../src/runtime/clock.ts';
import { LeaderElection } from '../../src/runtime/leader.ts';
import { FakeClock, settle } from './fake-clock.ts';

/** The one Lease of an API server, with optimistic concurrency. */
class LeaseStore {
  lease: (ApiObject & { spec?: Record<string, unknown> }) | null = null;
  writes = 0;
  reads = 0;
  /** Called before each request; throws to make it fail. */
  fault: () => void = () => {};
  /** How long an update takes to arrive. */
  latency: () => Promise<void> = async () => {};
  /** How long the answer to an update that has arrived takes; rejects when it does not come. */
  answer: () => Promise<void> = async () => {};
  #version = 0;

  client() {
    return {
      get: async <T>(): Promise<T> => {
        this.reads++;
        this.fault();
        if (this.lease === null) throw new ApiError('get Lease', 404, 'NotFound', 'no');
        return structuredClone(this.lease) as T;
      },
      create: async <T extends ApiObject>(_resource: unknown, object: T): Promise<T> => {
        this.fault();
        if (this.lease !== null) throw new ApiError('create Lease', 409, 'AlreadyExists', 'no');
        return this.#store(object);
      },
      update: async <T extends ApiObject>(_resource: unknown, object: T): Promise<T> => {
        this.fault();
        await this.latency();
        if (this.lease === null) throw new ApiError('update Lease', 404, 'NotFound', 'no');
        if (this.lease.metadata.resourceVersion !== object.metadata.resourceVersion) {
          throw new ApiError('update Lease', 409, 'Conflict', 'no');
        }
        const stored = this.#store(object);
        await this.answer();
        return stored;
      },
    };
  }

  /** Somebody else writes the lease. */
  overwrite(spec: Record<string, unknown>): void {
    this.#store({ ...(this.lease ?? { metadata: { name: 'lease' } }), spec });
    this.writes--;
  }

  #store<T extends ApiObject>(object: T): T {
    this.writes++;
    const stored = structuredClone(object);
    stored.metadata.resourceVersion = String(++this.#version);
    this.lease = stored;
    return structuredClone(stored);
  }
}

function candidate(store: LeaseStore, identity: string, clock = new FakeClock()) {
  const happened: string[] = [];
  const election = new LeaderElection({
    client: store.client(),
    namespace: 'ns',
    name: 'lease',
    identity,
    onElected: () => happened.push('elected'),
    onLost: (reason) => happened.push(reason),
    clock,
  });
  election.start();
  return { election, happened, clock };
}

describe('leader election', () => {
  it('creates the lease, with times of six digits', async () => {
    const store = new LeaseStore();
    const { election, happened } = candidate(store, 'a');
    await settle();
    expect(happened).toEqual(['elected']);
    expect(election.mayWrite()).toBe(true);
    expect(store.lease).toMatchObject({
      metadata: { namespace: 'ns', name: 'lease' },
      spec: {
        holderIdentity: 'a',
        leaseDurationSeconds: 15,
        acquireTime: '2026-11-22T12:00:00.000000Z',
        renewTime: '2026-11-22T12:00:00.000000Z',
        leaseTransitions: 0,
      },
    });
    await election.stop();
  });

  it('renews every two seconds with one write and no read', async () => {
    const store = new LeaseStore();
    const { election, clock } = candidate(store, 'a');
    await settle();
    const { reads } = store;
    await clock.advance(60_000);
    expect(store.writes).toBe(1 + 30);
    expect(store.reads).toBe(reads);
    expect(store.lease?.spec).toMatchObject({
      acquireTime: '2026-11-22T12:00:00.000000Z',
      renewTime: '2026-11-22T12:01:00.000000Z',
    });
    await election.stop();
  });

  it('tells when a renewal is neither answered nor given up', async () => {
    const store = new LeaseStore();
    const { election, happened, clock } = candidate(store, 'a');
    await settle();
    const answer = Promise.withResolvers<void>();
    store.latency = () => answer.promise;
    // From the last renewal, at once, for the whole lease.
    await clock.advance(15_000);
    expect(election.mayWrite()).toBe(false);
    expect(election.hung, 'others may just see it run out').toBeNull();
    await clock.advance(1_000);
    expect(election.hung).toBe('the lease was not renewed for 16 s, and this process has not ended');
    expect(happened).toEqual(['elected']);
    answer.resolve();
    await settle();
    expect(election.hung).toBeNull();
    await election.stop();
  });

  it('waits a whole lease of its own observation before it takes over', async () => {
    const store = new LeaseStore();
    // The other's clock is an hour behind: its renewal looks ancient, and is not believed to be.
    store.overwrite({ holderIdentity: 'other', renewTime: '2026-11-22T11:00:00.000000Z', leaseDurationSeconds: 15 });
    const { election, happened, clock } = candidate(store, 'a');
    await clock.advance(14_999);
    expect(happened).toEqual([]);
    await clock.advance(4_000);
    expect(happened).toEqual(['elected']);
    expect(store.lease?.spec).toMatchObject({ holderIdentity: 'a', leaseTransitions: 1 });
    await election.stop();
  });

  it('does not take over while the other renews, whatever its clock says', async () => {
    const store = new LeaseStore();
    const { election, happened, clock } = candidate(store, 'a');
    await election.stop();
    happened.length = 0;
    const late = candidate(store, 'b', clock);
    for (let i = 0; i < 20; i++) {
      store.overwrite({ holderIdentity: 'other', renewTime: `frozen-${i}`, leaseDurationSeconds: 15 });
      await clock.advance(5_000);
    }
    expect(late.happened).toEqual([]);
    await late.election.stop();
  });

  it('of several elects one', async () => {
    const store = new LeaseStore();
    const all = ['a', 'b', 'c'].map((identity) => candidate(store, identity));
    for (let second = 0; second < 60; second++) for (const { clock } of all) await clock.advance(1_000);
    expect(all.map(({ happened }) => happened)).toEqual([['elected'], [], []]);
    expect(all.map(({ election }) => election.mayWrite())).toEqual([true, false, false]);
    for (const { election } of all) await election.stop();
  });

  it('is lost when renewing fails for ten seconds, five before another can be elected', async () => {
    const store = new LeaseStore();
    const { election, happened, clock } = candidate(store, 'a');
    await settle();
    store.fault = () => {
      throw new NoAnswerError('update Lease', 'ECONNREFUSED', false);
    };
    await clock.advance(9_999);
    expect(election.mayWrite()).toBe(true);
    await clock.advance(1);
    expect(election.mayWrite()).toBe(false);
    await clock.advance(60_000);
    expect(happened).toEqual(['elected', 'the lease was not renewed for 10000 ms']);
    store.fault = () => {};
    await clock.advance(60_000);
    expect(election.mayWrite()).toBe(false);
    expect(store.writes).toBe(1);
    await election.stop();
  });

  it('counts from when a renewal was sent, not from when it was answered', async () => {
    const store = new LeaseStore();
    const { election, clock } = candidate(store, 'a');
    await settle();
    store.latency = () => sleep(clock, 3_000);
    await clock.advance(5_000); // sent at 2 s, answered at 5 s
    store.fault = () => {
      throw new NoAnswerError('update Lease', 'ECONNREFUSED', false);
    };
    await clock.advance(6_999);
    expect(election.mayWrite()).toBe(true);
    await clock.advance(1);
    expect(election.mayWrite()).toBe(false);
    await election.stop();
  });

  it('survives faults that last shorter', async () => {
    const store = new LeaseStore();
    const { election, happened, clock } = candidate(store, 'a');
    await settle();
    for (let round = 0; round < 3; round++) {
      store.fault = () => {
        throw new ApiError('update Lease', 503, 'ServiceUnavailable', 'no');
      };
      await clock.advance(5_000);
      store.fault = () => {};
      await clock.advance(3_000);
    }
    expect(happened).toEqual(['elected']);
    expect(election.mayWrite()).toBe(true);
    await election.stop();
  });

  it('is lost at once when another has the lease', async () => {
    const store = new LeaseStore();
    const { election, happened, clock } = candidate(store, 'a');
    await settle();
    store.overwrite({ holderIdentity: 'thief', renewTime: 'now', leaseDurationSeconds: 15 });
    await clock.advance(2_000);
    expect(happened).toEqual(['elected', 'the lease belongs to another process']);
    expect(election.mayWrite()).toBe(false);
    await election.stop();
    expect(store.lease?.spec).toMatchObject({ holderIdentity: 'thief' });
  });

  it('is kept when somebody edited or deleted the lease', async () => {
    const store = new LeaseStore();
    const { election, happened, clock } = candidate(store, 'a');
    await settle();
    store.overwrite({ ...store.lease?.spec, strategy: 'edited' });
    await clock.advance(2_000);
    store.lease = null;
    await clock.advance(2_000);
    expect(happened).toEqual(['elected']);
    expect(store.lease).toMatchObject({ spec: { holderIdentity: 'a' } });
    await election.stop();
  });

  it('closes the fence of a process that was frozen, before anything else has run', async () => {
    const store = new LeaseStore();
    const { election, happened, clock } = candidate(store, 'a');
    await settle();
    clock.freeze(12_000);
    expect(election.mayWrite()).toBe(false);
    expect(happened).toEqual(['elected']);
    await clock.advance(0);
    // The lease is still its own and free to renew, but that can no longer be told from a lease that another may take.
    expect(happened).toEqual(['elected', 'the lease was not renewed for 12000 ms']);
    expect(store.writes).toBe(1);
    await election.stop();
  });

  it('hands the lease back, so that the next one need not wait', async () => {
    const store = new LeaseStore();
    const first = candidate(store, 'a');
    await settle();
    await first.election.stop();
    expect(first.election.mayWrite()).toBe(false);
    expect(store.lease?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
    const second = candidate(store, 'b');
    await settle();
    expect(second.happened).toEqual(['elected']);
    expect(first.happened).toEqual(['elected']);
    await second.election.stop();
  });

  it('hands the lease back when a renewal that the stop cut short has arrived', async () => {
    const store = new LeaseStore();
    const { election, clock } = candidate(store, 'a');
    await settle();
    // The request arrives, its answer is not waited for any more.
    let cut = () => {};
    store.answer = () =>
      new Promise<void>((_, reject) => {
        cut = () => reject(new NoAnswerError('update Lease', 'ABORTED', true));
      });
    await clock.advance(2_000);
    expect(store.writes).toBe(2);
    store.answer = async () => {};
    const stopped = election.stop();
    cut();
    await stopped;
    expect(store.lease?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
  });

  it('leaves the lease alone when another has it by the time it stops', async () => {
    const store = new LeaseStore();
    const { election } = candidate(store, 'a');
    await settle();
    store.overwrite({ holderIdentity: 'other', renewTime: 'x', leaseDurationSeconds: 15 });
    await election.stop();
    expect(store.lease?.spec).toMatchObject({ holderIdentity: 'other' });
  });

  it('stops as a candidate without a trace', async () => {
    const store = new LeaseStore();
    store.overwrite({ holderIdentity: 'other', renewTime: 'x', leaseDurationSeconds: 15 });
    const { election, happened, clock } = candidate(store, 'a');
    await settle();
    await election.stop();
    await clock.advance(60_000);
    expect(happened).toEqual([]);
    expect(store.writes).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('refuses times that do not fit together', () => {
    const client = new LeaseStore().client();
    const options = { client, namespace: 'ns', name: 'lease', identity: 'a', onElected: () => {}, onLost: () => {} };
    expect(() => new LeaderElection({ ...options, renewDeadlineMs: 15_000 })).toThrow(
      'renew deadline < lease duration',
    );
    expect(() => new LeaderElection({ ...options, retryPeriodMs: 10_000 })).toThrow(RangeError);
  });
});
