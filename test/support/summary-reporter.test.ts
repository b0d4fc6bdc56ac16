import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../control-plane/run.ts';
import { summarise, summaryLine } from './summary-reporter.ts';

const ROOT = join(import.meta.dirname, '..', '..');

describe('summarise', () => {
  const module = (state: string, ...tests: readonly string[]): Parameters<typeof summarise>[0][number] => ({
    relativeModuleId: 'x.test.ts',
    errors: () => [],
    state: () => state,
    children: { allTests: () => tests.map((result) => ({ fullName: 'a', result: () => ({ state: result }) })) },
  });

  test.each([
    [
      'tests',
      [module('failed', 'passed', 'failed'), module('passed', 'passed', 'skipped')],
      0,
      '2 passed, 1 failed, 1 skipped',
    ],
    ['a file that does not load', [module('failed')], 0, '0 passed, 1 failed'],
    ['a hook that throws after its tests', [module('failed', 'passed')], 0, '1 passed, 1 failed'],
    ['a test that never ended', [module('failed', 'pending')], 0, '0 passed, 1 failed'],
    ['an error that no test owns', [module('passed', 'passed')], 1, '1 passed, 1 failed'],
    ['nothing', [], 0, '0 passed, 0 failed'],
  ])('counts %s', (_, modules, errors, line) => {
    expect(summaryLine(summarise(modules, errors))).toBe(line);
  });
});

describe('a run', () => {
  let folder: string;
  beforeAll(async () => {
    // Inside the repository, or the file would not find vitest.
    await mkdir(join(ROOT, '.work'), { recursive: true });
    folder = await mkdtemp(join(ROOT, '.work', 'summary-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each([
    ['of passing tests', `test('a', () => {}); test('b', () => {});`, [], 0, '2 passed, 0 failed'],
    [
      'with a failed test',
      `test('a', () => {}); test('b', () => { throw new Error('no\\n  more', { cause: new Error('why') }); });`,
      [],
      1,
      'failed: x.test.ts > b: no | more <- why\n1 passed, 1 failed',
    ],
    [
      'whose teardown fails',
      `afterAll(() => { throw new Error('no'); }); test('a', () => {});`,
      [],
      1,
      'failed: x.test.ts: no\n1 passed, 1 failed',
    ],
    [
      'with a stray rejection',
      `test('a', () => { void Promise.reject(new Error('no')); });`,
      [],
      1,
      'failed: outside the tests: no\n1 passed, 1 failed',
    ],
    [
      'in which the filter matches nothing',
      `test('a', () => {});`,
      ['-t', 'nothing'],
      1,
      '0 passed, 0 failed, 1 skipped',
    ],
    [
      'whose tests lack a program',
      `test('a', () => {}); describe.skip('java (skipped: install jre)', () => { test('b', () => {}); test('c', () => {}); });`,
      [],
      0,
      'not run, 2 tests: java (skipped: install jre)\n1 passed, 0 failed, 2 skipped',
    ],
    [
      'in which somebody left a test out and does not say why',
      `test('a', () => {}); describe('x', () => { test.skip('b', () => {}); });`,
      [],
      0,
      'not run, 1 test: x > b (no reason is given)\n1 passed, 0 failed, 1 skipped',
    ],
  ])('%s ends with its count and exit code', async (_, code, args, expectedCode, line) => {
    const root = await mkdtemp(join(folder, 'run-'));
    await writeFile(
      join(root, 'x.test.ts'),
      `import { afterAll, describe, test } from 'vitest';\nvoid [afterAll, describe];\n${code}\n`,
    );
    await writeFile(join(root, 'vitest.config.ts'), 'export default {};\n');
    const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
    const reporters = ['--reporter=default', `--reporter=${join(import.meta.dirname, 'summary-reporter.ts')}`];
    const env = { ...process.env, NO_COLOR: '1' };
    const options = ['run', '--root', root, ...reporters, ...args];
    const result = await run(process.execPath, [vitest, ...options], { env, cwd: root });
    expect(result.stdout.trimEnd().split('\n').slice(-line.split('\n').length).join('\n')).toBe(line);
    expect(result.code).toBe(expectedCode);
  });
});
