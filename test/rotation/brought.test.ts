import { beforeEach, expect, test } from 'vitest';
import { type Decision, plan } from '../../src/rotation/plan.ts';
import { A, B, C, SimulatedMesh } from './world.ts';

let mesh: SimulatedMesh;
beforeEach(() => {
  mesh = new SimulatedMesh([A, B, C]);
  mesh.member(A).brought = new Map([
    [1, true],
    [2, false],
  ]);
  mesh.settle();
  want(2);
});

const want = (generation: number): void => {
  mesh.wish = { ...mesh.wish, generation };
};
const bring = (): void => {
  mesh.member(A).brought = new Map([
    [1, true],
    [2, true],
  ]);
};
const decide = (): Decision => plan(mesh.facts(), mesh.now);
const round = (): void => {
  mesh.pass();
  mesh.deliver(A, B, C);
  mesh.look(A, B, C);
  expect(mesh.brokenLinks()).toEqual([]);
};

test('a leaf that is missing is waited for by name, where it is needed; the others go on meanwhile', () => {
  mesh.until(({ rotation }) => rotation?.stage === 'Roll');
  for (let i = 0; i < 20; i++) round();
  expect([A, B, C].map((member) => mesh.ledger.roster.get(member)?.grant)).toEqual([null, 'Proven', 'Proven']);
  const { findings, step } = decide();
  expect(step).toEqual({ kind: 'rest' });
  expect(findings.get(A)).toEqual({
    ok: false,
    contrary: false,
    reason: 'LeafUnavailable',
    message: 'No such leaf is brought.',
  });
  bring();
  mesh.until(({ rotation }) => rotation === null);
  expect(mesh.ledger).toMatchObject({ signer: 2, bundle: [2] });
});

test('a leaf that is in use need not lie there any more', () => {
  bring();
  mesh.until(({ rotation }) => rotation?.stage === 'Drop');
  mesh.member(A).brought = new Map([[2, false]]);
  mesh.until(({ rotation }) => rotation === null);
  expect(mesh.member(A).secret).toMatchObject({ leaf: 2, bundle: [2] });
});

/** A was granted G2 and has loaded nothing of it; it goes back, and is given the same leaf as before. */
function turnedRound(): void {
  bring();
  mesh.until(({ rotation, roster }) => rotation?.stage === 'Roll' && roster.get(A)?.grant === 'Open');
  mesh.beginWrite(A);
  mesh.finish(0);
  want(1);
  for (let i = 0; i < 10 && mesh.ledger.roster.get(A)?.grant !== 'Reopened'; i++) {
    mesh.pass();
    mesh.look(A, B, C);
  }
  mesh.deliver(A);
  mesh.look(A, B, C);
}

test('turned round, the leaf that it had before proves nothing: somebody has to say that it uses its Secret', () => {
  turnedRound();
  expect(mesh.member(A).evidence?.presents?.fingerprint).toBe('brought-1');
  const { findings, step } = decide();
  expect(step).toEqual({ kind: 'rest' });
  const finding = findings.get(A);
  expect(finding).toMatchObject({ ok: false, contrary: false, reason: 'NotAcknowledged' });
  expect(finding?.ok === false && finding.message).toMatch(
    /^The rotation turned round while a change of ns\/a was on its way, .* \(restart it\)\. When you have seen that it uses it, set spec\.members\[name=a\]\.acknowledged of ReplicationPeer mesh: \{revision: r\d+, generation: 1, stage: Roll, /,
  );
  mesh.acknowledge(A);
  expect(decide().story.map(({ reason }) => reason)).toEqual(['Acknowledged', 'GrantProven']);
  mesh.until(({ rotation }) => rotation === null);
  expect(mesh.ledger).toMatchObject({ signer: 1, bundle: [1] });
});

test('what is seen to be otherwise is no unknown: it is told as it is', () => {
  turnedRound();
  mesh.member(A).loaded = { leaf: 2, bundle: [1, 2], fingerprint: 'brought-2' };
  mesh.look(A);
  mesh.acknowledge(A);
  expect(decide().findings.get(A)).toMatchObject({ ok: false, contrary: true, reason: 'NotPresented' });
});

test('who brings none any more comes with a leaf that was signed under the grant, and that proves it', () => {
  turnedRound();
  mesh.member(A).brought = new Map();
  expect(decide().findings.get(A), 'the old leaf is the same as ever').toMatchObject({ reason: 'NotAcknowledged' });
  mesh.beginWrite(A, true);
  mesh.finish(0);
  mesh.deliver(A);
  mesh.look(A);
  expect(decide().findings.get(A)).toMatchObject({ ok: true });
});

test('of a generation without its key nobody can see who trusts it: a word is asked for, where nothing else is amiss', () => {
  const { 1: first, ...others } = mesh.ledger.generations;
  if (first === undefined) throw new Error('there is generation 1');
  mesh.ledger = { ...mesh.ledger, generations: { ...others, 1: { ...first, withoutKey: true } } };
  bring();
  mesh.until(({ rotation }) => rotation?.stage === 'Drop');
  mesh.until(({ roster }) => [...roster.values()].some(({ grant }) => grant === 'Open'));
  const open = [A, B, C].find((member) => mesh.ledger.roster.get(member)?.grant === 'Open') ?? A;
  mesh.beginWrite(open, true);
  mesh.finish(0);
  mesh.deliver(open);
  expect(decide().findings.get(open), 'the next look comes first').toMatchObject({ ok: false, reason: 'Outdated' });
  mesh.look(open);
  const finding = decide().findings.get(open);
  expect(finding).toMatchObject({ ok: false, contrary: false, reason: 'NotAcknowledged' });
  expect(finding?.ok === false && finding.message).toMatch(
    /^Generation 1 was imported without its key, so that no look tells whether ns\/\w trusts it\. When you have seen that it uses its Secret, set spec\.members\[name=\w\]\.acknowledged of ReplicationPeer mesh: \{revision: r\d+, generation: 2, stage: Drop, /,
  );
  mesh.member(open).dark = true;
  mesh.look(open);
  expect(decide().findings.get(open), 'what is amiss besides is told first').toMatchObject({ reason: 'Unreachable' });
  mesh.member(open).dark = false;
  for (let i = 0; i < 40 && mesh.ledger.rotation !== null; i++) {
    round();
    for (const member of [A, B, C]) mesh.acknowledge(member);
  }
  expect(mesh.ledger).toMatchObject({ signer: 2, bundle: [2], rotation: null });
});
