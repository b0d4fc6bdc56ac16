/** What the rights of deploy/ keep from whoever has taken over the operator, while its finalizers work. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { FINALIZER } from '../../src/api/names.ts';
import { Mesh } from './rotating.ts';
import { type Scene, SECRETS, ca } from './scene.ts';
import { testBed } from './bed.ts';

const bed = testBed(2);
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

  test('may make and change Secrets of the types that it needs, and no credentials; a whole life asks for nothing more', {
    timeout: 180_000,
  }, async () => {
    const here = await bed.scene();
    const { namespace } = here;
    const kubeconfig = await bed.kubeconfig();
    const kubectl = (args: readonly string[], object?: object) =>
      bed.cluster.kubectl([...args, '-n', namespace], {
        kubeconfig,
        ...(object === undefined ? {} : { input: JSON.stringify(object) }),
      });
    const secret = (name: string, type: string, annotations: Readonly<Record<string, string>> = {}) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace, annotations },
      type,
      ...(type === 'kubernetes.io/tls' ? { stringData: { 'tls.crt': '', 'tls.key': '' } } : {}),
    });
    const account = { 'kubernetes.io/service-account.name': 'default' };
    const create = ['create', '-f', '-'];
    const patch = (name: string, body: object) => ['patch', 'secret', name, '--type=merge', '-p', JSON.stringify(body)];
    const dry = '--dry-run=server';

    // A policy that was just created counts a moment later.
    const enforced = AbortSignal.timeout(30_000);
    while ((await kubectl([...create, dry], secret('early', 'example.com/other'))).code === 0)
      await sleep(200, undefined, { signal: enforced });
    const denied = /ValidatingAdmissionPolicy 'replicert-operator-secrets'.*Secrets of the types that it makes/;
    const refused = async (args: readonly string[], object?: object): Promise<void> => {
      const { code, stderr } = await kubectl(args, object);
      expect.soft(code, `${args.join(' ')} ${JSON.stringify(object)}`).not.toBe(0);
      expect.soft(stderr).toMatch(denied);
    };
    await refused(create, secret('thief', 'kubernetes.io/service-account-token', account));
    await refused(create, secret('thief', 'example.com/other'));
    await refused(create, secret('thief', 'replicert.io/other'));
    // A token that somebody else has asked for is not turned to another account.
    await here.createSecret('token', {}, 'example.com/other');
    await bed.client.create(SECRETS, {
      metadata: { name: 'theirs', namespace, annotations: account },
      type: 'kubernetes.io/service-account-token',
    });
    for (const name of ['token', 'theirs'])
      await refused(patch(name, { metadata: { annotations: { 'kubernetes.io/service-account.name': 'other' } } }));
    // No Secret becomes one of another type, whoever would forbid it.
    const changed = await kubectl(patch('token', { type: 'kubernetes.io/tls' }));
    expect(changed.code).not.toBe(0);
    for (const type of ['kubernetes.io/tls', 'Opaque', 'replicert.io/ca', 'replicert.io/ledger'])
      expect(await kubectl([...create, dry], secret('fine', type)), type).toMatchObject({ code: 0 });

    const began = new Date().toISOString();
    {
      await using mesh = await Mesh.start(here, ['a', 'b']);
      await mesh.want({ generation: 2 });
      await here.stable('mesh', 2, 120_000);
    }
    for (const name of ['a', 'b']) await here.delete('ClusterCertificate', name);
    await here.delete('ReplicationCA', 'mesh');
    await here.cas.until('the CA is gone', () => here.cas.get('mesh') === undefined);
    if (bed.cluster.auditLog === null) {
      console.log('requests are not counted: this cluster shows no audit log');
      return;
    }
    const requests = await bed.cluster.audit(
      ({ user, userAgent = '', stage, requestReceivedTimestamp }) =>
        stage === 'ResponseComplete' &&
        user.username.endsWith(':replicert-operator') &&
        userAgent === 'replicert-operator' &&
        requestReceivedTimestamp >= began,
    );
    const here403 = requests.filter(({ objectRef }) => objectRef?.namespace === namespace);
    expect(here403.length).toBeGreaterThan(30);
    expect(here403.filter(({ responseStatus }) => responseStatus?.code === 403)).toEqual([]);
  });
});
