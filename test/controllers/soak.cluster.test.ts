/**
 * Many rotations of one mesh in a row, under handshakes over every edge all the time; ROTATIONS says how many. A change of a
 * Secret reaches the files of a member after 0 to 30 s, and the operator looks every 30 s, both 30 times as fast as that.
 */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Ledger } from '../../src/api/ledger.ts';
import { lacking } from '../support/packages.ts';
import { PROOF } from '../support/proof.ts';
import { testBed } from './bed.ts';
import { type MemberOptions, Replication } from './replication.ts';
import { disorders, generationSecrets, lapses } from './rotating.ts';
import { ca, certificate, peer } from './scene.ts';
import { countsOf, planOf, Story, totalOf, tryDropped, underWay } from './soak.ts';

const ROTATIONS = Number(process.env['ROTATIONS'] ?? '20');
if (!Number.isInteger(ROTATIONS) || ROTATIONS < 2) throw new Error('ROTATIONS must be a whole number of at least 2');
const HANDSHAKES = 1_000 * ROTATIONS;
const COMPRESSED = 30;
const ONE_MS = 120_000;

const MEMBERS = [
  { name: 'node-12', engine: 'Node', versions: ['TLSv1.2'] },
  { name: 'node', engine: 'Node', versions: ['TLSv1.2', 'TLSv1.3'] },
  { name: 'openssl-13', engine: 'OpenSSL', versions: ['TLSv1.3'] },
  { name: 'openssl', engine: 'OpenSSL', versions: ['TLSv1.2', 'TLSv1.3'] },
] as const satisfies readonly MemberOptions[];
const EDGES = MEMBERS.length * (MEMBERS.length - 1);
/** Every listener, in each of its versions, is shown the leaf of each of the others. */
const TRIALS = MEMBERS.reduce((sum, { versions }) => sum + versions.length, 0) * (MEMBERS.length - 1);

const bed = testBed(1);
const say = (line: string): void => void process.stderr.write(`soak: ${line}\n`);
const prove = (line: string): void => void process.stderr.write(`${PROOF}${line}\n`);

/** Its OpenSSL is what half the members have. */
const noPython = await lacking('python3');

