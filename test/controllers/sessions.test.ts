/** What becomes known of TLS sessions from before a drop, look after look, and over a restart of the operator. */
import { describe, expect, test } from 'vitest';
import { adoptGeneration } from '../../src/rotation/stages.ts';
import {
  emptyLedger,
  type GenerationRecord,
  type Ledger,
  type RosterEntry,
  type Rotation,
} from '../../src/api/ledger.ts';
import { memberKey } from '../../src/api/names.ts';
import type { Resumption } from '../../src/probe/sessions.ts';
import { type Profile, profileOf } from '../../src/profiles/index.ts';
import type { Seen } from '../../src/controllers/replicationpeer/observe.ts';
import { noSessionKept, sessionsSeen, sessionsWanted } from '../../src/controllers/replicationpeer/sessions.ts';

const NOW = Date.parse('2026-10-05T00:00:00Z');
const HOUR = 3_600_000;
const NAME = memberKey('storage', 'b');
const DAY_7 = '2026-10-12T00:00:00Z';

const record = (number: number): GenerationRecord => ({
  secretName: `mesh-g${number}`,
  fingerprint: String(number).padStart(64, '0'),
  secretUid: `uid-${number}`,
  passphraseRef: null,
  imported: false,
  withoutKey: false,
});

/** In a rotation from 1 to 2, or as told; b's Secret is to hold this bundle. */
function ledger(
  stage: Rotation['stage'],
  bundle: readonly number[],
  more: Partial<Rotation> = {},
  grant: RosterEntry['grant'] = 'Open',
): Ledger {
  const one = adoptGeneration(emptyLedger('2026-10-01T00:00:00Z'), 1, record(1), NOW, 'Staged');
  const two = adoptGeneration(one, 2, record(2), NOW, stage === 'Prepare' || stage === 'Swap' ? 'Lockstep' : 'Staged');
  if (two.rotation === null) throw new Error('nothing rotates');
  return {
    ...two,
    rotation: { ...two.rotation, stage, hasSigned: true, ...more },
    roster: new Map([[NAME, { uid: 'uid', leaf: 2, bundle, since: 3, grant }]]),
  };
}

const DROP = ledger('Drop', [2]);

interface Look {
  readonly accepts?: readonly number[];
  readonly refuses?: readonly number[];
  readonly resumption?: Resumption | null;
}

const REFUSED = { accepts: [2], refuses: [1] };
const UNKNOWN: Resumption = { answer: 'unknown', lifetimeMs: null };

/** One look at b after another; each begins with what the last one left in status. */
class Looks {
  readonly profile: Profile;
  now = NOW;
  seen: Seen | null = null;

  constructor(profile: Profile = profileOf('generic')) {
    this.profile = profile;
  }

  look(
    { accepts = [], refuses = [], resumption = null }: Look,
    at: Ledger = DROP,
  ): Pick<Seen, 'sessions'> & { resumed: number[] } {
    const member = { certificate: NAME, profile: this.profile, seen: this.seen };
    const { rotation } = at;
    if (rotation === null) throw new Error('nothing rotates');
    const verdict = { accepts: new Set(accepts), refuses: new Set(refuses), resumption };
    const { resumed, sessions } = sessionsSeen(
      { ledger: at },
      { member, generations: [rotation.from, rotation.to], sessions: sessionsWanted(rotation) },
      verdict,
      this.now,
    );
    this.seen = {
      name: 'b',
      certificate: NAME,
      epoch: at.epoch,
      observedAt: new Date(this.now).toISOString(),
      refuses: { fresh: [...refuses], resumed },
      ...(sessions === undefined ? {} : { sessions }),
      reason: 'Verified',
    };
    this.now += 1_000;
    return { resumed, sessions };
  }
}

describe('seen', () => {
  test('refused sessions are proof, and stay so in silence, until it accepts again', () => {
    const b = new Looks();
    expect(b.look({ accepts: [1, 2] }, ledger('Roll', [1, 2]))).toEqual({ resumed: [], sessions: undefined });
    expect(b.look({ ...REFUSED, resumption: { answer: 'refuses' } })).toEqual({
      resumed: [1],
      sessions: { generation: 1, refusedSince: '2026-10-05T00:00:01Z', accepted: false },
    });
    expect(b.look({}).resumed).toEqual([1]);
    expect(b.look({ ...REFUSED, resumption: UNKNOWN }).resumed).toEqual([1]);
    expect(b.look({ accepts: [1, 2] })).toEqual({ resumed: [], sessions: undefined });
    expect(b.look({ ...REFUSED, resumption: UNKNOWN }).resumed).toEqual([]);
  });

  test('as long as its Secret is to hold the generation, nothing is proven', () => {
    const b = new Looks();
    expect(b.look({ ...REFUSED, resumption: { answer: 'refuses' } }, ledger('Roll', [1, 2])).resumed).toEqual([]);
  });

  test('a session that is taken up takes the proof back', () => {
    const b = new Looks();
    b.look({ ...REFUSED, resumption: { answer: 'refuses' } });
    const { resumed, sessions } = b.look({ ...REFUSED, resumption: { answer: 'accepts', version: 'TLSv1.3' } });
    expect([resumed, sessions]).toEqual([[], { generation: 1, refusedSince: '2026-10-05T00:00:01Z', accepted: true }]);
    // After a restart of the operator: from then on.
    expect(b.look({ ...REFUSED, resumption: UNKNOWN }).sessions).toMatchObject({
      accepted: false,
      expireBy: '2026-10-12T00:00:01Z',
    });
  });
});

