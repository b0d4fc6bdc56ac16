/** A watched namespace without rights for the operator: the others go on, its members are not taken for gone, and the CA says what to do. */
import { expect, test } from 'vitest';
import { testBed } from './bed.ts';
import { Member } from './member.ts';
import { expectGoodMember } from './openssl.ts';
import { rounds } from './rotating.ts';
import { ca, certificate, peer, type Scene } from './scene.ts';

const bed = testBed(0);

/** Takes the operator's rights in a namespace away. @returns gives them back */
async function forbid({ namespace }: Scene): Promise<() => Promise<void>> {
  const kubectl = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await bed.cluster.kubectl([...args, '-n', namespace]);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  bed.operators.expectLines(new RegExp(`is forbidden: [^]*\\b${namespace}\\b`));
  const subjects = await kubectl('get', 'rolebinding', 'replicert-operator', '-o', 'jsonpath={.subjects}');
  const set = (text: string) =>
    kubectl('patch', 'rolebinding', 'replicert-operator', '--type=merge', '-p', `{"subjects":${text}}`);
  await set('[]');
  return async () => void (await set(subjects));
}

test('holds nobody else; its members hold a rotation by name until it can be read again', {
  timeout: 180_000,
}, async () => {
  const { installation, scenes } = await bed.install(2);
  const [home, away] = scenes;
  if (away === undefined) throw new Error('two scenes');
  await using a = await Member.start(home, 'a');
  await using b = await Member.start(away, 'b');
  const far = `${away.namespace}/b` as const;
  const remote = (name: string, there: Scene) => ({
    ...certificate(name, 'mesh'),
    spec: { caRef: { name: 'mesh', namespace: there.namespace } },
  });
  const mesh = (rotation: object = {}) => ca('mesh', { allowedNamespaces: [away.namespace], rotation });
  const members = peer('mesh', { a: a.port, b: b.port }, '5s');
  const { members: [, second] = [] } = members['spec'] as { members?: object[] };
  Object.assign(second ?? {}, { certificateRef: { name: 'b', namespace: away.namespace } });

  const first = await installation.start();
  await home.apply(mesh(), certificate('a', 'mesh'), members);
  // A CA of its own, and somebody elsewhere who names it.
  await away.apply(remote('b', home), ca('mesh'));
  await home.apply(remote('c', away));
  await home.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'], ReplicationPeer: ['mesh'] });
  await away.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['b'] });
  await home.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  await first.stop();
  const allow = await forbid(away);
  const before = away.secret('b').metadata.resourceVersion;

  const operator = await installation.start();
  const remedy = new RegExp(
    `The operator cannot read namespace ${away.namespace}\\. Give it its rights there: kubectl apply -n ${away.namespace} -f deploy/watched-namespace\\.yaml\\.`,
  );
  const message = new RegExp(`${remedy.source} Its members \\(${far}\\) stay in the mesh and get nothing`);
  await home.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True', reason: 'NamespaceUnreadable', message });
  expect(home.cas.get('mesh')?.status).toMatchObject({ phase: 'Stable', blockedBy: 'NamespaceUnreadable' });
  expect(await home.eventUntil('ReplicationCA', 'mesh', 'NamespaceUnreadable', message)).toMatchObject({
    type: 'Warning',
  });
  await home.condition('ReplicationPeer', 'mesh', 'Ready', {
    status: 'False',
    reason: 'NamespaceUnreadable',
    message: remedy,
  });
  await home.stalled('ClusterCertificate', 'c', 'CANotReady', remedy);
  const ready = await fetch(`http://127.0.0.1:${operator.healthPort}/readyz`);
  expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining(`Secret ${away.namespace}`)]);
  // The others go on.
  await home.apply(certificate('d', 'mesh'));
  await home.ready({ ClusterCertificate: ['d'] });
  await expectGoodMember(home.secret('d'));
  await home.delete('ClusterCertificate', 'd');
  await home.secrets.until('d has left', () => !home.ledger('mesh').roster.has(`${home.namespace}/d`));
  expect(home.ledger('mesh').roster.has(far)).toBe(true);

  // Whoever says that it has departed says nothing of one that may be there.
  await home.apply(mesh({ generation: 2, departed: [far] }));
  await home.cas.until('b is waited for by name', () =>
    home.cas
      .get('mesh')
      ?.status?.rotation?.waitingFor?.some(({ member, reason }) => member === far && reason === 'NotWatched'),
  );
  await rounds(home, 'mesh', 3);
  expect(home.ledger('mesh').rotation?.stage).toBe('Append');
  expect(home.ledger('mesh').roster.has(far)).toBe(true);
  expect(away.secret('b').metadata.resourceVersion).toBe(before);

  await allow();
  await home.stable('mesh', 2, 120_000);
  await home.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True', reason: 'Serving' });
  await home.ready({ ReplicationPeer: ['mesh'] });
  for (const secret of [home.secret('a'), away.secret('b')]) await expectGoodMember(secret);
  await home.stalled('ClusterCertificate', 'c', 'NamespaceNotAllowed', /does not allow namespace/);
});
