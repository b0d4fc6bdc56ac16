import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/**
 * Ends the run's output with what was not run and why, and one line that people and scripts can read:
 * `N passed, N failed[, N skipped]`.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const summary = summarise(modules, unhandledErrors.length);
    // A filter that matches nothing must not look like success.
    const code = summary.failed > 0 || summary.passed === 0 ? 1 : 0;
    process.once('exit', (exitCode) => {
      process.exitCode = exitCode === 0 ? code : exitCode;
      process.stdout.write(`\n${[...notRun(modules), summaryLine(summary)].join('\n')}\n`);
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

/** A line for each reason in the names of skipped tests (see packages.ts): tests that share a name up to it count together. */
export function notRun(modules: readonly CountedModule[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const [name] = /^.*?\(skipped: [^)]*\)/.exec(test.fullName) ?? [];
      if (name !== undefined && test.result().state === 'skipped') counts.set(name, (counts.get(name) ?? 0) + 1);
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
