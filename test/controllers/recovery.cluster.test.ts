/** What a mesh lives on, lost, damaged and restored: nothing is guessed, nothing is made anew, and it goes on where it was. */
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { LABELS, LEDGER_KEY, ledgerSecretName, ROLES } from '../../src/api/names.ts';
import { lose, restore } from './backup.ts';
import { testBed } from './bed.ts';
import { conditionOf } from './follow.ts';
import { expectGoodMember } from './openssl.ts';
import { closedPort } from '../probe/servers.ts';
import { ca, certificate, peer, type Scene, textOf } from './scene.ts';

const bed = testBed(14);
const LEDGER = ledgerSecretName('mesh');

async function issued(here: Scene, ...names: readonly string[]): Promise<void> {
  await here.apply(ca('mesh'), ...names.map((name) => certificate(name, 'mesh')));
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names });
}

/** The CA serves again, and a new member gets a leaf of generation 1. */
async function goesOn(here: Scene): Promise<void> {
  await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True', reason: 'Serving' });
  await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'False' });
  await here.apply(certificate('late', 'mesh'));
  await here.ready({ ClusterCertificate: ['late'] });
  await expectGoodMember(here.secret('late'));
  expect(here.ledger('mesh')).toMatchObject({ signer: 1, highest: 1 });
}

/** The CA serves, and says in a reason, a column, a line and an event that it will not for long. */
async function alarmed(here: Scene, message: RegExp): Promise<void> {
  const reason = 'SecretTerminating';
  await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True', reason, message });
  const { status } = here.cas.get('mesh') ?? {};
  expect(status).toMatchObject({ phase: 'Stable', blockedBy: reason });
  expect(status?.rotation?.next).toMatch(message);
  expect(await here.eventUntil('ReplicationCA', 'mesh', reason, message)).toMatchObject({ type: 'Warning' });
}

/** The same text for the same status, whatever the order of its fields and whenever its conditions changed. */
const gist = (status: unknown): string =>
  JSON.stringify(status, (key, value: unknown) => {
    if (key === 'lastTransitionTime') return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });

/** Another pass over the CA ends as the one before: a new member is seen and gets nothing. */
async function issuesNothing(here: Scene): Promise<void> {
  await here.apply(certificate('early', 'mesh'));
  await here.condition('ClusterCertificate', 'early', 'Ready', { status: 'False' });
  expect(here.secrets.get('early')).toBeUndefined();
}

/** Takes these labels away, or sets others, one after the other: each time all are put back, and nobody takes the Secret for lost. */
async function comesBack(here: Scene, name: string, all: Readonly<Record<string, string>>): Promise<void> {
  const { uid } = here.secret(name).metadata;
  const spoils: Record<string, string | null>[] = [
    { [LABELS.managedBy]: null },
    { [LABELS.managedBy]: 'somebody' },
    { [LABELS.role]: null },
    { [LABELS.role]: ROLES.member, [LABELS.certificate]: 'a' },
    { [LABELS.ca]: 'other' },
    { [LABELS.generation]: '7' },
    Object.fromEntries(Object.keys(all).map((label) => [label, null])),
  ];
  for (const labels of spoils.filter((each) => Object.keys(each).some((label) => label in all))) {
    const spoilt = await here.patchSecret(name, { metadata: { labels } });
    await here.secretUntil(
      name,
      `its labels are back: ${JSON.stringify(labels)}`,
      ({ metadata }) =>
        metadata.resourceVersion !== spoilt.metadata.resourceVersion &&
        Object.entries(all).every(([label, value]) => metadata.labels?.[label] === value),
    );
  }
  expect(here.secret(name).metadata.uid).toBe(uid);
  await goesOn(here);
  expect(here.cas.versions.flatMap(({ object }) => conditionOf(object, 'Stalled')?.status ?? [])).not.toContain('True');
}

