import { beforeEach, describe, expect, test } from 'vitest';
import { emptyLedger } from '../../src/api/ledger.ts';
import { type Decision, plan } from '../../src/rotation/plan.ts';
import { A, B, NOW, SimulatedMesh } from './world.ts';

let mesh: SimulatedMesh;
beforeEach(() => {
  mesh = new SimulatedMesh([A, B]);
  mesh.settle();
});

const decide = (): Decision => plan(mesh.facts(), mesh.now);
const wish = (changes: Partial<SimulatedMesh['wish']>): void => {
  mesh.wish = { ...mesh.wish, ...changes };
};
const reasons = ({ findings, held }: Decision): Record<string, string> =>
  Object.fromEntries(
    [...findings, ...held].flatMap(([member, finding]) => (finding.ok ? [] : [[member, finding.reason]])),
  );

describe('the wanted generation', () => {
  test('unset: the CA stays until renewBefore, then rotates to the next number', () => {
    expect(decide().step.kind).toBe('rest');
    wish({ renewBefore: 20 * 365 * 24 * 3_600_000 });
    mesh.now = NOW + 5 * 365 * 24 * 3_600_000;
    expect(decide().step.kind, 'never more than a third of the life before the end').toBe('rest');
    mesh.now = NOW + 6 * 365 * 24 * 3_600_000;
    expect(decide().step).toMatchObject({ kind: 'mint', generation: 2 });
  });

  test('a number may be skipped, and is never used twice', () => {
    wish({ generation: 7 });
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 7, highest: 7 });
    wish({ generation: 3 });
    const { step, stalled } = decide();
    expect(step.kind).toBe('rest');
    expect(stalled).toMatchObject({ reason: 'GenerationUnavailable' });
    expect(stalled?.message).toMatch(
      /is 3, which is not above the highest number ever used, 7: none is used twice\. Set it to 7 to stay, or to 8 or more/,
    );
  });

  test('a generation that cannot be made is told as stalled and waiting, while members come and go', () => {
    const obstacle = { reason: 'ImportRefused', message: 'Secret ns/corp-ca cannot be imported.' };
    wish({ generation: 2 });
    mesh.join('ns/late');
    const decision = plan({ ...mesh.facts(), obstacle }, mesh.now);
    expect(decision).toMatchObject({ step: { kind: 'commit' }, stalled: obstacle, pending: obstacle });
    expect(decision.ledger.roster.get('ns/late')).toMatchObject({ leaf: 1, bundle: [1] });
    expect(decision.ledger).toMatchObject({ signer: 1, highest: 1, rotation: null });
    // It matters to nobody who wants none.
    wish({ generation: 1 });
    expect(plan({ ...mesh.facts(), obstacle }, mesh.now)).toMatchObject({ stalled: null, pending: null });
  });

  test('a slip of the finger does not use up the numbers', () => {
    wish({ generation: 1002 });
    expect(decide()).toMatchObject({ step: { kind: 'rest' }, stalled: { reason: 'GenerationUnavailable' } });
    expect(decide().stalled?.message).toBe(
      'spec.rotation.generation is 1002, more than 1000 above the highest number ever used, 1; numbers between would be lost for ever. Set it to 1 to stay, or to 2 (at most 1001) to rotate.',
    );
    wish({ generation: 1001 });
    mesh.pass();
    expect(mesh.ledger).toMatchObject({ highest: 1001, rotation: { to: 1001 } });
    wish({ generation: 999_999 });
    expect(decide().step.kind).toBe('rest');
    expect(decide().stalled?.message).toMatch(
      /Nothing moves meanwhile\. Set it to 1001 to go on, or to 1 to go back\.$/,
    );
  });

  test('a new CA begins with a number within reach', () => {
    const facts = mesh.facts();
    const wanted = (generation: number) =>
      plan({ ...facts, ledger: emptyLedger('2026-10-01T00:00:00Z'), wish: { ...facts.wish, generation } }, mesh.now);
    expect(wanted(1000).step).toMatchObject({ kind: 'mint', generation: 1000 });
    expect(wanted(1001).step.kind).toBe('rest');
    expect(wanted(1001).stalled?.message).toMatch(/Set it to 1 \(at most 1000\)\.$/);
  });

  test('pinned past the deadline: said, not done', () => {
    wish({ generation: 1, renewBefore: 365 * 24 * 3_600_000 });
    mesh.now = NOW + 8.5 * 365 * 24 * 3_600_000;
    expect(decide()).toMatchObject({ step: { kind: 'rest' }, pending: { reason: 'PinnedPastDeadline' } });
  });

  test('while rotating: a higher number waits, a gone one holds everything', () => {
    wish({ generation: 2 });
    mesh.pass();
    wish({ generation: 5 });
    expect(decide().pending?.reason).toBe('RotationRunning');
    expect(decide().pending?.message).toMatch(/Generation 5 starts when the rotation to generation 2 is complete/);
    wish({ generation: null });
    expect(decide().step.kind, 'removing the field moves nothing; the rotation goes on').toBe('commit');
    wish({ generation: 2 });
    mesh.settle();
    wish({ generation: 3 });
    mesh.pass();
    wish({ generation: 1 });
    expect(decide().stalled?.message).toMatch(
      /is 1, which is not above the highest number ever used, 3\. Nothing moves meanwhile\. Set it to 3 to go on, or to 2 to go back\.$/,
    );
    expect(decide().step.kind).toBe('rest');
  });
});

