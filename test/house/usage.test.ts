/** What a person starts by hand answers an option that it does not know with one line and how it is used, never with a stack. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

const run = (program: string, ...args: readonly string[]) =>
  spawnSync(process.execPath, [program, ...args], { cwd: ROOT, encoding: 'utf8', timeout: 15_000 });

const PROGRAMS = [
  'src/main.ts',
  'src/cli/crds.ts',
  'test/bench/main.ts',
  'test/control-plane/main.ts',
  'test/demo/main.ts',
  'test/prove/main.ts',
];

test.each(PROGRAMS)('%s', (program) => {
  const { status, stdout, stderr } = run(program, '--bogus');
  expect(stderr).toMatch(/^[a-z -]+: .*'--bogus'/);
  expect(stderr).toMatch(/^usage: |See --help/m);
  expect(stderr).not.toMatch(/^ {4}at /m);
  expect(stdout).toBe('');
  expect(status).toBe(2);
});

test.each(PROGRAMS)('%s --help says how it is used, and does nothing', (program) => {
  const { status, stdout, stderr } = run(program, '--help');
  expect(stdout).toMatch(/^usage: /im);
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

describe('--kubeconfig of what is no kubeconfig', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'usage-'));
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  const config = (server: string, context: string): string =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'known', context: { cluster: 'c', user: 'u' } }],
      'current-context': context,
    });

  test.each([
    ['nowhere', null, /there is no file \S+nowhere/],
    ['.', null, /kubeconfig \S+ cannot be read: EISDIR/],
    ['prose', 'Dear operator,\nplease rotate.\n', /kubeconfig \S+prose: its current context names no cluster/],
    ['empty', '', /kubeconfig \S+empty cannot be read: /],
    ['broken', '{"clusters": [\n', /kubeconfig \S+broken cannot be read: /],
    [
      'context',
      config('https://127.0.0.1:1', 'unknown'),
      /kubeconfig \S+context: its current context names no cluster/,
    ],
    ['server', config('127.0.0.1', 'known'), /kubeconfig \S+server: server "127\.0\.0\.1" of cluster c is no URL/],
  ])('%s: one line and exit code 2', (name, text, told) => {
    const file = join(dir, name);
    if (text !== null) writeFileSync(file, text);
    const { status, stdout, stderr } = run('src/main.ts', '--namespaces=storage', `--kubeconfig=${file}`);
    expect(stderr).toMatch(told);
    expect(stderr).toMatch(/^replicert-operator: --kubeconfig: [^\n]+\. See --help\.\n$/);
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});

test('npm run lint is what make lint is', () => {
  const { stdout } = spawnSync('make', ['--no-print-directory', '--dry-run', 'lint'], { cwd: ROOT, encoding: 'utf8' });
  expect(stdout.trim().split('\n').at(-1)).toBe('npm run --silent lint');
});

test.each([
  ['test/control-plane/main.ts', 'upp', /^control plane: there is no command upp\nA real/],
  ['test/bench/main.ts', '--count=x', /^bench: --count x: must be whole numbers of at least 1/],
])('%s %s', (program, argument, told) => {
  const { status, stderr } = run(program, argument);
  expect(stderr).toMatch(told);
  expect(status).toBe(2);
});
