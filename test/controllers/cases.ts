/** What may go wrong at which moment of a life, and how many of that share one life without getting into each other's way. */
import type { EventFate, WriteFate } from './gate.ts';
import type { Moment, Plan } from './life.ts';

export const KILLS = ['lost', 'unanswered'] as const satisfies readonly WriteFate[];
export const DISORDERS = ['hidden', 'delayed', 'doubled'] as const satisfies readonly EventFate[];
export type Fate = (typeof KILLS)[number] | (typeof DISORDERS)[number];

export const WORDS: Readonly<Record<Fate, string>> = {
  lost: 'killed right before',
  unanswered: 'killed right after',
  hidden: 'hidden',
  delayed: 'delayed',
  doubled: 'doubled',
};

/** Something that is to happen at one of these moments: at the first that comes. */
export interface Case {
  /** Fate and kind. */
  readonly kind: string;
  /** The same, or fate and the very moment. */
  readonly what: string;
  readonly fate: Fate;
  readonly moments: readonly Moment[];
}

/** The moments of one life, and those of another of which the one had not even the kind: how often a status is written is chance. */
export function enumerated(one: readonly Moment[], other: readonly Moment[]): readonly Moment[] {
  const kinds = new Set(one.map(({ kind }) => kind));
  return [...one, ...other.filter(({ kind }) => !kinds.has(kind))];
}

/**
 * One case for each fate and kind, or for each fate and moment.
 * @param one the moments of an undisturbed life
 * @param other those of another
 */
export function casesOf(
  one: readonly Moment[],
  other: readonly Moment[],
  fates: readonly Fate[],
  each: 'kind' | 'moment',
): readonly Case[] {
  const again = new Set(other.map(({ id }) => id));
  const groups = Map.groupBy(one, ({ kind, id }) => (each === 'kind' ? kind : id));
  return [...groups].flatMap(([name, all]) => {
    const twice = all.filter(({ id }) => again.has(id));
    const kind = all[0]?.kind ?? '';
    return fates.map((fate) => ({
      kind: `${WORDS[fate]}: ${kind}`,
      what: `${WORDS[fate]}: ${name}`,
      fate,
      // Of what came twice it is likely that it comes again.
      moments: twice.length > 0 ? twice : all,
    }));
  });
}

/** Those whose kind came in both lives: what came in one of two is chance, and may not come again in any number of lives. */
export function ofBoth(cases: readonly Case[], one: readonly Moment[], other: readonly Moment[]): readonly Case[] {
  const has = (life: readonly Moment[], { moments }: Case): boolean =>
    life.some(({ kind }) => moments.some((moment) => moment.kind === kind));
  return cases.filter((each) => has(one, each) && has(other, each));
}

/** Each case happens once. */
export function planOf(cases: readonly Case[]): Plan {
  const done = new Set<Case>();
  const fateAt = <F extends Fate>(moment: Moment, fates: readonly F[]): F | null => {
    for (const each of cases) {
      const fate = fates.find((one) => one === each.fate);
      if (fate === undefined || done.has(each) || !each.moments.some(({ id }) => id === moment.id)) continue;
      done.add(each);
      return fate;
    }
    return null;
  };
  return {
    write: (moment) => fateAt(moment, KILLS) ?? 'done',
    event: (moment) => fateAt(moment, DISORDERS) ?? 'told',
  };
}

/**
 * The parts of a life that a case at this moment wants for itself: it is over before a next one comes there, and hides nothing of it.
 *
 * - A death in a rotation: the whole stage. Else no stage is left with fresh evidence of everybody. Where nothing waits for evidence, the
 *   next pass makes good what a death has left: what is done with one kind of object.
 * - An event that is hidden or delayed: its watch, in one stage, for what follows is late or told by a list.
 * - One that is doubled changes nothing of what follows: only this kind of event.
 */
export function partsOf({ kind, stage, rotating, resource, object }: Moment, fate: Fate): readonly string[] {
  switch (fate) {
    case 'lost':
    case 'unanswered':
      return [rotating ? stage : `${stage}: ${object}`];
    case 'hidden':
    case 'delayed':
      return [`${stage}: ${resource}`, `${stage}: ${kind}`];
    case 'doubled':
      return [`${stage}: ${kind}`];
  }
}

/** As few lives as it takes when no two cases of a life want the same part; each case keeps the moments of its parts. */
export function packed(cases: readonly Case[]): readonly (readonly Case[])[] {
  // Once to see how many it takes, and once more with so many to choose from: then each has about as many cases.
  return dealtOut(cases, dealtOut(cases, 0).length);
}

function dealtOut(cases: readonly Case[], least: number): readonly (readonly Case[])[] {
  const lives = Array.from({ length: least }, () => ({ cases: [] as Case[], taken: new Set<string>() }));
  for (const each of cases) {
    const partsAt = (moment: Moment): readonly string[] => partsOf(moment, each.fate);
    const placeIn = (taken: ReadonlySet<string>): readonly string[] | undefined =>
      each.moments.map(partsAt).find((parts) => parts.every((part) => !taken.has(part)));
    const fitting = lives.filter(({ taken }) => placeIn(taken) !== undefined);
    let [life] = fitting.toSorted((one, other) => one.cases.length - other.cases.length);
    if (life === undefined) {
      life = { cases: [], taken: new Set() };
      lives.push(life);
    }
    const place = placeIn(life.taken);
    if (place === undefined) throw new Error(`${each.what} has no moment`);
    life.cases.push({ ...each, moments: each.moments.filter((moment) => partsAt(moment).join() === place.join()) });
    for (const part of place) life.taken.add(part);
  }
  return lives.map((life) => life.cases);
}
