/** The ledger lost, or an old one restored, in the middle of a rotation: nothing moves, nothing old is told for true, and it goes on. */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Ledger } from '../../src/api/ledger.ts';
import { LABELS, ledgerSecretName, ROLES, trustConfigMapName } from '../../src/api/names.ts';
import { lose, restore } from './backup.ts';
import { testBed } from './bed.ts';
import { conditionOf } from './follow.ts';
import { Member } from './member.ts';
import { expectGoodMember } from './openssl.ts';
import { disorders, generationSecrets, Links, Mesh } from './rotating.ts';
import { ca, certificate, CONFIG_MAPS, type LiveSecret, peer, type Scene } from './scene.ts';

const bed = testBed(2);
const TIMEOUT = 180_000;
const LEDGER = ledgerSecretName('mesh');
const NAMES = ['a', 'b', 'c'];

/** In a Roll of this direction, with somebody through it. */
const rolling =
  (direction: 'Forward' | 'Backward') =>
  ({ rotation, roster }: Ledger): boolean =>
    rotation?.stage === 'Roll' &&
    rotation.direction === direction &&
    [...roster.values()].some(({ grant }) => grant === 'Proven');

/** Half way back from a Roll, and paused there. @returns the ledger from before it turned round */
async function halfWayBack(mesh: Mesh): Promise<LiveSecret> {
  await mesh.want({ generation: 2 });
  await mesh.ledgerUntil('Roll is under way', rolling('Forward'), TIMEOUT);
  const old = mesh.scene.secret(LEDGER);
  await mesh.want({ generation: 1 });
  await mesh.ledgerUntil('half way back', rolling('Backward'), TIMEOUT);
  await mesh.want({ generation: 1, paused: true });
  const idle = ({ roster }: Ledger) => [...roster.values()].every(({ grant }) => grant === null || grant === 'Proven');
  await mesh.ledgerUntil('nobody is under way', idle, TIMEOUT);
  await mesh.scene.cas.until(
    'the pause is seen, and the way back',
    () =>
      statusOf(mesh.scene)?.blockedBy?.startsWith('Paused') === true &&
      /^\d\/3 back$/.test(statusOf(mesh.scene)?.progress ?? ''),
  );
  return old;
}

const statusOf = (here: Scene) => here.cas.get('mesh')?.status;
const membersOf = (here: Scene): readonly string[] =>
  here.secrets
    .list()
    .filter(({ metadata: { labels } }) => labels?.[LABELS.role] === ROLES.member)
    .map(({ metadata: { name, resourceVersion } }) => `${name} ${resourceVersion}`)
    .toSorted();

const columns = async (here: Scene): Promise<string> => {
  const { code, stdout, stderr } = await bed.cluster.kubectl(['get', 'rca,ccert,rpeer', '-n', here.namespace]);
  expect(code, stderr).toBe(0);
  return stdout.replaceAll(/ +/g, ' ');
};

async function goesBack(here: Scene, mesh: Mesh, links: Links): Promise<void> {
  await mesh.want({ generation: 1 });
  await here.stable('mesh', 1, TIMEOUT);
  await here.secrets.until('generation 2 is gone', () => generationSecrets(here).length === 1, TIMEOUT);
  expect(generationSecrets(here).map(([number]) => number)).toEqual([1]);
  expect(await links.stop()).toEqual([]);
  expect(links.handshakes).toBeGreaterThan(50);
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: NAMES, ReplicationPeer: ['mesh'] });
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  for (const name of NAMES) await expectGoodMember(here.secret(name));
}

test.concurrent(
  'deleted: no column shows what was true before; restored: it goes on back',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, NAMES, { lagMs: () => randomInt(600) });
    const links = new Links(Object.values(mesh.members));
    await halfWayBack(mesh);
    const backup = here.secret(LEDGER);
    const before = membersOf(here);
    await lose(here, LEDGER);
    const lost = /The ledger, Secret \S+\/mesh-ledger, is missing, but 5 Secrets of this CA exist/;
    await here.stalled('ReplicationCA', 'mesh', 'LedgerMissing', lost);
    expect(await here.eventUntil('ReplicationCA', 'mesh', 'Stalled', lost)).toMatchObject({ type: 'Warning' });
    for (const name of NAMES) await here.stalled('ClusterCertificate', name, 'CANotReady', lost);
    const blind =
      /^Nobody looks: ReplicationCA \S+\/mesh has no signer, or no ledger that can be used; see its conditions\.$/;
    await here.condition(
      'ReplicationPeer',
      'mesh',
      'Verified',
      { status: 'Unknown', reason: 'CANotReady', message: blind },
      30_000,
    );
    for (const name of NAMES) await here.condition('ClusterCertificate', name, 'Delivered', { status: 'Unknown' });
    const status = statusOf(here);
    expect(Object.keys(status ?? {}).toSorted()).toEqual([
      'blockedBy',
      'conditions',
      'observedGeneration',
      'phase',
      'rotation',
    ]);
    expect(status?.rotation?.next).toMatch(lost);
    expect(conditionOf(here.cas.get('mesh'), 'Rotating')).toMatchObject({ status: 'Unknown', reason: 'LedgerMissing' });
    const shown = await columns(here);
    expect(shown).toMatch(/mesh Stalled LedgerMissing \d+s\n/);
    expect(shown).toMatch(/mesh Unknown CANotReady \d+/);
    for (const name of NAMES) expect(shown).toMatch(new RegExp(`/${name} False mesh Unknown \\d+`));

    // Whatever is asked for meanwhile: nothing is written.
    await mesh.want({ generation: 2 });
    await here.stalled('ReplicationCA', 'mesh', 'LedgerMissing', lost);
    await mesh.want({ generation: 1 });
    await here.stalled('ReplicationCA', 'mesh', 'LedgerMissing', lost);
    expect(membersOf(here)).toEqual(before);
    expect(here.secrets.get(LEDGER)).toBeUndefined();

    await restore(bed.client, backup);
    await goesBack(here, mesh, links);
    expect(disorders(here, 'mesh', 1)).toEqual([]);
  },
  TIMEOUT,
);