describe.concurrent('the Secret of a generation', () => {
  test('that lost its labels is known by its name, and gets them back', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    const { name } = here.generationSecret('mesh', 1).metadata;
    await comesBack(here, name, {
      [LABELS.managedBy]: 'replicert',
      [LABELS.role]: ROLES.generation,
      [LABELS.ca]: 'mesh',
      [LABELS.generation]: '1',
    });
  });

  test('that somebody deletes is held: alarm, and it signs; by force: stalled; from a backup: it goes on', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    const generation = here.generationSecret('mesh', 1);
    const { name } = generation.metadata;
    await here.deleteSecret(name);
    const alarm = new RegExp(
      `ALARM: Secret \\S+/${name} of generation 1 is being deleted; only its finalizer keeps it\\. It still signs\\. Set spec\\.rotation\\.generation to 2 to replace it\\.`,
    );
    await alarmed(here, alarm);
    await here.apply(certificate('b', 'mesh'));
    await here.ready({ ClusterCertificate: ['b'] });

    await here.patchSecret(name, { metadata: { finalizers: [] } });
    const lost = new RegExp(
      `Secret \\S+/${name} with generation 1 of ReplicationCA mesh is missing\\. Restore it from a backup; a generation is never minted again\\.`,
    );
    await here.stalled('ReplicationCA', 'mesh', 'GenerationSecretMissing', lost);
    await here.eventUntil('ReplicationCA', 'mesh', 'Stalled', lost);
    await issuesNothing(here);
    expect(here.secrets.get('a')?.metadata.uid).toBeDefined();

    await restore(bed.client, generation);
    await goesOn(here);
    await here.ready({ ClusterCertificate: ['early'] });
    expect(here.generationSecret('mesh', 1).metadata.uid).not.toBe(generation.metadata.uid);
  });

  test('lost while no operator ran: the CA says so, and its peers wait for it', async () => {
    const {
      installation,
      scenes: [here],
    } = await bed.install();
    const first = await installation.start();
    await issued(here, 'a');
    const nobody = peer('mesh', { a: await closedPort() });
    await here.apply(nobody);
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'Unknown', message: /unreachable/ });
    await first.stop();
    const generation = here.generationSecret('mesh', 1);
    await lose(here, generation.metadata.name);
    await installation.start();
    await here.stalled('ReplicationCA', 'mesh', 'GenerationSecretMissing', /Restore it from a backup/);
    // Its passes do not fail (the log is read at the end), and a change of its spec is acted on.
    await here.apply({ ...nobody, spec: { ...Object(nobody['spec']), probe: { interval: '2s' } } });
    await here.peers.until('mesh has changed', () => here.peers.get('mesh')?.metadata.generation === 2);
    await here.ready({ ReplicationPeer: ['mesh'] });
    await restore(bed.client, generation);
    await goesOn(here);
  });

  test('restored with another key is refused, restored with its own it goes on', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    const generation = here.generationSecret('mesh', 1);
    const { name } = generation.metadata;
    await lose(here, name);
    await here.stalled('ReplicationCA', 'mesh', 'GenerationSecretMissing', /Restore it from a backup/);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const otherKey = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })).toString('base64');
    await restore(bed.client, generation, { 'tls.key': otherKey });
    await here.stalled(
      'ReplicationCA',
      'mesh',
      'GenerationSecretInvalid',
      new RegExp(
        `Secret \\S+/${name} is not generation 1 of ReplicationCA mesh: its key does not belong to its certificate\\. Restore it from a backup\\.`,
      ),
    );
    await issuesNothing(here);
    await lose(here, name);
    await restore(bed.client, generation, { 'tls.crt': here.secret('a').data?.['tls.crt'] ?? '' });
    await here.stalled(
      'ReplicationCA',
      'mesh',
      'GenerationSecretInvalid',
      /does not hold the certificate of generation 1 that the ledger names/,
    );
    await lose(here, name);
    await restore(bed.client, generation);
    await goesOn(here);
  });
});

