/** Members that honour one CA only: all change at one time, in a gap that is announced, approved, and over when that is proven. */
import { beforeEach, describe, expect, test } from 'vitest';
import { decodeLedger, encodeLedger, type Ledger } from '../../src/api/ledger.ts';
import { type Decision, plan } from '../../src/rotation/plan.ts';
import { A, B, C, SimulatedMesh } from './world.ts';

const ALL = [A, B, C] as const;
let mesh: SimulatedMesh;
beforeEach(() => {
  mesh = new SimulatedMesh(ALL);
  mesh.settle();
  mesh.strategy = 'Lockstep';
  mesh.wish = { ...mesh.wish, generation: 2 };
});

const approve = (generation = 2): void => {
  mesh.wish = { ...mesh.wish, approval: { required: ['Swap'], upTo: { generation, stage: 'Swap' } } };
};
const want = (generation: number): void => {
  mesh.wish = { ...mesh.wish, generation };
};
const inStage =
  (stage: 'Prepare' | 'Swap', grant?: string) =>
  ({ rotation, roster }: Ledger): boolean =>
    rotation?.stage === stage && (grant === undefined || [...roster.values()].every((entry) => entry.grant === grant));
/** All may change, and nobody has. */
function begin(of: SimulatedMesh): void {
  approve();
  of.wish = mesh.wish;
  of.until(inStage('Swap'));
  of.pass();
}
const decide = (): Decision => plan(mesh.facts(), mesh.now);
const grants = () => ALL.map((key) => mesh.ledger.roster.get(key)?.grant);

test('nobody ever trusts two, and links are down in the gap only', () => {
  approve();
  const seen: string[] = [];
  let down = 0;
  mesh.until(({ rotation, signer, bundle }) => {
    const stage = rotation?.stage ?? 'Stable';
    if (seen.at(-1) !== stage) seen.push(stage);
    const broken = mesh.brokenLinks().length;
    down += broken;
    expect(stage === 'Swap' ? 0 : broken, stage).toBe(0);
    expect(bundle).toEqual([signer]);
    for (const { loaded, secret } of mesh.members.values())
      for (const held of [loaded, secret]) expect(held?.bundle).toEqual([held?.leaf]);
    expect(decodeLedger(encodeLedger(mesh.ledger))).toEqual(mesh.ledger);
    return rotation === null && signer === 2;
  });
  expect(seen).toEqual(['Stable', 'Prepare', 'Swap', 'Stable']);
  expect(mesh.brokenLinks()).toEqual([]);
  expect(Object.keys(mesh.ledger.generations)).toEqual(['2']);
  expect(down, 'all changed between two looks of this test').toBe(0);
});

test('everybody is granted in one update, whatever maxConcurrent is', () => {
  approve();
  mesh.until(inStage('Swap'));
  expect(grants()).toEqual([null, null, null]);
  const { step, story } = mesh.pass();
  expect(step.kind).toBe('commit');
  expect(story).toMatchObject([
    { reason: 'GrantOpened', note: `Swap from generation 1 to 2: ${ALL.join(', ')} may change now` },
  ]);
  expect(grants()).toEqual(['Open', 'Open', 'Open']);
});

