import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { isRunning } from '../control-plane/processes.ts';
import { lackingControlPlane } from '../support/cluster.ts';

const lacking =
  lackingControlPlane() ??
  (existsSync('/proc/self/stat') ? null : '(skipped: counts processes by /proc, which only Linux has)');

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
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = await Promise.all(pids.map(async (pid) => [pid, await parentOf(pid)] as const));
  const below = (parent: number): number[] =>
    parents.flatMap(([pid, of]) => (of === parent ? [pid, ...below(pid)] : []));
  return below(root);
}

/** `pid (name) state parent ...` */
async function parentOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return Number(/\) \S (\d+)/.exec(status)?.[1] ?? -1);
}

const anyRunning = async (pids: readonly number[]): Promise<number[]> => {
  const running = await Promise.all(pids.map(async (pid) => ((await isRunning(pid)) ? pid : null)));
  return running.filter((pid) => pid !== null);
};

describe.skipIf(lacking !== null)(`the demo ${lacking ?? ''}`, () => {
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
    const commands = await Promise.all(started.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
    const folder = /--data-dir=([^\0]+)\/etcd/.exec(commands.join('\n'))?.[1] ?? '';
    expect(folder).toContain('control-plane');

    main.kill(signal);
    expect(await code).toBe(exitCode);
    await expect.poll(() => anyRunning(started), { timeout: 20_000 }).toEqual([]);
    await expect.poll(() => stat(folder).catch(() => null), { timeout: 20_000 }).toBeNull();
    expect(output()).toContain(words);
  });
});