test.concurrent(
  'older, from before it turned round: refused; the newest restored: it goes on back',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, NAMES, { lagMs: () => randomInt(600) });
    const links = new Links(Object.values(mesh.members));
    const old = await halfWayBack(mesh);
    const newest = here.secret(LEDGER);
    const before = membersOf(here);
    await lose(here, LEDGER);
    await restore(bed.client, old);
    const behind =
      /The ledger, Secret \S+\/mesh-ledger, is at epoch \d+, but Secret \S+\/\w was written in epoch \d+: an older ledger was restored\./;
    await here.stalled('ReplicationCA', 'mesh', 'LedgerBehind', behind);
    expect(await here.eventUntil('ReplicationCA', 'mesh', 'Stalled', behind)).toMatchObject({ type: 'Warning' });
    // By the old ledger, both would be something to do: to go on forth, and to turn round once more.
    for (const generation of [2, 1]) {
      await mesh.want({ generation });
      await here.stalled('ReplicationCA', 'mesh', 'LedgerBehind', behind);
    }
    expect(statusOf(here)).not.toHaveProperty('signer');
    expect(await columns(here)).toMatch(/mesh Stalled LedgerBehind \d+/);
    expect(membersOf(here)).toEqual(before);
    expect(here.secret(LEDGER).data).toEqual(old.data);

    await lose(here, LEDGER);
    await restore(bed.client, newest);
    await goesBack(here, mesh, links);
  },
  TIMEOUT,
);

test.concurrent(
  'older, from before the generation that members elsewhere live on: refused, and no key is lost; the newest restored: it goes on',
  async () => {
    const {
      installation,
      scenes: [home, away],
    } = await bed.install(2);
    if (away === undefined) throw new Error('two namespaces were asked for');
    await using a = await Member.start(away, 'a');
    await using b = await Member.start(away, 'b');
    const want = (rotation: NonNullable<Parameters<typeof ca>[1]>['rotation']) =>
      home.apply(ca('mesh', { allowedNamespaces: [away.namespace], rotation }));
    const everybody = peer('mesh', { a: a.port, b: b.port }, '5s');
    for (const member of (everybody['spec'] as { members: { name: string }[] }).members)
      Object.assign(member, { certificateRef: { name: member.name, namespace: away.namespace } });
    const remote = (name: string) => {
      const wish = certificate(name, 'mesh');
      Object.assign(wish['spec'] as object, { caRef: { name: 'mesh', namespace: home.namespace } });
      return wish;
    };
    const first = await installation.start();
    await want({ generation: 1 });
    await home.apply(everybody);
    await away.apply(remote('a'), remote('b'));
    await away.ready({ ClusterCertificate: ['a', 'b'] });
    await home.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
    const old = home.secret(LEDGER);
    const links = new Links([a, b]);

    // All present leaves of generation 2, and it goes no further.
    await want({ generation: 2, approval: { required: ['Drop'] } });
    await home.condition('ReplicationCA', 'mesh', 'Rotating', { reason: 'WaitingForApproval' }, TIMEOUT);
    await first.stop();
    const newest = home.secret(LEDGER);
    const keys = () => generationSecrets(home).map(([, { metadata }]) => `${metadata.name} ${metadata.uid}`);
    const before = { keys: keys(), members: membersOf(away) };
    expect(before).toMatchObject({ keys: { length: 2 }, members: { length: 2 } });
    await lose(home, LEDGER);
    await restore(bed.client, old);
    await installation.start();
    const behind = (witness: string) =>
      new RegExp(
        `The ledger, Secret \\S+/mesh-ledger, does not name generation 2 \\(Secret \\S+/mesh-g2-\\w{8}\\), but ${witness} holds it: an older ledger was restored\\. Restore the newest one; nothing is changed meanwhile\\.`,
      );
    await home.stalled('ReplicationCA', 'mesh', 'LedgerBehind', behind(`ConfigMap ${home.namespace}/mesh-trust`));
    await home.eventUntil('ReplicationCA', 'mesh', 'Stalled', behind(`ConfigMap ${home.namespace}/mesh-trust`));
    // Output may be deleted; what members hold is left to tell.
    await bed.client.delete(CONFIG_MAPS, { namespace: home.namespace, name: trustConfigMapName('mesh') });
    await home.stalled('ReplicationCA', 'mesh', 'LedgerBehind', behind(`Secret ${away.namespace}/[ab]`));
    for (const generation of [1, 2, 3]) {
      await want({ generation });
      await home.stalled('ReplicationCA', 'mesh', 'LedgerBehind', behind(`Secret ${away.namespace}/[ab]`));
    }
    expect({ keys: keys(), members: membersOf(away) }).toEqual(before);
    expect(home.secret(LEDGER).data).toEqual(old.data);

    await want({ generation: 2 });
    await lose(home, LEDGER);
    await restore(bed.client, newest);
    await home.stable('mesh', 2, TIMEOUT);
    await home.secrets.until('generation 1 is gone', () => generationSecrets(home).length === 1, TIMEOUT);
    expect(before.keys).toContain(keys()[0]);
    await home.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
    expect(await links.stop()).toEqual([]);
    expect(links.handshakes).toBeGreaterThan(50);
    for (const name of ['a', 'b']) await expectGoodMember(away.secret(name));
  },
  TIMEOUT,
);
