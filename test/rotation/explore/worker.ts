/** Explores one world, shipped or with a bug, and sends back what came of it. */
import { parentPort } from 'node:worker_threads';
import { plan } from '../../../src/rotation/plan.ts';
import { adoptGeneration } from '../../../src/rotation/stages.ts';
import { loadPatched } from './load.ts';
import type { World } from './world.ts';
import type { Answer, Task } from './pool.ts';
import { explore, type Result } from './search.ts';
import { SEEDS } from './seeds.ts';
import { tellCounterexample } from './tell.ts';

const shipped = { plan, adoptGeneration };

function answer(result: Result, seed: string | null): Answer {
  const { counterexample, ...counts } = result;
  return {
    ...counts,
    seed,
    wrong: counterexample?.wrong ?? null,
    steps: counterexample?.steps.length ?? 0,
    told: counterexample === null ? '' : tellCounterexample(counterexample),
  };
}

/** The worlds are tried in turn until one shows the bug. */
async function exploreSeed(name: string, worlds: readonly World[], states: number): Promise<Answer> {
  const place = SEEDS.findIndex((seed) => seed.name === name);
  const planner = await loadPatched(`seed-${place}`, SEEDS[place]?.patches ?? []);
  let sum: Answer | null = null;
  for (const world of worlds) {
    const now = answer(explore(world, planner, { states }), name);
    sum =
      sum === null
        ? now
        : {
            ...now,
            states: sum.states + now.states,
            transitions: sum.transitions + now.transitions,
            plans: sum.plans + now.plans,
            seconds: sum.seconds + now.seconds,
          };
    if (now.wrong !== null) break;
  }
  if (sum === null) throw new Error(`no world for the bug "${name}"`);
  return sum;
}

parentPort?.on('message', (task: Task) => {
  const work =
    task.seed === null
      ? Promise.resolve(task.worlds.map((world) => answer(explore(world, shipped, { states: task.states }), null)))
      : exploreSeed(task.seed, task.worlds, task.states).then((each) => [each]);
  work.then(
    (answers) => parentPort?.postMessage({ answers, error: null }),
    (error: unknown) =>
      parentPort?.postMessage({ answers: [], error: error instanceof Error ? error.message : String(error) }),
  );
});
