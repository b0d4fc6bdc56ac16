import { expect, test } from 'vitest';
import { plan } from '../../../src/rotation/plan.ts';
import { adoptGeneration } from '../../../src/rotation/stages.ts';
import { seeded } from '../world.ts';
import { decode, encode } from './codec.ts';
import { Moves } from './moves.ts';
import { Decider, type Planner } from './planner.ts';
import { committed } from './rules.ts';
import type { Entry, Generations, Head, Member, Seen, State } from './state.ts';
import type { World } from './world.ts';
import { BASE } from './worlds.ts';

const shipped: Planner = { plan, adoptGeneration };
const form = (state: State): string => Buffer.from(encode(state)).toString('latin1');

/** The first states of a world, in the order of a breadth-first search. */
function reachable(world: World, most: number): State[] {
  const moves = new Moves(world, shipped);
  const states = [decode(encode(moves.initial()))];
  const seen = new Set(states.map(form));
  for (let i = 0; i < states.length && states.length < most; i++) {
    moves.visit(states[i] ?? moves.initial(), (next) => {
      const text = form(next);
      if (seen.has(text)) return;
      seen.add(text);
      states.push(decode(Buffer.from(text, 'latin1')));
    });
  }
  return states;
}

/** The same state under other names and numbers, as far as the canonical form says that they mean nothing. */
function renamed(state: State, random: () => number): State {
  const upTo = (n: number): number => Math.floor(random() * n);
  const { head } = state;
  const ledgerEpochs = new Set([
    head.epoch,
    state.lastProof,
    ...(head.rotation === null ? [] : [head.rotation.provenEpoch]),
    ...state.members.flatMap(({ entry }) => (entry === null ? [] : [entry.since])),
  ]);
  const ladder = [...ledgerEpochs].sort((a, b) => a - b);
  let top = 0;
  const steps = ladder.map(() => (top += 1 + upTo(4)));
  const ledgerEpoch = (epoch: number): number => steps[ladder.indexOf(epoch)] ?? 0;
  // An epoch of a fact is known only by the ledger epochs that it has reached.
  const epoch = (of: number): number => {
    const reached = ladder.filter((each) => each <= of).length;
    const from = steps[reached - 1] ?? 0;
    return reached === ladder.length ? from : from + upTo((steps[reached] ?? from + 1) - from);
  };
  let last = 0;
  const numbers = Array.from({ length: 9 }, (_, i) => (i === 0 ? 0 : (last += 1 + upTo(2))));
  const generation = (number: number): number => numbers[number] ?? 0;
  const generations = (set: Generations): Generations =>
    numbers.reduce((renumbered, number, i) => ((set & (1 << i)) === 0 ? renumbered : renumbered | (1 << number)), 0);
  const shift = upTo(5);
  const seen = <T extends Seen>(of: T): T => ({
    ...of,
    leaf: generation(of.leaf),
    id: of.leaf === 0 ? 0 : of.id + shift,
    trusts: generations(of.trusts),
    refuses: generations(of.refuses),
  });
  const content = <T extends { leaf: number; id: number; bundle: number }>(of: T): T => ({
    ...of,
    leaf: generation(of.leaf),
    id: of.id + shift,
    bundle: generations(of.bundle),
  });
  const entry = (of: Entry): Entry => ({
    ...of,
    leaf: generation(of.leaf),
    bundle: generations(of.bundle),
    since: ledgerEpoch(of.since),
  });
  const member = (of: Member): Member => ({
    ...of,
    entry: of.entry === null ? null : entry(of.entry),
    secret:
      of.secret === null
        ? null
        : { ...content(of.secret), epoch: epoch(of.secret.epoch), revision: of.secret.revision + shift },
    loaded: of.loaded === null ? null : content(of.loaded),
    coming: of.coming.map(content),
    old: of.old.map(content),
    vouch:
      of.vouch === null
        ? null
        : { ...of.vouch, generation: generation(of.vouch.generation), revision: of.vouch.revision + shift },
    sight:
      of.sight === null
        ? null
        : { ...seen(of.sight), epoch: epoch(of.sight.epoch), revision: of.sight.revision + shift },
  });
  const newHead: Head = {
    ...head,
    epoch: ledgerEpoch(head.epoch),
    highest: generation(head.highest),
    generations: generations(head.generations),
    signer: generation(head.signer),
    bundle: generations(head.bundle),
    rotation:
      head.rotation === null
        ? null
        : {
            ...head.rotation,
            from: generation(head.rotation.from),
            to: generation(head.rotation.to),
            provenEpoch: ledgerEpoch(head.rotation.provenEpoch),
          },
  };
  const members = state.members.map(member);
  for (let i = members.length - 1; i > 0; i--) {
    const j = upTo(i + 1);
    const [a, b] = [members[i], members[j]];
    if (a === undefined || b === undefined) continue;
    members[i] = b;
    members[j] = a;
  }
  const { wanted } = state;
  return {
    ...state,
    head: newHead,
    lastProof: ledgerEpoch(state.lastProof),
    members,
    wanted: {
      ...wanted,
      pin: generation(wanted.pin),
      approved: { ...wanted.approved, generation: generation(wanted.approved.generation) },
    },
    due: generations(state.due),
  };
}

const ANY = Number.POSITIVE_INFINITY;
const WORLDS: readonly World[] = [
  {
    ...BASE,
    name: 'members',
    joiners: 1,
    may: { pin: 2, mispin: 1, join: 1, prune: 1, depart: 1, restore: 1, blind: 1 },
  },
  {
    ...BASE,
    name: 'gates',
    soak: true,
    approval: ['Roll', 'Drop'],
    unprobed: 1,
    may: { pin: 2, approve: 2, pause: 1, vouch: ANY },
  },
  { ...BASE, name: 'files', members: 3, coming: 2, old: 2, may: { pin: 2, late: ANY, restart: 1, renew: 1, stale: 1 } },
];

test.each(WORLDS)(
  'the planner knows no names and no numbers, only which is which and what came first: $name',
  (world) => {
    const random = seeded(4);
    let decided = 0;
    for (const state of reachable(world, 1_500)) {
      const other = renamed(state, random);
      expect(form(other), 'the canonical form is the same').toBe(form(state));
      const decisions = (of: State): string[] =>
        new Decider(shipped, world)
          .decide(of)
          .map(({ next, broken }) => (next === null ? broken : form(committed(of, next))))
          .sort();
      const [one, two] = [decisions(state), decisions(other)];
      // Both may be the same decision for different names.
      expect([...new Set(two)]).toEqual([...new Set(one)]);
      decided += one.length;
    }
    expect(decided).toBeGreaterThan(500);
  },
  120_000,
);
