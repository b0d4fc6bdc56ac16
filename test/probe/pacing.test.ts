import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { MAX_BACK_OFF, type Pace, Pacer, type Paced, Slots, pauseBetween } from '../../src/probe/pacing.ts';

describe('the pause between probes', () => {
  const often: Pace = { intervalMs: 30_000, maxProbesPerHour: 3600 };

  test('is the interval, doubled with each failure up to ten times', () => {
    const pauses = [0, 1, 2, 3, 4, 50].map((failures) => pauseBetween(often, failures, 0) / 30_000);
    expect(pauses).toEqual([1, 2, 4, 8, MAX_BACK_OFF, MAX_BACK_OFF]);
  });

  test('never lets an hour see more probes than allowed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3_600_000 }),
        fc.integer({ min: 1, max: 3600 }),
        fc.nat(100),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (intervalMs, maxProbesPerHour, failures, random) => {
          const pause = pauseBetween({ intervalMs, maxProbesPerHour }, failures, random);
          expect(pause).toBeGreaterThanOrEqual(3_600_000 / maxProbesPerHour);
          expect(pause).toBeGreaterThanOrEqual(intervalMs);
        },
      ),
    );
  });

  test('jitter lengthens it by at most a tenth', () => {
    expect(pauseBetween(often, 0, 0.5)).toBe(31_500);
  });
});

describe('slots', () => {
  const forever = new AbortController().signal;

  test('bound what runs at one time, and serve in order', async () => {
    const slots = new Slots(2);
    const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
    const started: number[] = [];
    const all = gates.map(({ promise }, i) =>
      slots.run(
        'a',
        async () => {
          started.push(i);
          await promise;
        },
        forever,
      ),
    );
    await Promise.resolve();
    expect(started).toEqual([0, 1]);
    gates[1]?.resolve();
    await all[1];
    await Promise.resolve();
    expect(started).toEqual([0, 1, 2]);
    for (const gate of gates) gate.resolve();
    await Promise.all(all);
    expect(started).toEqual([0, 1, 2, 3]);
  });

  test('are given back by work that fails and by whoever stops waiting', async () => {
    const slots = new Slots(1);
    await expect(slots.run('a', () => Promise.reject(new Error('broken')), forever)).rejects.toThrow('broken');
    const gate = Promise.withResolvers<void>();
    const busy = slots.run('a', () => gate.promise, forever);
    const waiting = new AbortController();
    const gone = slots.run('a', async () => 'never', waiting.signal);
    const next = slots.run('a', async () => 'next', forever);
    waiting.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    gate.resolve();
    await busy;
    expect(await next).toBe('next');
    await expect(slots.run('a', async () => 'late', waiting.signal)).rejects.toThrow('gone');
    expect(await slots.run('a', async () => 'free', forever)).toBe('free');
  });
});

