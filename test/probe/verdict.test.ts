/** The table of control against candidate, whole. */
import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../src/probe/handshake.ts';
import { type Answer, judge, roundsNeeded } from '../../src/probe/verdict.ts';

const outcomes = {
  failed: { kind: 'failed', reason: 'Timeout', message: 'no answer' },
  unknownCa: { kind: 'rejected', alert: 48 },
  expired: { kind: 'rejected', alert: 45 },
  closed: { kind: 'rejected', alert: null },
  closedAfter: { kind: 'accepted', proof: 'closedAfter' },
  open: { kind: 'accepted', proof: 'open' },
  finished: { kind: 'accepted', proof: 'finished' },
  ticket: { kind: 'accepted', proof: 'ticket' },
} as const satisfies Record<string, Outcome>;

type Name = keyof typeof outcomes;

/** Rows: control; columns: candidate, in the order of `outcomes`. `y4` = yes after four rounds that agree. */
const TABLE: Record<Name, string> = {
  failed: '?  ?  ?  ?  ?  ?  ?  ?',
  unknownCa: '?  n2 ?  n2 y4 y4 y4 y4',
  expired: '?  ?  n2 n2 y4 y4 y4 y4',
  closed: '?  n2 n2 n2 y4 y4 y4 y4',
  closedAfter: '?  ?  ?  ?  ?  y4 y4 y4',
  open: '?  ?  ?  ?  ?  ?  ?  ?',
  finished: '?  ?  ?  ?  ?  ?  ?  ?',
  ticket: '?  ?  ?  ?  ?  ?  ?  ?',
};

describe.each(Object.entries(TABLE))('control %s', (control, row) => {
  const cells = row.split(/\s+/);
  test.each(Object.keys(outcomes).map((candidate, i) => [candidate, cells[i]]))(
    'candidate %s: %s',
    (candidate, cell) => {
      const round = judge(outcomes[control as Name], outcomes[candidate as Name]);
      const sign: Record<Answer, string> = { yes: 'y', no: 'n', unknown: '?' };
      const seen = round.answer === 'unknown' ? '?' : `${sign[round.answer]}${roundsNeeded(round)}`;
      expect(seen).toBe(cell);
      expect(round.detail).not.toBe('');
    },
  );
});

test('only a certificate accepted on proof shows that none is demanded', () => {
  expect(judge(outcomes.ticket, outcomes.ticket)).toMatchObject({
    enforced: false,
    detail: "client certificates are not enforced: a certificate of nobody's CA was accepted as well",
  });
  expect(judge(outcomes.open, outcomes.open).enforced).toBeNull();
  expect(judge(outcomes.unknownCa, outcomes.finished).enforced).toBe(true);
});

test('two reasons for two refusals are named', () => {
  const { detail } = judge(outcomes.unknownCa, outcomes.expired);
  expect(detail).toContain('alert 45 (certificate_expired)');
  expect(detail).toContain('alert 48 (unknown_ca)');
});
