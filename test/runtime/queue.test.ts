import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WorkQueue } from '../../src/runtime/queue.ts';
import { FakeClock, settle } from './fake-clock.ts';

/** A worker whose passes end when a test says so. */
class Bench {
  readonly clock = new FakeClock();
  readonly queue: WorkQueue;
  readonly started: string[] = [];
  readonly #running = new Map<string, PromiseWithResolvers<void>>();
  overlaps = 0;
  most = 0;

  constructor(concurrency: number) {
    this.queue = new WorkQueue({ clock: this.clock });
    if (concurrency > 0) this.serve(concurrency);
  }

  serve(concurrency: number): void {
    this.queue.work(concurrency, (key) => {
      if (this.#running.has(key)) this.overlaps++;
      const pass = Promise.withResolvers<void>();
      this.#running.set(key, pass);
      this.most = Math.max(this.most, this.#running.size);
      this.started.push(key);
      return pass.promise;
    });
  }

  get running(): string[] {
    return [...this.#running.keys()];
  }

  async end(key: string, error?: Error): Promise<void> {
    const pass = this.#running.get(key);
    this.#running.delete(key);
    if (error === undefined) pass?.resolve();
    else pass?.reject(error);
    await settle();
  }

  /** Ends passes until none is left. */
  async finish(): Promise<void> {
    await settle();
    for (let [key] = this.running; key !== undefined; [key] = this.running) await this.end(key);
  }
}

describe('a work queue', () => {
  it('works on keys in the order in which they came', async () => {
    const bench = new Bench(1);
    for (const key of ['b', 'a', 'c', 'a']) bench.queue.add(key);
    await bench.finish();
    expect(bench.started).toEqual(['b', 'a', 'c']);
  });

  it('lets what a user did overtake what was merely there', async () => {
    const bench = new Bench(0);
    for (let i = 0; i < 5; i++) bench.queue.add(`there-${i}`, { low: true });
    bench.queue.add('edited');
    bench.queue.add('there-3');
    expect(bench.queue.ready).toBe(6);
    bench.serve(1);
    await bench.finish();
    expect(bench.started).toEqual(['edited', 'there-3', 'there-0', 'there-1', 'there-2', 'there-4']);
    expect(bench.queue.ready).toBe(0);
  });

  it('lets what may wait come to its turn all the same', async () => {
    const bench = new Bench(0);
    bench.queue.add('patient', { low: true });
    for (let i = 0; i < 100; i++) bench.queue.add(`urgent-${i}`);
    bench.serve(1);
    await bench.finish();
    expect(bench.started.indexOf('patient')).toBe(16);
  });

  it('makes one more pass for everything that was added during a pass', async () => {
    const bench = new Bench(4);
    bench.queue.add('a');
    await settle();
    for (let i = 0; i < 10; i++) bench.queue.add('a');
    bench.queue.addAfter('a', 5);
    await settle();
    expect(bench.started).toEqual(['a']);
    await bench.finish();
    await bench.clock.advance(10);
    await bench.finish();
    expect(bench.started).toEqual(['a', 'a']);
  });

  it('does not find the place that an overtaking key left behind', async () => {
    const bench = new Bench(0);
    bench.queue.add('first', { low: true });
    bench.queue.add('first');
    bench.queue.add('second');
    bench.queue.add('third');
    bench.serve(3);
    await settle();
    bench.queue.add('first', { low: true });
    bench.queue.add('fourth');
    await Promise.all([bench.end('second'), bench.end('third')]); // two free places, and one key for them
    expect(bench.running).toEqual(['first', 'fourth']);
    expect(bench.overlaps).toBe(0);
    await bench.finish();
    expect(bench.started.toSorted()).toEqual(['first', 'first', 'fourth', 'second', 'third']);
  });

  it('keeps the earliest of several wake-ups, and none after the pass they asked for', async () => {
    const bench = new Bench(1);
    bench.queue.addAfter('a', 500);
    bench.queue.addAfter('a', 100);
    bench.queue.addAfter('a', 900);
    await bench.clock.advance(99);
    expect(bench.started).toEqual([]);
    await bench.clock.advance(1);
    expect(bench.started).toEqual(['a']);
    await bench.finish();
    await bench.clock.advance(10_000);
    expect(bench.started).toEqual(['a']);
    expect(bench.clock.pending).toBe(0);
  });

  it('serves a pending wake-up by a pass that comes before', async () => {
    const bench = new Bench(1);
    bench.queue.addAfter('a', 100);
    bench.queue.add('a');
    await bench.finish();
    await bench.clock.advance(1000);
    expect(bench.started).toEqual(['a']);
  });

  it('never waits longer than an hour', async () => {
    const bench = new Bench(1);
    bench.queue.addAfter('far', 30 * 86_400_000);
    bench.queue.addAfter('for ever', Number.POSITIVE_INFINITY);
    await bench.clock.advance(3_600_000);
    expect(bench.started.length).toBeGreaterThan(0);
    await bench.finish();
    expect(bench.started).toEqual(['far', 'for ever']);
  });

  it.each([0, -5, Number.NaN])('takes a wake-up after %d ms for one that is due', async (ms) => {
    const bench = new Bench(1);
    bench.queue.addAfter('a', ms);
    await bench.finish();
    expect(bench.started).toEqual(['a']);
  });

  it('backs off each failing key by itself: 5 ms, doubled, at most a minute', async () => {
    const bench = new Bench(1);
    const delays = Array.from({ length: 16 }, () => bench.queue.retry('a'));
    expect(delays.slice(0, 4)).toEqual([3.75, 7.5, 15, 30]); // three quarters: the middle of the spread
    expect(delays.at(-1)).toBe(45_000);
    expect(bench.queue.retry('b')).toBe(3.75);
    bench.queue.forget('a');
    expect(bench.queue.retry('a')).toBe(3.75);
    expect(bench.queue.retry('a', 10_000)).toBe(10_000);
    expect(bench.queue.retry('a', 1e9)).toBe(3_600_000);
  });

  it('retries a key whose pass threw', async () => {
    const bench = new Bench(1);
    bench.queue.add('a');
    await settle();
    await bench.end('a', new Error('bug'));
    expect(bench.started).toEqual(['a']);
    expect(await bench.clock.elapse()).toBe(3.75);
    expect(bench.started).toEqual(['a', 'a']);
  });

  it('starts nothing after shutdown, which waits for what has begun', async () => {
    const bench = new Bench(1);
    bench.queue.add('a');
    bench.queue.add('b');
    bench.queue.addAfter('c', 10);
    await settle();
    let down = false;
    const shutdown = bench.queue.shutdown().then(() => {
      down = true;
    });
    bench.queue.add('a');
    bench.queue.add('d');
    await settle();
    expect(down).toBe(false);
    await bench.end('a');
    await shutdown;
    await bench.clock.advance(1000);
    expect(bench.started).toEqual(['a']);
    expect(bench.clock.pending).toBe(0);
  });

  it('lets timers and sockets live while passes never wait', async () => {
    const queue = new WorkQueue();
    let passes = 0;
    queue.work(2, async (key) => {
      passes++;
      queue.add(key);
    });
    queue.add('busy');
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(passes).toBeGreaterThan(1);
    await queue.shutdown();
  });

  it('takes ten thousand keys without quadratic work', async () => {
    const queue = new WorkQueue();
    let passes = 0;
    const all = Promise.withResolvers<void>();
    for (let i = 0; i < 10_000; i++) queue.add(`key-${i}`, { low: i % 2 === 0 });
    const began = process.cpuUsage();
    queue.work(10, async () => {
      if (++passes === 10_000) all.resolve();
    });
    await all.promise;
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1000).toBeLessThan(1_000); // about 50 ms
    await queue.shutdown();
  });
});

describe('whatever happens to a work queue', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), key, low: fc.boolean() }),
    fc.record({ do: fc.constant('after' as const), key, ms: fc.integer({ min: -1, max: 50 }) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 60 }) }),
    fc.record({ do: fc.constant('end' as const), key, fails: fc.boolean() }),
  );

  it('a key is never worked on twice at a time, nothing asked for is lost, and nothing happens unasked', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 3 }),
        async (steps, concurrency) => {
          const bench = new Bench(concurrency);
          let asked = 0;
          /** For each key: how many passes had begun when it was last asked for. */
          const owed = new Map<string, number>();
          const passes = (of: string) => bench.started.filter((each) => each === of).length;
          for (const each of steps) {
            if (each.do === 'wait') await bench.clock.advance(each.ms);
            else if (each.do === 'end') {
              if (bench.running.includes(each.key) && each.fails) {
                asked++;
                owed.set(each.key, passes(each.key));
              }
              await bench.end(each.key, each.fails ? new Error('no') : undefined);
            } else {
              asked++;
              await settle();
              owed.set(each.key, passes(each.key));
              if (each.do === 'add') bench.queue.add(each.key, { low: each.low });
              else bench.queue.addAfter(each.key, each.ms);
            }
          }
          for (let round = 0; round < 10; round++) {
            await bench.finish();
            await bench.clock.advance(60_000);
          }
          expect(bench.overlaps).toBe(0);
          expect(bench.most).toBeLessThanOrEqual(concurrency);
          expect(bench.started.length).toBeLessThanOrEqual(asked);
          for (const [each, before] of owed) expect(passes(each)).toBeGreaterThan(before);
          expect([bench.queue.ready, bench.queue.working]).toEqual([0, 0]);
        },
      ),
      { numRuns: 60 },
    );
  });
});
