import type { Reporter, SerializedError, TestModule, Vitest } from 'vitest/node';

/**
 * Ends the run's output with what was not run and why, what failed, and one line that people and scripts can read:
 * `N passed, N failed[, N skipped]`.
 */
export default class SummaryReporter implements Reporter {
  #filtered = false;

  onInit({ config }: Vitest): void {
    this.#filtered = config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const summary = summarise(modules, unhandledErrors.length);
    // A filter that matches nothing must not look like success.
    const code = summary.failed > 0 || summary.passed === 0 ? 1 : 0;
    process.once('exit', (exitCode) => {
      process.exitCode = exitCode === 0 ? code : exitCode;
      const lines = [...notRun(modules, this.#filtered), ...failures(modules, unhandledErrors), summaryLine(summary)];
      process.stdout.write(`\n${lines.join('\n')}\n`);
    });
  }
}

export interface Summary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

type Message = { readonly message: string; readonly cause?: unknown };

type CountedModule = {
  readonly relativeModuleId: string;
  readonly children: {
    allTests(): Iterable<{
      readonly fullName: string;
      result(): { readonly state: string; readonly errors?: readonly Message[] | undefined };
    }>;
  };
  state(): string;
  errors(): readonly Message[];
};

/**
 * A line for each reason in the names of skipped tests (see packages.ts): tests that share a name up to it count together. One without a
 * reason is a mistake, and has a line of its own.
 * @param filtered only some tests were asked for, by their names: whoever is not among them needs no reason
 */
export function notRun(modules: readonly CountedModule[], filtered: boolean): readonly string[] {
  const counts = new Map<string, number>();
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      if (test.result().state !== 'skipped') continue;
      const [reasoned] = /^.*?\(skipped: [^)]*\)/.exec(test.fullName) ?? [];
      const name = reasoned ?? (filtered ? null : `${test.fullName} (no reason is given)`);
      if (name !== null) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return [...counts].map(([name, count]) => `not run, ${count} ${count === 1 ? 'test' : 'tests'}: ${name}`);
}

/** A record of a run may keep its end alone: what a failure says, and what caused it, has to be there. */
const LONGEST_TOLD = 2_500;

function told({ message, cause }: Message): string {
  const lines = message.split('\n').map((each) => each.trim());
  const own = lines.filter((each) => each !== '').join(' | ');
  const short = own.length > LONGEST_TOLD ? `${own.slice(0, LONGEST_TOLD)} […]` : own;
  const below = typeof cause === 'object' && cause !== null && 'message' in cause ? told(cause as Message) : null;
  return below === null ? short : `${short} <- ${below}`;
}

/** A line for each failed test and each error that none owns (a file does not load, a hook threw), with what it says. */
export function failures(modules: readonly CountedModule[], unhandledErrors: readonly Message[]): readonly string[] {
  const line = (what: string, error: Message | undefined) =>
    `failed: ${what}: ${error === undefined ? 'it never ended' : told(error)}`;
  const inModules = modules.flatMap((module) => [
    ...module.errors().map((error) => line(module.relativeModuleId, error)),
    ...[...module.children.allTests()]
      .map((test) => ({ name: `${module.relativeModuleId} > ${test.fullName}`, ...test.result() }))
      .filter(({ state }) => state !== 'passed' && state !== 'skipped')
      .map(({ name, errors }) => line(name, errors?.[0])),
  ]);
  return [...inModules, ...unhandledErrors.map((error) => line('outside the tests', error))];
}

/**
 * Counts tests. A file that failed outside its tests (does not load, a hook threw) counts as one failure more, and so
 * does every error that no test owns.
 */
export function summarise(modules: readonly CountedModule[], unhandledErrors: number): Summary {
  const counts = { passed: 0, failed: unhandledErrors, skipped: 0 };
  for (const module of modules) {
    let failedHere = 0;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') counts.passed++;
      else if (state === 'skipped') counts.skipped++;
      else failedHere++;
    }
    counts.failed += failedHere === 0 && module.state() === 'failed' ? 1 : failedHere;
  }
  return counts;
}

export function summaryLine({ passed, failed, skipped }: Summary): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