describe('grants', () => {
  beforeEach(() => {
    wish({ generation: 2 });
    mesh.pass();
  });

  test('one at a time, and the next only when the first is proven', () => {
    mesh.pass();
    expect([...mesh.ledger.roster.values()].map(({ grant }) => grant)).toEqual(['Open', null]);
    expect(reasons(decide())).toEqual({ [A]: 'WaitingForSecret', [B]: 'WaitingForGrant' });
    expect(decide().step.kind).toBe('rest');
    mesh.beginWrite(A);
    mesh.finish(0);
    mesh.look(A);
    expect(reasons(decide())[A], 'written, but not loaded').toBe('NotTrusted');
    mesh.mount(A);
    mesh.load(A);
    mesh.look(A);
    mesh.pass();
    expect(mesh.ledger.roster.get(A)?.grant).toBe('Proven');
  });

  test('maxConcurrent as a number and as a percentage, rounded up', () => {
    wish({ maxConcurrent: 2 });
    mesh.pass();
    expect([...mesh.ledger.roster.values()].map(({ grant }) => grant)).toEqual(['Open', 'Open']);
    const many = new SimulatedMesh(['ns/a', 'ns/b', 'ns/c', 'ns/d', 'ns/e']);
    many.settle();
    many.wish = { ...many.wish, generation: 2, maxConcurrent: '25%' };
    for (const _ of [1, 2]) {
      many.beginPlan();
      many.finish(0);
    }
    expect([...many.ledger.roster.values()].filter(({ grant }) => grant === 'Open')).toHaveLength(2);
  });

  test('a member in no peer, one never seen, one that is dark: each blocks by its name', () => {
    mesh.pass();
    mesh.deliver(A);
    mesh.member(A).dark = true;
    mesh.look(A);
    expect(reasons(decide())[A]).toBe('Unreachable');
    mesh.member(A).evidence = null;
    expect(reasons(decide())[A]).toBe('NeverObserved');
    const facts = { ...mesh.facts(), witnesses: new Map() };
    expect(reasons(plan(facts, mesh.now))[A]).toBe('NoPeer');
  });

  test('evidence that is stale, or from the future, or of another Secret is unknown', () => {
    mesh.pass();
    mesh.deliver(A);
    mesh.look(A);
    mesh.now += 91_000;
    expect(reasons(decide())[A]).toBe('Stale');
    mesh.now -= 91_000 + 3_600_000;
    expect(reasons(decide())[A]).toBe('FromTheFuture');
    mesh.now = NOW;
    const member = mesh.member(A);
    if (member.secret !== null) member.secret = { ...member.secret, revision: 'other' };
    expect(reasons(decide())[A]).toBe('Outdated');
  });

  test('of a member that was never reached nobody says that it was seen, however long ago it was looked at', () => {
    mesh.pass();
    mesh.deliver(A);
    mesh.member(A).dark = true;
    mesh.look(A);
    mesh.now += 91_000;
    const finding = decide().findings.get(A);
    expect(finding?.ok === false && [finding.reason, finding.message].join(': ')).toMatch(
      /^Unreachable: ReplicationPeer mesh last looked at ns\/a too long ago\./,
    );
  });

  test('a Roll grant waits for everybody else; who alone is in the way may be healed by its own grant', () => {
    while (mesh.ledger.rotation?.stage === 'Append') {
      mesh.pass();
      mesh.deliver(A, B);
      mesh.look(A, B);
    }
    mesh.member(B).dark = true;
    mesh.look(A, B);
    const decision = mesh.pass();
    expect(reasons(decision)[B]).toBe('Unreachable');
    expect(mesh.ledger.roster.get(A)?.grant, 'B is not known to trust generation 2').toBeNull();
    expect(mesh.ledger.roster.get(B)?.grant).toBe('Open');
  });

  test('a member seen to regress stops all grants', () => {
    mesh.pass();
    mesh.deliver(A);
    mesh.look(A);
    mesh.pass();
    mesh.member(A).loaded = { leaf: 1, bundle: [1], fingerprint: mesh.member(A).secret?.leafFingerprint ?? '' };
    mesh.look(A);
    const decision = mesh.pass();
    expect(decision.step.kind).toBe('rest');
    expect(reasons(decision)[A]).toBe('NotTrusted');
  });
});