test.skipIf(noPython !== null)(
  `${ROTATIONS} rotations in a row fail no handshake, and whoever was dropped is refused ${noPython ?? ''}`,
  {
    timeout: (ROTATIONS + 2) * ONE_MS,
  },
  async () => {
    const here = await bed.scene();
    const names = MEMBERS.map(({ name }) => name);
    await using replication = await Replication.start(here, MEMBERS, {
      lagMs: () => randomInt(30_000 / COMPRESSED),
      everyMs: 150,
      streams: false,
    });
    const { processes, ports } = replication;
    await here.apply(ca('mesh'), ...names.map((name) => certificate(name, 'mesh')), peer('mesh', ports, '5s'));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names, ReplicationPeer: ['mesh'] });
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
    for (const each of processes) {
      await each.until(({ edges }) => Object.values(edges).every(({ handshakes }) => handshakes.ok > 0));
    }

    const story = new Story(here);
    const listeners = MEMBERS.map(({ name, versions }) => ({ name, versions, port: ports[name] ?? 0 }));
    const latest = () => processes.flatMap((each) => each.latest ?? []);
    const total = () => totalOf(countsOf(latest()).values());
    const want = (generation: number, maxConcurrent: 1 | '100%') =>
      here.apply(ca('mesh', { rotation: { generation, maxConcurrent } }));
    const until = (what: string, wanted: (ledger: Ledger) => boolean) =>
      here.secrets.until(`ledger: ${what}`, () => wanted(here.ledger('mesh')), ONE_MS);

    const counts = { back: { Append: 0, Roll: 0, Drop: 0 }, twice: 0, refused: 0, open: new Set<number>() };

    /** @returns the generation that was dropped in the end */
    const rotate = async (index: number): Promise<number> => {
      const { maxConcurrent, turn, twice } = planOf(index);
      const { signer, highest } = here.ledger('mesh');
      const [from, to] = [signer ?? 0, highest + 1];
      await want(to, maxConcurrent);
      if (turn !== null) {
        await until(`${turn} is under way`, underWay(turn, maxConcurrent));
        await want(from, maxConcurrent);
        await turned('Backward');
        if (!twice) counts.back[turn] += 1;
      }
      if (twice) {
        await want(to, maxConcurrent);
        await turned('Forward');
        counts.twice += 1;
      }
      const [stays, goes] = turn !== null && !twice ? [from, to] : [to, from];
      await until(`Stable on G${stays}`, (ledger) => ledger.rotation === null && ledger.signer === stays);
      await here.stable('mesh', stays, ONE_MS);
      return goes;
    };
    const turned = (direction: 'Forward' | 'Backward') =>
      until(`it goes ${direction}`, ({ rotation }) => rotation?.direction === direction);

    for (let index = 0; index < ROTATIONS; index += 1) {
      const { maxConcurrent, turn, twice } = planOf(index);
      const began = performance.now();
      story.mostOpen = 0;
      const dropped = await rotate(index).catch((error: unknown) => {
        // What is waited for in vain may be what a broken link keeps from being seen.
        throw new Error(['handshakes that failed:', ...story.failures(processes)].join('\n'), { cause: error });
      });
      expect(story.failures(processes), 'handshakes that failed').toEqual([]);
      expect(story.mostOpen).toBeLessThanOrEqual(maxConcurrent === 1 ? 1 : MEMBERS.length);
      counts.open.add(story.mostOpen);
      const { refused, others } = await tryDropped(here, story.leavesOf(dropped), listeners);
      expect(others).toEqual([]);
      // Who went back before Drop may have had no leaf of the generation that was given up.
      expect(refused).toBeGreaterThanOrEqual(turn === null || twice || turn === 'Drop' ? TRIALS : 0);
      counts.refused += refused;
      const manner = maxConcurrent === 1 ? 'one by one' : 'all at once';
      const way = turn === null ? '' : `, back from ${turn}${twice ? ' and forth again' : ''}`;
      const { ok, failed } = total();
      say(
        `rotation ${index + 1}/${ROTATIONS}, ${manner}${way}: Stable on G${here.ledger('mesh').signer} after ` +
          `${((performance.now() - began) / 1000).toFixed(1)} s; ${ok} handshakes, ${failed} failed; ` +
          (refused === 0 ? `nobody had a leaf of G${dropped}` : `${refused} with leaves of G${dropped}, all refused`),
      );
    }

    await processes[0]?.until(() => total().ok >= HANDSHAKES, ONE_MS);
    const reports = await replication.stop();
    const edges = countsOf(reports);
    const { ok, failed } = totalOf(edges.values());
    const inVersion = (version: 'TLSv1.2' | 'TLSv1.3'): number =>
      reports
        .flatMap((report) => Object.values(report.edges))
        .reduce((sum, { versions }) => sum + (versions[version] ?? 0), 0);
    const { back, twice, refused } = counts;
    const backs = back.Append + back.Roll + back.Drop;
    prove(
      `${ROTATIONS} rotations in a row, ${backs} of them rolled back (from Append ${back.Append}, Roll ${back.Roll}, ` +
        `Drop ${back.Drop}), ${twice} turned round twice; lag of 0 to 30 s and interval of 30 s compressed by ${COMPRESSED}`,
    );
    prove(
      `${ok} full mutual handshakes over ${edges.size} edges (TLS 1.2: ${inVersion('TLSv1.2')}, TLS 1.3: ` +
        `${inVersion('TLSv1.3')}; Node and OpenSSL at both ends), ${failed} failed`,
    );
    prove(`${refused} handshakes with leaves of dropped generations, 100 % refused`);

    expect(story.failures(processes), 'handshakes that failed').toEqual([]);
    expect(failed).toBe(0);
    expect(ok).toBeGreaterThanOrEqual(HANDSHAKES);
    expect(edges.size).toBe(EDGES);
    for (const [edge, count] of edges) expect(count.ok, edge).toBeGreaterThan(HANDSHAKES / EDGES / 2);
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) expect(inVersion(version)).toBeGreaterThan(HANDSHAKES / 4);
    const plans = Array.from({ length: ROTATIONS }, (_, index) => planOf(index)).filter(({ twice: forth }) => !forth);
    for (const stage of ['Append', 'Roll', 'Drop'] as const)
      expect(back[stage], stage).toBe(plans.filter(({ turn }) => turn === stage).length);
    expect(Math.max(...counts.open), 'all at once').toBe(MEMBERS.length);
    expect(disorders(here, 'mesh', MEMBERS.length)).toEqual([]);
    expect(lapses(here)).toEqual([]);
    await here.secrets.until('dropped keys are gone', () => generationSecrets(here).length === 1);
  },
);
