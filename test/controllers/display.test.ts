/** What `kubectl get rca` shows, from what was decided. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { ReplicationCA } from '../../src/api/objects.ts';
import { parseObject } from '../../src/api/parse.ts';
import type { ReplicationCAStatus } from '../../src/api/replication-ca.ts';
import { type Outcome, statusOf } from '../../src/controllers/replicationca/status.ts';
import { Refusal } from '../../src/controllers/shared/refusal.ts';
import { plan } from '../../src/rotation/plan.ts';
import { authority } from '../pki/support.ts';
import { A, B, C, SimulatedMesh } from '../rotation/world.ts';

let mesh: SimulatedMesh;
beforeEach(() => {
  mesh = new SimulatedMesh([A, B, C]);
  mesh.settle();
});

const wish = (changes: Partial<SimulatedMesh['wish']>): void => {
  mesh.wish = { ...mesh.wish, ...changes };
};

/** The CA as the user wrote it, with the status that it has. */
function caOf(status?: ReplicationCAStatus): ReplicationCA {
  const { paused, approval } = mesh.wish;
  const { upTo } = approval;
  const parsed = parseObject('ReplicationCA', {
    metadata: { name: 'mesh', namespace: 'ns', uid: 'uid', resourceVersion: '1', generation: 1 },
    spec: { rotation: { paused, ...(upTo === null ? {} : { approval: { required: ['Swap'], upTo } }) } },
    ...(status === undefined ? {} : { status }),
  });
  if (!parsed.ok) throw new Error(parsed.problems.join('; '));
  return parsed.object;
}

function shown(over: Partial<Outcome> = {}, before?: ReplicationCAStatus): ReplicationCAStatus {
  const facts = mesh.facts();
  const rotation = { facts, decision: plan(facts, mesh.now), generations: new Map() };
  return statusOf(
    { ca: caOf(before), refusal: null, alarm: null, ledger: mesh.ledger, rotation, bundleSha256: null, ...over },
    mesh.now,
  );
}

/** Somebody is through with this stage. */
const under = (stage: 'Append' | 'Roll' | 'Drop'): void =>
  mesh.until(
    ({ rotation, roster }) =>
      rotation?.stage === stage && [...roster.values()].filter(({ grant }) => grant === 'Proven').length === 1,
  );

describe('a pause', () => {
  test('is what is waited for, before members that only wait for their turn', () => {
    wish({ generation: 2 });
    under('Roll');
    wish({ paused: true });
    for (let i = 0; i < 8; i++) {
      mesh.pass();
      mesh.deliver(A, B, C);
      mesh.look(A, B, C);
    }
    expect(shown()).toMatchObject({
      phase: 'Rolling',
      progress: '1/3',
      blockedBy: 'Paused',
      rotation: { next: 'set spec.rotation.paused: false' },
    });
  });

  test('is named together with a member that is dark all the same', () => {
    wish({ generation: 2 });
    under('Append');
    wish({ paused: true });
    for (let i = 0; i < 8; i++) {
      mesh.pass();
      mesh.deliver(A, B, C);
      mesh.look(A, B, C);
    }
    mesh.member(A).dark = true;
    mesh.look(A, B, C);
    const { blockedBy, rotation } = shown();
    expect(blockedBy).toBe('Paused, a/Unreachable');
    expect(rotation?.next).toMatch(/^set spec\.rotation\.paused: false\. Besides: ns\/a is unreachable/);
  });

  test('of what has not begun is shown as well, and one that holds nothing is not', () => {
    wish({ paused: true });
    expect(shown().blockedBy).toBeUndefined();
    wish({ generation: 2 });
    expect(shown()).toMatchObject({
      phase: 'Stable',
      blockedBy: 'Paused',
      rotation: { next: 'set spec.rotation.paused: false' },
    });
  });
});

test('an approval and a soak are waited for like anything else', () => {
  wish({ generation: 2, soak: 60_000, approval: { required: ['Roll'], upTo: null } });
  mesh.until(({ rotation }) => rotation?.provenSince != null);
  expect(shown().blockedBy).toBe('Soaking');
  mesh.now += 60_000;
  mesh.look(A, B, C);
  expect(shown()).toMatchObject({ blockedBy: 'WaitingForApproval', progress: '3/3' });
});