describe('sessions from before a drop', () => {
  /** Until A's Drop was seen in new handshakes. */
  function dropped(): void {
    wish({ generation: 2 });
    while (mesh.ledger.rotation?.stage !== 'Drop' || mesh.member(A).loaded?.bundle.length !== 1) {
      mesh.pass();
      mesh.deliver(A, B);
      mesh.look(A, B);
    }
  }

  test('one that is still taken up is a seen no: it holds the grant, and clears a proof', () => {
    mesh.member(A).remembers = 'yes';
    dropped();
    expect(mesh.member(A).evidence).toMatchObject({ refuses: { fresh: [1], resumed: [] }, resumes: [1] });
    expect(mesh.pass().findings.get(A)).toMatchObject({ ok: false, contrary: true, reason: 'StillResumed' });
    expect(mesh.ledger.roster.get(A)?.grant).toBe('Open');
    mesh.member(A).remembers = 'no';
    mesh.look(A);
    mesh.pass();
    expect(mesh.ledger.roster.get(A)?.grant).toBe('Proven');
    mesh.member(A).remembers = 'yes';
    mesh.look(A, B);
    expect(reasons(mesh.pass())[A]).toBe('StillResumed');
    expect(mesh.ledger.roster.get(B)?.grant, 'no other is granted meanwhile').toBeNull();
  });

  test('where nobody knows, the peer says why, and the old generation stays', () => {
    mesh.member(A).remembers = 'unknown';
    dropped();
    const member = mesh.member(A);
    if (member.evidence === null) throw new Error('it was looked at');
    member.evidence = { ...member.evidence, reason: 'NoSessionKept', message: 'until then' };
    const finding = mesh.pass().findings.get(A);
    expect(finding).toEqual({ ok: false, contrary: false, reason: 'NoSessionKept', message: 'until then' });
    for (let i = 0; i < 5; i++) {
      mesh.pass();
      mesh.deliver(A, B);
      mesh.look(A, B);
    }
    expect(mesh.ledger.rotation?.stage).toBe('Drop');
    expect(Object.keys(mesh.ledger.generations)).toEqual(['1', '2']);
    member.remembers = 'no';
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ rotation: null, signer: 2 });
  });
});

