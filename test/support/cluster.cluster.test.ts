import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { lackingControlPlane, testCluster } from './cluster.ts';

const cluster = testCluster();
const foreign = lackingControlPlane();

describe('testCluster', () => {
  test('each namespace is fresh, and kubectl reaches it', async () => {
    const [one, two] = await Promise.all([cluster.namespace('support'), cluster.namespace('support')]);
    expect(one).toMatch(/^support-[0-9a-f]{8}$/);
    expect(one).not.toBe(two);
    const { stdout } = await cluster.kubectl(['get', 'namespace', one, '-o', 'jsonpath={.status.phase}']);
    expect(stdout).toBe('Active');
  });

  test('kubectl reports a refusal by its exit code and message', async () => {
    const { code, stderr } = await cluster.kubectl(['get', 'namespace', 'no-such-namespace']);
    expect(code).toBe(1);
    expect(stderr).toContain('NotFound');
  });

  test('a ServiceAccount acts under just its own RBAC', async () => {
    const namespace = await cluster.namespace('support');
    const metadata = { name: 'reader', namespace };
    await cluster.apply(
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'Role',
        metadata,
        rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
        subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace }],
      },
    );
    const kubeconfig = await cluster.serviceAccountKubeconfig(namespace, 'reader');
    expect(await readFile(kubeconfig, 'utf8')).not.toContain(await adminToken());
    const allowed = await cluster.kubectl(['get', 'configmaps'], { kubeconfig });
    expect(allowed).toMatchObject({ code: 0 });
    const refused = await cluster.kubectl(['get', 'secrets'], { kubeconfig });
    expect(refused.stderr).toContain(`system:serviceaccount:${namespace}:reader`);
    expect(refused.code).toBe(1);
  });

  test('apply throws what the API server says', async () => {
    await expect(
      cluster.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'Not_A_Name' } }),
    ).rejects.toThrow(/Not_A_Name/);
  });

  test.skipIf(foreign !== null)(`the audit log counts writes exactly ${foreign ?? ''}`, async () => {
    const namespace = await cluster.namespace('support');
    const metadata = { name: 'counted', namespace };
    await cluster.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { n: '1' } });
    await cluster.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { n: '2' } });
    const writes = await cluster.audit(
      ({ objectRef }) => objectRef?.namespace === namespace && objectRef.name === 'counted',
    );
    expect(writes.map((event) => event.verb)).toEqual(['patch', 'patch']);
  });
});

async function adminToken(): Promise<string> {
  const { stdout } = await cluster.kubectl(['config', 'view', '--raw', '-o', 'jsonpath={.users[0].user.token}']);
  return stdout === '' ? 'no token' : stdout;
}
