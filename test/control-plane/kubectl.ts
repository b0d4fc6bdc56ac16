import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run, tail } from './run.ts';

/**
 * Applies every `*.yaml` of a folder of CustomResourceDefinitions and waits until each is established.
 * Returns how many files there were: 0 also when there is no such folder.
 */
export async function applyCrds(kubectl: string, kubeconfig: string, folder: string): Promise<number> {
  const entries = await readdir(folder).catch(() => []);
  const files = entries.filter((entry) => entry.endsWith('.yaml')).map((entry) => join(folder, entry));
  if (files.length === 0) return 0;
  const common = ['--kubeconfig', kubeconfig, ...files.flatMap((file) => ['-f', file])];
  const env = kubectlEnvironment(dirname(kubeconfig));
  const apply = await run(kubectl, ['apply', '--server-side', '--force-conflicts', ...common], { env });
  if (apply.code !== 0) throw new Error(`the CRDs in ${folder} were refused:\n${tail(apply.stderr)}`);
  const wait = await run(kubectl, ['wait', '--for=condition=Established', '--timeout=30s', ...common], { env });
  if (wait.code !== 0) throw new Error(`the CRDs in ${folder} were not established:\n${tail(wait.stderr)}`);
  return files.length;
}

/**
 * The environment for kubectl: our own (a cluster of the user's may want a log-in program and what that needs), without
 * his habits, and with the discovery cache in `folder`: the one in his home would confuse clusters that had one port.
 */
export function kubectlEnvironment(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, KUBERC: 'off', KUBECACHEDIR: join(folder, 'kubectl-cache') };
}
