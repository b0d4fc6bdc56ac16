/** What is chosen to go wrong: a choice that leaves something out would make every crash test pass. */
import { expect, test } from 'vitest';
import {
  type Case,
  casesOf,
  DISORDERS,
  enumerated,
  type Fate,
  KILLS,
  ofBoth,
  packed,
  partsOf,
  planOf,
} from './cases.ts';
import type { Moment } from './life.ts';

/** The nth moment of this kind, in a stage of a rotation. */
function moment(stage: string, what: string, nth: number): Moment {
  const kind = `${what}, ${stage}`;
  return { kind, stage, rotating: stage !== 'deletion', resource: 'secrets', object: what, id: `${kind}, ${nth}.` };
}

const LIFE = [
  moment('Roll', 'Ledger', 1),
  moment('Roll', 'Ledger', 2),
  moment('Roll', 'Member', 1),
  moment('Drop', 'Ledger', 1),
  moment('deletion', 'Ledger', 1),
  moment('deletion', 'Member', 1),
];

const all = [...KILLS, ...DISORDERS];
const whats = (cases: readonly Case[]): readonly string[] => cases.map(({ what }) => what).toSorted();

test('there is a case for each kind and fate, or for each moment and fate', () => {
  const kinds = casesOf(LIFE, LIFE, KILLS, 'kind');
  expect(kinds).toHaveLength(5 * 2);
  expect(kinds[0]).toMatchObject({
    kind: 'killed right before: Ledger, Roll',
    moments: [LIFE[0], LIFE[1]],
  });
  const moments = casesOf(LIFE, LIFE, KILLS, 'moment');
  expect(moments).toHaveLength(6 * 2);
  expect(new Set(whats(moments)).size).toBe(6 * 2);
});

test('a kind that only the second life had is enumerated as well', () => {
  expect(enumerated(LIFE.slice(2), LIFE.slice(0, 4))).toEqual([...LIFE.slice(2), LIFE[0], LIFE[1]]);
  expect(enumerated(LIFE, LIFE.slice(1))).toEqual(LIFE);
});

test('only a kind that both lives had has to come again', () => {
  const life = enumerated(LIFE.slice(2), LIFE.slice(0, 4));
  const kinds = casesOf(life, LIFE.slice(0, 4), ['lost'], 'kind');
  expect(kinds).toHaveLength(5);
  expect(whats(ofBoth(kinds, LIFE.slice(2), LIFE.slice(0, 4)))).toEqual([
    'killed right before: Ledger, Drop',
    'killed right before: Member, Roll',
  ]);
});

test('a moment of both lives is preferred to one that came in one only', () => {
  const cases = casesOf(LIFE, LIFE.slice(1, 5), ['lost'], 'kind');
  expect(cases[0]?.moments).toEqual([LIFE[1]]);
  expect(cases.at(-1)?.moments).toEqual([LIFE[5]]);
});

test.each(['kind', 'moment'] as const)('lives of one %s have every case once, and no two in one part', (each) => {
  const cases = casesOf(LIFE, LIFE, all, each);
  const lives = packed(cases);
  expect(whats(lives.flat())).toEqual(whats(cases));
  for (const life of lives) {
    const wanted = life.map(({ moments, fate }) => moments.map((one) => partsOf(one, fate)));
    for (const same of wanted) expect(new Set(same.map(String)).size).toBe(1);
    const taken = wanted.flatMap(([parts = []]) => parts);
    expect(new Set(taken).size).toBe(taken.length);
  }
  expect(lives.length).toBeLessThan(cases.length / 2);
});

test.each<[string, readonly [string, string, Fate], readonly [string, string, Fate], boolean]>([
  ['two deaths in one stage', ['Roll', 'Ledger', 'lost'], ['Roll', 'Member', 'unanswered'], false],
  ['two deaths in a deletion', ['deletion', 'Ledger', 'lost'], ['deletion', 'Member', 'lost'], true],
  ['two delays of one watch', ['deletion', 'Ledger', 'delayed'], ['deletion', 'Member', 'hidden'], false],
  ['one event hidden and doubled', ['Roll', 'Ledger', 'hidden'], ['Roll', 'Ledger', 'doubled'], false],
  ['two doubled ones', ['Roll', 'Ledger', 'doubled'], ['Roll', 'Member', 'doubled'], true],
])('%s', (_, [stage, what, fate], [otherStage, otherWhat, otherFate], together) => {
  const cases = [
    ...casesOf([moment(stage, what, 1)], [], [fate], 'kind'),
    ...casesOf([moment(otherStage, otherWhat, 1)], [], [otherFate], 'kind'),
  ];
  expect(packed(cases)).toHaveLength(together ? 1 : 2);
});

test('a plan lets each case happen once, at the first of its moments', () => {
  const plan = planOf(casesOf(LIFE.slice(0, 2), LIFE, ['lost', 'hidden'], 'kind'));
  const [first, second] = [moment('Roll', 'Ledger', 1), moment('Roll', 'Ledger', 2)];
  expect(plan.write(moment('Drop', 'Ledger', 1), 0)).toBe('done');
  expect([plan.write(first, 1), plan.write(second, 2)]).toEqual(['lost', 'done']);
  expect([plan.event(first), plan.event(second)]).toEqual(['hidden', 'told']);
});
