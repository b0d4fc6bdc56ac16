/** An API server that denies writes that are needed: by admission policies, quotas and missing rights. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { testBed } from './bed.ts';
import { expectGoodMember } from './openssl.ts';
import { disorders, generationSecrets, Links, Mesh, rounds } from './rotating.ts';
import { ca, certificate, CONFIG_MAPS, type Scene, SECRETS } from './scene.ts';

const bed = testBed(4);
const TIMEOUT = 240_000;
/** Whoever is denied is tried again within two minutes. */
const AGAIN = 150_000;
/** By name; and what waits until it counts, or counts no more. */
const policies = new Map<string, (admits: boolean) => Promise<void>>();

afterAll(async () => {
  for (const [name, passes] of policies) {
    const kinds = 'validatingadmissionpolicybindings,validatingadmissionpolicies';
    await bed.cluster.kubectl(['delete', '--ignore-not-found', kinds, name]);
    // A policy that was just deleted still counts for a moment, and would keep our finalizers where they are.
    await passes(true);
  }
});

/**
 * Denies what a CEL expression says of Secrets in this namespace. @returns ends that
 * @param reason of the Status; Invalid is what policies without one answer
 */
async function deny(
  here: Scene,
  expression: string,
  reason: 'Invalid' | 'Forbidden',
  operations: readonly string[] = ['CREATE', 'UPDATE'],
): Promise<() => Promise<void>> {
  const name = `deny-${policies.size}-${here.namespace}`;
  const type = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name } };
  const rule = { apiGroups: [''], apiVersions: ['*'], operations, resources: ['secrets'] };
  await bed.cluster.apply(
    {
      ...type,
      kind: 'ValidatingAdmissionPolicy',
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: { resourceRules: [{ ...rule, operations: ['CREATE', 'UPDATE'] }] },
        matchConditions: [{ name: 'here', expression: `request.namespace == '${here.namespace}'` }],
        validations: [
          {
            expression: `object.metadata.name != 'canary-${name}' && !(request.operation in ${JSON.stringify(operations).replaceAll('"', "'")} && ${expression})`,
            reason,
            message: 'the house says no',
          },
        ],
      },
    },
    { ...type, kind: 'ValidatingAdmissionPolicyBinding', spec: { policyName: name, validationActions: ['Deny'] } },
  );
  const canary = JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: `canary-${name}`, namespace: here.namespace },
  });
  const passes = async (admits: boolean): Promise<void> => {
    const late = AbortSignal.timeout(30_000);
    for (;;) {
      const { stderr } = await bed.cluster.kubectl(['create', '--dry-run=server', '-f', '-'], { input: canary });
      if (stderr.includes(`'${name}'`) !== admits) return;
      await sleep(200, undefined, { signal: late });
    }
  };
  policies.set(name, passes);
  await passes(false);
  return async () => {
    const { code, stderr } = await bed.cluster.kubectl(['delete', 'validatingadmissionpolicybinding', name]);
    expect(code, stderr).toBe(0);
    await passes(true);
  };
}

/** A quota that holds at once. What there is is counted here: the control plane of the tests has nobody who would do it. */
async function quota(here: Scene, hard: Readonly<Record<string, string>>): Promise<void> {
  const metadata = { name: 'few', namespace: here.namespace };
  await bed.cluster.apply({ apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec: { hard } });
  const used: Record<string, string> = {};
  for (const count of Object.keys(hard)) {
    const resource = count === 'count/secrets' ? SECRETS : CONFIG_MAPS;
    used[count] = String((await bed.client.list(resource, { namespace: here.namespace })).items.length);
  }
  const patch = ['patch', 'resourcequota', 'few', '-n', here.namespace, '--subresource=status', '--type=merge', '-p'];
  const { code, stderr } = await bed.cluster.kubectl([...patch, JSON.stringify({ status: { hard, used } })]);
  expect(code, stderr).toBe(0);
  // It counts once the API server has seen it, which it does by a watch.
  const enforced = AbortSignal.timeout(30_000);
  const full = Object.entries(hard).find(([count, most]) => Number(used[count]) >= Number(most))?.[0];
  const kind = full === 'count/secrets' ? 'Secret' : 'ConfigMap';
  const canary = JSON.stringify({ apiVersion: 'v1', kind, metadata: { name: 'canary', namespace: here.namespace } });
  const refused = async () =>
    (await bed.cluster.kubectl(['create', '--dry-run=server', '-f', '-'], { input: canary })).code !== 0;
  while (full !== undefined && !(await refused())) await sleep(200, undefined, { signal: enforced });
}