describe('waited for', () => {
  test('as long as the profile says, counted from when it was first seen to refuse; silence changes nothing', () => {
    const b = new Looks();
    const { resumed, sessions } = b.look({ ...REFUSED, resumption: UNKNOWN });
    expect([resumed, sessions?.expireBy]).toEqual([[], DAY_7]);
    const { reason, message } = noSessionKept('b', sessions) ?? {};
    expect([reason, message?.includes(`It goes on at ${DAY_7},`)]).toEqual(['NoSessionKept', true]);
    b.look({});
    b.now = NOW + 3 * 24 * HOUR;
    expect(b.look({ ...REFUSED, resumption: UNKNOWN }).sessions?.expireBy).toBe(DAY_7);
    b.now = Date.parse(DAY_7) - 1_000;
    expect(b.look({ ...REFUSED, resumption: UNKNOWN }).resumed).toEqual([]);
    const after = b.look({ ...REFUSED, resumption: UNKNOWN });
    expect([after.resumed, after.sessions?.expireBy, noSessionKept('b', after.sessions)]).toEqual([
      [1],
      undefined,
      null,
    ]);
  });

  test('less where the server says less, never more than the profile', () => {
    const b = new Looks();
    expect(b.look({ ...REFUSED, resumption: { answer: 'unknown', lifetimeMs: 2 * HOUR } }).sessions?.expireBy).toBe(
      '2026-10-05T02:00:00Z',
    );
    expect(b.look({ ...REFUSED, resumption: { answer: 'unknown', lifetimeMs: 9_000 * HOUR } }).sessions?.expireBy).toBe(
      DAY_7,
    );
  });

  test('not at all of a system that never gives one', () => {
    const b = new Looks({ ...profileOf('generic'), longestResumption: 0 });
    expect(b.look({ ...REFUSED, resumption: UNKNOWN })).toEqual({
      resumed: [1],
      sessions: { generation: 1, refusedSince: new Date(NOW).toISOString().replace('.000', ''), accepted: false },
    });
  });

  test('not while it does not answer: time alone proves nothing of new handshakes', () => {
    const b = new Looks();
    b.look({ ...REFUSED, resumption: { answer: 'unknown', lifetimeMs: HOUR } });
    b.now += 2 * HOUR;
    expect(b.look({}).resumed).toEqual([]);
    expect(b.look({ ...REFUSED, resumption: { answer: 'unknown', lifetimeMs: HOUR } }).resumed).toEqual([1]);
  });

  test('of another generation begins anew', () => {
    const b = new Looks();
    b.look({ ...REFUSED, resumption: UNKNOWN });
    b.now = NOW + HOUR;
    const back = ledger('Drop', [1], { from: 2, to: 1, direction: 'Backward' });
    const { sessions } = b.look({ accepts: [1], refuses: [2], resumption: UNKNOWN }, back);
    expect(sessions).toMatchObject({ generation: 2, refusedSince: '2026-10-05T01:00:00Z' });
  });
});

