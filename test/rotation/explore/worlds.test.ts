import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { PROOF } from '../../support/proof.ts';
import { runAll } from './pool.ts';
import { tellResult, tellSum, tellWorld } from './tell.ts';
import { CUT_WORLDS, LARGE_WORLDS, WORLDS } from './worlds.ts';

/** Where a world would be cut: none of them is that large. */
const MOST = 3_000_000;

test('no order of events breaks a link, no step goes against evidence or user, and every state settles', async () => {
  const lines: string[] = [];
  const answers = await runAll(
    WORLDS.map((world) => ({ seed: null, worlds: [world], states: MOST })),
    (answer) => {
      const world = WORLDS.find(({ name }) => name === answer.world);
      lines.push(tellResult(answer), ...(world === undefined ? [] : [`    ${tellWorld(world)}`]));
    },
  );
  console.log([...lines, `${PROOF}${tellSum(answers)}`].join('\n'));
  for (const { world, told } of answers) expect(told, world).toBe('');
  expect(answers.map(({ world }) => world).sort()).toEqual(WORLDS.map(({ name }) => name).sort());
  for (const { world, closed } of answers) expect(closed, `${world} is explored to its end`).toBe(true);
  expect(answers.reduce((sum, { states }) => sum + states, 0)).toBeGreaterThan(300_000);
}, 1_800_000);

test('docs/proof.md says of each combination whether it is explored to the end', async () => {
  const text = await readFile('docs/proof.md', 'utf8');
  const tables = [WORLDS, LARGE_WORLDS, CUT_WORLDS].map((worlds) =>
    [
      '| world | who is there, and what may happen how often |',
      '|---|---|',
      ...worlds.map((world) => `| ${world.name} | ${tellWorld(world)} |`),
    ].join('\n'),
  );
  const found = text.match(/^\| world \|.*\n(?:\|.*\n)*/gm)?.map((table) => table.trim());
  expect(found).toEqual(tables);
});
