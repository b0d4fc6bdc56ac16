/** The operator's process by itself, before an API server that nobody reaches. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';

const PROGRAM = join(import.meta.dirname, '..', 'src', 'main.ts');
let dir: string;
let kubeconfig: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'main-'));
  kubeconfig = join(dir, 'kubeconfig');
  const config = {
    clusters: [{ name: 'nowhere', cluster: { server: 'https://127.0.0.1:9' } }],
    users: [{ name: 'me', user: { token: 'none' } }],
    contexts: [{ name: 'it', context: { cluster: 'nowhere', user: 'me' } }],
    'current-context': 'it',
  };
  await writeFile(kubeconfig, JSON.stringify(config));
});

afterAll(() => rm(dir, { recursive: true }));

test('before it has read anything it is alive, and not ready', async () => {
  const options = ['--namespaces=one,two', '--lease-namespace=system', '--identity=one', '--health-port=0'];
  const child = spawn(process.execPath, [PROGRAM, `--kubeconfig=${kubeconfig}`, ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const { msg, healthPort } = JSON.parse(line) as { msg: string; healthPort?: number };
      if (msg !== 'started') continue;
      const ask = async (path: string): Promise<[number, string]> => {
        const response = await fetch(`http://127.0.0.1:${healthPort}${path}`);
        return [response.status, await response.text()];
      };
      expect(await ask('/healthz')).toEqual([200, 'ok\n']);
      const [status, why] = await ask('/readyz');
      expect(status).toBe(503);
      expect(why).toMatch(
        /^not read yet: Secret one, Secret two, .*\. Does each namespace exist, with the RoleBinding of deploy\/watched-namespace\.yaml in it\?\n$/,
      );
      return;
    }
    throw new Error('it ended before it had started');
  } finally {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
});

// A Deployment that is scaled down while its pod is starting.
test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s ends it in good order as soon as it says that it has started',
  async (signal) => {
    const options = ['--namespaces=ns', '--lease-namespace=system', '--identity=one', '--health-port=0'];
    const child = spawn(process.execPath, [PROGRAM, `--kubeconfig=${kubeconfig}`, ...options], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { msg } = JSON.parse(line) as { msg: string };
      said.push(msg);
      if (msg === 'started') child.kill(signal);
    });
    const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
    expect({ code, killedBy }).toEqual({ code: 0, killedBy: null });
    expect(said).toEqual(expect.arrayContaining(['started', 'stopping', 'stopped']));
  },
);
