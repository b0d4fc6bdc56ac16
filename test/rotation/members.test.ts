/** What members do in the middle of a rotation: in every stage, there and back. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Ledger } from '../../src/api/ledger.ts';
import type { MemberKey } from '../../src/api/names.ts';
import { type Decision, plan } from '../../src/rotation/plan.ts';
import { A, B, C, type Loaded, SimulatedMesh } from './world.ts';

const STAGES = ['Append', 'Roll', 'Drop'] as const;
const OPPOSITE = { Append: 'Drop', Roll: 'Roll', Drop: 'Append' } as const;

let mesh: SimulatedMesh;
const decide = (): Decision => plan(mesh.facts(), mesh.now);
const reasonOf = (member: MemberKey, { findings, held }: Decision): string | undefined => {
  const finding = held.get(member) ?? findings.get(member);
  return finding?.ok === false ? finding.reason : undefined;
};
/** Time passes, all others work; no link breaks. */
function wait(...working: readonly MemberKey[]): void {
  for (let i = 0; i < 20; i++) {
    mesh.pass();
    mesh.deliver(...working);
    mesh.look(...mesh.members.keys());
    expect(mesh.brokenLinks()).toEqual([]);
  }
}

describe.each(
  (['Forward', 'Backward'] as const).flatMap((direction) => STAGES.map((stage) => [direction, stage] as const)),
)('%s, in %s', (direction, stage) => {
  let goal: number;
  /** What each member had loaded before the stage began. */
  let before: ReadonlyMap<MemberKey, Loaded | null>;
  const provenIn = ({ roster }: Ledger): number =>
    [...roster.values()].filter(({ grant }) => grant === 'Proven').length;
  const inStage = (ledger: Ledger): boolean =>
    ledger.rotation?.direction === direction && ledger.rotation.stage === stage && provenIn(ledger) === 1;
  const someone = (grant: 'Proven' | null): MemberKey =>
    [...mesh.ledger.roster].find(([, entry]) => entry.grant === grant)?.[0] ?? A;
  const settled = (): void => {
    mesh.settle();
    expect(mesh.ledger).toMatchObject({ signer: goal, bundle: [goal], rotation: null });
    expect(mesh.brokenLinks()).toEqual([]);
  };

  beforeEach(() => {
    mesh = new SimulatedMesh([A, B, C]);
    mesh.settle();
    mesh.wish = { ...mesh.wish, generation: 2 };
    goal = direction === 'Forward' ? 2 : 1;
    if (direction === 'Backward') {
      mesh.until((ledger) => ledger.rotation?.stage === OPPOSITE[stage] && provenIn(ledger) === 2);
      mesh.wish = { ...mesh.wish, generation: 1 };
      mesh.pass();
    }
    before = new Map([...mesh.members].map(([key, { loaded }]) => [key, loaded]));
    mesh.until(inStage);
  });

  test('a member that goes dark holds it, and is named; it goes on when that is back', () => {
    for (const grant of ['Proven', null] as const) {
      const dark = someone(grant);
      mesh.member(dark).dark = true;
      wait(A, B, C);
      expect(mesh.ledger.rotation?.stage).toBe(stage);
      expect(reasonOf(dark, decide())).toBe('Unreachable');
      mesh.member(dark).dark = false;
    }
    settled();
  });

  test('a member that comes back with old files stops all grants, until it has loaded its Secret', () => {
    const old = someone('Proven');
    mesh.member(old).loaded = before.get(old) ?? null;
    mesh.look(A, B, C);
    const decision = decide();
    const opened =
      decision.step.kind === 'commit' &&
      [...decision.step.ledger.roster.values()].some(({ grant }) => grant === 'Open');
    expect(opened).toBe(false);
    expect(reasonOf(old, decision)).toMatch(/^(NotTrusted|NotPresented|StillTrusted)$/);
    mesh.load(old);
    settled();
  });

  test('a member that was deleted is not forgotten, until it is named as departed', () => {
    const gone = someone(null);
    mesh.member(gone).exists = false;
    wait(...[A, B, C].filter((each) => each !== gone));
    expect(mesh.ledger.rotation?.stage).toBe(stage);
    expect(reasonOf(gone, decide())).toBe('Deleted');
    mesh.wish = { ...mesh.wish, departed: new Set([gone]) };
    mesh.members.delete(gone);
    settled();
  });

  test('a namespace that is not watched any more opens no gate', () => {
    const hidden = someone(null);
    mesh.member(hidden).exists = false;
    const facts = { ...mesh.facts(), watched: () => false };
    const decision = plan(facts, mesh.now);
    expect(decision.ledger.roster.has(hidden)).toBe(true);
    expect(reasonOf(hidden, decision)).toMatch(/^(NotWatched|WaitingForGrant)$/);
    mesh.member(hidden).exists = true;
    settled();
  });

  test('a peer that vanished, and evidence that was wiped, open no gate', () => {
    expect(reasonOf(someone('Proven'), plan({ ...mesh.facts(), witnesses: new Map() }, mesh.now))).toBe('NoPeer');
    for (const member of mesh.members.values()) member.evidence = null;
    const decision = decide();
    expect(reasonOf(someone('Proven'), decision)).toBe('NeverObserved');
    expect(decision.ledger.rotation?.stage).toBe(stage);
    settled();
  });

  test('a joiner is a grant like any other', () => {
    mesh.join('ns/d');
    mesh.pass();
    expect(mesh.ledger.roster.get('ns/d')).toMatchObject({ leaf: null, grant: null });
    wait(A, B, C, 'ns/d');
    settled();
    expect(mesh.member('ns/d').loaded).toMatchObject({ leaf: goal, bundle: [goal] });
  });

  test('a renewal changes neither generation nor bundle, and has to be seen like everything else', () => {
    const renewed = someone('Proven');
    const { secret } = mesh.member(renewed);
    mesh.beginWrite(renewed, true);
    mesh.finish(0);
    expect(mesh.member(renewed).secret).toMatchObject({ leaf: secret?.leaf, bundle: secret?.bundle });
    mesh.look(A, B, C);
    // In Append nobody asks for the leaf: what it trusts is the same.
    expect(reasonOf(renewed, decide())).toBe(stage === 'Append' ? undefined : 'NotPresented');
    settled();
  });
});
