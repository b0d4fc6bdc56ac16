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