describe('a generation that its Secret has never held', () => {
  const append = (bundle: readonly number[]): Ledger => ledger('Append', bundle);
  const back = ledger('Drop', [1], { from: 2, to: 1, direction: 'Backward' });
  const refused = { accepts: [1], refuses: [2] };

  test('has given no session, and rolling back need not wait for any', () => {
    const b = new Looks();
    expect(b.look(refused, append([1])).resumed).toEqual([2]);
    expect(b.look({ ...refused, resumption: UNKNOWN }, back).resumed).toEqual([2]);
  });

  test('nor need it where it was not looked at before, as long as its turn has not come', () => {
    const turned = (bundle: readonly number[], grant: RosterEntry['grant']): number[] => {
      const { rotation } = back;
      return new Looks().look({ ...refused, resumption: UNKNOWN }, ledger('Drop', bundle, rotation ?? {}, grant))
        .resumed;
    };
    expect(turned([1], null)).toEqual([2]);
    // What was on its way may have arrived, and gone.
    expect(turned([1, 2], 'Reversed')).toEqual([]);
    expect(turned([1], 'Reopened')).toEqual([]);
    expect(turned([1, 2], null), 'it was granted, and proven').toEqual([]);
    expect(
      new Looks().look({ ...REFUSED, resumption: UNKNOWN }, ledger('Drop', [2], {}, null)).resumed,
      'forward',
    ).toEqual([]);
  });

  test('is another thing once it was granted', () => {
    const b = new Looks();
    b.look(refused, append([1]));
    expect(b.look(refused, append([1, 2])).resumed).toEqual([]);
    expect(b.look({ ...refused, resumption: UNKNOWN }, back).resumed).toEqual([]);
  });

  test('may have been held where the rotation was turned round before', () => {
    const b = new Looks();
    const again = ledger('Append', [1], { since: '2026-10-06T00:00:00Z' });
    expect(b.look(refused, again).resumed).toEqual([]);
  });
});

describe('a generation that has signed nothing', () => {
  const back = { from: 2, to: 1, direction: 'Backward', hasSigned: false } as const;

  test('can have let nobody in by a session, whatever was seen of whom before: no rollback waits for it', () => {
    const turned = (grant: RosterEntry['grant']) =>
      new Looks().look({ accepts: [1], refuses: [2] }, ledger('Drop', [1], back, grant));
    for (const grant of [null, 'Reopened', 'Proven'] as const)
      expect(turned(grant)).toEqual({ resumed: [2], sessions: undefined });
  });

  test('is not refused while it is accepted, or is on its way', () => {
    expect(new Looks().look({ accepts: [1, 2] }, ledger('Drop', [1], back)).resumed).toEqual([]);
    expect(new Looks().look({ accepts: [1], refuses: [2] }, ledger('Drop', [1, 2], back, 'Reversed')).resumed).toEqual(
      [],
    );
  });

  test('is the newer one: the other has signed all that there was before', () => {
    const forth = ledger('Drop', [2], { hasSigned: false });
    expect(new Looks().look({ ...REFUSED, resumption: UNKNOWN }, forth).resumed).toEqual([]);
  });

  test('has no sessions that would have to be kept', () => {
    const wanted = (stage: Rotation['stage'], more: Partial<Rotation>) => {
      const { rotation } = ledger(stage, [1], more);
      return rotation === null ? undefined : sessionsWanted(rotation);
    };
    expect(wanted('Append', { hasSigned: false })).toBeNull();
    expect(wanted('Drop', back)).toBeNull();
    expect(wanted('Roll', { hasSigned: false })).toEqual({ generation: 1, dropping: true });
  });
});

test('before a member can refuse a generation, sessions of it are kept: also of one that a rollback would drop', () => {
  const wanted = (stage: Rotation['stage'], more: Partial<Rotation> = {}) => {
    const { rotation } = ledger(stage, [1, 2], more);
    return rotation === null ? null : sessionsWanted(rotation);
  };
  const back = { from: 2, to: 1, direction: 'Backward' } as const;
  expect(wanted('Append')).toEqual({ generation: 2, dropping: false });
  expect(wanted('Drop', back), 'turned round').toEqual({ generation: 2, dropping: true });
  expect(wanted('Roll')).toEqual({ generation: 1, dropping: true });
  expect(wanted('Append', back), 'appended again').toEqual({ generation: 1, dropping: false });
  expect(wanted('Drop'), 'and forth again').toEqual({ generation: 1, dropping: true });
});

describe('in lockstep', () => {
  const prepare = ledger('Prepare', [1]);

  test('no Secret has held the new generation before the gap, so nobody has a session of it', () => {
    const b = new Looks();
    expect(b.look({ accepts: [1], refuses: [2] }, prepare).resumed).toEqual([2]);
    const back = ledger('Swap', [1], { from: 2, to: 1, direction: 'Backward' });
    expect(b.look({ accepts: [1], refuses: [2], resumption: UNKNOWN }, back).resumed).toEqual([2]);
  });

  test('but in one that begins anew it may have', () => {
    const again = ledger('Prepare', [1], { since: '2026-10-06T00:00:00Z' });
    expect(new Looks().look({ accepts: [1], refuses: [2] }, again).resumed).toEqual([]);
  });

  test('sessions of the old generation are kept before the gap, to be offered in it', () => {
    for (const { rotation } of [prepare, ledger('Swap', [2])])
      expect(rotation === null ? null : sessionsWanted(rotation)).toEqual({ generation: 1, dropping: true });
  });
});
