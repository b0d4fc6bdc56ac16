import type { Reporter, SerializedError, TestModule, Vitest } from 'vitest/node';

/**
 * Ends the run's output with what was not run and why, and one line that people and scripts can read:
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
      process.stdout.write(`\n${[...notRun(modules, this.#filtered), summaryLine(summary)].join('\n')}\n`);
    });
  }
}

export interface Summary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

type CountedModule = {
  readonly children: {
    allTests(): Iterable<{ readonly fullName: string; result(): { readonly state: string } }>;
  };
  state(): string;
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