describe('slots of several owners', () => {
  const forever = new AbortController().signal;

  /** Work of owners that is done when the test says so, and who has a slot now. */
  function crowd(count: number) {
    const slots = new Slots(count);
    const running: { owner: string; end: () => void }[] = [];
    return {
      add: (owner: string, times: number): void => {
        for (let i = 0; i < times; i++) {
          const { promise, resolve } = Promise.withResolvers<void>();
          void slots.run(
            owner,
            () => {
              running.push({ owner, end: resolve });
              return promise;
            },
            forever,
          );
        }
      },
      /** Ends the work of this owner that began first. */
      end: async (owner: string): Promise<void> => {
        const at = running.findIndex((each) => each.owner === owner);
        running.splice(at, 1)[0]?.end();
        await new Promise((resolve) => setImmediate(resolve));
      },
      held: (owner: string): number => running.filter((each) => each.owner === owner).length,
    };
  }

  test('who has filled all of them gets no more than a quarter while others wait', async () => {
    const work = crowd(16);
    work.add('flood', 1_000);
    await Promise.resolve();
    expect(work.held('flood'), 'nobody else wants any').toBe(16);
    for (const owner of ['b', 'c', 'd']) work.add(owner, 4);
    for (let ended = 1; ended <= 12; ended++) {
      await work.end('flood');
      expect(work.held('flood')).toBe(16 - ended);
    }
    expect(['flood', 'b', 'c', 'd'].map(work.held)).toEqual([4, 4, 4, 4]);
    await work.end('b');
    expect(['flood', 'b'].map(work.held), 'b has nothing more to do').toEqual([5, 3]);
    work.add('e', 1);
    await work.end('d');
    expect(['flood', 'e'].map(work.held), 'who comes new is next').toEqual([5, 1]);
  });

  test('many of one group have no more than one of another', async () => {
    const work = crowd(4);
    const flood = ['flood/a', 'flood/b', 'flood/c', 'flood/d'];
    for (const owner of flood) work.add(owner, 4);
    work.add('other/a', 4);
    await new Promise((resolve) => setImmediate(resolve));
    expect(flood.map(work.held), 'those that came first').toEqual([4, 0, 0, 0]);
    for (let ended = 0; ended < 3; ended++) await work.end('flood/a');
    const held = () => flood.reduce((sum, owner) => sum + work.held(owner), 0);
    expect([held(), work.held('other/a')], 'half of all').toEqual([2, 2]);
    expect(flood.map(work.held), 'and within the group the one with the fewest').toEqual([1, 1, 0, 0]);
    await work.end('other/a');
    expect(work.held('other/a'), 'it is still the group with the fewest').toBe(2);
  });

  test('those of a part are never all, and within both the owner with the fewest is next', async () => {
    const slots = new Slots(4);
    const patient = new Slots(3, 3, slots);
    const gates: (() => void)[] = [];
    const running: string[] = [];
    const add = (from: Slots, owner: string): void => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const work = () => {
        running.push(owner);
        gates.push(resolve);
        return promise;
      };
      void from.run(owner, work, forever);
    };
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 10; i++) add(patient, 'slow');
    await turn();
    expect(running).toEqual(['slow', 'slow', 'slow']);
    add(slots, 'quick');
    add(slots, 'quick');
    add(patient, 'other');
    await turn();
    expect(running.slice(3), 'one slot is left to those who are quick').toEqual(['quick']);
    gates[0]?.();
    await turn();
    expect(running.slice(4), 'the first free one goes to whoever has waited for it').toEqual(['quick']);
    for (const end of gates.slice(1)) end();
    await turn();
    expect(running.slice(5), 'whose turn it is among the patient is not forgotten').toEqual(['other', 'slow', 'slow']);
  });

  test('none stays free while somebody waits, and nobody is forgotten', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 60 }), async (owners) => {
        const slots = new Slots(3);
        let running = 0;
        let most = 0;
        let done = 0;
        await Promise.all(
          owners.map((owner) =>
            slots.run(
              owner,
              async () => {
                most = Math.max(most, ++running);
                await Promise.resolve();
                running -= 1;
                done += 1;
              },
              forever,
            ),
          ),
        );
        expect([most, done]).toEqual([Math.min(3, owners.length), owners.length]);
      }),
    );
  });
});

