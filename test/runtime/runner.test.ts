import { Writable } from 'node:stream';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { ApiError, isRecord } from '../../src/runtime/errors.ts';
import { WorkQueue } from '../../src/runtime/queue.ts';
import { type Pass, Runner, StalledError, WaitingError, type Wake } from '../../src/runtime/runner.ts';
import { FakeClock, settle } from './fake-clock.ts';

function bench(reconcile: (key: string, pass: Pass) => Promise<Wake>) {
  const clock = new FakeClock();
  const lines: Record<string, unknown>[] = [];
  const sink = new Writable({
    write(line, _encoding, done) {
      const fields: unknown = JSON.parse(String(line));
      if (isRecord(fields)) lines.push(fields);
      done();
    },
  });
  const queue = new WorkQueue({ clock });
  const runner = new Runner({
    name: 'test',
    queue,
    reconcile,
    log: pino({ level: 'debug' }, sink),
    clock,
    concurrency: 2,
    deadlineMs: 30_000,
  });
  runner.start();
  return { clock, lines, queue, runner };
}

/** Runs one pass with this outcome and says when the next one comes: null when only a change brings it. */
async function nextAfter(outcome: () => Wake): Promise<{ delay: number | null; counts: Runner['counts'] }> {
  const { clock, queue, runner } = bench(async () => outcome());
  queue.add('ns/a');
  await settle();
  const { counts } = runner;
  const delay = clock.pending === 0 ? null : await clock.elapse();
  await runner.stop();
  return { delay, counts };
}

const fail = (error: Error) => () => {
  throw error;
};

describe('what a pass leaves behind', () => {
  it.each<[string, () => Wake, number | null, string]>([
    ['nothing to do', () => ({ kind: 'onChange' }), null, 'done'],
    ['look again', () => ({ kind: 'after', ms: 5_000 }), 5_000, 'done'],
    ['look again in a year', () => ({ kind: 'after', ms: 3e10 }), 3_600_000, 'done'],
    ['look again in the past', () => ({ kind: 'after', ms: -1 }), 100, 'done'],
    ['look again at no time', () => ({ kind: 'after', ms: Number.NaN }), 100, 'done'],
    ['the user must act', fail(new StalledError('bad spec')), null, 'stalled'],
    ['something else first', fail(new WaitingError('no Secret yet', 7_000)), 7_000, 'waiting'],
    ['something else first, at once', fail(new WaitingError('no Secret yet', 0)), 100, 'waiting'],
    ['a fault', fail(new Error('boom')), 3.75, 'retried'],
    ['a conflict', fail(new ApiError('update Thing ns/a', 409, 'Conflict', 'modified')), 3.75, 'retried'],
    ['an overloaded server', fail(new ApiError('get Thing', 429, 'TooManyRequests', 'slow', 4_000)), 4_000, 'retried'],
  ])('%s', async (_, outcome, delay, counted) => {
    const next = await nextAfter(outcome);
    expect(next.delay).toBe(delay);
    expect(next.counts).toEqual({ done: 0, stalled: 0, waiting: 0, retried: 0, [counted]: 1 });
  });

  it('a success makes the next failure a first one', async () => {
    const outcomes = [true, true, false, true];
    const { clock, queue, runner } = bench(async () => {
      if (outcomes.shift() === true) throw new Error('boom');
      return { kind: 'onChange' };
    });
    queue.add('ns/a');
    await settle();
    expect([await clock.elapse(), await clock.elapse()]).toEqual([3.75, 7.5]);
    queue.add('ns/a');
    await settle();
    expect(await clock.elapse()).toBe(3.75);
    await runner.stop();
  });
});

describe('a pass', () => {
  it('has one id in all its lines, another than the pass before', async () => {
    const ids: string[] = [];
    const { lines, queue, runner } = bench(async (_key, { log, passId }) => {
      ids.push(passId);
      log.info('one');
      log.info('two');
      return { kind: 'onChange' };
    });
    for (let i = 0; i < 2; i++) {
      queue.add('ns/a');
      await settle();
    }
    await runner.stop();
    expect(new Set(ids).size).toBe(2);
    expect(lines.map(({ pass, msg }) => [pass, msg])).toEqual(
      ids.flatMap((id) => ['one', 'two', 'pass done'].map((msg) => [id, msg])),
    );
    expect(lines[0]).toMatchObject({ controller: 'test', key: 'ns/a' });
  });

  it('is aborted at its deadline, and tried again', async () => {
    const { clock, queue, runner } = bench(
      (_key, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    );
    queue.add('ns/a');
    await settle();
    expect(await clock.elapse()).toBe(30_000);
    expect(runner.counts.retried).toBe(1);
    expect(await clock.elapse()).toBe(3.75);
    await runner.stop();
  });

  it('that ignores its deadline keeps its key to itself, and is reason enough to start anew', async () => {
    let passes = 0;
    const end = Promise.withResolvers<void>();
    const { clock, queue, runner } = bench(async () => {
      passes++;
      await end.promise;
      return { kind: 'onChange' };
    });
    queue.add('ns/a');
    await settle();
    await clock.advance(60_000);
    queue.add('ns/a');
    await settle();
    expect(passes).toBe(1);
    expect(runner.hung, 'it may still be ending').toBeNull();
    await clock.advance(1_000);
    expect(runner.hung).toBe('test ns/a: its pass has not ended after 61 s, and is to after 30 s');
    end.resolve();
    await settle();
    expect(passes).toBe(2);
    expect(runner.hung).toBeNull();
    await runner.stop();
  });

  it('is aborted by stop, which waits for its end and blames nobody', async () => {
    const { lines, queue, runner } = bench(
      (_key, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    );
    queue.add('ns/a');
    await settle();
    await runner.stop();
    queue.add('ns/a');
    await settle();
    expect(runner.counts).toEqual({ done: 0, stalled: 0, waiting: 0, retried: 0 });
    expect(lines).toEqual([]);
  });

  it('leaves no timer behind', async () => {
    const { clock, queue, runner } = bench(async () => ({ kind: 'onChange' }));
    queue.add('ns/a');
    await settle();
    expect(clock.pending).toBe(0);
    await runner.stop();
  });
});
