import { describe, expect, test } from 'vitest';
import type { MemberKey } from '../../src/api/names.ts';
import { seeded, SimulatedMesh } from './world.ts';

const MEMBERS: readonly MemberKey[] = ['ns/a', 'ns/b', 'ns/c'];

/** One random life of a mesh: rotations there and back, and everything at the worst time. Returns the first broken link, or null. */
function live(seed: number, steps: number): { mesh: SimulatedMesh; broken: string | null } {
  const random = seeded(seed);
  const mesh = new SimulatedMesh(MEMBERS);
  mesh.settle();
  mesh.wish = { ...mesh.wish, generation: 2, maxConcurrent: random() < 0.7 ? 1 : 2 };
  // Some users change their mind all the time, some hardly ever: only those see every stage.
  const restless = 0.006 * random() ** 2;
  const keys = (): MemberKey[] => [...mesh.members.keys()];
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  for (let step = 0; step < steps; step++) {
    const key = pick(keys()) ?? 'ns/a';
    const dice = random();
    // Little is under way at a time, or all of it would be outrun; but what is under way may be finished much later.
    if (mesh.unfinished.length > 5 || dice < 0.4) mesh.finish(Math.floor(random() * mesh.unfinished.length));
    else if (dice < 0.55) mesh.beginPlan();
    else if (dice < 0.67) mesh.beginWrite(key, random() < 0.03);
    else if (dice < 0.82) mesh.beginProbe(key);
    else if (dice < 0.89) mesh.mount(key);
    else if (dice < 0.96) mesh.load(key);
    else if (dice < 0.962) mesh.crash();
    else if (dice < 0.965) mesh.member(key).dark = true;
    else if (dice < 0.9705) mesh.member(key).dark = false;
    else if (dice < 0.972 && mesh.members.size < 5) mesh.join(`ns/joiner${mesh.members.size}`);
    else if (dice < 0.972 + restless) mesh.wish = { ...mesh.wish, generation: pick(mesh.usable()) ?? null };
    else if (dice < 0.974 + restless) meddle(mesh, key, random());
    else mesh.serve(key);
    const [broken] = mesh.brokenLinks();
    if (broken !== undefined) return { mesh, broken: `seed ${seed}, step ${step}: ${broken}` };
  }
  return { mesh, broken: null };
}

/** What users do besides pinning generations: pause, approve, vouch for members, delete them, bring them back, let them go. */
function meddle(mesh: SimulatedMesh, key: MemberKey, dice: number): void {
  const member = mesh.member(key);
  const { rotation } = mesh.ledger;
  if (dice < 0.3) mesh.wish = { ...mesh.wish, paused: !mesh.wish.paused };
  else if (dice < 0.55 && rotation !== null) {
    const upTo = { generation: rotation.to, stage: dice < 0.45 ? ('Roll' as const) : ('Drop' as const) };
    mesh.wish = { ...mesh.wish, approval: { required: ['Roll', 'Drop'], upTo: dice < 0.35 ? null : upTo } };
  } else if (dice < 0.75) mesh.acknowledge(key);
  else if (dice < 0.85) member.exists = false;
  else if (dice < 0.95 || mesh.members.size < 3) member.exists = true;
  else if (!member.exists) mesh.depart(key);
}

const LIVES = 500;
const STEPS = 4_000;

describe('a mesh in an adversarial world', () => {
  test('no link ever breaks, and every life settles on the wanted generation', () => {
    let rotations = 0;
    let rollbacks = 0;
    let reversals = 0;
    let rolled = 0;
    let dropped = 0;
    let acknowledged = 0;
    for (let seed = 1; seed <= LIVES; seed++) {
      const { mesh, broken } = live(seed, STEPS);
      expect(broken).toBeNull();
      expect(mesh.mostOpen).toBeLessThanOrEqual(2);
      if (mesh.stages.has('Roll')) rolled++;
      if (mesh.stages.has('Drop')) dropped++;
      for (const member of mesh.members.values()) {
        member.dark = false;
        member.exists = true;
        acknowledged += member.acknowledged === null ? 0 : 1;
      }
      mesh.wish = { ...mesh.wish, paused: false, approval: { required: [], upTo: null } };
      mesh.settle();
      const { signer, rotation, generations, history } = mesh.ledger;
      expect(rotation, `seed ${seed}`).toBeNull();
      expect(signer).toBe(mesh.wish.generation);
      expect(Object.keys(generations)).toEqual([String(signer)]);
      for (const { loaded } of mesh.members.values()) expect(loaded).toMatchObject({ leaf: signer, bundle: [signer] });
      expect(mesh.brokenLinks()).toEqual([]);
      const numbers = history.map(({ generation }) => generation);
      rotations += numbers.length;
      rollbacks += numbers.filter((number, i) => number <= Math.max(1, ...numbers.slice(0, i))).length;
      reversals += mesh.reversals;
    }
    expect(rotations).toBeGreaterThanOrEqual(LIVES);
    expect(rollbacks).toBeGreaterThan(LIVES / 10);
    // The adversary must not merely stop everything: many lives get through Append on their own.
    expect(rolled).toBeGreaterThan(LIVES / 4);
    expect(dropped).toBeGreaterThan(LIVES / 10);
    expect(acknowledged).toBeGreaterThan(LIVES / 10);
    console.log(
      `${LIVES} lives of ${STEPS} steps: ${rotations} rotations completed (${rollbacks} of them back), turned round ${reversals} times, ${acknowledged} members vouched for, ${rolled} lives in Roll and ${dropped} in Drop before help came`,
    );
  });
});
