/** What the user can hold a rotation by: a pause, approvals, the soak; and in which order. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Ledger } from '../../src/api/ledger.ts';
import type { Approvable } from '../../src/rotation/facts.ts';
import { type Decision, plan } from '../../src/rotation/plan.ts';
import { A, B, NOW, SimulatedMesh } from './world.ts';

let mesh: SimulatedMesh;
beforeEach(() => {
  mesh = new SimulatedMesh([A, B]);
  mesh.settle();
  mesh.wish = { ...mesh.wish, generation: 2 };
});

const wish = (changes: Partial<SimulatedMesh['wish']>): void => {
  mesh.wish = { ...mesh.wish, ...changes };
};
const decide = (): Decision => plan(mesh.facts(), mesh.now);
const inStage =
  (stage: 'Append' | 'Roll' | 'Drop') =>
  ({ rotation }: Ledger): boolean =>
    rotation?.stage === stage;
/** All goes well for so long that it would go on if nothing held it. */
function wait(): Decision {
  for (let i = 0; i < 12; i++) {
    mesh.pass();
    mesh.deliver(A, B);
    mesh.look(A, B);
  }
  return mesh.pass();
}

describe('paused', () => {
  beforeEach(() => wish({ paused: true }));

  test('nothing starts: neither what is asked for nor what is due; but a new CA gets its first generation', () => {
    const message = 'spec.rotation.paused is true; the rotation to generation 2 begins when it is false.';
    expect(wait()).toMatchObject({ step: { kind: 'rest' }, pending: { reason: 'Paused', message } });
    wish({ generation: null, renewBefore: 20 * 365 * 24 * 3_600_000 });
    mesh.now = NOW + 8 * 365 * 24 * 3_600_000;
    expect(decide()).toMatchObject({ step: { kind: 'rest' }, pending: { reason: 'Paused', message } });
    const fresh = plan({ ...mesh.facts(), ledger: { ...mesh.ledger, signer: null } }, mesh.now);
    expect(fresh.step).toMatchObject({ kind: 'mint', generation: 1 });
  });

  test.each(['Append', 'Roll', 'Drop'] as const)('%s: what is open is proven, and nobody else is granted', (stage) => {
    wish({ paused: false });
    mesh.until(inStage(stage));
    mesh.pass();
    wish({ paused: true });
    const decision = wait();
    expect(decision).toMatchObject({ step: { kind: 'rest' }, hold: { kind: 'pause' } });
    const grants = [...mesh.ledger.roster.values()].map(({ grant }) => grant ?? 'none');
    expect(grants.toSorted()).toEqual(['Proven', 'none']);
    expect(mesh.ledger.rotation?.stage).toBe(stage);
    wish({ paused: false });
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 2, rotation: null });
  });

  test('a proven stage is not left, in either direction', () => {
    wish({ paused: false, soak: 60_000 });
    mesh.until(({ rotation }) => rotation?.provenSince != null);
    wish({ paused: true });
    mesh.now += 60_000;
    mesh.look(A, B);
    expect(decide()).toMatchObject({ step: { kind: 'rest' }, hold: { kind: 'pause' } });
    wish({ paused: false, generation: 1 });
    mesh.pass();
    wish({ paused: true });
    expect(wait()).toMatchObject({ step: { kind: 'rest' }, hold: { kind: 'pause' } });
    expect(mesh.ledger.rotation).toMatchObject({ direction: 'Backward', stage: 'Drop' });
  });

  test('it does not turn round', () => {
    wish({ paused: false });
    mesh.until(inStage('Roll'));
    wish({ paused: true, generation: 1 });
    const message = 'spec.rotation.paused is true; the rollback to generation 1 begins when it is false.';
    expect(wait()).toMatchObject({ step: { kind: 'rest' }, pending: { reason: 'Paused', message } });
    expect(mesh.ledger.rotation).toMatchObject({ direction: 'Forward', to: 2 });
  });

  test('who is dark is found dark, and named before the pause', () => {
    wish({ paused: false });
    mesh.until(inStage('Roll'));
    wish({ paused: true });
    mesh.member(A).dark = true;
    mesh.member(B).dark = true;
    const decision = wait();
    expect(decision.hold, 'a pause holds nothing that could move').toBeNull();
    expect([...decision.held].map(([, finding]) => finding.reason)).toEqual(['Unreachable', 'Unreachable']);
  });
});

