/**
 * The operator is killed right before and right after each of its writes, and each event of its watches is hidden, delayed or doubled: the
 * end is the same as in an undisturbed life, no link breaks on the way, and the order of a rotation holds.
 *
 * With PROVE=all (`make prove`) for every write and event of a whole life, with PROVE=kinds for one of each kind, stage and direction.
 */
import { writeSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { testBed } from '../controllers/bed.ts';
import type { EventFate, WriteFate } from './gate.ts';
import { type Ground, live, type Lived, type Moment, type Plan } from './life.ts';

const bed = testBed(0);
const PROVE = process.env['PROVE'] === 'all';
const TIMEOUT = PROVE ? 12 * 3_600_000 : 1_800_000;
/** Lives side by side. A life mostly waits for probes, a second apart; more of them than two cores bear make evidence stale. */
const LANES = 8;

const ground: Ground = {
  client: bed.client,
  operators: bed.operators,
  namespace: () => bed.cluster.namespace('life'),
};

const UNDISTURBED: Plan = { write: () => 'done', event: () => 'told' };

/** Two lives in which nothing happens: what each comes to is what every other has to come to, and a moment of both is sure to come again. */
const undisturbed: { first: Lived; second: Lived } = { first: none(), second: none() };
function none(): Lived {
  return { writes: [], events: [], rests: new Map(), met: new Set(), handshakes: 0, faults: ['not lived'] };
}

beforeAll(async () => {
  undisturbed.first = await live(ground, UNDISTURBED, null);
  undisturbed.second = await live(ground, UNDISTURBED, undisturbed.first.rests);
  for (const { faults } of Object.values(undisturbed)) {
    if (faults.length > 0) throw new Error(`an undisturbed life: ${faults.join('; ')}`);
  }
  const { writes, events, handshakes } = undisturbed.first;
  say(`an undisturbed life has ${writes.length} writes and ${events.length} events, ${handshakes} handshakes`);
}, TIMEOUT);

const KILLS = ['lost', 'unanswered'] as const satisfies readonly WriteFate[];
const DISORDERS = ['hidden', 'delayed', 'doubled'] as const satisfies readonly EventFate[];
type Fate = (typeof KILLS)[number] | (typeof DISORDERS)[number];

/** Something that is to happen at a moment of one kind: at the first of these that comes. */
interface Case {
  /** Kind and fate. */
  readonly kind: string;
  /** The same, or with PROVE=all the very moment and fate. */
  readonly what: string;
  readonly fate: Fate;
  readonly moments: readonly Moment[];
  /** Whether a moment of it came in both undisturbed lives. */
  readonly sure: boolean;
}

/** One case for each kind and fate; with PROVE=all one for each moment and fate. */
function casesOf(one: readonly Moment[], other: readonly Moment[], fates: readonly Fate[]): readonly Case[] {
  const again = new Set(other.map(({ id }) => id));
  const groups = Map.groupBy(one, ({ kind, id }) => (PROVE ? id : kind));
  return [...groups].flatMap(([what, all]) => {
    const twice = all.filter(({ id }) => again.has(id));
    const sure = twice.length > 0;
    const kind = all[0]?.kind ?? '';
    return fates.map((fate) => ({
      kind: `${fate}: ${kind}`,
      what: `${fate}: ${what}`,
      fate,
      moments: sure ? twice : all,
      sure,
    }));
  });
}

/** A plan of one case, or of several that are out of each other's way. */
function planOf(cases: readonly Case[]): Plan {
  const done = new Set<Case>();
  const fateOf = (moment: Moment, fates: readonly Fate[]): Fate | null => {
    const due = cases.find(
      (each) => !done.has(each) && fates.includes(each.fate) && each.moments.some(({ id }) => id === moment.id),
    );
    if (due === undefined) return null;
    done.add(due);
    return due.fate;
  };
  return {
    write: (moment) => (fateOf(moment, KILLS) ?? 'done') as WriteFate,
    event: (moment) => (fateOf(moment, DISORDERS) ?? 'told') as EventFate,
  };
}

interface Tally {
  readonly lives: number;
  readonly handshakes: number;
  /** Cases that happened. */
  readonly run: number;
  /**
   * Cases whose moments did not come again: how often a status is written depends on the second in which something was seen.
   * None of its kind at all, although it came in both undisturbed lives, is a fault.
   */
  readonly absent: readonly string[];
  readonly faults: readonly string[];
}

/** Lives once for each group of cases, several lives at a time. */
async function runAll(groups: readonly (readonly Case[])[]): Promise<Tally> {
  say(`${groups.flat().length} cases in ${groups.length} lives begin`);
  const waiting = [...groups];
  const absent: string[] = [];
  const faults: string[] = [];
  const kinds = new Set<string>();
  let [lives, handshakes, run] = [0, 0, 0];
  const lane = async (): Promise<void> => {
    for (let group = waiting.shift(); group !== undefined; group = waiting.shift()) {
      const lived = await live(ground, planOf(group), undisturbed.first.rests);
      lives += 1;
      handshakes += lived.handshakes;
      const name = group.map(({ what }) => what).join(' + ');
      faults.push(...lived.faults.map((fault) => `${name}\n  ${fault}`));
      for (const { kind, what, moments } of group) {
        if (moments.some(({ id }) => lived.met.has(id))) {
          run += 1;
          kinds.add(kind);
        } else absent.push(what);
      }
      if (lives % 10 === 0) say(`${lives} of ${groups.length} lives, ${faults.length} faults`);
      for (const fault of lived.faults) say(`${name}\n  ${fault}`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  const never = groups.flat().filter(({ kind, sure }) => sure && !kinds.has(kind));
  faults.push(...new Set(never.map(({ kind }) => `${kind}: it did not come again`)));
  return { lives, handshakes, run, absent, faults };
}

function say(line: string): void {
  // At once, whatever the test runner keeps until the test ends: a life takes a minute.
  writeSync(process.stderr.fd, `crash: ${line}\n`);
}

function told(what: string, moments: readonly Moment[], cases: readonly Case[], tally: Tally): string {
  const kinds = new Set(moments.map(({ kind }) => kind)).size;
  const { lives, run, absent, handshakes, faults } = tally;
  const missing = absent.length === 0 ? '' : ` (did not come again: ${absent.join('; ')})`;
  return `${moments.length} ${what} of ${kinds} kinds enumerated, ${cases.length} cases, ${run} run${missing}, in ${lives} lives with ${handshakes} handshakes; ${faults.length} faults`;
}

test('killed right before or right after a write, the end is the same', { timeout: TIMEOUT }, async () => {
  const { first, second } = undisturbed;
  const cases = casesOf(first.writes, second.writes, KILLS);
  // Each step of a life begins with everything as in the undisturbed one: it is a run of its own, with one death.
  const tally = await runAll(packed(cases, ({ leg }) => leg));
  say(told('writes', first.writes, cases, tally));
  expect(tally.faults).toEqual([]);
});

test('an event hidden, delayed or doubled, the end is the same', { timeout: TIMEOUT }, async () => {
  const { first, second } = undisturbed;
  const cases = casesOf(first.events, second.events, DISORDERS);
  // An event that is out of order is over in a few seconds.
  const tally = await runAll(packed(cases, ({ stage }) => stage));
  say(told('events', first.events, cases, tally));
  expect(tally.faults).toEqual([]);
});

/**
 * As few lives as it takes when none has two cases in the same `part`: the first is over before the next one comes.
 * @param part names the part of a life that a moment is in
 */
function packed(cases: readonly Case[], part: (moment: Moment) => string): readonly (readonly Case[])[] {
  const groups: { readonly cases: Case[]; readonly parts: Set<string> }[] = [];
  for (const each of cases) {
    const fits = groups.flatMap((group) => {
      const moment = each.moments.find((one) => !group.parts.has(part(one)));
      return moment === undefined ? [] : [{ group, moment }];
    });
    let [place] = fits;
    if (place === undefined) {
      const [moment] = each.moments;
      if (moment === undefined) continue;
      place = { group: { cases: [], parts: new Set() }, moment };
      groups.push(place.group);
    }
    const where = part(place.moment);
    place.group.cases.push({ ...each, moments: each.moments.filter((moment) => part(moment) === where) });
    place.group.parts.add(where);
  }
  return groups.map((group) => group.cases);
}

test('killed at every fifth write of its life, the end is the same', { timeout: TIMEOUT }, async () => {
  const plan: Plan = {
    write: (_, before) => (before % 5 < 4 ? 'done' : before % 2 === 0 ? 'lost' : 'unanswered'),
    event: () => 'told',
  };
  const lived = await live(ground, plan, undisturbed.first.rests);
  say(`killed at every fifth write: ${lived.met.size} deaths in one life`);
  expect(lived.faults).toEqual([]);
  expect(lived.met.size).toBeGreaterThan(15);
});