test('a rollback is told from the end of a rotation', () => {
  wish({ generation: 2 });
  under('Append');
  expect(shown()).toMatchObject({ phase: 'Appending', progress: '1/3' });
  wish({ generation: 1 });
  mesh.pass();
  expect(shown()).toMatchObject({ phase: 'Dropping', signerName: 'G1', progress: '0/3 back' });
});

test('a number that cannot be had is waited for before anybody else', () => {
  wish({ generation: 2 });
  under('Roll');
  mesh.ledger = { ...mesh.ledger, highest: 9 };
  wish({ generation: 7 });
  expect(shown()).toMatchObject({ blockedBy: 'GenerationUnavailable', progress: '1/3' });
});

describe('members that change all at one time', () => {
  const approved = { required: ['Swap'], upTo: { generation: 2, stage: 'Swap' } } as const;
  const rotating = (status = shown()) => status.conditions?.find(({ type }) => type === 'Rotating');
  const began = () => mesh.ledger.rotation?.interruptedSince;
  const inSwap = (): void => {
    wish({ approval: approved });
    mesh.until(({ rotation }) => rotation?.stage === 'Swap');
    mesh.pass();
  };
  beforeEach(() => {
    mesh.strategy = 'Lockstep';
    wish({ generation: 2 });
  });

  test('are told of what their approval will do, and how it is given', () => {
    mesh.until(({ rotation }) => rotation?.provenSince != null);
    expect(shown()).toMatchObject({ phase: 'Preparing', blockedBy: 'WaitingForApproval', progress: '3/3' });
    expect(rotating()).toMatchObject({
      reason: 'WaitingForApproval',
      message:
        'Prepare from G1 to G2: nothing but your approval of Swap is waited for. From then on, all 3 members get another CA and leaf at one ' +
        'time, and links between those that have loaded them and those that have not are down until all have. To give it, set ' +
        'spec.rotation.approval: {required: [Swap], upTo: {generation: 2, stage: Swap}}.',
    });
    expect(shown().rotation?.interruptedSince).toBeUndefined();
  });

  test('are told before, where it is approved already', () => {
    wish({ approval: approved });
    mesh.until(({ rotation }) => rotation?.stage === 'Prepare');
    mesh.member(B).dark = true;
    for (let i = 0; i < 3; i++) {
      mesh.pass();
      mesh.deliver(A, B, C);
      mesh.look(A, B, C);
    }
    expect(rotating()?.reason).toBe('WaitingForEvidence');
    expect(rotating()?.message).toMatch(
      /^Prepare from G1 to G2: waiting for 1 of 3 members\. .* Swap is approved: as soon as nothing holds it, all 3 members get/,
    );
  });

  test('are told since when links are down, of whom, and how to go back', () => {
    inSwap();
    mesh.deliver(A);
    mesh.look(A, B, C);
    mesh.pass();
    mesh.look(A, B, C);
    expect(shown()).toMatchObject({
      phase: 'Swapping',
      progress: '1/3',
      rotation: { interruptedSince: began(), waitingForTotal: 2 },
    });
    expect(rotating()?.reason).toBe('Interrupted');
    expect(rotating()?.message).toContain(
      `Swap from G1 to G2: links between members that have changed and those that have not are down, since ${began()} at the earliest (back: set spec.rotation.generation to 1): waiting for 2 of 3 members. `,
    );
  });

  test.each([
    ['a pause', () => wish({ paused: true }), 'Paused'],
    ['a number that cannot be had', () => wish({ generation: 900_000 }), 'GenerationUnavailable'],
    ['the way back', () => (wish({ generation: 1 }), mesh.pass()), 'Interrupted'],
    [
      'the way forth again',
      () => (wish({ generation: 1 }), mesh.pass(), wish({ generation: 2 }), mesh.pass()),
      'Interrupted',
    ],
  ])('%s in the gap hides nothing of it', (_, act, reason) => {
    inSwap();
    mesh.deliver(A);
    mesh.look(A, B, C);
    mesh.pass();
    act();
    expect(rotating()?.reason).toBe(reason);
    expect(rotating()?.message).toContain(`are down, since ${began()} at the earliest`);
  });

  test('of a CA that is stalled in the gap it is told as well', () => {
    inSwap();
    const clock = new Refusal('ClockWrong', 'Correct the clock.');
    const status = shown({ refusal: clock, rotation: null });
    expect(status.rotation).toMatchObject({ stage: 'Swap', interruptedSince: began() });
    expect(rotating(status)?.message).toContain(`are down, since ${began()} at the earliest`);
  });

  test('are not said to be down for sessions from before', () => {
    inSwap();
    for (const key of [A, B, C]) mesh.member(key).remembers = 'yes';
    mesh.deliver(A, B, C);
    mesh.look(A, B, C);
    mesh.pass();
    expect(rotating()?.reason).toBe('WaitingForEvidence');
    expect(rotating()?.message).not.toContain('down');
  });
});

