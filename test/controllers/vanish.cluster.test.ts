/** The API server goes away in the middle of the work: the operator ends, in time, without eating the machine. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { loadClient } from '../../src/runtime/http-client.ts';
import { createAuthority, createCertificate, forEachConcurrently } from '../bench/load.ts';
import { installOperator } from '../bench/operator.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { lackingControlPlane } from '../support/cluster.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const NAMESPACE = 'vanish';
const CERTIFICATES = 400;
const LEASE_SECONDS = 10;
const TIMEOUT = 180_000;

interface Vanished {
  readonly code: unknown;
  /** From the moment at which the API server went until the operator had ended. */
  readonly seconds: number;
  readonly peakMB: number;
  readonly lastWords: readonly string[];
}

/** Lets an operator of its own lose an API server of its own while it issues certificates. */
async function vanish(take: (plane: ControlPlane) => void, giveBack: (plane: ControlPlane) => void): Promise<Vanished> {
  const plane = await startControlPlane({ crds: join(ROOT, 'crds'), log: () => undefined });
  const client = loadClient({ kubeconfig: plane.kubeconfig });
  try {
    const kubeconfig = await installOperator(plane, NAMESPACE);
    const args = [`--kubeconfig=${kubeconfig}`, `--namespaces=${NAMESPACE}`, '--lease-namespace=replicert-system'];
    const flags = [`--lease-duration=${LEASE_SECONDS}`, '--health-port=0'];
    const operator = spawn(process.execPath, [join(ROOT, 'src', 'main.ts'), ...args, ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(operator, 'exit');
    try {
      const lines: string[] = [];
      const busy = new Promise<void>((resolve) => {
        createInterface({ input: operator.stdout }).on('line', (line) => {
          lines.push(line);
          if (lines.filter((each) => each.includes('wrote the Secret')).length > CERTIFICATES / 4) resolve();
        });
      });
      await createAuthority(client, NAMESPACE, 'mesh');
      // What is still to be created when the API server goes is of no interest.
      const load = forEachConcurrently(CERTIFICATES, (i) =>
        createCertificate(client, NAMESPACE, 'mesh', `member-${i}`),
      );
      load.catch(() => undefined);
      await Promise.race([busy, ended.then(() => Promise.reject(new Error(lines.slice(-5).join('\n'))))]);
      take(plane);
      const began = performance.now();
      let peakMB = 0;
      const watching = new AbortController();
      const watch = (async () => {
        while (!watching.signal.aborted) {
          const status = await readFile(`/proc/${operator.pid}/status`, 'utf8').catch(() => '');
          peakMB = Math.max(peakMB, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_000);
          await sleep(200);
        }
      })();
      const limit = sleep((LEASE_SECONDS + 60) * 1_000, ['still running']);
      const [code] = await Promise.race([ended, limit]);
      watching.abort();
      await watch;
      return { code, seconds: (performance.now() - began) / 1_000, peakMB, lastWords: lines.slice(-3) };
    } finally {
      operator.kill('SIGKILL');
      await ended;
    }
  } finally {
    giveBack(plane);
    await client.close();
    await plane.stop();
  }
}

const signal = (name: NodeJS.Signals) => (plane: ControlPlane) => {
  process.kill(plane.processes['kube-apiserver'], name);
};

const foreign = lackingControlPlane();

test.skipIf(foreign !== null).each([
  ['killed', signal('SIGKILL'), () => undefined],
  ['frozen: connections stay, and nothing comes', signal('SIGSTOP'), signal('SIGCONT')],
] as const)(
  `an API server that is %s takes its leader along within the time of the Lease ${foreign ?? ''}`,
  async (_how, take, giveBack) => {
    const { code, seconds, peakMB, lastWords } = await vanish(take, giveBack);
    console.log(`ended with ${String(code)} after ${seconds.toFixed(1)} s, at most ${peakMB.toFixed(0)} MB`);
    expect(code, lastWords.join('\n')).toBe(1);
    expect(lastWords.join('\n')).toContain('the lease is lost');
    // Two thirds of the Lease, and what a busy machine takes to notice.
    expect(seconds).toBeLessThan(LEASE_SECONDS + 10);
    expect(peakMB).toBeLessThan(400);
  },
  TIMEOUT,
);
