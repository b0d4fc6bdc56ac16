import { describe, expect, test } from 'vitest';
import type { MemberKey } from '../../src/api/names.ts';
import { seeded, SimulatedMesh } from './world.ts';

const MEMBERS: readonly MemberKey[] = ['ns/a', 'ns/b', 'ns/c'];

/** One random life of a mesh: a rotation, and everything at the worst time. Returns the first broken link, or null. */
function live(
  seed: number,
  steps: number,
  sabotage: (mesh: SimulatedMesh) => void = () => {},
): { mesh: SimulatedMesh; broken: string | null } {
  const random = seeded(seed);
  const mesh = new SimulatedMesh(MEMBERS);
  mesh.settle();
  mesh.wish = { ...mesh.wish, generation: 2, maxConcurrent: random() < 0.7 ? 1 : 2 };
  const keys = (): MemberKey[] => [...mesh.members.keys()];
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  for (let step = 0; step < steps; step++) {
    const key = pick(keys()) ?? 'ns/a';
    const dice = random();
    // Little is under way at a time, or all of it would be outrun; but what is under way may be finished much later.
    if (mesh.unfinished.length > 5 || dice < 0.4) mesh.finish(Math.floor(random() * mesh.unfinished.length));
    else if (dice < 0.55) mesh.beginPlan();
    else if (dice < 0.67) mesh.beginWrite(key);
    else if (dice < 0.84) mesh.beginProbe(key);
    else if (dice < 0.96) mesh.load(key);
    else if (dice < 0.965) mesh.crash();
    else if (dice < 0.97) mesh.member(key).dark = true;
    else if (dice < 0.985) mesh.member(key).dark = false;
    else if (dice < 0.987 && mesh.members.size < 5) mesh.join(`ns/joiner${mesh.members.size}`);
    else if (mesh.ledger.rotation === null && mesh.ledger.highest < 4) {
      mesh.wish = { ...mesh.wish, generation: mesh.ledger.highest + 1 };
    }
    sabotage(mesh);
    const [broken] = mesh.brokenLinks();
    if (broken !== undefined) return { mesh, broken: `seed ${seed}, step ${step}: ${broken}` };
  }
  return { mesh, broken: null };
}

const LIVES = 600;
const STEPS = 1_500;

describe('a mesh in an adversarial world', () => {
  test('no link ever breaks, and every life settles on the wanted generation', () => {
    let rotations = 0;
    let rolled = 0;
    for (let seed = 1; seed <= LIVES; seed++) {
      const { mesh, broken } = live(seed, STEPS);
      expect(broken).toBeNull();
      expect(mesh.mostOpen).toBeLessThanOrEqual(2);
      if (mesh.ledger.signer === 2 || mesh.ledger.highest > 2) rolled++;
      for (const member of mesh.members.values()) member.dark = false;
      mesh.settle();
      expect(mesh.ledger.rotation, `seed ${seed}`).toBeNull();
      expect(mesh.ledger.signer).toBe(mesh.ledger.highest);
      expect(Object.keys(mesh.ledger.generations)).toEqual([String(mesh.ledger.highest)]);
      for (const { loaded } of mesh.members.values())
        expect(loaded).toMatchObject({ leaf: mesh.ledger.highest, bundle: [mesh.ledger.highest] });
      expect(mesh.brokenLinks()).toEqual([]);
      rotations += mesh.ledger.highest - 1;
    }
    expect(rotations).toBeGreaterThanOrEqual(LIVES);
    // The adversary must not merely stop everything: many lives get through Append on their own.
    expect(rolled).toBeGreaterThan(LIVES / 4);
    console.log(
      `${LIVES} lives of ${STEPS} steps: ${rotations} rotations completed, ${rolled} lives past Append before help came`,
    );
  });

  /** The same world finds the bugs that others ship: each must break a link, or this test proves nothing. */
  const bugs: Readonly<Record<string, (mesh: SimulatedMesh) => void>> = {
    'believing the Secret instead of the member': (mesh) => {
      for (const member of mesh.members.values()) {
        const { secret, evidence } = member;
        if (secret === null || secret.leaf === null || secret.bundle === null || evidence === null) continue;
        member.evidence = {
          ...evidence,
          epoch: mesh.ledger.epoch,
          revision: secret.revision,
          presents: { fingerprint: secret.leafFingerprint, generation: secret.leaf },
          trusts: { listening: secret.bundle, dialling: secret.bundle },
          refuses: Object.keys(mesh.ledger.generations)
            .map(Number)
            .filter((number) => !(secret.bundle ?? []).includes(number)),
          reason: '',
        };
      }
    },
    'counting an unreachable member as done': (mesh) => {
      mesh.member('ns/a').dark = true;
      for (const member of mesh.members.values()) {
        if (member.secret === null || member.evidence?.reason !== 'Unreachable') continue;
        const { from = 1, to = 1 } = mesh.ledger.rotation ?? {};
        member.evidence = {
          ...member.evidence,
          reason: '',
          presents: { fingerprint: member.secret.leafFingerprint, generation: member.secret.leaf },
          trusts: { listening: [to], dialling: [to] },
          refuses: [from],
        };
      }
    },
    'taking evidence from before the change': (mesh) => {
      for (const member of mesh.members.values()) {
        if (member.secret !== null && member.evidence !== null) {
          const { rotation } = mesh.ledger;
          const everything = rotation === null ? [] : [rotation.from, rotation.to];
          member.evidence = {
            ...member.evidence,
            epoch: mesh.ledger.epoch,
            revision: member.secret.revision,
            trusts: { listening: everything, dialling: everything },
          };
        }
      }
    },
  };
  test.each(Object.entries(bugs))('%s is caught', (_name, sabotage) => {
    const broken = Array.from({ length: 200 }, (_, seed) => live(seed + 1, STEPS, sabotage).broken).filter(
      (each) => each !== null,
    );
    expect(broken.length).toBeGreaterThan(0);
  });
});
