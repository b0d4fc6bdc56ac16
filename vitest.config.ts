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
        },
      },
      {
        test: {
          ...common,
          name: 'cluster',
          include: ['test/**/*.cluster.test.ts'],
          globalSetup: ['test/support/shared-cluster.ts'],
          // Cluster tests mostly wait: more of them than cores may, but not so many that their waits starve.
          maxWorkers: 3,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