describe.concurrent('the ledger', () => {
  test('that lost its labels is known by its name, and gets them back', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    const labels = { [LABELS.managedBy]: 'replicert', [LABELS.role]: ROLES.ledger, [LABELS.ca]: 'mesh' };
    await comesBack(here, LEDGER, labels);
  });

  test('lost: nothing is issued, and that is said; restored: it goes on', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    const backup = here.secret(LEDGER);
    await here.deleteSecret(LEDGER);
    await alarmed(
      here,
      /ALARM: Secret \S+\/mesh-ledger, the ledger, is being deleted; only its finalizer keeps it\. Save it as a backup .*, stop the operator, remove the finalizer, kubectl create what was saved, start the operator\./,
    );
    await here.patchSecret(LEDGER, { metadata: { finalizers: [] } });
    await here.stalled(
      'ReplicationCA',
      'mesh',
      'LedgerMissing',
      /The ledger, Secret \S+\/mesh-ledger, is missing, but 2 Secrets of this CA exist .* Restore it from a backup; nothing is issued meanwhile, and no link breaks\. Keep those Secrets/,
    );
    await issuesNothing(here);
    await restore(bed.client, backup);
    await goesOn(here);
  });

  test('older than its members is refused; the newest one goes on', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    const old = here.secret(LEDGER);
    await here.apply(certificate('b', 'mesh'));
    await here.ready({ ClusterCertificate: ['b'] });
    const newest = here.secret(LEDGER);
    await here.patchSecret(LEDGER, { data: { ...old.data } });
    await here.stalled(
      'ReplicationCA',
      'mesh',
      'LedgerBehind',
      /is at epoch 3, but Secret \S+\/b was written in epoch 4: an older ledger was restored\. Restore the newest one; nothing is changed meanwhile\./,
    );
    await issuesNothing(here);
    expect(textOf(here.secret(LEDGER), LEDGER_KEY)).toBe(textOf(old, LEDGER_KEY));
    await here.patchSecret(LEDGER, { data: { ...newest.data } });
    await goesOn(here);
  });

  test('that was judged unusable is not issued from, not even to those who are in it', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    const old = here.secret(LEDGER);
    await here.apply(certificate('b', 'mesh'));
    await here.ready({ ClusterCertificate: ['b'] });
    const newest = here.secret(LEDGER);
    await here.patchSecret(LEDGER, { data: { ...old.data } });
    await here.stalled('ReplicationCA', 'mesh', 'LedgerBehind', /an older ledger was restored/);
    // Its entry says all that it takes to make its Secret anew, and the key of its generation is known.
    await here.deleteSecret('a');
    await here.stalled(
      'ClusterCertificate',
      'a',
      'CANotReady',
      /^ReplicationCA \S+\/mesh is stalled, so nothing is written: The ledger, Secret \S+\/mesh-ledger, is at epoch 3, but/,
    );
    expect(here.secrets.get('a')).toBeUndefined();
    await here.patchSecret(LEDGER, { data: { ...newest.data } });
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a', 'b'] });
    await expectGoodMember(here.secret('a'));
  });

  test('made immutable is told; nothing is lost by making it anew', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    await here.patchSecret(LEDGER, { immutable: true });
    await here.apply(certificate('b', 'mesh'));
    const message =
      /^Secret \S+\/mesh-ledger, the ledger, cannot be changed \(immutable\?\)\. Save it \(kubectl get -o yaml\), delete it and remove its finalizer, and create what was saved without `immutable`\.$/;
    await here.stalled('ReplicationCA', 'mesh', 'LedgerInvalid', message);
    expect(here.secrets.get('b')).toBeUndefined();
    const saved = here.secret(LEDGER);
    await lose(here, LEDGER);
    await restore(bed.client, { ...saved, immutable: false });
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a', 'b'] });
    await goesOn(here);
  });

  test('cannot be kept where somebody else has a Secret of that name: it is left alone', async () => {
    const here = await bed.scene();
    await here.createSecret(LEDGER, { password: 'theirs' });
    const theirs = await here.secretUntil(LEDGER, 'there', () => true);
    await here.apply(ca('mesh'), certificate('a', 'mesh'));
    await here.stalled(
      'ReplicationCA',
      'mesh',
      'SecretConflict',
      /^Secret \S+\/mesh-ledger, in which the ledger is to be kept, exists and is not a ledger\. It is never overwritten: delete or rename it\.$/,
    );
    await here.eventUntil('ReplicationCA', 'mesh', 'Stalled', /never overwritten/);
    await here.condition('ClusterCertificate', 'a', 'Ready', { status: 'False' });
    expect(here.secret(LEDGER).metadata.resourceVersion).toBe(theirs.metadata.resourceVersion);
    expect(here.secrets.list()).toHaveLength(1);

    await here.deleteSecret(LEDGER);
    // Nobody tells of a Secret without our label: it is looked for twice a minute.
    await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True' }, 45_000);
    await here.ready({ ClusterCertificate: ['a'] });
    await expectGoodMember(here.secret('a'));
  });

  test('unreadable is refused by what is wrong with it, and not written', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    const good = here.secret(LEDGER);
    const served = here.secret('a').metadata.resourceVersion;
    const write = (text: string) =>
      here.patchSecret(LEDGER, { data: { [LEDGER_KEY]: Buffer.from(text).toString('base64') } });
    const text = textOf(good, LEDGER_KEY);
    const cases = [
      [
        text.slice(0, -20),
        /Secret \S+\/mesh-ledger: the ledger cannot be read: it is not JSON \(cut short\?\)\. Restore it from a backup\./,
      ],
      ['[]', /it is not a JSON object/],
      [JSON.stringify({ ...(JSON.parse(text) as object), signer: 7 }), /signer 7 is not among the generations/],
    ] as const;
    for (const [broken, message] of cases) {
      const written = await write(broken);
      await here.stalled('ReplicationCA', 'mesh', 'LedgerInvalid', message);
      expect(here.secret(LEDGER).metadata.resourceVersion).toBe(written.metadata.resourceVersion);
    }
    await issuesNothing(here);
    await here.stalled(
      'ClusterCertificate',
      'early',
      'CANotReady',
      /The ledger of ReplicationCA \S+\/mesh is unreadable; see the conditions there\./,
    );
    // What is served stays as it is.
    expect(here.secret('a').metadata.resourceVersion).toBe(served);
    await write(text);
    await goesOn(here);
  });
});

