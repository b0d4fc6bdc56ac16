import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { PROOF } from '../../support/proof.ts';
import { patched, ROOM } from './load.ts';
import { runAll } from './pool.ts';
import { SEEDS } from './seeds.ts';
import { SEED_WORLDS } from './worlds.ts';

describe('bugs put into the planner', () => {
  test('every one is found, and what is said to do no harm does none', async () => {
    const answers = await runAll(
      SEEDS.map(({ name, where }) => ({
        seed: name,
        worlds: SEED_WORLDS.filter((world) => where.includes(world.name)),
        states: Number.POSITIVE_INFINITY,
      })),
    );
    const lines = SEEDS.map(({ name, harmless }) => {
      const found = answers.find(({ seed }) => seed === name);
      const how =
        found?.wrong == null
          ? `in none of ${found?.states.toLocaleString('en')} states: ${harmless ?? 'NOT FOUND'}`
          : `after ${found.steps} steps (${found.world}): ${found.wrong}`;
      return `${name}\n    ${how}`;
    });
    const caught = answers.filter(({ wrong }) => wrong !== null).length;
    console.log(
      [...lines, `${PROOF}${SEEDS.length} bugs put in: ${caught} found, ${SEEDS.length - caught} harmless`].join('\n'),
    );
    const judged = (found: (name: string) => boolean): string[] => SEEDS.map(({ name }) => name).filter(found);
    const wrong = (name: string): boolean => answers.some((answer) => answer.seed === name && answer.wrong !== null);
    const harmless = (name: string): boolean => SEEDS.find((seed) => seed.name === name)?.harmless !== null;
    expect(
      judged((name) => !wrong(name) && !harmless(name)),
      'bugs that were not found',
    ).toEqual([]);
    expect(
      judged((name) => wrong(name) && harmless(name)),
      'what was said to do no harm',
    ).toEqual([]);
    expect(answers.map(({ seed }) => seed ?? '').sort()).toEqual(SEEDS.map(({ name }) => name).sort());
    expect(caught).toBeGreaterThanOrEqual(40);
  }, 900_000);

  test('each has its name, and worlds that there are', () => {
    expect(new Set(SEEDS.map(({ name }) => name)).size).toBe(SEEDS.length);
    const names = SEED_WORLDS.map(({ name }) => name);
    for (const { name, where } of SEEDS) {
      expect(where.length, name).toBeGreaterThan(0);
      expect(names, name).toEqual(expect.arrayContaining([...where]));
    }
  });

  test('each file of the planner that decides anything has some', () => {
    const deciding = readdirSync(ROOM).filter((file) => !['facts.ts', 'story.ts', 'time.ts'].includes(file));
    const found = SEEDS.filter(({ harmless }) => harmless === null);
    const seeded = new Set(found.flatMap(({ patches }) => patches.map(({ file }) => file)));
    expect([...seeded].sort()).toEqual(deciding.sort());
  });

  test('a text that the planner does not hold any more is refused', () => {
    const patch = { file: 'plan.ts', old: 'no such text', new: '' };
    expect(() => patched('plan.ts', [patch])).toThrow(/holds this text 0 times, not once/);
  });
});
