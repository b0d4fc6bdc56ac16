import { describe, expect, test } from 'vitest';
import { FINALIZER, ledgerSecretName } from '../../src/api/names.ts';
import { memberMetadata } from '../../src/controllers/shared/manifests.ts';
import { isNotFound } from '../../src/runtime/client.ts';
import { testBed } from './bed.ts';
import { expectGoodMember } from './openssl.ts';
import { ca, certificate, CONFIG_MAPS, type Scene, SECRETS, textOf } from './scene.ts';

const bed = testBed(14);

async function issued(here: Scene, ...names: readonly string[]): Promise<void> {
  await here.apply(ca('mesh'), ...names.map((name) => certificate(name, 'mesh')));
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names });
}

const gone = (here: Scene, kind: 'ReplicationCA' | 'ClusterCertificate', name: string) =>
  here.follow(kind).until(`${kind} ${name} is gone`, () => here.follow(kind).get(name) === undefined);
const secretGone = (here: Scene, name: string) =>
  here.secrets.until(`Secret ${name} is gone`, () => here.secrets.get(name) === undefined);
const memberLeft = (here: Scene, name: string) =>
  here.secrets.until(`${name} has left`, () => !here.ledger('mesh').roster.has(`${here.namespace}/${name}`));

describe.concurrent('a Secret', () => {
  test('of somebody else is never touched; when it is gone the certificate is issued', async () => {
    const here = await bed.scene();
    await here.createSecret('a', { password: 'theirs' });
    const theirs = await here.secretUntil('a', 'there', () => true);
    await here.apply(ca('mesh'), certificate('a', 'mesh'));
    const message =
      /^Secret \S+\/a exists and was not made by Replicert for this certificate\. It is never overwritten: delete or rename it, or use another spec\.secretName\.$/;
    await here.stalled('ClusterCertificate', 'a', 'SecretConflict', message);
    await here.eventUntil('ClusterCertificate', 'a', 'SecretConflict', /never overwritten/);
    // The CA and other members are not concerned.
    await here.apply(certificate('b', 'mesh'));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['b'] });
    expect(here.secret('a').metadata.resourceVersion).toBe(theirs.metadata.resourceVersion);

    await here.deleteSecret('a');
    // Nobody tells of a Secret without our label: it is looked for twice a minute.
    await here.condition('ClusterCertificate', 'a', 'Ready', { status: 'True' }, 45_000);
    await expectGoodMember(here.secret('a'));
  });

  test('is not shared by two certificates: the older one has it, also after its deletion', async () => {
    const here = await bed.scene();
    await here.apply(ca('mesh'), certificate('old', 'mesh', { secretName: 'tls' }));
    await here.ready({ ClusterCertificate: ['old'] });
    const [{ creationTimestamp = '' } = { creationTimestamp: '' }] = [here.certificates.get('old')?.metadata];
    // Age is counted in seconds.
    await expect.poll(() => Date.now(), { timeout: 5_000 }).toBeGreaterThan(Date.parse(creationTimestamp) + 1_000);
    await here.apply(certificate('young', 'mesh', { secretName: 'tls' }));
    await here.stalled(
      'ClusterCertificate',
      'young',
      'SecretConflict',
      /Secret \S+\/tls belongs to ClusterCertificate \S+\/old, which is older\. Two certificates never share a Secret: create this one anew with another spec\.secretName\./,
    );
    const leaf = textOf(here.secret('tls'), 'tls.crt');
    await here.delete('ClusterCertificate', 'old');
    await here.stalled(
      'ClusterCertificate',
      'young',
      'SecretConflict',
      /Secret \S+\/tls was made for ClusterCertificate \S+\/old\. It is never overwritten: delete it if it is not needed/,
    );
    expect(textOf(here.secret('tls'), 'tls.crt')).toBe(leaf);
    await here.deleteSecret('tls');
    await here.ready({ ClusterCertificate: ['young'] });
    await expectGoodMember(here.secret('tls'));
  });

  test('stays when its certificate is deleted, and is taken up again with the same leaf', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    const before = here.secret('a');
    await here.delete('ClusterCertificate', 'a');
    await memberLeft(here, 'a');
    await here.eventUntil(
      'ReplicationCA',
      'mesh',
      'MemberLeft',
      /\/a left the mesh; its leaf is accepted until generation 1 is dropped or the leaf expires/,
    );
    expect(here.secret('a').metadata.uid).toBe(before.metadata.uid);
    // Changed while nobody asks for it: of this one nothing is known but that it is there.
    const body = { metadata: { labels: { team: 'storage' } } };
    await here.client.patch(SECRETS, { namespace: here.namespace, name: 'a' }, { type: 'merge', body });
    await here.apply(certificate('a', 'mesh', { secretTemplate: { labels: { team: 'storage' } } }));
    await here.ready({ ClusterCertificate: ['a'] });
    const after = here.secret('a');
    expect(after.metadata.uid).toBe(before.metadata.uid);
    for (const key of ['tls.crt', 'tls.key', 'ca.crt'])
      expect(textOf(after, key) === textOf(before, key), key).toBe(true);
  });

  test('goes with its certificate when that says so, also when it says so late', async () => {
    const here = await bed.scene();
    await here.apply(ca('mesh'), certificate('a', 'mesh', { deletionPolicy: 'Delete' }), certificate('b', 'mesh'));
    await here.ready({ ClusterCertificate: ['a', 'b'] });
    await here.delete('ClusterCertificate', 'a');
    await secretGone(here, 'a');
    await here.apply(
      certificate('b', 'mesh', { deletionPolicy: 'Delete', secretTemplate: { labels: { seen: 'yes' } } }),
    );
    await here.secretUntil('b', 'the label', ({ metadata }) => metadata.labels?.['seen'] === 'yes');
    await here.delete('ClusterCertificate', 'b');
    await secretGone(here, 'b');
  });

  test('goes only if it is the one that was made for this very certificate', async () => {
    const here = await bed.scene();
    const deleting = (name: string) => certificate(name, 'mesh', { deletionPolicy: 'Delete' });
    await here.apply(ca('mesh'), deleting('a'), deleting('b'));
    await here.ready({ ClusterCertificate: ['a', 'b'] });
    // A backup under another name, as kubectl get -o yaml and an editor make it.
    const { metadata, data = {}, type = '' } = here.secret('a');
    const { labels, annotations } = metadata;
    const restore = (name: string) =>
      bed.client.create(SECRETS, { metadata: { name, namespace: here.namespace, labels, annotations }, type, data });
    await restore('a-copy');
    await here.delete('ClusterCertificate', 'a');
    await secretGone(here, 'a');
    // Restored when its certificate is not there (yet), it waits for it.
    await restore('a');
    // Whatever was to be done about either has been done when what came after it has.
    await here.delete('ClusterCertificate', 'b');
    await secretGone(here, 'b');
    await here.apply(certificate('c', 'mesh'));
    await here.ready({ ClusterCertificate: ['c'] });
    expect(here.secrets.get('a-copy')).toBeDefined();
    const kept = here.secret('a');
    await here.apply(deleting('a'));
    await here.ready({ ClusterCertificate: ['a'] });
    expect(here.secret('a').metadata.uid).toBe(kept.metadata.uid);
  });
});