describe('a CA that is stalled', () => {
  const lost = new Refusal('LedgerMissing', 'The ledger is missing. Restore it.');

  test('without a ledger shows nothing that was true before', () => {
    wish({ generation: 2 });
    under('Roll');
    const before = shown();
    expect(Object.keys(before)).toEqual(expect.arrayContaining(['signer', 'progress', 'members', 'history']));
    const after = shown({ refusal: lost, ledger: null, rotation: null }, before);
    const { conditions = [], ...rest } = after;
    expect(rest).toEqual({
      observedGeneration: 1,
      phase: 'Stalled',
      blockedBy: 'LedgerMissing',
      rotation: { next: lost.message },
    });
    expect(conditions.map(({ type, status, reason }) => [type, status, reason].join(' '))).toEqual([
      'Reconciling False LedgerMissing',
      'Stalled True LedgerMissing',
      'Ready False LedgerMissing',
      'Rotating Unknown LedgerMissing',
    ]);
  });

  test('for another reason shows what its ledger says, and nobody as waited for', () => {
    wish({ generation: 2 });
    under('Roll');
    const clock = new Refusal('ClockWrong', 'Correct the clock.');
    expect(shown({ refusal: clock, rotation: null }, shown())).toMatchObject({
      phase: 'Stalled',
      signerName: 'G2',
      progress: '1/3',
      blockedBy: 'ClockWrong',
      rotation: { from: 1, to: 2, stage: 'Roll', direction: 'Forward', next: 'Correct the clock.' },
    });
    expect(shown({ refusal: clock, rotation: null }, shown()).rotation?.waitingFor).toBeUndefined();
  });
});

test('a generation that cannot be had stalls the wish for it, not what is served', async () => {
  wish({ generation: 2 });
  const refusal = new Refusal('ImportRefused', 'Secret ns/corp-ca cannot be imported.');
  const facts = { ...mesh.facts(), obstacle: { reason: refusal.reason, message: refusal.message } };
  const life = { notBefore: mesh.now - 1_000_000, notAfter: mesh.now + 1_000_000 };
  const { certificate: signer } = await authority('mesh G1', undefined, life);
  const rotation = { facts, decision: plan(facts, mesh.now), generations: new Map([[1, signer]]) };
  const status = shown({ refusal, rotation });
  expect(status).toMatchObject({ phase: 'Stalled', signerName: 'G1', blockedBy: 'ImportRefused' });
  expect(status.rotation?.next).toBe(refusal.message);
  expect(status.conditions?.map(({ type, status: is, reason }) => `${type} ${is} ${reason}`)).toEqual([
    'Reconciling False ImportRefused',
    'Stalled True ImportRefused',
    'Ready True Serving',
    'Rotating False RotationPending',
  ]);
});

test('an alarm is seen in a column and as a reason, before whatever else is waited for', () => {
  const alarm = { reason: 'SecretTerminating', message: 'ALARM: Secret ns/mesh-ledger is being deleted.' } as const;
  expect(shown({ alarm })).toMatchObject({ phase: 'Stable', blockedBy: 'SecretTerminating' });
  expect(shown({ alarm }).rotation?.next).toBe(alarm.message);
  wish({ generation: 2, paused: true });
  expect(shown({ alarm }).blockedBy).toBe('SecretTerminating, Paused');
});
