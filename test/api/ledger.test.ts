import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeLedger,
  emptyLedger,
  encodeLedger,
  type Ledger,
  LedgerError,
  type RosterEntry,
} from '../../src/api/ledger.ts';
import type { MemberKey } from '../../src/api/names.ts';

const CREATED = '2026-01-01T00:00:00Z';
const LATER = '2026-02-01T00:00:00Z';

const record = (number: number) => ({
  secretName: `vast-g${number}-aaaaaaaa`,
  fingerprint: String(number % 10).repeat(64),
  secretUid: `uid-of-${number}`,
  passphraseRef: number % 2 === 0 ? { name: 'pass', key: 'passphrase' } : null,
  imported: number % 3 === 0,
  withoutKey: number % 6 === 0,
});
const member = (change: Partial<RosterEntry> = {}): RosterEntry => ({
  uid: 'u',
  leaf: 1,
  bundle: [1, 2],
  since: 3,
  grant: 'Open',
  ...change,
});

/** A rotation from 1 to 2 that has just begun. */
const appending: Ledger = {
  ...emptyLedger(CREATED),
  epoch: 7,
  highest: 2,
  generations: { 1: record(1), 2: record(2) },
  signer: 1,
  bundle: [1, 2],
  rotation: {
    from: 1,
    to: 2,
    direction: 'Forward',
    stage: 'Append',
    startedAt: LATER,
    since: LATER,
    provenSince: null,
    provenEpoch: 6,
    interruptedSince: null,
    hasSigned: true,
  },
  roster: new Map([
    ['storage/vast1', member()],
    ['storage/vast2', member({ leaf: null, bundle: [], grant: null })],
  ]),
  history: [{ generation: 1, startedAt: CREATED, completedAt: LATER }],
};
const rotation = appending.rotation ?? undefined;

const STAGES = ['Append', 'Roll', 'Drop', 'Prepare', 'Swap'] as const;

/** Ledgers as the machine leaves them: stable, or somewhere in a rotation in either direction. */
const ledgers: fc.Arbitrary<Ledger> = fc
  .record({
    low: fc.integer({ min: 1, max: 5 }),
    step: fc.integer({ min: 1, max: 3 }),
    epoch: fc.integer({ min: 1, max: 1_000_000 }),
    stage: fc.constantFrom(...STAGES, null),
    direction: fc.constantFrom('Forward' as const, 'Backward' as const),
    proven: fc.option(fc.constant(LATER)),
    members: fc.uniqueArray(fc.stringMatching(/^[a-z]{1,9}\/[a-z]{1,9}$/), { maxLength: 20 }),
    grant: fc.constantFrom('Open' as const, 'Proven' as const, 'Reversed' as const, 'Reopened' as const, null),
    held: fc.boolean(),
    history: fc.array(fc.constant({ generation: 1, startedAt: CREATED, completedAt: LATER }), { maxLength: 10 }),
  })
  .map(({ low, step, epoch, stage, direction: way, proven, members, grant, held, history }): Ledger => {
    const high = low + step;
    const direction = stage === 'Prepare' ? 'Forward' : way;
    const [from, to] = direction === 'Forward' ? [low, high] : [high, low];
    const signer = stage === 'Append' || stage === 'Prepare' ? from : to;
    const lockstep = stage === 'Prepare' || stage === 'Swap';
    return {
      epoch,
      highest: high + 1,
      generations: { [low]: record(low), [high]: record(high) },
      signer,
      bundle: stage === 'Append' || stage === 'Roll' ? [low, high] : [signer],
      rotation:
        stage === null
          ? null
          : {
              from,
              to,
              direction,
              stage,
              startedAt: CREATED,
              since: LATER,
              provenSince: proven,
              provenEpoch: epoch,
              interruptedSince: lockstep && proven === null ? LATER : null,
              hasSigned: held,
            },
      roster: new Map(
        members.map((name, index): [MemberKey, RosterEntry] => [
          `ns/${name.replace('/', '-')}`,
          member({ leaf: index % 3 === 0 ? null : signer, bundle: [signer], since: 1 + (index % epoch), grant }),
        ]),
      ),
      held,
      history,
      created: CREATED,
    };
  });