describe('before it', () => {
  test('nothing changes without approval, whatever other stages need none', () => {
    mesh.until(inStage('Prepare', 'Proven'));
    const { hold, step } = mesh.pass();
    expect(hold).toEqual({ kind: 'approval', generation: 2, stage: 'Swap' });
    mesh.pass();
    expect(decide()).toMatchObject({ step: { kind: 'rest' }, hold: { kind: 'approval', stage: 'Swap' } });
    expect(step.kind).toBe('commit');
    for (const upTo of [
      { generation: 2, stage: 'Drop' },
      { generation: 1, stage: 'Swap' },
    ] as const) {
      mesh.wish = { ...mesh.wish, approval: { required: ['Swap'], upTo } };
      expect(decide()).toMatchObject({ step: { kind: 'rest' }, hold: { kind: 'approval' } });
    }
    approve();
    const { story } = mesh.pass();
    expect(story[0]?.note).toMatch(
      /all change from generation 1 to 2 at one time, and links are down until the last one has/,
    );
    expect(mesh.ledger).toMatchObject({ signer: 2, bundle: [2], rotation: { stage: 'Swap' } });
  });

  test.each([
    ['dark', () => (mesh.member(B).dark = true), 'Unreachable'],
    ['on other files', () => (mesh.member(B).loaded = { leaf: 1, bundle: [1], fingerprint: 'other' }), 'NotPresented'],
  ])('a member that is %s holds it, approved or not', (_, harm, reason) => {
    approve();
    mesh.until(inStage('Prepare'));
    mesh.pass();
    mesh.deliver(...ALL);
    harm();
    mesh.look(...ALL);
    for (let i = 0; i < 5; i++) mesh.pass();
    expect(mesh.ledger.rotation?.stage).toBe('Prepare');
    expect(decide().findings.get(B)).toMatchObject({ ok: false, reason });
    expect(mesh.brokenLinks()).toEqual([]);
  });

  test('a leaf that is to be brought and is not there holds it', () => {
    approve();
    mesh.until(inStage('Prepare'));
    mesh.member(B).brought = new Map([[2, false]]);
    for (let i = 0; i < 5; i++) {
      mesh.pass();
      mesh.deliver(...ALL);
      mesh.look(...ALL);
    }
    expect(mesh.ledger.rotation?.stage).toBe('Prepare');
    expect(decide().findings.get(B)).toMatchObject({ ok: false, reason: 'LeafUnavailable' });
    mesh.member(B).brought = new Map([[2, true]]);
    mesh.until(({ rotation }) => rotation === null);
    expect(mesh.ledger.signer).toBe(2);
  });

  test('what was seen once and is not any more holds it too', () => {
    mesh.until(inStage('Prepare', 'Proven'));
    approve();
    mesh.now += 600_000;
    mesh.look(A, C);
    expect(decide().step.kind).toBe('rest');
    mesh.look(B);
    expect(decide().step.kind).toBe('commit');
  });

  test('a joiner has its first Secret at once', () => {
    mesh.until(inStage('Prepare'));
    const joiner = 'ns/joiner';
    mesh.join(joiner);
    mesh.pass();
    mesh.until(({ roster }) => roster.get(joiner)?.grant === 'Proven');
    expect(mesh.member(joiner).secret).toMatchObject({ leaf: 1, bundle: [1] });
  });

  test('an approval of Swap approves no stage of another strategy', () => {
    approve();
    mesh.strategy = 'Staged';
    mesh.wish = { ...mesh.wish, approval: { required: ['Roll'], upTo: { generation: 2, stage: 'Swap' } } };
    for (let i = 0; i < 20; i++) {
      mesh.pass();
      mesh.deliver(...ALL);
      mesh.look(...ALL);
    }
    expect(decide()).toMatchObject({ step: { kind: 'rest' }, hold: { kind: 'approval', stage: 'Roll' } });
  });

  test('a member that may not be served any more holds it: it could not change with the others', () => {
    mesh.until(inStage('Prepare', 'Proven'));
    approve();
    mesh.member(B).barred = true;
    for (let i = 0; i < 5; i++) {
      mesh.pass();
      mesh.look(...ALL);
    }
    expect(mesh.ledger.rotation?.stage).toBe('Prepare');
    expect(decide().findings.get(B)).toMatchObject({ ok: false, reason: 'NamespaceNotAllowed' });
    mesh.member(B).barred = false;
    mesh.until(({ rotation }) => rotation === null);
    expect(mesh.ledger.signer).toBe(2);
  });

  test('turned round it is over at once: nobody had anything of the new one', () => {
    mesh.until(inStage('Prepare', 'Proven'));
    want(1);
    expect(mesh.pass().story).toEqual([
      {
        type: 'Normal',
        reason: 'RotationReversed',
        note: 'spec.rotation.generation is 1 again: no member was given anything of generation 2 yet, so it is over',
      },
    ]);
    expect(mesh.ledger).toMatchObject({ signer: 1, bundle: [1], highest: 2, rotation: null, held: false });
    expect(Object.keys(mesh.ledger.generations)).toEqual(['1']);
    mesh.settle();
    expect(mesh.brokenLinks()).toEqual([]);
  });

  test('turned round before somebody was proven, nobody gets a new leaf: somebody would have to bring it there', () => {
    const leaves = () => ALL.map((key) => mesh.member(key).secret?.leafFingerprint);
    const before = leaves();
    mesh.until(inStage('Prepare'));
    mesh.member(B).dark = true;
    mesh.pass();
    mesh.deliver(...ALL);
    mesh.look(...ALL);
    mesh.pass();
    expect(grants()).toEqual(['Proven', 'Open', 'Proven']);
    want(1);
    mesh.pass();
    expect(mesh.ledger.rotation, 'though one is dark').toBeNull();
    mesh.settle();
    expect(leaves()).toEqual(before);
  });

  test('turned round before a joiner was granted, it is issued as while nothing rotates', () => {
    mesh.until(inStage('Prepare'));
    const joiner = 'ns/joiner';
    mesh.join(joiner);
    want(1);
    mesh.pass();
    expect(mesh.ledger.rotation).toBeNull();
    mesh.settle();
    expect(mesh.member(joiner).loaded).toMatchObject({ leaf: 1, bundle: [1] });
  });

  describe('from a generation that has expired', () => {
    const expire = (): void => {
      mesh.ends = new Map([[1, mesh.now]]);
      // Nobody accepts its leaves any more, whatever is loaded.
      mesh.now += 1;
    };

    test('nobody is asked whether all is well: nothing is, and the gap waits for its approval only', () => {
      mesh.until(inStage('Prepare'));
      mesh.member(B).dark = true;
      expire();
      for (let i = 0; i < 5; i++) mesh.pass();
      expect(decide()).toMatchObject({ step: { kind: 'rest' }, hold: { kind: 'approval', stage: 'Swap' } });
      mesh.member(B).dark = false;
      approve();
      mesh.until(({ rotation }) => rotation === null);
      expect(mesh.ledger).toMatchObject({ signer: 2, bundle: [2] });
    });

    test('what is to be brought must be there all the same', () => {
      mesh.until(inStage('Prepare'));
      mesh.member(B).brought = new Map([[2, false]]);
      expire();
      approve();
      for (let i = 0; i < 5; i++) mesh.pass();
      expect(decide()).toMatchObject({ ledger: { rotation: { stage: 'Prepare' } }, hold: null });
    });
  });
});

