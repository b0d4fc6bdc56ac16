import { beforeEach, describe, expect, test } from 'vitest';
import type { Ledger } from '../../src/api/ledger.ts';
import type { MemberKey } from '../../src/api/names.ts';
import { type Decision, plan } from '../../src/rotation/plan.ts';
import { A, B, C, SimulatedMesh } from './world.ts';

let mesh: SimulatedMesh;
beforeEach(() => {
  mesh = new SimulatedMesh([A, B, C]);
  mesh.settle();
  mesh.wish = { ...mesh.wish, generation: 2 };
});

const want = (generation: number | null): void => {
  mesh.wish = { ...mesh.wish, generation };
};
const grantOf = (member: MemberKey) => mesh.ledger.roster.get(member)?.grant;
const inStage =
  (stage: 'Append' | 'Roll' | 'Drop', proven = 0) =>
  ({ rotation, roster }: Ledger): boolean =>
    rotation?.stage === stage && [...roster.values()].filter(({ grant }) => grant === 'Proven').length === proven;
const decide = (): Decision => plan(mesh.facts(), mesh.now);
const proven = (decision: Decision): boolean =>
  decision.step.kind === 'commit' && [...decision.step.ledger.roster.values()].some(({ grant }) => grant === 'Proven');

test('whether the new generation has signed is known from its first Roll on, whichever way it goes then', () => {
  const hasSigned = () => mesh.ledger.rotation?.hasSigned;
  mesh.until(inStage('Append', 1));
  expect(hasSigned()).toBe(false);
  want(1);
  mesh.until(({ rotation }) => rotation?.direction === 'Backward');
  expect(hasSigned(), 'back from Append').toBe(false);
  want(2);
  mesh.until(inStage('Roll'));
  expect(hasSigned()).toBe(true);
  want(1);
  mesh.until(inStage('Drop'));
  expect(hasSigned(), 'back from Roll').toBe(true);
});

describe.each([
  ['Append', 'Drop', 1, [1], ['Drop']],
  ['Roll', 'Roll', 1, [1, 2], ['Roll', 'Drop']],
  ['Drop', 'Append', 2, [1, 2], ['Append', 'Roll', 'Drop']],
] as const)('back from %s', (stage, mapped, signer, bundle, path) => {
  test.each([0, 1, 2])('with %s members proven: the stages are gone through backwards, no link breaks', (count) => {
    mesh.until(inStage(stage, count));
    want(1);
    const { story } = mesh.pass();
    expect(story).toMatchObject([{ reason: 'RotationReversed' }]);
    expect(mesh.ledger).toMatchObject({
      signer,
      bundle,
      highest: 2,
      rotation: { from: 2, to: 1, direction: 'Backward', stage: mapped, provenSince: null },
    });
    expect(mesh.ledger.rotation?.provenEpoch, 'what was seen before counts no more').toBe(mesh.ledger.epoch);
    const seen: string[] = [];
    mesh.until(({ rotation }) => {
      expect(mesh.brokenLinks()).toEqual([]);
      if (rotation !== null && seen.at(-1) !== rotation.stage) seen.push(rotation.stage);
      return rotation === null;
    });
    expect(seen).toEqual(path);
    expect(mesh.ledger).toMatchObject({ signer: 1, bundle: [1], highest: 2, history: [{ generation: 1 }] });
    expect(Object.keys(mesh.ledger.generations), 'the key of generation 2 is destroyed').toEqual(['1']);
    for (const { secret } of mesh.members.values()) expect(secret).toMatchObject({ leaf: 1, bundle: [1] });
  });

  test('and forth again: 1 -> 2 -> 1 -> 2', () => {
    mesh.until(inStage(stage, 1));
    want(1);
    mesh.pass();
    want(2);
    mesh.pass();
    expect(mesh.ledger.rotation).toMatchObject({ from: 1, to: 2, direction: 'Forward', stage });
    mesh.until(({ rotation }) => rotation === null);
    expect(mesh.ledger).toMatchObject({ signer: 2, bundle: [2], highest: 2, history: [{ generation: 2 }] });
    expect(mesh.brokenLinks()).toEqual([]);
  });

  test('what is open keeps its slot and its content until it may be turned round', () => {
    mesh.until(inStage(stage, 1));
    mesh.pass();
    const open = [A, B, C].find((member) => grantOf(member) === 'Open') ?? A;
    const before = mesh.ledger.roster.get(open);
    mesh.deliver(open);
    want(1);
    mesh.pass();
    expect(mesh.ledger.roster.get(open)).toEqual({ ...before, grant: 'Reversed' });
    for (const member of [A, B, C].filter((each) => each !== open)) expect(grantOf(member)).toBeNull();

    mesh.look(A, B, C);
    mesh.pass();
    expect(grantOf(open), 'it goes first').toBe('Reopened');
    expect(mesh.mostOpen, 'and nobody beside it').toBe(1);
    expect(mesh.ledger.roster.get(open)?.since).toBe(mesh.ledger.epoch);
  });
});

