import { beforeEach, describe, expect, test } from 'vitest';
import type { Acknowledgement } from '../../src/rotation/facts.ts';
import { type Decision, plan } from '../../src/rotation/plan.ts';
import { A, B, SimulatedMesh } from './world.ts';

let mesh: SimulatedMesh;
beforeEach(() => {
  mesh = new SimulatedMesh([A, B]);
  mesh.settle();
  mesh.member(A).probed = false;
  mesh.member(A).evidence = null;
  mesh.wish = { ...mesh.wish, generation: 2 };
});

const decide = (): Decision => plan(mesh.facts(), mesh.now);
/** Jane has seen that A uses its Secret. */
function acknowledge(change: Partial<Acknowledgement> = {}): void {
  const member = mesh.member(A);
  member.acknowledged = {
    revision: member.secret?.revision ?? '',
    generation: mesh.ledger.rotation?.to ?? 0,
    stage: mesh.ledger.rotation?.stage ?? 'Append',
    expires: mesh.now + 3_600_000,
    by: 'jane@example.com',
    manager: 'kubectl-edit',
    reason: 'log of 10:32',
    ...change,
  };
}
/** The grant of A is open and its Secret written. */
function grant(): void {
  for (let i = 0; i < 20 && mesh.ledger.roster.get(A)?.grant !== 'Open'; i++) {
    mesh.pass();
    mesh.deliver(A, B);
    mesh.look(B);
  }
  mesh.deliver(A);
}

test('a member that nobody probes waits for it, and the message is the line to commit', () => {
  grant();
  const finding = decide().findings.get(A);
  expect(finding).toMatchObject({ ok: false, contrary: false, reason: 'NotAcknowledged' });
  expect(finding?.ok === false && finding.message).toMatch(
    /set spec\.members\[name=a\]\.acknowledged of ReplicationPeer mesh: \{revision: r\d+, generation: 2, stage: Append, by: <you>, reason: <how>, expires: <when>\}\.$/,
  );
});

test('it proves a grant; the event says who claims it and who wrote it down', () => {
  grant();
  acknowledge();
  const { step, story } = decide();
  expect(step).toMatchObject({ kind: 'commit' });
  expect(story.map(({ reason }) => reason)).toEqual(['Acknowledged', 'GrantProven']);
  expect(story[0]?.note).toMatch(
    /^Append to generation 2: jane@example\.com claims that ns\/a uses revision r\d+ of its Secret \(log of 10:32, written down by field manager kubectl-edit\); it counts until 2026-/,
  );
});

test('a whole rotation, and back, with one acknowledgement per stage', () => {
  for (const generation of [2, 1]) {
    mesh.wish = { ...mesh.wish, generation };
    for (let i = 0; i < 80; i++) {
      mesh.pass();
      mesh.deliver(A, B);
      mesh.look(B);
      if (mesh.ledger.roster.get(A)?.grant !== null) acknowledge();
      expect(mesh.brokenLinks()).toEqual([]);
      if (generation === 2 && mesh.ledger.rotation?.stage === 'Drop') break;
    }
  }
  expect(mesh.ledger).toMatchObject({ signer: 1, bundle: [1], rotation: null });
});

describe('it does not count', () => {
  test.each<readonly [string, Partial<Acknowledgement>]>([
    ['for another revision', { revision: 'r0' }],
    ['for another stage', { stage: 'Roll' }],
    ['for the other direction', { generation: 1 }],
  ])('%s', (_, change) => {
    grant();
    acknowledge(change);
    expect(decide().findings.get(A)).toMatchObject({ ok: false, reason: 'NotAcknowledged' });
  });

  test('when it has expired', () => {
    grant();
    acknowledge();
    mesh.now += 3_600_000;
    expect(decide().findings.get(A)).toMatchObject({ ok: false, reason: 'NotAcknowledged' });
  });

  test('after the Secret was written again', () => {
    grant();
    acknowledge();
    mesh.beginWrite(A, true);
    mesh.finish(0);
    expect(decide().findings.get(A)).toMatchObject({ ok: false, reason: 'NotAcknowledged' });
  });

  test('before the Secret holds what is asked for', () => {
    while (mesh.ledger.roster.get(A)?.grant !== 'Open') {
      mesh.pass();
      mesh.deliver(B);
      mesh.look(B);
    }
    acknowledge();
    expect(decide().findings.get(A)).toMatchObject({ ok: false, reason: 'WaitingForSecret' });
  });

  test('against what was seen, however long ago: only against what is unknown', () => {
    mesh.member(A).probed = true;
    grant();
    mesh.member(A).loaded = { leaf: 1, bundle: [1], fingerprint: mesh.member(A).secret?.leafFingerprint ?? '' };
    mesh.look(A);
    acknowledge();
    expect(decide().findings.get(A)).toMatchObject({ ok: false, contrary: true, reason: 'NotTrusted' });
    mesh.now += 3_000_000;
    expect(decide().findings.get(A), 'stale, and still a no').toMatchObject({ ok: false, contrary: true });
    mesh.member(A).dark = true;
    mesh.look(A);
    expect(decide().findings.get(A), 'unknown by now').toMatchObject({ ok: true });
  });
});

test('one of its addresses was seen to say no: that is not unknown', () => {
  grant();
  acknowledge();
  const member = mesh.member(A);
  member.probed = true;
  mesh.look(A);
  if (member.evidence === null) throw new Error('it was looked at');
  const { evidence } = member;
  member.evidence = {
    ...evidence,
    trusts: { listening: [1], dialling: [1] },
    reason: 'Contradictory',
    message: 'differ',
  };
  expect(decide().findings.get(A)).toMatchObject({ ok: false, reason: 'Contradictory' });
});

test('what a stage was left for is told, also when the grant had been proven before', () => {
  mesh.member(A).probed = true;
  mesh.wish = { ...mesh.wish, soak: 60_000 };
  mesh.until(({ rotation }) => rotation?.provenSince !== null && rotation !== null);
  mesh.member(A).dark = true;
  mesh.now += 3_600_000;
  mesh.look(A);
  mesh.look(B);
  acknowledge({ expires: mesh.now + 3_600_000 });
  const { story, ledger } = decide();
  expect(ledger.rotation?.stage).toBe('Roll');
  expect(story.map(({ reason }) => reason)).toEqual(['Acknowledged', 'StageEntered']);
});