describe('the pacer', () => {
  const pace: Pace = { intervalMs: 1000, maxProbesPerHour: 3600 };
  let now: number;
  let pacer: Pacer<string>;
  let runs: number;

  beforeEach(() => {
    now = 0;
    runs = 0;
    pacer = new Pacer({ now: () => now, random: () => 0, reached: (value) => value !== 'dark' });
  });

  const ask = (value: string, question = 'q', endpoint = 'a:1', asker = 'm'): Promise<Paced<string>> =>
    pacer.probe(endpoint, asker, question, pace, async () => {
      runs += 1;
      return value;
    });

  test('probes at once, then not before the interval has passed', async () => {
    expect(await ask('one')).toEqual({ kind: 'observed', startedAt: 0, value: 'one' });
    now = 400;
    expect(await ask('two', 'another')).toEqual({ kind: 'later', at: 1000 });
    expect(pacer.dueAt('a:1', 'm', pace)).toBe(1000);
    now = 1000;
    expect(await ask('three', 'another')).toEqual({ kind: 'observed', startedAt: 1000, value: 'three' });
    expect(runs).toBe(2);
  });

  test('peers that ask the same share one run, under way or recent', async () => {
    const gate = Promise.withResolvers<string>();
    const slow = (): Promise<Paced<string>> =>
      pacer.probe('a:1', 'm', 'q', pace, () => {
        runs += 1;
        return gate.promise;
      });
    const both = [slow(), slow()];
    gate.resolve('one');
    expect(await Promise.all(both)).toEqual(Array(2).fill({ kind: 'observed', startedAt: 0, value: 'one' }));
    now = 999;
    expect(await ask('two')).toEqual({ kind: 'observed', startedAt: 0, value: 'one' });
    expect(runs).toBe(1);
  });

  test('another question waits for the run under way, then for its turn', async () => {
    const gate = Promise.withResolvers<string>();
    const first = pacer.probe('a:1', 'm', 'q', pace, () => gate.promise);
    const others = [ask('two', 'r'), ask('three', 's')];
    gate.resolve('one');
    await first;
    expect(await Promise.all(others)).toEqual(Array(2).fill({ kind: 'later', at: 1000 }));
    expect(runs).toBe(0);
  });

  test('several that wait beyond the pause do not run at one time', async () => {
    const gate = Promise.withResolvers<string>();
    const first = pacer.probe('a:1', 'm', 'q', pace, () => gate.promise);
    const others = [ask('two', 'r'), ask('three', 's')];
    now = 5000;
    gate.resolve('one');
    await first;
    const kinds = (await Promise.all(others)).map(({ kind }) => kind);
    expect(kinds).toEqual(['observed', 'later']);
  });

  test('a dead endpoint is left alone for longer and longer, a live one is not', async () => {
    const starts: number[] = [];
    for (const value of ['dark', 'dark', 'dark', 'lit', 'lit']) {
      now = pacer.dueAt('a:1', 'm', pace);
      starts.push(now);
      await ask(value, String(now));
    }
    expect(starts).toEqual([0, 2000, 6000, 14_000, 15_000]);
  });

  test('a run that throws tells all who joined, and counts as dark', async () => {
    const broken = (begun: () => void): Promise<string> => {
      begun();
      return Promise.reject(new Error('aborted'));
    };
    const both = [pacer.probe('a:1', 'm', 'q', pace, broken), pacer.probe('a:1', 'm', 'q', pace, broken)];
    for (const each of both) await expect(each).rejects.toThrow('aborted');
    expect(await ask('one')).toEqual({ kind: 'later', at: 2000 });
  });

  test('one that was aborted before it began was none: nothing is known of the endpoint, and nothing is held against it', async () => {
    const aborted = (): Promise<string> => Promise.reject(new Error('aborted'));
    for (let i = 0; i < 3; i++) await expect(pacer.probe('a:1', 'm', 'q', pace, aborted)).rejects.toThrow('aborted');
    expect(await ask('one')).toMatchObject({ value: 'one' });
    now = 1_000;
    await expect(pacer.probe('a:1', 'm', 'other', pace, aborted)).rejects.toThrow('aborted');
    expect(await ask('two', 'other')).toMatchObject({ value: 'two' });
    expect(pacer.dueAt('a:1', 'm', pace), 'no back-off').toBe(2_000);
  });

  test('endpoints do not hold each other up, and those that nobody names are forgotten', async () => {
    await ask('one');
    expect((await ask('two', 'q', 'b:1')).kind).toBe('observed');
    pacer.retain(new Set(['b:1']));
    expect(await ask('three')).toMatchObject({ value: 'three' });
    expect(await ask('four', 'q', 'b:1')).toMatchObject({ value: 'two' });
  });
});

