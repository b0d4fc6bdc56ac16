/** What the rights of deploy/ keep from whoever has taken over the operator, while its finalizers work. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { FINALIZER } from '../../src/api/names.ts';
import { type Scene, ca } from './scene.ts';
import { testBed } from './bed.ts';

const bed = testBed(1);
const OBJECTS = ['rolebinding/replicert-operator', 'rca/mesh'] as const;
type Named = (typeof OBJECTS)[number];

/** Something as the operator's own account. */
async function asOperator(here: Scene, name: Named, patch: object, ...args: readonly string[]) {
  const kubeconfig = await bed.kubeconfig();
  return bed.cluster.kubectl(
    ['patch', '-n', here.namespace, name, '--type=merge', '-p', JSON.stringify(patch), ...args],
    { kubeconfig },
  );
}

async function read(here: Scene, name: Named): Promise<string> {
  const { code, stdout, stderr } = await bed.cluster.kubectl(['get', '-n', here.namespace, name, '-o', 'json']);
  expect(code, stderr).toBe(0);
  const { metadata, spec, subjects, roleRef } = JSON.parse(stdout) as Record<string, Record<string, unknown>>;
  const { labels, annotations, ownerReferences, finalizers } = metadata ?? {};
  return JSON.stringify({ labels, annotations, ownerReferences, finalizers, spec, subjects, roleRef });
}

const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: '00000000-0000-0000-0000-000000000000' };
const METADATA = [
  { labels: { mine: 'now' } },
  { annotations: { mine: 'now' } },
  { ownerReferences: [owner] },
  { finalizers: [FINALIZER, 'example.com/mine'] },
];

describe('the operator of deploy/', () => {
  test('may set its finalizer on its RoleBinding and on ReplicationCAs, and change nothing else of them', async () => {
    const here = await bed.scene();
    await here.apply(ca('mesh'));
    // It has set both.
    await here.ready({ ReplicationCA: ['mesh'] });
    for (const name of OBJECTS) expect(await read(here, name)).toContain(`"finalizers":["${FINALIZER}"]`);

    const thief = [{ kind: 'ServiceAccount', name: 'default', namespace: here.namespace }];
    // A policy that was just created counts a moment later.
    const enforced = AbortSignal.timeout(30_000);
    for (;;) {
      const { code } = await asOperator(here, OBJECTS[0], { subjects: thief }, '--dry-run=server');
      if (code !== 0) break;
      await sleep(200, undefined, { signal: enforced });
    }
    const attempts: readonly (readonly [Named, object])[] = [
      [OBJECTS[0], { subjects: thief }],
      [OBJECTS[0], { subjects: null }],
      [OBJECTS[1], { spec: { deletionPolicy: 'Delete' } }],
      [OBJECTS[1], { spec: { allowedNamespaces: ['elsewhere'] } }],
      ...OBJECTS.flatMap((name) => METADATA.map((metadata) => [name, { metadata }] as const)),
    ];
    for (const [name, patch] of attempts) {
      const before = await read(here, name);
      const { code, stderr } = await asOperator(here, name, patch);
      expect.soft(code, `${name} ${JSON.stringify(patch)}`).not.toBe(0);
      expect.soft(stderr).toMatch(/ValidatingAdmissionPolicy 'replicert-operator'.*own finalizer/);
      expect.soft(await read(here, name)).toBe(before);
    }
    for (const name of OBJECTS) {
      for (const finalizers of [[], [FINALIZER]]) {
        const { code, stderr } = await asOperator(here, name, { metadata: { finalizers } }, '--dry-run=server');
        expect.soft(code, stderr).toBe(0);
      }
    }
    // Others are not held to it.
    const label = ['label', '-n', here.namespace, OBJECTS[0], 'team=storage'];
    expect(await bed.cluster.kubectl(label)).toMatchObject({ code: 0 });
  });
});
