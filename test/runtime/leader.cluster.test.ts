import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { loadClient } from '../../src/runtime/http-client.ts';
import { testCluster } from '../support/cluster.ts';

const cluster = testCluster();
const PROGRAM = fileURLToPath(new URL('leader-process.ts', import.meta.url));
const CONFIG_MAP = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' };
const LEASE_MS = 8_000;

/** A real process that leads, or would like to. */
class Candidate {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  #look = () => {};

  constructor(namespace: string, identity: string, mode: 'fenced' | 'unfenced' = 'fenced') {
    this.#child = spawn(process.execPath, [PROGRAM, cluster.kubeconfig, namespace, identity, mode], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#ended = once(this.#child, 'exit');
    let rest = '';
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      const [last = '', ...lines] = (rest + chunk.toString()).split('\n').reverse();
      rest = last;
      this.lines.push(...lines.reverse());
      this.#look();
    });
  }

  /** Resolves when the process has said this (a line, or its first word). */
  async said(word: string): Promise<void> {
    while (!this.lines.some((line) => line.split(' ')[0] === word)) {
      await new Promise<void>((resolve) => {
        this.#look = resolve;
      });
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Exit code and signal. */
  exit(): Promise<unknown[]> {
    return this.#ended;
  }
}

function start(...args: ConstructorParameters<typeof Candidate>): Candidate {
  const candidate = new Candidate(...args);
  onTestFinished(async () => {
    candidate.kill('SIGKILL');
    await candidate.exit();
  });
  return candidate;
}

/** The state of what a candidate writes: it changes with every write. */
async function written(namespace: string, identity: string): Promise<string | undefined> {
  const client = loadClient({ kubeconfig: cluster.kubeconfig });
  const object = await client.get(CONFIG_MAP, { namespace, name: `written-by-${identity}` });
  await client.close();
  return object.metadata.resourceVersion;
}

it('a leader that is killed is followed within its lease, and not before', async () => {
  const namespace = await cluster.namespace('leader');
  const first = start(namespace, 'first');
  await first.said('wrote');
  const second = start(namespace, 'second');
  await second.said('ready');
  first.kill('SIGKILL');
  const killed = performance.now();
  await second.said('wrote');
  const took = performance.now() - killed;
  // The lease ran from the last renewal (up to a retry before the kill) as the second saw it (up to a retry after).
  expect(took).toBeGreaterThan(LEASE_MS - 2_000);
  expect(took).toBeLessThan(LEASE_MS + 4_000);
  expect(second.lines.filter((line) => line === 'elected')).toHaveLength(1);
});

it('a leader that is frozen past its lease writes nothing when it wakes, and exits', async () => {
  const namespace = await cluster.namespace('leader');
  const first = start(namespace, 'first');
  await first.said('wrote');
  const second = start(namespace, 'second');
  await second.said('ready');
  first.kill('SIGSTOP');
  await second.said('wrote');
  const before = await written(namespace, 'first');
  const saidBefore = first.lines.length;
  first.kill('SIGCONT');
  expect(await first.exit()).toEqual([1, null]);
  expect(first.lines.slice(saidBefore)).toContain('fenced');
  expect(await written(namespace, 'first')).toBe(before);
});

it('without the fence the same leader does write: this is what the fence is for', async () => {
  const namespace = await cluster.namespace('leader');
  const first = start(namespace, 'first', 'unfenced');
  await first.said('wrote');
  const second = start(namespace, 'second');
  await second.said('ready');
  first.kill('SIGSTOP');
  await second.said('wrote');
  const before = await written(namespace, 'first');
  first.kill('SIGCONT');
  expect(await first.exit()).toEqual([1, null]);
  expect(await written(namespace, 'first')).not.toBe(before);
});

it('a leader that stops in good order is followed without waiting for its lease', async () => {
  const namespace = await cluster.namespace('leader');
  const first = start(namespace, 'first');
  await first.said('wrote');
  const second = start(namespace, 'second');
  await second.said('ready');
  first.kill('SIGTERM');
  expect(await first.exit()).toEqual([0, null]);
  const left = performance.now();
  await second.said('wrote');
  expect(performance.now() - left).toBeLessThan(LEASE_MS - 2_000);
});
