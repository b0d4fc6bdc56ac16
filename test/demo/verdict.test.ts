import { describe, expect, test } from 'vitest';
import { perfect, withEdge, withTrial } from './scene.ts';
import { exitCodeOf, judge, type Outcome } from './verdict.ts';

const failed = (outcome: Outcome): string[] =>
  judge(outcome)
    .filter(({ ok }) => !ok)
    .map(({ name }) => name);

test('a perfect run passes every check and exits with 0', () => {
  const checks = judge(perfect());
  expect(failed(perfect())).toEqual([]);
  expect(exitCodeOf(checks)).toBe(0);
  expect(checks.map(({ name, findings }) => `${name}: ${findings.join('|')}`)).toEqual([
    'rotation: G1 to G2 complete after 44 s',
    'handshakes: 3,702 fresh mutual handshakes over 6 edges, 0 failed',
    'replication: 48.0 MiB acknowledged, no byte lost, no connection broken',
    'old CA: a leaf of G1, accepted before, is refused by east, west, north; one of G2 is accepted',
    'RBAC: 404 requests of the operator under the RBAC of deploy/, 0 forbidden',
  ]);
});

const base = perfect();
const FLAWS: ReadonlyArray<readonly [what: string, outcome: Outcome, check: string, finding: string]> = [
  ['the rotation did not complete', perfect({ completed: false }), 'rotation', 'not complete'],
  [
    'one handshake failed',
    withEdge(base, { handshakes: { ok: 900, failed: 1 }, errors: { ECONNRESET: 1 } }),
    'handshakes',
    'east -> west: 1 failed (1 x ECONNRESET)',
  ],
  [
    'nobody shook hands in a stage',
    withEdge(base, { inStage: { Append: 3, Roll: 0, Drop: 3 } }),
    'handshakes',
    'east -> west: none in stage Roll',
  ],
  ['there is no edge', perfect({ edges: [] }), 'handshakes', '0 edges'],
  ['a block was lost', perfect({ lost: [{ member: 'west', blocks: 1 }] }), 'replication', 'west lost 1 blocks'],
  [
    'a byte did not arrive',
    withEdge(base, { ackedBytes: 8 * 1024 * 1024 - 4096 }),
    'replication',
    '4 KiB did not arrive',
  ],
  ['nothing was sent', withEdge(base, { dueBytes: 0 }), 'replication', 'nothing was replicated'],
  ['a connection broke', withEdge(base, { broken: 2 }), 'replication', 'the connection broke 2 times'],
  [
    'the old CA is accepted',
    withTrial(base, { after: { kind: 'accepted' } }),
    'old CA',
    'east: a leaf of G1 is not refused',
  ],
  [
    'the endpoint was gone when the old CA was tried',
    withTrial(base, { after: { kind: 'unclear', why: 'ECONNREFUSED' } }),
    'old CA',
    'not refused: ECONNREFUSED',
  ],
  [
    'the endpoint refuses everybody',
    withTrial(base, { control: { kind: 'refused', how: 'ECONNRESET' } }),
    'old CA',
    'the control, a leaf of G2, is not accepted: refused (ECONNRESET)',
  ],
  [
    'the saved leaf never worked',
    withTrial(base, { before: { kind: 'refused', how: 'ECONNRESET' } }),
    'old CA',
    'was not accepted before',
  ],
  [
    'a process still trusts the old CA when it dials',
    withTrial(base, { loadedOnlyNew: false }),
    'old CA',
    'still has G1',
  ],
  ['one was not tried', perfect({ trials: base.trials.slice(1) }), 'old CA', 'east: not tried'],
  [
    'the operator lacks a right',
    perfect({ requests: { total: 5, forbidden: ['patch /api/v1/x'] } }),
    'RBAC',
    'patch /api/v1/x',
  ],
  [
    'the operator did nothing under its account',
    perfect({ requests: { total: 0, forbidden: [] } }),
    'RBAC',
    '0 requests',
  ],
];

describe('exit code 1, and the check that says why, when', () => {
  test.each(FLAWS)('%s', (_, outcome, name, finding) => {
    const checks = judge(outcome);
    expect(exitCodeOf(checks)).toBe(1);
    expect(failed(outcome)).toContain(name);
    expect(checks.find((check) => check.name === name)?.findings.join('\n')).toContain(finding);
  });
});