/** How often such a write of the operator was denied; 0 where the cluster shows no audit log. */
async function denials(here: Scene, verb: string): Promise<number> {
  if (bed.cluster.auditLog === null) {
    console.log('denied writes are not counted: this cluster shows no audit log');
    return 0;
  }
  const requests = await bed.cluster.audit(
    ({ userAgent, verb: said, stage, objectRef, responseStatus }) =>
      userAgent === 'replicert-operator' &&
      stage === 'ResponseComplete' &&
      said === verb &&
      objectRef?.resource === 'secrets' &&
      objectRef.namespace === here.namespace &&
      [403, 422].includes(responseStatus?.code ?? 0),
  );
  return requests.length;
}

/** So often something that is denied may have been tried: at once, and after 5, 10, 20 s and so on; and once for the moment of counting. */
const triesIn = (seconds: number): number => 2 + Math.log2(1 + seconds / 5);

test.concurrent('a policy that denies the Secrets of members: each says so, and it is asked ever more seldom', {
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  const allow = [
    await deny(here, "object.metadata.name == 'a'", 'Invalid'),
    await deny(here, "object.metadata.name == 'b'", 'Forbidden'),
  ];
  await here.apply(ca('mesh'), ...['a', 'b', 'c'].map((name) => certificate(name, 'mesh')));
  const began = performance.now();
  for (const name of ['a', 'b']) {
    const message = new RegExp(
      `^Secret \\S+/${name} cannot be written, for the API server denies it: create Secret \\S+/${name}: .*denied request: the house says no\\. Let that policy or webhook admit what the operator's account writes\\.`,
    );
    await here.stalled('ClusterCertificate', name, 'WriteDenied', message);
    await here.eventUntil('ClusterCertificate', name, 'Stalled', /the house says no/);
  }
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['c'] });
  // Whatever happens to its object meanwhile.
  for (let i = 0; i < 20; i++) {
    await here.apply(certificate('a', 'mesh', { secretTemplate: { labels: { turn: String(i) } } }));
    await sleep(500);
  }
  const seconds = (performance.now() - began) / 1_000;
  const denied = await denials(here, 'create');
  console.log(`${denied} denied writes for two members in ${seconds.toFixed(0)} s`);
  expect(denied).toBeLessThanOrEqual(2 * triesIn(seconds));
  for (const end of allow) await end();
  await here.ready({ ClusterCertificate: ['a', 'b'] }, AGAIN);
  for (const name of ['a', 'b']) await expectGoodMember(here.secret(name));
});