describe('several who ask at one endpoint', () => {
  const slot = 1_000;
  const rate = { maxProbesPerHour: 3_600 };

  test('each have a question of their own, and the answer to it', async () => {
    let now = 0;
    const pacer = new Pacer<string>({ now: () => now, random: () => 0, reached: () => true });
    const pace = { intervalMs: 30_000, ...rate };
    const ask = (asker: string, value: string) => pacer.probe('a:1', asker, `of ${asker}`, pace, async () => value);
    expect(await ask('x', 'x1')).toMatchObject({ value: 'x1' });
    expect(await ask('y', 'y1')).toEqual({ kind: 'later', at: slot });
    now = slot;
    expect(await ask('y', 'y1')).toMatchObject({ value: 'y1', startedAt: slot });
    // Neither has displaced the other.
    now = 29_000;
    expect(await ask('x', 'x2')).toMatchObject({ value: 'x1' });
    expect(await ask('y', 'y2')).toMatchObject({ value: 'y1' });
    now = 30_000;
    expect(await ask('x', 'x2')).toMatchObject({ value: 'x2' });
    expect(pacer.dueAt('a:1', 'y', pace)).toBe(31_000);
  });

  test('leave a dead endpoint alone together', async () => {
    let now = 0;
    const pacer = new Pacer<string>({ now: () => now, random: () => 0, reached: () => false });
    const pace = { intervalMs: 30_000, ...rate };
    const starts: number[] = [];
    while (now < 600_000) {
      const paced = await pacer.probe('a:1', `asker ${starts.length % 2}`, 'q', pace, async () => 'dark');
      if (paced.kind === 'observed' && paced.startedAt === now) starts.push(now);
      now = Math.max(now + 1, pacer.dueAt('a:1', `asker ${starts.length % 2}`, pace));
    }
    expect(starts.map((start) => start / 30_000)).toEqual([0, 2, 6, 14]);
  });

  test('are all served in time, however they ask, and the endpoint is not probed more often than allowed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 120_000 }), { minLength: 2, maxLength: 6 }),
        fc.infiniteStream(fc.nat(9)),
        async (intervals, randoms) => {
          let now = 0;
          const random = (): number => (randoms.next().value ?? 0) / 10;
          const pacer = new Pacer<number>({ now: () => now, random, reached: () => true });
          const starts: number[] = [];
          const askers = intervals.map((intervalMs, i) => ({ name: `asker ${i}`, intervalMs, wake: 0, served: 0 }));
          while (starts.length < 200) {
            // Always in the same order, as one peer asks for its members.
            for (const asker of askers.filter(({ wake }) => wake <= now)) {
              const pace = { intervalMs: asker.intervalMs, ...rate };
              const paced = await pacer.probe('a:1', asker.name, 'q', pace, async () => starts.push(now));
              asker.wake = paced.kind === 'later' ? paced.at : pacer.dueAt('a:1', asker.name, pace);
              if (paced.kind === 'observed') asker.served = paced.startedAt;
              const longest = Math.max(asker.intervalMs, slot) * 1.1 + 2 * askers.length * slot;
              expect(now - asker.served, `${asker.name} of ${intervals.join()}`).toBeLessThanOrEqual(longest);
            }
            now = Math.max(now + 1, Math.min(...askers.map(({ wake }) => wake)));
          }
          for (const [i, start] of starts.slice(1).entries())
            expect(start - (starts[i] ?? 0)).toBeGreaterThan(slot - 0.001);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('one who does not come back holds nobody up for long', async () => {
    let now = 0;
    const pacer = new Pacer<string>({ now: () => now, random: () => 0, reached: () => true });
    const pace = { intervalMs: slot, ...rate };
    const ask = (asker: string) => pacer.probe('a:1', asker, `of ${asker}`, pace, async () => asker);
    await ask('x');
    expect(await ask('gone')).toEqual({ kind: 'later', at: slot });
    now = slot;
    expect(await ask('x'), 'it is the turn of the other').toMatchObject({ startedAt: 0 });
    now = pacer.dueAt('a:1', 'x', pace);
    expect(now).toBe(2 * slot);
    expect(await ask('x')).toMatchObject({ startedAt: 2 * slot });
  });
});