describe.concurrent('status', () => {
  test('wiped or forged by hand changes nothing and comes back', async () => {
    const here = await bed.scene();
    await issued(here, 'a');
    const resources = [here.cas, here.certificates] as const;
    const before = here.ledger('mesh');
    const secret = here.secret('a');
    await here.cas.until('the members are counted', () => here.cas.get('mesh')?.status?.members?.total === 1);
    for (const follow of resources) {
      const [object] = follow.list();
      if (object === undefined) throw new Error('nothing there');
      const ref = { namespace: here.namespace, name: object.metadata.name };
      const told = gist(object.status);
      const forged =
        follow === here.cas
          ? {
              ...object.status,
              signer: 9,
              signerName: 'G9',
              phase: 'Rolling',
              bundle: { sha256: '0'.repeat(64), generations: [9] },
            }
          : { ...object.status, revision: 'ffffffff', issuer: 'G9', conditions: [] };
      for (const value of [{ observedGeneration: 1 }, forged]) {
        await bed.client.patch(
          follow.resource,
          ref,
          { type: 'json', operations: [{ op: 'replace', path: '/status', value }] },
          { subresource: 'status' },
        );
        await follow.until('the status is forged', () =>
          follow.versions.some(({ object: { status } }) => gist(status) === gist(value)),
        );
        await follow.until('the status is back', () => gist(follow.get(ref.name)?.status) === told);
      }
    }
    expect(here.ledger('mesh').epoch).toBe(before.epoch);
    expect(here.secret('a').metadata.resourceVersion).toBe(secret.metadata.resourceVersion);
  });
});