describe('what is encoded', () => {
  test('decodes to the same ledger', () => {
    fc.assert(
      fc.property(ledgers, (ledger) => {
        expect(decodeLedger(encodeLedger(ledger))).toEqual(ledger);
      }),
    );
    expect(decodeLedger(encodeLedger(emptyLedger(CREATED)))).toEqual(emptyLedger(CREATED));
  });

  test('of before there were rollbacks is none that was rolled back', () => {
    const text = encodeLedger({ ...appending, held: true });
    expect(decodeLedger(text.replace('"held":true,', ''))).toEqual(appending);
  });

  test('of before CAs could be imported has none that was', () => {
    const { generations } = decodeLedger(encodeLedger(appending).replaceAll(/,"imported":(true|false)/g, ''));
    expect(Object.values(generations).map(({ imported }) => imported)).toEqual([false, false]);
  });

  test('of before CAs could be without their keys has all of them', () => {
    const { generations } = decodeLedger(encodeLedger(appending).replaceAll(/,"withoutKey":(true|false)/g, ''));
    expect(Object.values(generations).map(({ withoutKey }) => withoutKey)).toEqual([false, false]);
  });

  test('of before there was lockstep has no interruption', () => {
    expect(decodeLedger(encodeLedger(appending).replace(',"interruptedSince":null', ''))).toEqual(appending);
  });

  test('of before it was known whether a generation has signed, may have', () => {
    expect(decodeLedger(encodeLedger(appending).replace(',"hasSigned":true', ''))).toEqual(appending);
  });

  test('is the same text whatever the order of the roster', () => {
    const turned = { ...appending, roster: new Map([...appending.roster].reverse()) };
    expect(encodeLedger(turned)).toBe(encodeLedger(appending));
  });

  test('stays small and is read fast with 5,000 members', () => {
    const names = Array.from({ length: 5_000 }, (_, n): MemberKey => `replication-team-${n % 7}/vast-cluster-${n}`);
    const uid = '3f2a9c1b-0000-4000-8000-0123456789ab';
    const large: Ledger = {
      ...appending,
      epoch: 100_000,
      roster: new Map(names.map((name) => [name, member({ uid, since: 99_999, grant: 'Proven' })])),
    };
    const text = encodeLedger(large);
    expect(text.length).toBeLessThan(600_000);
    const times = Array.from({ length: 15 }, () => {
      const began = process.threadCpuUsage();
      decodeLedger(text);
      const { user, system } = process.threadCpuUsage(began);
      return (user + system) / 1_000;
    });
    expect(Math.min(...times)).toBeLessThan(15); // ms of this thread alone, the fastest: the rest is warming up and garbage
  });
});

