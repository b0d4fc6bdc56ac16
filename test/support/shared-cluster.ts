/** The one cluster that all tests of the vitest project `cluster` share: ours, or the one that KUBECONFIG names. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { ensureBinaries } from '../control-plane/binaries.ts';
import { startControlPlane } from '../control-plane/control-plane.ts';
import { applyCrds } from '../control-plane/kubectl.ts';
import { run, tail } from '../control-plane/run.ts';

/** What the test files are told of the cluster; paths, because it crosses processes. */
export interface SharedCluster {
  readonly kubeconfig: string;
  readonly server: string;
  /** null: somebody else's cluster, whose log we cannot read. */
  readonly auditLog: string | null;
  readonly kubectl: string;
  /** For files of tests, gone after the run. */
  readonly dir: string;
}

declare module 'vitest' {
  export interface ProvidedContext {
    cluster: SharedCluster;
  }
}

const CRDS = join(import.meta.dirname, '..', '..', 'crds');

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const named = process.env['KUBECONFIG'];
  const started = named === undefined || named === '' ? await startOurs() : await useNamed(named);
  project.provide('cluster', started.cluster);
  return () => started.stop();
}

interface Started {
  readonly cluster: SharedCluster;
  stop(): Promise<void>;
}

async function startOurs(): Promise<Started> {
  const began = performance.now();
  const plane = await startControlPlane({ crds: CRDS, log: say });
  say(`own control plane ready on ${plane.server} after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  const { kubeconfig, server, auditLog, dir } = plane;
  return { cluster: { kubeconfig, server, auditLog, dir, kubectl: plane.binaries.kubectl }, stop: () => plane.stop() };
}

async function useNamed(named: string): Promise<Started> {
  const kubectl = await anyKubectl();
  const dir = await mkdtemp(join(tmpdir(), 'replicert-named-cluster-'));
  const stop = (): Promise<void> => rm(dir, { recursive: true, force: true });
  try {
    // One context of possibly many files, frozen: nobody switches the cluster under a running test.
    const view = ['config', 'view', '--raw', '--minify', '--flatten', '-o'];
    const config = await checked(kubectl, [...view, 'json']);
    const context = await checked(kubectl, [...view, 'jsonpath={.current-context}']);
    const server = await checked(kubectl, [...view, 'jsonpath={.clusters[0].cluster.server}']);
    say(`KUBECONFIG=${named}: using the cluster ${server} (context ${context}); its CRDs are replaced by crds/*.yaml`);
    const kubeconfig = join(dir, 'kubeconfig');
    await writeFile(kubeconfig, config, { mode: 0o600 });
    await applyCrds(kubectl, kubeconfig, CRDS);
    return { cluster: { kubeconfig, server, auditLog: null, kubectl, dir }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function anyKubectl(): Promise<string> {
  const onPath = await run('kubectl', ['version', '--client']).catch(() => null);
  return onPath?.code === 0 ? 'kubectl' : (await ensureBinaries({ env: process.env, log: say })).kubectl;
}

async function checked(command: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${tail(stderr)}`);
  return stdout;
}

function say(line: string): void {
  process.stderr.write(`cluster tests: ${line}\n`);
}
