/** The operator killed at bad moments: what comes after is what would have come anyway. */
import { describe, expect, test } from 'vitest';
import type { Installation } from '../support/operator.ts';
import { testBed } from './bed.ts';
import type { Follow } from './follow.ts';
import { expectGoodMember } from './openssl.ts';
import { disorders, generationSecrets, lapses, Links, Mesh } from './rotating.ts';
import { ca, certificate, type Scene } from './scene.ts';

const bed = testBed(0);
const TIMEOUT = 240_000;

type Watched = Pick<Follow<never>, 'onChange'> & { readonly versions: { readonly length: number } };

/**
 * Starts the operator and kills it as soon as anything of `watched` was written, again and again, until there is nothing left to do.
 * @returns how often it was killed
 */
async function killAfterEveryWrite(
  installation: Installation,
  watched: readonly Watched[],
  done: () => boolean,
): Promise<number> {
  const written = (): number => watched.reduce((sum, { versions }) => sum + versions.length, 0);
  for (let kills = 0; ; kills++) {
    const before = written();
    const operator = await installation.start({ standby: true });
    const wrote = Promise.withResolvers<'written' | 'done'>();
    const look = (): void => {
      if (written() > before) wrote.resolve('written');
      else if (done()) wrote.resolve('done');
    };
    const offs = watched.map((follow) => follow.onChange(look));
    look();
    const what = await Promise.race([wrote.promise, operator.ended().then(() => 'ended' as const)]);
    for (const off of offs) off();
    if (what === 'ended') throw new Error(`the operator ended by itself:\n${operator.tail()}`);
    await operator.kill();
    if (what === 'done') return kills;
  }
}

const served = (here: Scene, names: readonly string[]): boolean =>
  here.cas.get('mesh')?.status?.phase === 'Stable' &&
  names.every((name) =>
    here.certificates.get(name)?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
  );

/** What is left when all is done: each generation once, no epoch lost. */
async function expectEnd(here: Scene, signer: number, names: readonly string[]): Promise<void> {
  expect(generationSecrets(here).map(([number]) => number)).toEqual([signer]);
  const ledger = here.ledger('mesh');
  expect(ledger).toMatchObject({ signer, highest: signer, bundle: [signer], rotation: null });
  expect(Object.keys(ledger.generations)).toEqual([String(signer)]);
  expect([...ledger.roster.keys()].toSorted()).toEqual(names.map((name) => `${here.namespace}/${name}`));
  expect(disorders(here, 'mesh', 1)).toEqual([]);
  for (const name of names) await expectGoodMember(here.secret(name));
}

describe.concurrent('an operator that is killed after every write', () => {
  test('of anything issues the same in the end', { timeout: TIMEOUT }, async () => {
    const {
      installation,
      scenes: [here],
    } = await bed.install();
    await here.apply(ca('mesh'), certificate('a', 'mesh'), certificate('b', 'mesh'));
    const watched = [here.secrets, here.cas, here.certificates];
    const kills = await killAfterEveryWrite(installation, watched, () => served(here, ['a', 'b']));
    expect(kills).toBeGreaterThanOrEqual(5);
    await installation.start();
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a', 'b'] });
    await expectEnd(here, 1, ['a', 'b']);
  });

  test('of a Secret rotates all the same, and no link breaks', { timeout: TIMEOUT }, async () => {
    const {
      installation,
      scenes: [here],
    } = await bed.install();
    const first = await installation.start();
    await using mesh = await Mesh.start(here, ['a', 'b']);
    await first.kill();
    const links = new Links(Object.values(mesh.members));
    await mesh.want({ generation: 2 });
    const rotated = (): boolean => {
      const { rotation, signer } = here.ledger('mesh');
      return rotation === null && signer === 2 && generationSecrets(here).length === 1;
    };
    const kills = await killAfterEveryWrite(installation, [here.secrets], rotated);
    expect(kills).toBeGreaterThanOrEqual(12);
    await installation.start();
    await here.stable('mesh', 2);
    expect(await links.stop()).toEqual([]);
    expect(links.handshakes).toBeGreaterThan(100);
    expect(lapses(here)).toEqual([]);
    await expectEnd(here, 2, ['a', 'b']);
  });
});
