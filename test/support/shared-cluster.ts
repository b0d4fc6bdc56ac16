/** The one cluster that all tests of the vitest project `cluster` share: ours, or the one that KUBECONFIG names. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestProject } from 'vitest/node';
import { FINALIZER } from '../../src/api/names.ts';
import { ensureBinaries } from '../control-plane/binaries.ts';
import { startControlPlane } from '../control-plane/control-plane.ts';
import { applyCrds, kubectlEnvironment } from '../control-plane/kubectl.ts';
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
  return async () => {
    const held = await heldNamespaces(started.cluster);
    await started.stop();
    // They do not end by themselves, and the namespace controller tries again and again: that costs nearly a core.
    if (held.length > 0)
      throw new Error(`namespaces of tests that a finalizer of ours keeps from going: ${held.join(', ')}`);
  };
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

/** How long deleted namespaces are waited for, milliseconds. */
const NAMESPACES_GO = 30_000;

/** Deleted namespaces that do not go, for something in them has a finalizer of ours. */
async function heldNamespaces({ kubectl, kubeconfig, dir }: SharedCluster): Promise<readonly string[]> {
  const until = performance.now() + NAMESPACES_GO;
  for (;;) {
    const args = ['--kubeconfig', kubeconfig, 'get', 'namespaces', '-o', 'json'];
    const { items } = JSON.parse(await checked(kubectl, args, kubectlEnvironment(dir))) as Namespaces;
    const going = items.filter(({ status }) => status.phase === 'Terminating');
    const held = going.filter(({ status }) => status.conditions?.some(({ message }) => message.includes(FINALIZER)));
    if (held.length === going.length || performance.now() > until) return held.map(({ metadata }) => metadata.name);
    await sleep(500);
  }
}

interface Namespaces {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly status: { readonly phase: string; readonly conditions?: readonly { readonly message: string }[] };
  }[];
}

async function anyKubectl(): Promise<string> {
  const onPath = await run('kubectl', ['version', '--client']).catch(() => null);
  return onPath?.code === 0 ? 'kubectl' : (await ensureBinaries({ env: process.env, log: say })).kubectl;
}

async function checked(command: string, args: readonly string[], env = process.env): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, { env });
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${tail(stderr)}`);
  return stdout;
}

function say(line: string): void {
  process.stderr.write(`cluster tests: ${line}\n`);
}