describe('approval', () => {
  const required: readonly Approvable[] = ['Roll', 'Drop'];
  const approve = (generation: number, stage: Approvable): void =>
    wish({ approval: { required, upTo: { generation, stage } } });

  test('a stage that requires it is entered with it, and not before', () => {
    wish({ approval: { required, upTo: null } });
    expect(wait()).toMatchObject({ step: { kind: 'rest' }, hold: { kind: 'approval', generation: 2, stage: 'Roll' } });
    expect(mesh.ledger.rotation).toMatchObject({ stage: 'Append', provenSince: new Date(NOW).toISOString() });
    approve(2, 'Roll');
    expect(wait()).toMatchObject({ step: { kind: 'rest' }, hold: { kind: 'approval', generation: 2, stage: 'Drop' } });
    approve(2, 'Drop');
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 2, rotation: null });
  });

  test('it is a high-water mark, for this generation only', () => {
    approve(1, 'Drop');
    expect(wait().hold).toMatchObject({ kind: 'approval', stage: 'Roll' });
    approve(2, 'Drop');
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 2, rotation: null });
    wish({ generation: 3 });
    expect(wait().hold, 'what was approved for 2 is not approved for 3').toMatchObject({
      generation: 3,
      stage: 'Roll',
    });
  });

  test('only what is required waits', () => {
    wish({ approval: { required: ['Drop'], upTo: null } });
    expect(wait().hold).toMatchObject({ kind: 'approval', stage: 'Drop' });
    expect(mesh.ledger.rotation?.stage).toBe('Roll');
  });

  test('a rollback needs none, wherever it begins', () => {
    wish({ approval: { required, upTo: { generation: 2, stage: 'Drop' } } });
    mesh.until(inStage('Drop'));
    wish({ generation: 1, approval: { required, upTo: null }, soak: 3_600_000 });
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 1, rotation: null });
  });

  test('turned round twice: an approval that was taken out meanwhile does not count any more', () => {
    approve(2, 'Roll');
    mesh.until(inStage('Roll'));
    wish({ generation: 1, approval: { required, upTo: null } });
    expect(mesh.pass().story).toMatchObject([{ reason: 'RotationReversed' }]);
    mesh.until(inStage('Drop'));
    wish({ generation: 2 });
    const [turned] = mesh.pass().story;
    expect(turned?.note).toMatch(/becomes Append to generation 2$/);
    expect(wait().hold).toMatchObject({ kind: 'approval', stage: 'Roll' });
  });

  test('turned round twice: an approval that was left there counts as before, and that is said', () => {
    approve(2, 'Drop');
    mesh.until(inStage('Drop'));
    wish({ generation: 1 });
    mesh.until(inStage('Roll'));
    wish({ generation: 2 });
    const [turned] = mesh.pass().story;
    expect(turned?.note).toMatch(
      /becomes Roll to generation 2; spec\.rotation\.approval\.upTo still approves it up to Drop: take that out if it is to wait/,
    );
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 2, rotation: null });
  });
});

test('the order: evidence, soak, approval, pause; the soak runs while the others hold', () => {
  wish({ soak: 60_000, approval: { required: ['Roll'], upTo: null } });
  mesh.until(({ rotation }) => rotation?.provenSince != null);
  wish({ paused: true });
  const loaded = mesh.member(A).loaded;
  mesh.member(A).dark = true;
  mesh.look(A);
  expect(decide().findings.get(A)).toMatchObject({ reason: 'Unreachable' });
  expect(decide().hold).toBeNull();
  mesh.member(A).dark = false;
  mesh.member(A).loaded = loaded;
  mesh.look(A);
  expect(decide().hold).toMatchObject({ kind: 'soak', until: NOW + 60_000 });
  mesh.now += 60_000;
  mesh.look(A, B);
  expect(decide().hold).toMatchObject({ kind: 'approval' });
  wish({ approval: { required: ['Roll'], upTo: { generation: 2, stage: 'Roll' } } });
  expect(decide().hold).toMatchObject({ kind: 'pause' });
  wish({ paused: false });
  mesh.pass();
  expect(mesh.ledger.rotation?.stage).toBe('Roll');
});
