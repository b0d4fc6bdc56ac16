/** Names that nobody answers for, beside names of others: by a resolver that, as libuv does, works on two at a time and cannot be stopped. */
import { expect, test } from 'vitest';
import { Lookups } from '../../src/probe/lookups.ts';

const forever = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Two at a time, first come, first served. A name that begins with `dead` stays until the test lets it go. */
function machine() {
  const asked: string[] = [];
  const queue: (() => void)[] = [];
  const dead: { host: string; answer: (addresses: string[]) => void }[] = [];
  let busy = 0;
  const resolve = async (host: string): Promise<string[]> => {
    asked.push(host);
    if (busy === 2) await new Promise<void>((go) => queue.push(go));
    else busy += 1;
    const answer = Promise.withResolvers<string[]>();
    if (host.startsWith('dead')) dead.push({ host, answer: answer.resolve });
    else answer.resolve(['127.0.0.1']);
    const addresses = await answer.promise;
    const next = queue.shift();
    if (next === undefined) busy -= 1;
    else next();
    return addresses;
  };
  return {
    lookups: new Lookups(resolve),
    asked,
    /** Ends the oldest of the dead lookups. */
    end: async (addresses: string[] = []): Promise<void> => {
      await turn();
      dead.shift()?.answer(addresses);
      await turn();
    },
  };
}

test("one owner's dead names, more of them in each round, hold no other owner's", async () => {
  const { lookups, asked } = machine();
  for (let round = 0; round < 5; round++) {
    const bad = Array.from({ length: 64 }, (_, i) => lookups.addresses('bad', `dead-${round}-${i}`, 20, forever));
    expect(await lookups.addresses('good', 'localhost', 5_000, forever)).toEqual(['127.0.0.1']);
    expect(await Promise.all(bad), 'each is told in time').toEqual(bad.map(() => null));
  }
  expect(
    asked.filter((host) => host.startsWith('dead')),
    'under way at one time',
  ).toHaveLength(1);
});

test('who waits has a turn as soon as one of those that hold all has ended, however many more they ask for', async () => {
  const { lookups, end } = machine();
  const bad = ['bad', 'worse'].flatMap((owner) =>
    Array.from({ length: 64 }, (_, i) => lookups.addresses(owner, `dead-${i}`, 1_000, forever)),
  );
  const good = lookups.addresses('good', 'localhost', 1_000, forever);
  await end();
  expect(await good).toEqual(['127.0.0.1']);
  await Promise.all(bad);
});

test('a name that is being looked up is not looked up once more: whoever asks gets its answer, however late it comes', async () => {
  const { lookups, asked, end } = machine();
  expect(await lookups.addresses('a', 'dead', 10, forever)).toBeNull();
  const again = [1, 2].map(() => lookups.addresses('a', 'dead', 5_000, forever));
  await end(['127.0.0.7', '127.0.0.7']);
  expect(await Promise.all(again)).toEqual([['127.0.0.7'], ['127.0.0.7']]);
  expect(asked).toEqual(['dead']);
  const anew = lookups.addresses('a', 'dead', 5_000, forever);
  await end(['127.0.0.8']);
  expect(await anew, 'an answer that was there before is not used').toEqual(['127.0.0.8']);
});

test('a name that nobody asks for any more is never looked up; one that is asked for again is', async () => {
  const { lookups, asked, end } = machine();
  const held = lookups.addresses('a', 'dead', 5_000, forever);
  const stopped = new AbortController();
  const gone = lookups.addresses('a', 'name', 5_000, stopped.signal);
  stopped.abort(new Error('shut down'));
  await expect(gone).rejects.toThrow('shut down');
  expect(await lookups.addresses('a', 'name', 10, forever)).toBeNull();
  const wanted = lookups.addresses('a', 'name', 5_000, forever);
  expect(await lookups.addresses('a', 'other', 10, forever)).toBeNull();
  await end();
  expect(await wanted).toEqual(['127.0.0.1']);
  expect(await held).toBeNull();
  expect(asked).toEqual(['dead', 'name']);
  await expect(lookups.addresses('a', 'late', 10, stopped.signal)).rejects.toThrow('shut down');
});