describe.concurrent('the ConfigMap of the bundle', () => {
  const published = async (here: Scene): Promise<string | undefined> => {
    const { data } = (await bed.client.get(CONFIG_MAPS, { namespace: here.namespace, name: 'mesh-trust' })) as {
      data?: Record<string, string>;
    };
    return data?.['ca.crt'];
  };

  test('that somebody made immutable is told; deleted it is made anew', async () => {
    const here = await bed.scene();
    await here.apply(ca('mesh'));
    await here.ready({ ReplicationCA: ['mesh'] });
    const before = await published(here);
    const ref = { namespace: here.namespace, name: 'mesh-trust' };
    await bed.client.patch(CONFIG_MAPS, ref, { type: 'merge', body: { immutable: true } });
    await here.apply(ca('mesh', { rotation: { generation: 2 } }));
    await here.stalled(
      'ReplicationCA',
      'mesh',
      'TrustConflict',
      /^ConfigMap \S+\/mesh-trust, in which the bundle is published, cannot be changed \(immutable\?\)\. Delete it; it is made anew\.$/,
    );
    expect(await published(here)).toBe(before);
    await bed.client.delete(CONFIG_MAPS, ref);
    await here.stable('mesh', 2);
    await here.ready({ ReplicationCA: ['mesh'] });
    expect(await published(here)).toBe(textOf(here.generationSecret('mesh', 2), 'tls.crt'));
  });

  test('of somebody else is left alone, and members are issued all the same', async () => {
    const here = await bed.scene();
    const ref = { namespace: here.namespace, name: 'mesh-trust' };
    await bed.client.create(CONFIG_MAPS, { metadata: ref, data: { 'ca.crt': 'theirs' } });
    await here.apply(ca('mesh'), certificate('a', 'mesh'));
    await here.stalled(
      'ReplicationCA',
      'mesh',
      'TrustConflict',
      /exists and was not made by Replicert\. Delete or rename it; members' Secrets are not affected\.$/,
    );
    await here.ready({ ClusterCertificate: ['a'] });
    expect(await published(here)).toBe('theirs');
  });
});

