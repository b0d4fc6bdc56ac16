/** The long exploration: `make explore`, or with the name of a world and where to cut it, `make explore ARGS="'old files' 5000000"`. */
import { PROOF } from '../../support/proof.ts';
import { runAll } from './pool.ts';
import { tellResult, tellSum, tellWorld } from './tell.ts';
import { CUT_WORLDS, LARGE_WORLDS, WORLDS } from './worlds.ts';

/** With these each of the two threads stays below 3 GB. */
const MOST = 2_500_000;
/** Distinct states of all worlds together. */
const WANTED = 10_000_000;

const [only = '', most = String(MOST)] = process.argv.slice(2);
const worlds = [...WORLDS, ...LARGE_WORLDS, ...CUT_WORLDS].filter(({ name }) => name.includes(only));
if (worlds.length === 0 || !(Number(most) > 0)) {
  console.error(`usage: main.ts [part of a world's name] [states at which a world is cut, by default ${MOST}]`);
  process.exit(2);
}
const answers = await runAll(
  worlds.map((world) => ({ seed: null, worlds: [world], states: Number(most) })),
  (answer) => {
    const world = worlds.find(({ name }) => name === answer.world);
    console.log(tellResult(answer));
    if (world !== undefined) console.log(`    ${tellWorld(world)}`);
    if (answer.wrong !== null) console.log(answer.told);
  },
);
console.log(`${PROOF}${tellSum(answers)}`);
const states = answers.reduce((all, answer) => all + answer.states, 0);
const few = only === '' && states < WANTED;
if (few) console.log(`explore: only ${states} states; at least ${WANTED} are wanted`);
const cut = answers.filter(
  ({ world, closed, wrong }) => !closed && wrong === null && !CUT_WORLDS.some(({ name }) => name === world),
);
// docs/proof.md says of which worlds every state is explored.
const early = Number(most) >= MOST ? cut.map(({ world }) => world) : [];
if (early.length > 0) console.log(`explore: not explored to the end: ${early.join('; ')}`);
const wrong = answers.filter(({ wrong: what }) => what !== null).length;
console.log(wrong === 0 ? 'explore: nothing is wrong in any state' : `explore: ${wrong} worlds have a counterexample`);
process.exitCode = wrong === 0 && !few && early.length === 0 ? 0 : 1;
