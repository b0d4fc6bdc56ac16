import { defineConfig } from 'vitest/config';

/** A test that deliberately takes long states its own timeout; none of these hides a retry. */
const common = { setupFiles: ['test/support/no-ambient-cluster.ts'], retry: 0 };

export default defineConfig({
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.cluster.test.ts'],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          name: 'cluster',
          include: ['test/**/*.cluster.test.ts'],
          globalSetup: ['test/support/shared-cluster.ts'],
          // They have processes of their own, whose waits must not starve: a few at a time, and after those that only compute.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
