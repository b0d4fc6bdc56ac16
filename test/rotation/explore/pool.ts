/** Explorations on two threads: each takes the next task as soon as it is done with the last. */
import { Worker } from 'node:worker_threads';
import type { World } from './world.ts';
import type { Result } from './search.ts';

export interface Task {
  /** Name of a bug to put in; null: the planner as it is shipped. */
  readonly seed: string | null;
  readonly worlds: readonly World[];
  /** Where a world is cut. */
  readonly states: number;
}

export interface Answer extends Omit<Result, 'counterexample'> {
  readonly seed: string | null;
  /** What is wrong; null: nothing. */
  readonly wrong: string | null;
  readonly steps: number;
  /** The counterexample, for people. */
  readonly told: string;
}

const THREADS = 2;

/** @param done called with each answer as it comes */
export async function runAll(tasks: readonly Task[], done: (answer: Answer) => void = () => {}): Promise<Answer[]> {
  const rest = [...tasks];
  const all: Answer[] = [];
  const threads = Array.from({ length: Math.min(THREADS, tasks.length) }, async () => {
    const worker = new Worker(new URL('worker.ts', import.meta.url));
    try {
      for (let task = rest.shift(); task !== undefined; task = rest.shift()) {
        for (const answer of await ask(worker, task)) {
          all.push(answer);
          done(answer);
        }
      }
    } finally {
      await worker.terminate();
    }
  });
  await Promise.all(threads);
  return all;
}

/** One task at a time is with a thread, so the next message is the answer to it. */
function ask(worker: Worker, task: Task): Promise<readonly Answer[]> {
  return new Promise((resolve, reject) => {
    const onMessage = ({ answers, error }: { answers: readonly Answer[]; error: string | null }): void => {
      worker.off('error', onError);
      if (error === null) resolve(answers);
      else reject(new Error(error));
    };
    const onError = (error: Error): void => {
      worker.off('message', onMessage);
      reject(error);
    };
    worker.once('message', onMessage);
    worker.once('error', onError);
    worker.postMessage(task);
  });
}