describe('what is refused', () => {
  const refused = (text: string): string => {
    try {
      decodeLedger(text);
    } catch (error) {
      if (error instanceof LedgerError) return error.message;
      throw error;
    }
    return 'nothing';
  };
  /** The ledger above, changed in its JSON. */
  const changed = (change: object): string => JSON.stringify({ ...JSON.parse(encodeLedger(appending)), ...change });
  const row = (...values: unknown[]) => changed({ roster: { 'a/b': values } });

  const cases: [string, string, string][] = [
    ['text that was cut short', encodeLedger(appending).slice(0, -9), 'it is not JSON'],
    ['a list', '[]', 'it is not a JSON object'],
    ['more than a Secret holds', ' '.repeat(1_048_577), 'more than 1048576'],
    ['another format', changed({ format: 2 }), 'ledger.format: must be 1 (got 2)'],
    ['a field of a later version', changed({ pruned: true }), 'pruned'],
    ['no epoch', changed({ epoch: undefined }), 'ledger.epoch: is required'],
    ['epoch 0', changed({ epoch: 0 }), 'ledger.epoch: must be 1 or more (got 0)'],
    ['a creation that is no instant', changed({ created: 'yesterday' }), 'ledger.created: must be an instant'],
    [
      'a generation above the highest',
      changed({ highest: 1 }),
      'generation 2 is above the highest number ever used, 1',
    ],
    [
      'a generation by name',
      changed({ generations: { one: record(1) } }),
      'ledger.generations: must be recorded by number',
    ],
    [
      'a fingerprint in capitals',
      changed({ generations: { 1: { ...record(1), fingerprint: 'A'.repeat(64) } } }),
      'SHA-256',
    ],
    ['a signer that is not recorded', changed({ signer: 3 }), 'signer 3 is not among the generations'],
    ['a signer outside the bundle', changed({ rotation: null, bundle: [2] }), 'signer 1 is not in the bundle'],
    ['generations without a signer', changed({ signer: null }), 'there are generations but no signer'],
    [
      'a leaf without a signer',
      changed({ signer: null, generations: {}, rotation: null, bundle: [], roster: { 'a/b': ['u', 1, [], 1, null] } }),
      'leaf: generation 1 is not recorded',
    ],
    ['a bundle with what is not recorded', changed({ bundle: [1, 2, 3] }), 'bundle: generation 3 is not recorded'],
    ['a bundle out of order', changed({ bundle: [2, 1] }), 'bundle: must go up without duplicates'],
    ['a bundle with a duplicate', changed({ bundle: [1, 1, 2] }), 'bundle: must go up without duplicates'],
    ['a rotation to itself', changed({ rotation: { ...rotation, to: 1 } }), 'the numbers go the other way'],
    [
      'a rotation forward and down',
      changed({ signer: 2, rotation: { ...rotation, from: 2, to: 1 } }),
      'go the other way',
    ],
    [
      'a rotation from what is gone',
      changed({ highest: 9, rotation: { ...rotation, to: 9 } }),
      'generation 9 is not recorded',
    ],
    [
      'a Roll under the old signer',
      changed({ rotation: { ...rotation, stage: 'Roll' } }),
      'the signer must be 2, not 1',
    ],
    ['an Append with one CA', changed({ bundle: [1] }), 'the bundle must hold both, it is [1]'],
    [
      'a Drop with both CAs',
      changed({ signer: 2, rotation: { ...rotation, stage: 'Drop' } }),
      'the bundle must not hold 1, it is [1,2]',
    ],
    [
      'a Prepare with both CAs',
      changed({ rotation: { ...rotation, stage: 'Prepare' } }),
      'the bundle must not hold 2, it is [1,2]',
    ],
    [
      'a Swap with both CAs',
      changed({ signer: 2, rotation: { ...rotation, stage: 'Swap' } }),
      'the bundle must not hold 1, it is [1,2]',
    ],
    [
      'a Prepare under the new signer',
      changed({ signer: 2, rotation: { ...rotation, stage: 'Prepare' } }),
      'the signer must be 1, not 2',
    ],
    [
      'a Prepare on the way back',
      changed({
        signer: 2,
        bundle: [2],
        rotation: { ...rotation, from: 2, to: 1, direction: 'Backward', stage: 'Prepare' },
      }),
      'nothing is prepared on the way back',
    ],
    [
      'an interruption where both are trusted',
      changed({ rotation: { ...rotation, interruptedSince: LATER } }),
      'no link is down in this stage',
    ],
    [
      'a proof from the future',
      changed({ rotation: { ...rotation, provenEpoch: 8 } }),
      'provenEpoch 8 is above the epoch, 7',
    ],
    [
      'an unknown stage',
      changed({ rotation: { ...rotation, stage: 'Soak' } }),
      'must be one of Append, Roll, Drop, Prepare, Swap (got "Soak")',
    ],
    [
      'a history of eleven',
      changed({ history: Array(11).fill(appending.history[0]) }),
      'ledger.history: must have at most 10',
    ],
    ['no roster', changed({ roster: undefined }), 'roster: must be an object'],
    ['a member without a namespace', changed({ roster: { vast1: [] } }), '"vast1" is not namespace/name'],
    [
      'a member that is a prototype',
      changed({ roster: Object.fromEntries([['__proto__', []]]) }),
      '"__proto__" is not namespace/name',
    ],
    [
      'a row as an object',
      changed({ roster: { 'a/b': {} } }),
      'roster, a/b: must be [uid, leaf, bundle, since, grant]',
    ],
    ['a row of four', row('u', 1, [1], 1), 'roster, a/b: must be [uid, leaf, bundle, since, grant]'],
    ['a row without a UID', row('', 1, [1], 1, null), 'roster, a/b: uid must be'],
    ['a leaf of what is not recorded', row('u', 3, [1], 1, null), 'roster, a/b: leaf: generation 3 is not recorded'],
    ['a leaf as text', row('u', '1', [1], 1, null), 'roster, a/b: leaf: generation "1" is not recorded'],
    ['a bundle that is no list', row('u', 1, 1, 1, null), 'roster, a/b: bundle must be a list'],
    ['a bundle of text', row('u', 1, ['1'], 1, null), 'roster, a/b: bundle: generation "1" is not recorded'],
    ['content from the future', row('u', 1, [1], 8, null), 'roster, a/b: since must be an epoch from 1 to 7, it is 8'],
    ['half an epoch', row('u', 1, [1], 1.5, null), 'since must be an epoch'],
    [
      'an unknown grant',
      row('u', 1, [1], 1, 'open'),
      'roster, a/b: grant must be Open, Proven, Reversed, Reopened or null',
    ],
  ];
  test.each(cases)('%s', (_what, text, why) => {
    expect(refused(text)).toContain(why);
  });

  test('whatever the text, by a LedgerError or not at all', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.json(),
      fc.object().map((change) => changed(change)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(refused(text)).toBeTypeOf('string');
      }),
    );
  });

  test('when a single value is damaged, unless the rest still makes sense of it', () => {
    const values: unknown[] = [null, -1, 0, 1.5, 99, '', 'x', [], {}, true];
    const accepted = (key: string) =>
      values.filter((value) => refused(changed({ [key]: value })) === 'nothing').map((value) => JSON.stringify(value));
    const fields = [
      'format',
      'epoch',
      'highest',
      'generations',
      'signer',
      'bundle',
      'rotation',
      'held',
      'history',
      'created',
      'roster',
    ];
    expect(Object.fromEntries(fields.map((key) => [key, accepted(key)]))).toEqual({
      format: [],
      epoch: ['99'],
      highest: ['99'],
      generations: [],
      signer: [],
      bundle: [],
      rotation: ['null'],
      held: ['true'],
      history: ['[]'],
      created: [],
      roster: ['{}'],
    });
  });
});
