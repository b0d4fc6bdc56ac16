import { type ChildProcess, spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { isRunning } from '../control-plane/processes.ts';
import { run } from '../control-plane/run.ts';

/** The demo starts a control plane of its own; with a cluster named by KUBECONFIG that is not what was asked for. */
const ours = inject('cluster').auditLog !== null;

interface Demo {
  readonly process: ChildProcess;
  readonly output: () => string;
  readonly code: Promise<number | null>;
}

let demo: Demo | null = null;
afterEach(() => demo?.process.kill('SIGKILL'));

function startDemo(): Demo {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const code = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { process: child, output: () => output, code };
}

/** All processes below one, by id. */
async function descendantsOf(root: number): Promise<number[]> {
  const { stdout } = await run('ps', ['-eo', 'pid=,ppid=']);
  const pairs = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const below = (parent: number): number[] =>
    pairs.flatMap(([pid = 0, of]) => (of === parent ? [pid, ...below(pid)] : []));
  return below(root);
}

const anyRunning = async (pids: readonly number[]): Promise<number[]> => {
  const running = await Promise.all(pids.map(async (pid) => ((await isRunning(pid)) ? pid : null)));
  return running.filter((pid) => pid !== null);
};

describe.runIf(ours)('the demo', () => {
  test.each([
    ['SIGINT', 130, 'everything has been taken down'],
    ['SIGKILL', null, ''],
  ] as const)('ended by %s leaves no process and no folder', { timeout: 120_000 }, async (signal, exitCode, words) => {
    demo = startDemo();
    const { process: main, output, code } = demo;
    await expect.poll(output, { timeout: 90_000 }).toContain('kubectl wait -n storage');
    const started = await descendantsOf(main.pid ?? 0);
    // Keeper with three components, and guard with program for the operator, three kubelets, three endpoints.
    expect((await anyRunning(started)).length).toBeGreaterThanOrEqual(4 + 7 * 2);
    const { stdout } = await run('ps', ['-ww', '-o', 'args=', '-p', started.join()]);
    const folder = /--data-dir=(\S+)\/etcd/.exec(stdout)?.[1] ?? '';
    expect(folder).toContain('control-plane');

    main.kill(signal);
    expect(await code).toBe(exitCode);
    await expect.poll(() => anyRunning(started), { timeout: 20_000 }).toEqual([]);
    await expect.poll(() => stat(folder).catch(() => null), { timeout: 20_000 }).toBeNull();
    expect(output()).toContain(words);
  });
});