/** The ledger says since when links may be down, and never that they hold while one is down. */
describe('how long links may be down', () => {
  const since = () => mesh.ledger.rotation?.interruptedSince ?? null;
  const watch = (until: (ledger: Ledger) => boolean): void => {
    mesh.until((ledger) => {
      if (since() === null) expect(mesh.brokenLinks()).toEqual([]);
      return until(ledger);
    });
  };

  test('is counted from the moment in which all may change', () => {
    approve();
    watch(inStage('Swap'));
    const began = since();
    expect(began).toBe(mesh.ledger.rotation?.since);
    expect(began).not.toBeNull();
    mesh.now += 60_000;
    want(1);
    mesh.pass();
    expect(mesh.ledger.rotation).toMatchObject({ stage: 'Swap', direction: 'Backward', interruptedSince: began });
    want(2);
    mesh.pass();
    expect(mesh.ledger.rotation).toMatchObject({ stage: 'Prepare', interruptedSince: began });
    mesh.wish = { ...mesh.wish, approval: { required: ['Swap'], upTo: null } };
    watch(inStage('Prepare', 'Proven'));
    mesh.pass();
    expect(since(), 'all were seen to be as before').toBeNull();
    approve();
    watch(({ rotation }) => rotation === null);
    expect(mesh.ledger.signer).toBe(2);
  });

  test('ends with the proof, though a soak holds the stage; and begins anew when it is turned round then', () => {
    approve();
    watch(inStage('Swap'));
    mesh.wish = { ...mesh.wish, soak: 600_000 };
    watch(({ rotation }) => rotation?.stage === 'Swap' && rotation.provenSince !== null);
    expect(since()).toBeNull();
    mesh.now += 60_000;
    want(1);
    mesh.pass();
    expect(since()).toBe(mesh.ledger.rotation?.since);
    watch(({ rotation }) => rotation === null);
    expect(mesh.ledger.signer).toBe(1);
  });

  test('is told with its end', () => {
    approve();
    mesh.until(inStage('Swap'));
    mesh.now += 95_000;
    const notes: string[] = [];
    for (let i = 0; i < 20; i++) {
      mesh.deliver(...ALL);
      mesh.look(...ALL);
      notes.push(...mesh.pass().story.map(({ reason, note }) => `${reason}: ${note}`));
    }
    expect(notes.filter((note) => note.startsWith('InterruptionEnded'))).toEqual([
      expect.stringMatching(/: links were down at most from \S+Z to \S+Z, 95 s$/),
    ]);
  });
});