describe.concurrent('a deleted ReplicationCA', () => {
  test('is not held by a certificate that it does not serve', async () => {
    const [home, tenant] = [await bed.scene(), await bed.scene()];
    await issued(home, 'a');
    const theirs = certificate('b', 'mesh');
    await tenant.apply({ ...theirs, spec: { caRef: { name: 'mesh', namespace: home.namespace } } });
    await tenant.stalled('ClusterCertificate', 'b', 'NamespaceNotAllowed', /does not allow namespace/);
    await home.delete('ReplicationCA', 'mesh');
    await home.condition('ReplicationCA', 'mesh', 'Ready', {
      reason: 'Terminating',
      message: /but 1 members are left \(\S+\/a\)\./,
    });
    await home.delete('ClusterCertificate', 'a');
    await gone(home, 'ReplicationCA', 'mesh');
    await tenant.stalled('ClusterCertificate', 'b', 'CANotFound', /does not exist/);
  });

  test('is not held by certificates that it never issued for', async () => {
    const [home, tenant] = [await bed.scene(), await bed.scene()];
    await home.createSecret('b', { password: 'theirs' });
    const mesh = ca('mesh', { allowedNamespaces: [tenant.namespace] });
    await home.apply(mesh, certificate('a', 'mesh'), certificate('b', 'mesh'));
    await home.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'] });
    await home.stalled('ClusterCertificate', 'b', 'SecretConflict', /never overwritten/);
    // Somebody elsewhere whom nobody names, and who makes a Secret as if there had been one for him.
    const ref = { name: 'mesh', namespace: home.namespace };
    await tenant.apply({ ...certificate('c', 'mesh'), spec: { caRef: ref } });
    await tenant.stalled('ClusterCertificate', 'c', 'NotNamedByPeer', /names it/);
    const { type = '', data = {} } = home.secret('a');
    const forged = memberMetadata(ref, 'c', tenant.certificates.get('c')?.metadata.uid ?? '', 'Retain', 1);
    const metadata = { name: 'c', namespace: tenant.namespace, ...forged };
    await bed.client.create(SECRETS, { metadata, type, data });

    await home.delete('ReplicationCA', 'mesh');
    await home.condition('ReplicationCA', 'mesh', 'Ready', {
      reason: 'Terminating',
      message: /but 1 members are left \(\S+\/a\)\. Delete their ClusterCertificates/,
    });
    await home.delete('ClusterCertificate', 'a');
    await gone(home, 'ReplicationCA', 'mesh');
    await home.stalled('ClusterCertificate', 'b', 'CANotFound', /does not exist/);
    await tenant.stalled('ClusterCertificate', 'c', 'CANotFound', /does not exist/);
  });

  test('waits for its members and says for whom; then its keys stay by default, and a new one goes on with them', async () => {
    const here = await bed.scene();
    await issued(here, 'a', 'b');
    const ledgerBefore = here.ledger('mesh');
    const generation = here.generationSecret('mesh', 1);
    const leaf = textOf(here.secret('a'), 'tls.crt');
    await here.delete('ReplicationCA', 'mesh');
    await here.condition('ReplicationCA', 'mesh', 'Ready', {
      status: 'False',
      reason: 'Terminating',
      message: /but 2 members are left \(\S+\/a, \S+\/b\)\. Delete their ClusterCertificates/,
    });
    expect(here.cas.get('mesh')?.status?.phase).toBe('Terminating');
    // It serves its members until the end.
    await here.deleteSecret('b');
    await expectGoodMember(await here.secretUntil('b', 'made anew', () => true));
    await here.delete('ClusterCertificate', 'b');
    await here.condition('ReplicationCA', 'mesh', 'Ready', {
      status: 'False',
      reason: 'Terminating',
      message: /but 1 members are left/,
    });
    await here.delete('ClusterCertificate', 'a');
    await gone(here, 'ReplicationCA', 'mesh');

    for (const name of [ledgerSecretName('mesh'), generation.metadata.name]) {
      expect(here.secret(name).metadata.finalizers ?? []).toEqual([]);
      expect(here.secret(name).metadata.deletionTimestamp).toBeUndefined();
    }
    expect(textOf(here.secret('a'), 'tls.crt')).toBe(leaf);

    await issued(here, 'a');
    const ledger = here.ledger('mesh');
    expect(ledger).toMatchObject({
      signer: 1,
      highest: 1,
      created: ledgerBefore.created,
      generations: ledgerBefore.generations,
    });
    expect(ledger.epoch).toBeGreaterThan(ledgerBefore.epoch);
    expect(textOf(here.secret('a'), 'tls.crt')).toBe(leaf);
    for (const name of [ledgerSecretName('mesh'), generation.metadata.name]) {
      await here.secretUntil(
        name,
        'guarded again',
        ({ metadata }) => metadata.finalizers?.includes(FINALIZER) === true,
      );
    }
  });

  test('takes its keys with it when it says so; what comes after it is new', async () => {
    const here = await bed.scene();
    await here.apply(ca('mesh', { deletionPolicy: 'Delete' }));
    await here.ready({ ReplicationCA: ['mesh'] });
    const generation = here.generationSecret('mesh', 1);
    await here.delete('ReplicationCA', 'mesh');
    await gone(here, 'ReplicationCA', 'mesh');
    await secretGone(here, ledgerSecretName('mesh'));
    await secretGone(here, generation.metadata.name);
    const trust = bed.client.get(CONFIG_MAPS, { namespace: here.namespace, name: 'mesh-trust' });
    await expect(trust).rejects.toSatisfy(isNotFound);

    await issued(here, 'a');
    expect(here.generationSecret('mesh', 1).metadata.name).not.toBe(generation.metadata.name);
  });
});
