import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { run } from '../control-plane/run.ts';
import { testCluster } from '../support/cluster.ts';

const PROGRAM = fileURLToPath(new URL('abort-process.ts', import.meta.url));
const cluster = testCluster();

// Node resets an HTTP/2 stream whose body is under way at the price of its life, one time in some hundred: it loops, and memory grows.
test('a process that gives up many writes under way lives on', async () => {
  const namespace = await cluster.namespace('abort');
  await cluster.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'target', namespace } });
  const ended = await run(process.execPath, [PROGRAM, cluster.kubeconfig, namespace], { timeoutMs: 45_000 });
  expect(ended.stdout + ended.stderr).toBe('target\n');
  expect(ended.code).toBe(0);
});