describe('in the gap', () => {
  beforeEach(() => {
    begin(mesh);
  });

  test('a member that has not changed holds the end of it, and nobody else', () => {
    mesh.deliver(A, C);
    mesh.look(...ALL);
    expect(mesh.brokenLinks()).not.toEqual([]);
    mesh.pass();
    expect(grants()).toEqual(['Proven', 'Open', 'Proven']);
    expect(decide()).toMatchObject({ step: { kind: 'rest' } });
    expect(decide().findings.get(B)).toMatchObject({ ok: false, reason: 'WaitingForSecret' });
    mesh.deliver(B);
    mesh.look(...ALL);
    mesh.until(({ rotation }) => rotation === null);
    expect(mesh.brokenLinks()).toEqual([]);
  });

  test('one that cannot change does not keep the others in it', () => {
    const other = new SimulatedMesh(ALL);
    other.settle();
    other.strategy = 'Lockstep';
    approve();
    other.wish = mesh.wish;
    other.until(inStage('Swap'));
    other.member(B).barred = true;
    other.pass();
    expect(ALL.map((key) => other.ledger.roster.get(key)?.grant)).toEqual(['Open', null, 'Open']);
    other.member(B).barred = false;
    other.until(({ rotation }) => rotation === null);
    expect(other.brokenLinks()).toEqual([]);
  });

  test('a crash at any point of it is nothing: whoever comes next reads the ledger and goes on', () => {
    for (const begun of [[], [A], [A, B], ALL]) {
      const other = new SimulatedMesh(ALL);
      other.settle();
      other.strategy = 'Lockstep';
      other.wish = mesh.wish;
      begin(other);
      for (const key of ALL) other.beginWrite(key);
      for (const _ of begun) other.finish(0);
      other.crash();
      other.until(({ rotation }) => rotation === null);
      expect(other.ledger).toMatchObject({ signer: 2, bundle: [2] });
      expect(other.brokenLinks()).toEqual([]);
    }
  });

  test.each([0, 1, 2, 3])(
    'with %s members changed it is turned round: all go back at once, each with a new leaf',
    (count) => {
      mesh.deliver(...ALL.slice(0, count));
      mesh.look(...ALL);
      mesh.pass();
      want(1);
      const { story } = mesh.pass();
      expect(story).toMatchObject([{ reason: 'RotationReversed' }]);
      expect(mesh.ledger).toMatchObject({
        signer: 1,
        bundle: [1],
        rotation: { from: 2, to: 1, direction: 'Backward', stage: 'Swap' },
      });
      mesh.pass();
      expect(grants().every((grant) => grant === 'Open' || grant === 'Reopened')).toBe(true);
      mesh.until(({ rotation }) => rotation === null);
      expect(mesh.brokenLinks()).toEqual([]);
      expect(Object.keys(mesh.ledger.generations), 'the key of generation 2 is destroyed').toEqual(['1']);
    },
  );

  test('and forth again begins anew: first all are as before, then it is asked for approval', () => {
    mesh.deliver(A);
    mesh.look(...ALL);
    want(1);
    mesh.pass();
    mesh.wish = { ...mesh.wish, generation: 2, approval: { required: ['Swap'], upTo: null } };
    mesh.pass();
    expect(mesh.ledger).toMatchObject({
      signer: 1,
      bundle: [1],
      rotation: { from: 1, to: 2, direction: 'Forward', stage: 'Prepare' },
    });
    mesh.until(inStage('Prepare', 'Proven'));
    expect(mesh.brokenLinks()).toEqual([]);
    mesh.pass();
    expect(decide()).toMatchObject({ hold: { kind: 'approval', stage: 'Swap' } });
    approve();
    mesh.until(({ rotation }) => rotation === null);
    expect(mesh.ledger.signer).toBe(2);
  });

  test('who is to go back and lacks the leaf for it is named, also when all are to go forth again', () => {
    mesh.member(B).brought = new Map([
      [1, false],
      [2, true],
    ]);
    mesh.deliver(...ALL);
    mesh.look(...ALL);
    mesh.pass();
    expect(grants()).toEqual(['Proven', 'Proven', 'Proven']);
    for (const number of [1, 2]) {
      want(number);
      mesh.pass();
      for (let i = 0; i < 3; i++) {
        mesh.pass();
        mesh.deliver(A, C);
        mesh.look(...ALL);
      }
      expect(decide().findings.get(B), `to ${number}`).toMatchObject({ ok: false, reason: 'LeafUnavailable' });
    }
    mesh.member(B).brought = new Map([
      [1, true],
      [2, true],
    ]);
    mesh.until(({ rotation }) => rotation === null);
    expect(mesh.ledger.signer).toBe(2);
  });

  test('nobody is changed to a generation that has expired, and the way forth ends the gap', () => {
    mesh.deliver(A);
    mesh.look(...ALL);
    want(1);
    mesh.pass();
    mesh.ends = new Map([[1, mesh.now]]);
    const decision = decide();
    expect(decision.step.kind).toBe('rest');
    expect([...decision.held.values()]).toMatchObject(ALL.map(() => ({ ok: false, reason: 'WouldBreak' })));
    want(2);
    mesh.until(({ rotation }) => rotation === null);
    expect(mesh.ledger).toMatchObject({ signer: 2, bundle: [2] });
    expect(mesh.brokenLinks()).toEqual([]);
  });
});
