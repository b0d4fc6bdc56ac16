/**
 * The operator, as it is shipped, is killed right before and right after each of its writes, and each event of its watches is hidden, delayed
 * or doubled: the end is the same as in an undisturbed life, no link breaks on the way, and the order of a rotation holds.
 *
 * One of each kind, stage and direction; with PROVE=all (`make prove`) every single write and event of a whole life.
 */
import { writeSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { Slots } from '../../src/probe/pacing.ts';
import { bundle } from '../support/bundle.ts';
import { PROOF } from '../support/proof.ts';
import { testBed } from './bed.ts';
import { type Case, casesOf, DISORDERS, enumerated, type Fate, KILLS, ofBoth, packed, planOf, WORDS } from './cases.ts';
import { differences } from './end-state.ts';
import { type Ground, live, type Lived, type Moment, type Plan } from './life.ts';

const bed = testBed(0);
const PROVE = process.env['PROVE'] === 'all';
// Minutes on two idle cores; nothing in a life has a time-out that a busy machine meets.
const TIMEOUT = PROVE ? 24 * 3_600_000 : 3_600_000;
/** Lives side by side. A life mostly waits for probes, a second apart; more of them than two cores bear make evidence stale. */
const lanes = new Slots(8);
const forEver = new AbortController().signal;

const ground: { -readonly [Each in keyof Ground]: Ground[Each] } = {
  client: bed.client,
  operators: bed.operators,
  program: '',
  namespace: () => bed.cluster.namespace('life'),
};

const UNDISTURBED: Plan = { write: () => 'done', event: () => 'told' };

/** Two lives in which nothing happens: what both come to is what every other has to come to. */
let undisturbed: { readonly first: Lived; readonly second: Lived };

beforeAll(async () => {
  ground.program = await bundle();
  const [first, second] = await Promise.all([live(ground, UNDISTURBED, null), live(ground, UNDISTURBED, null)]);
  const faults = [...first.faults, ...second.faults];
  for (const [name, rest] of first.rests) {
    const found = differences(rest, second.rests.get(name) ?? new Map());
    faults.push(...found.map((each) => `${name}, the second time: ${each}`));
  }
  if (faults.length > 0) throw new Error(`an undisturbed life:\n${faults.join('\n')}`);
  undisturbed = { first, second };
  const { writes, events, handshakes } = first;
  say(`an undisturbed life has ${writes.length} writes and ${events.length} events, ${handshakes.ok} handshakes`);
}, TIMEOUT);

/** How often a moment is waited for that did not come again: how often a status is written depends on when something was seen. */
const ROUNDS = 3;

/** And how often a kind of which not one moment has come: that one which both undisturbed lives have is not run is a failure. */
const ROUNDS_OF_KINDS = 5;

/** Lives with faults of which each case is lived once more alone. */
const MOST_ASKED = 3;

/** Lives that have some of these cases each, until all have happened. */
class Lives {
  readonly faults: string[] = [];
  count = 0;
  readonly handshakes = { ok: 0, failed: 0 };
  readonly #happened = new Set<string>();
  readonly #kindsRun = new Set<string>();
  #asked = 0;

  /**
   * @param cases what is to happen
   * @param certain one case of each kind that always comes: what is waited for when none of the cases of a kind has come
   */
  async run(cases: readonly Case[], certain: readonly Case[]): Promise<void> {
    for (let round = 1; round <= ROUNDS + ROUNDS_OF_KINDS; round += 1) {
      const left = round <= ROUNDS ? cases.filter((each) => !this.happened(each)) : this.notRun(certain);
      if (left.length === 0) continue;
      // What did not come where it was packed in is looked for in the whole of a life of its own.
      const lives = round === 1 ? packed(left) : left.map((each) => [each]);
      const again = round === 1 ? '' : ` (${shortened(left.map(({ what }) => what))})`;
      say(`round ${round}: ${left.length} cases in ${lives.length} lives${again}`);
      await Promise.all(lives.map((each) => this.#live(each)));
    }
  }

  happened({ what }: Case): boolean {
    return this.#happened.has(what);
  }

  /** Those of which nothing has happened. */
  notRun(kinds: readonly Case[]): readonly Case[] {
    return kinds.filter(({ kind }) => !this.#kindsRun.has(kind));
  }

  async #live(cases: readonly Case[]): Promise<void> {
    const { happened, faults } = await this.#once(cases);
    for (const { what, kind } of happened) {
      this.#happened.add(what);
      this.#kindsRun.add(kind);
    }
    if (faults.length === 0) return;
    // Which of them it was, each tells by itself; if everything is broken, a few answers will do.
    const asks = happened.length > 1 && this.#asked < MOST_ASKED;
    if (asks) this.#asked += 1;
    const alone = asks ? await Promise.all(happened.map((each) => this.#once([each]))) : [];
    const guilty = alone.flatMap((each) => (each.faults.length > 0 ? each.happened : []));
    const title = guilty.length > 0 ? guilty : happened;
    const together = asks && guilty.length === 0 ? ' (in one life; none of them alone)' : '';
    const fault = [
      `${title.map(({ what }) => what).join(' + ') || 'before anything had happened'}${together}`,
      ...[...new Set([...faults, ...alone.flatMap((each) => each.faults)])].map((each) => `  ${each}`),
    ].join('\n');
    this.faults.push(fault);
    say(fault);
  }

  async #once(cases: readonly Case[]): Promise<{ happened: readonly Case[]; faults: readonly string[] }> {
    const lived = await lanes.run('life', () => live(ground, planOf(cases), undisturbed.first.rests), forEver);
    const { met, handshakes, faults } = lived;
    this.count += 1;
    this.handshakes.ok += handshakes.ok;
    this.handshakes.failed += handshakes.failed;
    return { happened: cases.filter(({ moments }) => moments.some(({ id }) => met.has(id))), faults };
  }
}

const shortened = (all: readonly string[]): string =>
  all.length <= 8 ? all.join('; ') : `${all.slice(0, 8).join('; ')} and ${all.length - 8} more`;

/** At once, whatever the test runner keeps until the test ends: lives take minutes. */
function say(line: string): void {
  writeSync(process.stderr.fd, `crash: ${line}\n`);
}

function prove(line: string): void {
  writeSync(process.stderr.fd, `${PROOF}${line}\n`);
}

const named = (cases: readonly Case[]): string =>
  cases.length === 0 ? '' : ` (${cases.map(({ kind }) => kind).join('; ')})`;

/** What there is, kind by kind, and what of it was run: of the cases, and of the kinds, each with every fate. */
function tell(
  what: string,
  moments: readonly Moment[],
  fates: readonly Fate[],
  cases: readonly Case[],
  kinds: readonly Case[],
  certain: readonly Case[],
  lives: Lives,
): void {
  const all = Map.groupBy(moments, ({ kind }) => kind);
  const notRun = lives.notRun(kinds);
  const missed = lives.notRun(certain);
  const chance = notRun.filter((each) => !missed.includes(each));
  for (const [kind, its] of all) {
    const mine = cases.filter((each) => each.moments.some((moment) => moment.kind === kind));
    const runs = fates.map((fate) => {
      const [run, missed] = [true, false].map(
        (yes) => mine.filter((each) => each.fate === fate && lives.happened(each) === yes).length,
      );
      return `${WORDS[fate]} ${run}${missed === 0 ? '' : ` (${missed} did not come again)`}`;
    });
    say(`  ${kind}: ${its.length} enumerated; ${runs.join(', ')}`);
  }
  const run = cases.filter((each) => lives.happened(each)).length;
  const words = fates.map((fate) => WORDS[fate]).join(', ');
  prove(
    `${moments.length} ${what}, ${cases.length} cases (${words}), ${run} run ` +
      `in ${lives.count} lives with ${lives.handshakes.ok} handshakes, ${lives.handshakes.failed} failed; ${lives.faults.length} faults`,
  );
  prove(
    `kinds of ${what}: ${all.size} enumerated, each ${words}: ${kinds.length}, of which ${kinds.length - notRun.length} run, ` +
      `${missed.length} not run${named(missed)}` +
      (chance.length === 0
        ? ''
        : `, ${chance.length} did not come again, as in one of two undisturbed lives${named(chance)}`),
  );
}

/** In every fifteen writes five deaths: of one that has made a single write, then two, three, four and five, every other one of them in vain. */
const AGAIN_AND_AGAIN: ReadonlyMap<number, (typeof KILLS)[number]> = new Map([
  [0, 'unanswered'],
  [2, 'lost'],
  [5, 'unanswered'],
  [9, 'lost'],
  [14, 'unanswered'],
]);

// First, for this life is the longest.
test.concurrent('killed again and again, the end is the same', { timeout: TIMEOUT }, async () => {
  const plan: Plan = { write: (_, before) => AGAIN_AND_AGAIN.get(before % 15) ?? 'done', event: () => 'told' };
  const lived = await lanes.run('life', () => live(ground, plan, undisturbed.first.rests), forEver);
  prove(`killed again and again: ${lived.deaths} deaths in one life; ${lived.faults.length} faults`);
  expect(lived.faults).toEqual([]);
  expect(lived.deaths).toBeGreaterThan(50);
});

test.concurrent.each([
  ['killed right before or right after a write', 'writes', KILLS],
  ['an event hidden, delayed or doubled', 'events', DISORDERS],
] as const)('%s, the end is the same', { timeout: TIMEOUT }, async (_, what, fates) => {
  const other = undisturbed.second[what];
  const one = enumerated(undisturbed.first[what], other);
  const kinds = casesOf(one, other, fates, 'kind');
  const cases = PROVE ? casesOf(one, other, fates, 'moment') : kinds;
  const lives = new Lives();
  const certain = ofBoth(kinds, undisturbed.first[what], other);
  await lives.run(cases, certain);
  tell(what, one, fates, cases, kinds, certain, lives);
  expect(lives.faults).toEqual([]);
  expect(
    lives.notRun(certain).map(({ kind }) => kind),
    'kinds that were not run',
  ).toEqual([]);
});
