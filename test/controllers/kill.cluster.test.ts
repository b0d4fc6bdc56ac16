/** The operator is killed in the middle of whatever it does, again and again: the end is the same, and nothing breaks on the way. */
import { expect, test } from 'vitest';
import { parseCertificates } from '../../src/pki/certificate.ts';
import type { Installation } from '../support/operator.ts';
import { testBed } from './bed.ts';
import { type Fate, Gate } from './gate.ts';
import { Member } from './member.ts';
import { disorders, generationSecrets, lapses, Links, Mesh } from './rotating.ts';
import { ca, certificate, peer, type Scene, textOf } from './scene.ts';

const bed = testBed(0);
// Some seventy processes are started one after the other: a minute on an idle machine, many on a busy one.
const TIMEOUT = 600_000;

/** Where a life of the operator ends: at its nth write, which is lost on the way, or done and never heard of. */
interface Death {
  readonly at: number;
  readonly fate: Exclude<Fate, 'done'>;
}

/**
 * Lets one life of the operator follow the other, each with its own death, until `done`; then one that may live.
 * @param counts the writes that are counted, by resource
 * @returns how many died
 */
async function liveAndDie(
  installation: Installation,
  here: Scene,
  deaths: readonly [Death, ...Death[]],
  counts: (resource: string) => boolean,
  done: () => boolean,
): Promise<number> {
  await using gate = await Gate.open(await installation.kubeconfig());
  let lives = 0;
  const finished = new Promise<void>((resolve) => {
    for (const follow of [here.secrets, here.certificates]) follow.onChange(() => done() && resolve());
  });
  for (; !done(); lives += 1) {
    const { at, fate } = deaths[lives % deaths.length] ?? deaths[0];
    let writes = 0;
    const dead = gate.reopen((resource) => {
      if (counts(resource)) writes += 1;
      return writes < at ? 'done' : fate;
    });
    // The same identity: it is the container that was restarted, which has the Lease and leads at once.
    const operator = await installation.start({ standby: true, kubeconfig: gate.kubeconfig, leaseSeconds: 60 });
    const byItself = operator.ended().then(() => true);
    if ((await Promise.race([dead, finished, byItself])) === true)
      throw new Error(`it ended by itself:\n${operator.tail()}`);
    await operator.kill();
  }
  await installation.start({ leaseSeconds: 60 });
  return lives;
}

// A generation is one write for its Secret and one for the ledger that names it: a life that never gets to the second begins anew.
const lost = (at: number): Death => ({ at, fate: 'lost' });
const unanswered = (at: number): Death => ({ at, fate: 'unanswered' });

/** The end that an undisturbed run comes to. */
async function expectSettled(here: Scene, names: readonly string[], generation: number): Promise<void> {
  await here.stable('mesh', generation);
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names, ReplicationPeer: ['mesh'] });
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  await here.secrets.until('one generation is left', () => generationSecrets(here).length === 1);
  const ledger = here.ledger('mesh');
  const [[number, secret] = []] = generationSecrets(here);
  expect([number, secret?.metadata.uid]).toEqual([generation, ledger.generations[generation]?.secretUid]);
  expect(ledger).toMatchObject({ signer: generation, highest: generation, bundle: [generation], rotation: null });
  expect([...ledger.roster.keys()]).toEqual(names.map((name) => `${here.namespace}/${name}`));
  const trusted = secret === undefined ? [] : parseCertificates(textOf(secret, 'tls.crt'));
  for (const name of names) {
    const bundle = parseCertificates(textOf(here.secret(name), 'ca.crt'));
    expect(bundle.map(({ fingerprint }) => fingerprint)).toEqual(trusted.map(({ fingerprint }) => fingerprint));
  }
}

const anything = (): boolean => true;
const secretsOnly = (resource: string): boolean => resource === 'secrets';

test.concurrent('dying at each of its first writes, a mesh is issued all the same', { timeout: TIMEOUT }, async () => {
  const {
    installation,
    scenes: [here],
  } = await bed.install();
  await using a = await Member.start(here, 'a');
  await using b = await Member.start(here, 'b');
  const objects = [certificate('a', 'mesh'), certificate('b', 'mesh'), peer('mesh', { a: a.port, b: b.port })];
  await here.apply(ca('mesh'), ...objects);
  const issued = (): boolean => here.certificates.list().every(({ status }) => status?.issuer === 'G1');
  const deaths = [unanswered(1), lost(2), unanswered(2), lost(3)] as const;
  expect(await liveAndDie(installation, here, deaths, anything, issued)).toBeGreaterThan(4);
  await expectSettled(here, ['a', 'b'], 1);
  expect(disorders(here, 'mesh', 1)).toEqual([]);
});

/** A mesh of two, about to rotate, whose operator has just died. */
async function aboutToRotate(maxConcurrent: number) {
  const {
    installation,
    scenes: [here],
  } = await bed.install();
  const operator = await installation.start({ leaseSeconds: 60 });
  const mesh = await Mesh.start(here, ['a', 'b']);
  await operator.kill();
  const links = new Links(Object.values(mesh.members));
  await mesh.want({ generation: 2, maxConcurrent });
  return { installation, here, mesh, links, done: () => here.ledger('mesh').history.length === 1 };
}

test.concurrent.each([
  ['its first or second write of a Secret, done and not heard of', 1, [unanswered(1), unanswered(2)], secretsOnly, 8],
  ['its second or third write of a Secret, which is lost', 1, [lost(2), lost(3)], secretsOnly, 8],
  [
    'its nth write of anything',
    2,
    [lost(3), unanswered(4), lost(5), unanswered(6), lost(7), unanswered(2)],
    anything,
    3,
  ],
] as const)(
  'dying at %s, it rotates all the same',
  { timeout: TIMEOUT },
  async (_, maxConcurrent, deaths, counts, least) => {
    const { installation, here, mesh, links, done } = await aboutToRotate(maxConcurrent);
    await using _mesh = mesh;
    expect(await liveAndDie(installation, here, deaths, counts, done)).toBeGreaterThanOrEqual(least);
    await expectSettled(here, ['a', 'b'], 2);
    expect(await links.stop()).toEqual([]);
    expect(disorders(here, 'mesh', maxConcurrent)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
);