describe('what was on its way when the rotation turned round', () => {
  test('a member that has not loaded it yet is not taken for one that has loaded what came after', () => {
    mesh.until(inStage('Drop'));
    mesh.pass();
    // The bundle without generation 1 is on the disk of A, but A has not loaded it.
    mesh.beginWrite(A);
    mesh.finish(0);
    mesh.mount(A);
    want(1);
    mesh.pass();
    mesh.look(A, B, C);
    mesh.pass();
    mesh.beginWrite(A);
    mesh.finish(0);
    mesh.look(A);
    // A still trusts both generations, as it is to: because it is late, not because it has followed.
    expect(mesh.member(A).evidence?.trusts.listening).toEqual([1, 2]);
    expect(decide().findings.get(A)).toMatchObject({ ok: false, reason: 'NotPresented' });
    expect(proven(decide())).toBe(false);
    mesh.load(A);
    mesh.look(A);
    expect(proven(decide())).toBe(false);
    mesh.deliver(A);
    mesh.look(A);
    expect(proven(decide())).toBe(true);
  });
});

describe('a rollback', () => {
  test('needs no soak', () => {
    mesh.until(inStage('Roll', 1));
    mesh.wish = { ...mesh.wish, soak: 3_600_000, generation: 1 };
    mesh.until(({ rotation }) => rotation === null);
    expect(mesh.ledger.signer).toBe(1);
  });

  test('removing the field does not end it; then nothing starts by itself until the field is set', () => {
    mesh.wish = { ...mesh.wish, renewBefore: 20 * 365 * 24 * 3_600_000 };
    mesh.until(inStage('Roll', 1));
    want(1);
    mesh.pass();
    want(null);
    mesh.until(({ rotation }) => rotation === null);
    mesh.now += 6 * 365 * 24 * 3_600_000;
    expect(mesh.ledger).toMatchObject({ signer: 1, held: true });
    expect(decide()).toMatchObject({ step: { kind: 'rest' }, pending: { reason: 'HeldAfterRollback' } });
    expect(decide().pending?.message).toMatch(/Set spec\.rotation\.generation to 3 to rotate\.$/);
    want(1);
    mesh.pass();
    expect(mesh.ledger.held).toBe(false);
    want(null);
    expect(decide().step).toMatchObject({ kind: 'mint', generation: 3 });
  });

  test('1 -> 2 -> 1 -> 3: the number that was left is never used again', () => {
    mesh.until(inStage('Drop', 2));
    want(1);
    mesh.until(({ rotation }) => rotation === null);
    want(2);
    expect(decide().stalled?.message).toMatch(/none is used twice\. Set it to 1 to stay, or to 3 or more to rotate\.$/);
    want(3);
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 3, highest: 3, bundle: [3] });
    expect(mesh.ledger.history.map(({ generation }) => generation)).toEqual([1, 3]);
  });

  test('is refused when the generation to go back to has expired, and its message names what is left', () => {
    mesh.until(inStage('Roll', 1));
    want(1);
    mesh.now += 20 * 365 * 24 * 3_600_000;
    const { stalled, step } = decide();
    expect(step.kind).toBe('rest');
    expect(stalled).toMatchObject({ reason: 'GenerationUnavailable' });
    expect(stalled?.message).toMatch(
      /is 1, which expired at 2035-\S+: nobody accepts its leaves\. .* Set it to 2 to go on\.$/,
    );
  });

  test('a higher number waits until it is complete', () => {
    mesh.until(inStage('Append', 1));
    want(1);
    mesh.pass();
    want(3);
    expect(decide().pending?.message).toMatch(/Generation 3 starts when the rotation to generation 1 is complete/);
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 3, bundle: [3] });
  });

  test('waits for a dark member like any other stage, and a joiner is a grant like any other', () => {
    mesh.until(inStage('Roll', 2));
    mesh.member(B).dark = true;
    mesh.join('ns/d');
    want(1);
    for (let i = 0; i < 20; i++) {
      mesh.pass();
      mesh.deliver(A, C, 'ns/d');
      mesh.look(A, B, C, 'ns/d');
    }
    expect(mesh.ledger.rotation).toMatchObject({ stage: 'Roll', direction: 'Backward' });
    mesh.member(B).dark = false;
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 1, bundle: [1] });
    expect(mesh.member('ns/d').loaded).toMatchObject({ leaf: 1, bundle: [1] });
    expect(mesh.brokenLinks()).toEqual([]);
  });

  test('a member that was deleted blocks it until it is named as departed', () => {
    mesh.until(inStage('Drop', 1));
    mesh.member(B).exists = false;
    want(1);
    for (let i = 0; i < 20; i++) {
      mesh.pass();
      mesh.deliver(A, C);
      mesh.look(A, C);
    }
    expect(mesh.ledger.rotation).toMatchObject({ stage: 'Append', direction: 'Backward' });
    expect(decide().findings.get(B)).toMatchObject({ ok: false, reason: 'Deleted' });
    mesh.wish = { ...mesh.wish, departed: new Set([B]) };
    mesh.members.delete(B);
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 1, rotation: null });
  });
});
