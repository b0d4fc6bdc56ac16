import { expect, test } from 'vitest';
import { type Doubt, doubtAfter, doubted, doubtIn, knownIn } from '../../src/controllers/replicationpeer/doubt.ts';
import type { Seen } from '../../src/controllers/replicationpeer/observe.ts';

const GOOD: Seen = {
  name: 'b',
  certificate: 'storage/b',
  epoch: 7,
  revision: 'r1',
  observedAt: '2026-10-05T00:00:00Z',
  presents: { fingerprint: 'f'.repeat(64), generation: 1 },
  trusts: { listening: [1, 2], dialling: [1, 2] },
  refuses: { fresh: [], resumed: [] },
  reason: 'Verified',
};
const LAGGING: Seen = {
  ...GOOD,
  trusts: { listening: [1], dialling: [1] },
  refuses: { fresh: [2], resumed: [] },
  reason: 'NotTrusted',
};

/** What counts of looks in a row, each of which was mixed or not. */
function believed(...looks: readonly (readonly [seen: Seen, mixed: boolean])[]): string[] {
  let doubt: Doubt | null = null;
  return looks.map(([each, mixed]) => {
    const seen: Seen = mixed ? { ...each, reason: 'Unsteady' } : each;
    doubt = doubtAfter(doubt, seen, null);
    const { reason, trusts } = doubt === null ? seen : doubted(seen, doubt);
    return `${reason} ${trusts?.listening.join()}`.trim();
  });
}

test('who never gave different answers is believed at once', () => {
  expect(believed([LAGGING, false], [GOOD, false])).toEqual(['NotTrusted 1', 'Verified 1,2']);
});

test('who did is believed when it was seen alike three times in a row', () => {
  const doubtful = 'Unsteady';
  expect(believed([LAGGING, true], [GOOD, false], [GOOD, false], [GOOD, false], [GOOD, false])).toEqual([
    doubtful,
    doubtful,
    doubtful,
    'Verified 1,2',
    'Verified 1,2',
  ]);
  expect(believed([LAGGING, true], [GOOD, false], [GOOD, false], [GOOD, true], [GOOD, false], [GOOD, false])).toEqual([
    ...Array<string>(6).fill(doubtful),
  ]);
});

test('a no is believed all the same, and brings nobody nearer', () => {
  expect(believed([GOOD, true], [GOOD, false], [LAGGING, false], [GOOD, false], [GOOD, false])).toEqual([
    'Unsteady',
    'Unsteady',
    'NotTrusted',
    'Unsteady',
    'Verified 1,2',
  ]);
});

test('another revision of its Secret is another question', () => {
  const next = { ...GOOD, revision: 'r2' };
  expect(believed([GOOD, true], [next, false])).toEqual(['Unsteady', 'Verified 1,2']);
});

test('the message says how many looks are needed, and what to do', () => {
  expect(doubted(GOOD, { revision: 'r1', left: 2, resumed: [] }).message).toMatch(
    /^b gave different answers a moment ago, and is believed after 2 more looks .* name each in spec\.members\[\]\.endpoints\.$/,
  );
  expect(doubted(GOOD, { revision: 'r1', left: 1, resumed: [] }).message).toContain(
    'one more look in which it does not',
  );
});

test.each(['Unsteady', 'NotPresented', 'NoSessionKept', 'StillResumed', 'Inconclusive'] as const)(
  'a yes is none in whatever look: %s',
  (reason) => {
    const lucky: Seen = { ...GOOD, refuses: { fresh: [], resumed: [3] }, reason };
    const doubt = doubtAfter(null, { ...lucky, reason: 'Unsteady' }, null);
    if (doubt === null) throw new Error('no doubt');
    const { presents, trusts, refuses } = doubted(lucky, doubt);
    expect({ trusts, refuses }).toEqual({
      trusts: { listening: [], dialling: [] },
      refuses: { fresh: [], resumed: [] },
    });
    // That it presents another leaf than it should is a no.
    expect(presents).toEqual(reason === 'NotPresented' ? GOOD.presents : undefined);
  },
);

test('an operator that was started anew doubts whom its status calls unsteady', () => {
  expect(doubtIn({ ...GOOD, reason: 'Unsteady' })).toEqual({ revision: 'r1', left: 3, resumed: [] });
  expect(doubtIn(LAGGING)).toBeNull();
  expect(doubtIn(null)).toBeNull();
});

/** What counts of sessions, look after look, of which the first is mixed; `dead`: whose sessions it could then be known of, if they were before. */
function resumedIn(before: readonly number[], ...dead: readonly (readonly number[])[]): readonly unknown[] {
  let doubt: Doubt | null = null;
  let counted: Seen | null = { ...GOOD, refuses: { fresh: [], resumed: [...before] } };
  return dead.map((generations, index) => {
    const known = knownIn(counted, doubt);
    const resumed = generations.filter((each) => known?.refuses?.resumed?.includes(each) === true);
    const seen: Seen = { ...GOOD, refuses: { fresh: [], resumed }, reason: index === 0 ? 'Unsteady' : 'Verified' };
    doubt = doubtAfter(doubt, seen, known);
    counted = doubt === null ? seen : doubted(seen, doubt);
    return counted.refuses?.resumed;
  });
}

test('what was known of sessions before does not count meanwhile, and is known again afterwards', () => {
  expect(resumedIn([2], [2], [2], [2], [2])).toEqual([[], [], [], [2]]);
  expect(resumedIn([2], [2], [2], [], [2]), 'disproven meanwhile').toEqual([[], [], [], []]);
  expect(resumedIn([], [2], [2], [2], [2]), 'never known').toEqual([[], [], [], []]);
});

test('what is seen of sessions in a doubt is not known by it', () => {
  const doubt = doubtAfter(null, { ...GOOD, refuses: { fresh: [], resumed: [3] }, reason: 'Unsteady' }, GOOD);
  expect(doubt?.resumed).toEqual([]);
  expect(knownIn(null, doubt)).toBeNull();
  expect(knownIn(LAGGING, null)).toBe(LAGGING);
});
