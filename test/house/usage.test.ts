/** What a person starts by hand answers an option that it does not know with one line and how it is used, never with a stack. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

const run = (program: string, ...args: readonly string[]) =>
  spawnSync(process.execPath, [program, ...args], { cwd: ROOT, encoding: 'utf8', timeout: 15_000 });

test.each([
  'src/main.ts',
  'src/cli/crds.ts',
  'test/bench/main.ts',
  'test/control-plane/main.ts',
  'test/demo/main.ts',
  'test/prove/main.ts',
])('%s', (program) => {
  const { status, stdout, stderr } = run(program, '--bogus');
  expect(stderr).toMatch(/^[a-z -]+: .*'--bogus'/);
  expect(stderr).toMatch(/^usage: |See --help/m);
  expect(stderr).not.toMatch(/^ {4}at /m);
  expect(stdout).toBe('');
  expect(status).toBe(2);
});

test.each([
  ['test/control-plane/main.ts', 'upp', /^control plane: there is no command upp\nA real/],
  ['test/bench/main.ts', '--count=x', /^bench: --count x: must be whole numbers of at least 1/],
])('%s %s', (program, argument, told) => {
  const { status, stderr } = run(program, argument);
  expect(stderr).toMatch(told);
  expect(status).toBe(2);
});
