import { expect, test } from 'vitest';
import { PROOF } from '../../support/proof.ts';
import { runAll } from './pool.ts';
import { tellResult, tellSum, tellWorld } from './tell.ts';
import { WORLDS } from './worlds.ts';

/** Where a world would be cut: none of them is that large. */
const MOST = 600_000;

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
}, 900_000);