describe('soak', () => {
  test('counts from the proof, survives silence, begins again after a seen no', () => {
    wish({ generation: 2, soak: 60_000 });
    for (let i = 0; i < 12 && mesh.ledger.rotation?.provenSince == null; i++) {
      mesh.pass();
      mesh.deliver(A, B);
      mesh.look(A, B);
    }
    expect(mesh.ledger.rotation).toMatchObject({ stage: 'Append', provenSince: new Date(NOW).toISOString() });
    mesh.now += 59_000;
    mesh.look(A, B);
    expect(decide()).toMatchObject({ step: { kind: 'rest' }, hold: { kind: 'soak', until: NOW + 60_000 } });

    const loaded = mesh.member(A).loaded;
    mesh.member(A).loaded = { leaf: 1, bundle: [1], fingerprint: 'x' };
    mesh.look(A);
    mesh.pass();
    expect(mesh.ledger.rotation?.provenSince).toBeNull();
    mesh.member(A).loaded = loaded;
    mesh.look(A, B);
    mesh.pass();
    mesh.now += 60_000;
    mesh.look(A, B);
    mesh.pass();
    expect(mesh.ledger.rotation?.stage).toBe('Roll');
  });
});

describe('the roster', () => {
  test('stable: a joiner is issued at once, a deleted certificate leaves', () => {
    mesh.join('ns/c');
    mesh.pass();
    expect(mesh.ledger.roster.get('ns/c')).toMatchObject({ leaf: 1, bundle: [1], grant: null });
    mesh.member('ns/c').exists = false;
    mesh.pass();
    expect(mesh.ledger.roster.has('ns/c')).toBe(false);
  });

  test('absence counts only where somebody looks', () => {
    mesh.member(A).exists = false;
    expect(plan({ ...mesh.facts(), watched: () => false }, mesh.now).step.kind).toBe('rest');
  });

  test('rotating: a deleted member stays, blocks, and goes when it is named as departed', () => {
    wish({ generation: 2 });
    mesh.pass();
    mesh.member(B).exists = false;
    mesh.pass();
    expect(mesh.ledger.roster.has(B)).toBe(true);
    expect(reasons(decide())[B]).toBe('Deleted');
    wish({ departed: new Set([A, B]) });
    mesh.pass();
    expect([...mesh.ledger.roster.keys()], 'it does not count of one that is served').toEqual([A]);
  });

  test('rotating: a dark member that may not be served any more goes when it is named as departed, though its object is there', () => {
    wish({ generation: 2 });
    mesh.pass();
    mesh.member(B).dark = true;
    mesh.member(B).barred = true;
    mesh.pass();
    expect(mesh.ledger.roster.has(B), 'nobody has said that it is gone').toBe(true);
    const waits = decide().findings.get(B);
    expect(waits).toMatchObject({ reason: 'NamespaceNotAllowed' });
    expect(waits?.ok === false && waits.message).toContain(
      `If ${B} is really gone, name it in spec.rotation.departed.`,
    );
    wish({ departed: new Set([A, B]) });
    mesh.pass();
    expect([...mesh.ledger.roster.keys()]).toEqual([A]);
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 2, rotation: null });
    expect([...mesh.ledger.roster.keys()], 'and does not join again').toEqual([A]);
  });

  test('rotating: a joiner gets its first Secret as a grant, with a leaf of the signer', () => {
    wish({ generation: 2 });
    mesh.pass();
    mesh.join('ns/c');
    mesh.pass();
    expect(mesh.ledger.roster.get('ns/c')).toMatchObject({ leaf: null, grant: null });
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: 2, rotation: null });
    expect(mesh.ledger.roster.get('ns/c')).toMatchObject({ leaf: 2, bundle: [2] });
  });

  test('a CA that is being deleted starts nothing and lets its members go', () => {
    wish({ generation: 2, deleting: true });
    expect(decide().step.kind).toBe('rest');
    mesh.member(A).exists = false;
    mesh.member(B).exists = false;
    mesh.pass();
    expect(mesh.ledger.roster.size).toBe(0);
  });
});

test('planning is a function: the same facts give the same decision, and nothing given is changed', () => {
  wish({ generation: 2 });
  mesh.pass();
  const facts = mesh.facts();
  const before = JSON.stringify([facts.ledger, [...facts.ledger.roster]]);
  expect(plan(facts, mesh.now)).toEqual(plan(facts, mesh.now));
  expect(JSON.stringify([facts.ledger, [...facts.ledger.roster]])).toBe(before);
});
