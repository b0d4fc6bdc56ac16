/**
 * What the soak is worth: a rotation in its world, by an operator whose planner has a bug. The links that break are to be counted as
 * failed handshakes; the same count must be 0 for the planner as it is (soak.cluster.test.ts).
 */
import { expect, test } from 'vitest';
import type { Patch } from '../rotation/explore/load.ts';
import { testBed } from './bed.ts';
import { Replication } from './replication.ts';
import { rounds } from './rotating.ts';
import { ca, certificate, peer, type Scene } from './scene.ts';
import { countsOf, Story, totalOf } from './soak.ts';

const bed = testBed(0);
const NAMES = ['a', 'b', 'c'];

const REPLACED: Patch = {
  file: 'content.ts',
  old: 'return { leaf: from, bundle: both };',
  new: 'return { leaf: from, bundle: [to] };',
};

const BUGS: readonly (readonly [name: string, patches: readonly Patch[], stage: string])[] = [
  [
    'the bundle is replaced, not appended to',
    [
      REPLACED,
      // See below.
      {
        file: 'matrix.ts',
        old: "return bundle.includes(leaf) ? verifies(leaf, bundle) : 'it does not hold that generation';",
        new: 'return bundle.length === 0 ? verifies(leaf, bundle) : null;',
      },
    ],
    'Append',
  ],
  [
    'what was written into a Secret is taken for what the member has loaded',
    [
      {
        file: 'evidence.ts',
        old: 'if (secret === null) return missingSecret(facts, member);',
        new: `if (secret === null) return missingSecret(facts, member);
  return questions.every((question) => holds(question, secret)) ? OK : unknown('Outdated', 'not written yet');`,
      },
    ],
    // Who waits for no member may have gone on before one has loaded what breaks the link.
    '(Roll|Drop)',
  ],
];

/** The world of the soak, with an operator that has these bugs. */
async function world(bugs: readonly Patch[]) {
  const {
    installation,
    scenes: [here],
  } = await bed.install();
  await installation.start({ bugs });
  // Once it works its mount gets slow, as one may be, and slower than this operator on a busy machine; everything else follows at once.
  let slow = false;
  const lagMs = (member: string): number => (slow && member === 'c' ? 45_000 : 0);
  const slowDown = (): void => void (slow = true);
  const members = NAMES.map((name) => ({ name }));
  const replication = await Replication.start(here, members, { lagMs, everyMs: 100, streams: false });
  return { here, replication, slowDown };
}

/** Works so far. @returns counts the handshakes that failed */
async function begin(here: Scene, { processes, ports }: Replication): Promise<() => number> {
  await here.apply(ca('mesh'), ...NAMES.map((name) => certificate(name, 'mesh')), peer('mesh', ports, '5s'));
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' }, 60_000);
  for (const each of processes)
    await each.until(({ edges }) => Object.values(edges).every(({ handshakes }) => handshakes.ok > 0));
  const failed = () => totalOf(countsOf(processes.flatMap((each) => each.latest ?? [])).values()).failed;
  expect(failed()).toBe(0);
  return failed;
}

test.concurrent.each(BUGS)(
  '%s: handshakes fail',
  async (_, bugs, stage) => {
    const { here, replication: started, slowDown } = await world(bugs);
    await using replication = started;
    const failed = await begin(here, replication);
    const { processes } = replication;
    const story = new Story(here);
    slowDown();
    await here.apply(ca('mesh', { rotation: { generation: 2 } }));
    const broken = processes.map((each) =>
      each.until(({ edges }) => Object.values(edges).some(({ handshakes }) => handshakes.failed > 0), 60_000),
    );
    await Promise.any(broken);
    expect(failed()).toBeGreaterThan(0);
    const [told] = story.failures(processes);
    expect(told).toMatch(new RegExp(`^[abc] -> [abc] [^]*\\n {2}stage: ${stage} from G1 to G2, epoch \\d+`));
    process.stderr.write(`seeded: ${told}\n`);
  },
  120_000,
);

test.concurrent('the bundle is replaced, but the matrix before a cut sees it: nothing is changed, nothing fails', {
  timeout: 120_000,
}, async () => {
  const { here, replication: started } = await world([REPLACED]);
  await using replication = started;
  const failed = await begin(here, replication);
  await here.apply(ca('mesh', { rotation: { generation: 2 } }));
  const held = () => here.cas.get('mesh')?.status?.rotation?.waitingFor?.some(({ reason }) => reason === 'WouldBreak');
  await here.cas.until('the matrix holds it', held, 60_000);
  await rounds(here, 'mesh', 5);
  const { roster } = here.ledger('mesh');
  expect([...roster.values()].map(({ grant }) => grant)).toEqual([null, null, null]);
  expect(failed()).toBe(0);
});