test.concurrent('a quota that leaves no room for a generation or a joiner: the mesh goes on as it is, and then where it was', {
  timeout: 2 * TIMEOUT,
}, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  const links = new Links([mesh.member('a'), mesh.member('b')]);
  // Ledger, generation 1, a, b.
  await quota(here, { 'count/secrets': '4' });
  const full =
    /cannot be written, for the API server denies it: create Secret \S+: .*exceeded quota: few.*Raise that ResourceQuota/;
  await mesh.want({ generation: 2 });
  await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'True', reason: 'WriteDenied', message: full });
  await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True', reason: 'Serving' });
  await here.condition('ReplicationCA', 'mesh', 'Rotating', {
    status: 'False',
    reason: 'RotationPending',
    message: /^Generation 2 is wanted\. .*exceeded quota/,
  });
  expect(here.cas.get('mesh')?.status).toMatchObject({ phase: 'Stalled', signer: 1, blockedBy: 'WriteDenied' });
  // A joiner is admitted all the same, and is told what holds it.
  await here.apply(certificate('c', 'mesh'));
  await here.stalled('ClusterCertificate', 'c', 'WriteDenied', full);
  expect(here.ledger('mesh').roster.get(`${here.namespace}/c`)).toMatchObject({ leaf: 1 });
  await here.delete('ClusterCertificate', 'c');
  await mesh.ledgerUntil('c has left', ({ roster }) => roster.size === 2);
  // Time for a second try, five seconds after the first: denied again, it leaves nothing behind.
  await sleep(12_000);
  expect(here.ledger('mesh')).toMatchObject({ signer: 1, highest: 1, rotation: null });
  expect(generationSecrets(here).map(([number]) => number)).toEqual([1]);
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  for (const name of ['a', 'b']) await here.ready({ ClusterCertificate: [name] });

  await quota(here, { 'count/secrets': '5' });
  await mesh.ledgerUntil('the rotation has begun', ({ rotation }) => rotation?.to === 2, AGAIN);
  // In the middle: nobody may join, and the bundle may not be published anew.
  await here.apply(certificate('d', 'mesh'));
  await quota(here, { 'count/secrets': '5', 'count/configmaps': '1' });
  await bed.client.delete(CONFIG_MAPS, { namespace: here.namespace, name: 'mesh-trust' });
  await here.stalled('ReplicationCA', 'mesh', 'WriteDenied', /ConfigMap \S+\/mesh-trust, in which .*exceeded quota/);
  await here.stalled('ClusterCertificate', 'd', 'WriteDenied', full, 60_000);
  await here.cas.until('d is waited for', () =>
    here.cas
      .get('mesh')
      ?.status?.rotation?.waitingFor?.some(
        ({ member, reason }) => member === `${here.namespace}/d` && reason === 'WaitingForSecret',
      ),
  );
  await here.delete('ClusterCertificate', 'd');
  await mesh.want({ generation: 2, departed: [`${here.namespace}/d`] });
  await mesh.ledgerUntil(
    'the rotation is complete',
    ({ rotation, signer }) => rotation === null && signer === 2,
    AGAIN,
  );
  await quota(here, { 'count/secrets': '5', 'count/configmaps': '2' });
  await here.ready({ ReplicationCA: ['mesh'] }, AGAIN);
  for (const name of ['a', 'b']) await expectGoodMember(here.secret(name));
  expect(await links.stop()).toEqual([]);
  expect(disorders(here, 'mesh', 1)).toEqual([]);
});

