/** For the top of a test file: watched namespaces, and one operator over all of them. */
import { afterAll, beforeAll, beforeEach } from 'vitest';
import type { Client } from '../../src/runtime/client.ts';
import { loadClient } from '../../src/runtime/http-client.ts';
import { type TestCluster, testCluster } from '../support/cluster.ts';
import {
  type Installation,
  type OperatorProcess,
  type StartOptions,
  type TestOperators,
  testOperators,
} from '../support/operator.ts';
import { waitedFor } from './follow.ts';
import { Scene } from './scene.ts';

export interface Bed {
  readonly cluster: TestCluster;
  readonly operators: TestOperators;
  /** The admin's. */
  readonly client: Client;
  /** The one that `shared` started. */
  readonly operator: OperatorProcess;
  /** A kubeconfig (a path) with the rights of the shared operator. */
  kubeconfig(): Promise<string>;
  /** A namespace that the shared operator watches and that no test had before. */
  scene(): Promise<Scene>;
  /** Namespaces (so many fresh ones, or these) with rights for an operator that the test starts itself. */
  install(
    namespaces?: number | readonly string[],
  ): Promise<{ readonly installation: Installation; readonly scenes: readonly [Scene, ...Scene[]] }>;
}

/**
 * @param namespaces how many namespaces the shared operator watches: one for each `scene()`; 0 for no shared operator
 */
export function testBed(namespaces: number, options: StartOptions = {}, cluster: TestCluster = testCluster()): Bed {
  const open: Scene[] = [];
  // After-hooks run last things first: operators end, then finalizers are taken away, then namespaces are deleted.
  afterAll(async () => {
    const closing = await Promise.allSettled(open.map((scene) => scene.close()));
    await client.close();
    for (const each of closing) if (each.status === 'rejected') throw each.reason;
  });
  const operators = testOperators(cluster);
  const client = loadClient({ kubeconfig: cluster.kubeconfig, userAgent: 'tests' });
  const free: string[] = [];
  const shared: { operator: OperatorProcess | null; installation: Installation | null } = {
    operator: null,
    installation: null,
  };

  const fresh = (count: number): Promise<string[]> =>
    Promise.all(Array.from({ length: count }, () => cluster.namespace('controllers')));
  const scene = async (namespace: string): Promise<Scene> => {
    const opened = await Scene.open(client, namespace);
    open.push(opened);
    return opened;
  };

  beforeEach(({ onTestFailed }) =>
    onTestFailed(({ task }) => {
      const [error] = task.result?.errors ?? [];
      const last = shared.operator === null ? [] : [`the operator's last lines: ${shared.operator.tail(4)}`];
      if (error !== undefined) error.message = [error.message, ...waitedFor(), ...last].join('\n');
    }),
  );

  if (namespaces > 0) {
    beforeAll(async () => {
      free.push(...(await fresh(namespaces)));
      shared.installation = await operators.install([...free]);
      shared.operator = await shared.installation.start({ leaseSeconds: 60, ...options });
    });
  }

  return {
    cluster,
    operators,
    client,
    get operator() {
      if (shared.operator === null) throw new Error('there is no shared operator');
      return shared.operator;
    },
    async kubeconfig() {
      if (shared.installation === null) throw new Error('there is no shared operator');
      return shared.installation.kubeconfig();
    },
    async scene() {
      const namespace = free.shift();
      if (namespace === undefined) throw new Error(`testBed(${namespaces}): more scenes are asked for`);
      return scene(namespace);
    },
    async install(namespaces = 1) {
      const names = typeof namespaces === 'number' ? await fresh(namespaces) : namespaces;
      const installation = await operators.install(names);
      const [first, ...rest] = await Promise.all(installation.namespaces.map(scene));
      if (first === undefined) throw new Error('install: at least one namespace');
      return { installation, scenes: [first, ...rest] };
    },
  };
}