test.concurrent('a policy that denies the ledger: nothing is made that it could not name, and a rotation stops where it is', {
  timeout: 2 * TIMEOUT,
}, async () => {
  const here = await bed.scene();
  const first = await deny(here, "object.metadata.name == 'mesh-ledger'", 'Forbidden');
  const told =
    /^Secret \S+\/mesh-ledger, the ledger, cannot be written, for the API server denies it: (create|update) Secret .*the house says no/;
  await here.apply(ca('mesh'), certificate('a', 'mesh'));
  await here.stalled('ReplicationCA', 'mesh', 'WriteDenied', told);
  await here.stalled(
    'ClusterCertificate',
    'a',
    'CANotReady',
    /is stalled, so nothing is written: Secret \S+\/mesh-ledger/,
  );
  await first();
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'] }, AGAIN);
  await here.delete('ClusterCertificate', 'a');

  await using mesh = await Mesh.start(here, ['b', 'c']);
  const before = here.ledger('mesh');
  const second = await deny(here, "object.metadata.name == 'mesh-ledger'", 'Invalid', ['UPDATE']);
  await mesh.want({ generation: 2 });
  await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'True', reason: 'WriteDenied', message: told });
  await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True', reason: 'Serving' });
  // As above: each try makes a generation that the ledger may not name.
  await sleep(12_000);
  expect(here.ledger('mesh')).toEqual(before);
  await here.secrets.until('only generation 1 is left', () => generationSecrets(here).length === 1);
  await second();
  await mesh.ledgerUntil(
    'a grant is open',
    ({ roster }) => [...roster.values()].some(({ grant }) => grant === 'Open'),
    AGAIN,
  );
  const third = await deny(here, "object.metadata.name == 'mesh-ledger'", 'Invalid', ['UPDATE']);
  const since = performance.now();
  const asked = await denials(here, 'update');
  await here.stalled('ReplicationCA', 'mesh', 'WriteDenied', told, 60_000);
  await rounds(here, 'mesh', 5);
  const { epoch } = here.ledger('mesh');
  await rounds(here, 'mesh', 5);
  expect(here.ledger('mesh').epoch).toBe(epoch);
  const denied = (await denials(here, 'update')) - asked;
  const seconds = (performance.now() - since) / 1_000;
  console.log(`${denied} denied writes of the ledger in ${seconds.toFixed(0)} s`);
  expect(denied).toBeLessThanOrEqual(triesIn(seconds));
  await third();
  await here.stable('mesh', 2, AGAIN + 60_000);
  for (const name of ['b', 'c']) await expectGoodMember(here.secret(name));
  expect(disorders(here, 'mesh', 1)).toEqual([]);
});

test.concurrent('an operator that may not create Secrets says that it lacks rights', { timeout: TIMEOUT }, async () => {
  const here = await bed.scene();
  await here.apply(ca('mesh'));
  await here.ready({ ReplicationCA: ['mesh'] });
  const name = 'replicert-operator';
  const kubectl = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await bed.cluster.kubectl([...args, '-n', here.namespace]);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  interface Binding {
    readonly subjects: readonly object[];
    readonly roleRef: object;
  }
  const { subjects, roleRef } = JSON.parse(await kubectl('get', 'rolebinding', name, '-o', 'json')) as Binding;
  const role = JSON.parse((await bed.cluster.kubectl(['get', 'clusterrole', name, '-o', 'json'])).stdout) as {
    rules: { resources: string[]; verbs: string[] }[];
  };
  const rules = role.rules.map((rule) =>
    rule.resources.includes('secrets') ? { ...rule, verbs: rule.verbs.filter((verb) => verb !== 'create') } : rule,
  );
  const metadata = { name, namespace: here.namespace };
  const group = 'rbac.authorization.k8s.io';
  const bind = async (to: object, as: string) =>
    bed.cluster.apply({
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata: { ...metadata, name: as },
      subjects,
      roleRef: to,
    });
  // What a binding names cannot be changed: one with less takes the place of the one that is taken back.
  await bed.cluster.apply({ apiVersion: `${group}/v1`, kind: 'Role', metadata, rules });
  await bind({ apiGroup: group, kind: 'Role', name }, 'less');
  await kubectl('patch', 'rolebinding', name, '--type=merge', '-p', '{"subjects":[]}');
  const may = ['auth', 'can-i', 'create', 'secrets', '-n', here.namespace];
  await expect
    .poll(async () => (await bed.cluster.kubectl(may, { kubeconfig: await bed.kubeconfig() })).code, {
      timeout: 30_000,
    })
    .not.toBe(0);
  await here.apply(certificate('a', 'mesh'));
  await here.stalled(
    'ClusterCertificate',
    'a',
    'WriteDenied',
    new RegExp(
      `cannot create resource "secrets".*Give the operator its rights in that namespace: kubectl apply -n ${here.namespace} -f deploy/watched-namespace\\.yaml\\.`,
    ),
  );
  await bind(roleRef, name);
  await here.ready({ ClusterCertificate: ['a'] }, AGAIN);
});
