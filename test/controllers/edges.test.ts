/** What a ReplicationPeer says of its edges. */
import { expect, test } from 'vitest';
import { parseObject } from '../../src/api/parse.ts';
import type { Seen } from '../../src/controllers/replicationpeer/observe.ts';
import { edgesOf } from '../../src/controllers/replicationpeer/plan.ts';
import { statusOf } from '../../src/controllers/replicationpeer/status.ts';
import { conditionOf } from './follow.ts';

const NOW = Date.parse('2026-10-05T00:00:00Z');
const metadata = { name: 'mesh', namespace: 'storage', uid: 'u', resourceVersion: '1', generation: 1 };

function peerOf(names: readonly string[], more: object = {}) {
  const members = names.map((name) => ({ name, endpoints: [{ host: `${name}.test`, port: 443 }] }));
  const parsed = parseObject('ReplicationPeer', { metadata, spec: { members, ...more } });
  if (!parsed.ok) throw new Error(parsed.problems.join('; '));
  return parsed.object;
}

const good = (name: string): Seen => ({
  name,
  certificate: `storage/${name}`,
  epoch: 1,
  observedAt: '2026-10-05T00:00:00Z',
  presents: { fingerprint: 'f'.repeat(64), generation: 1 },
  trusts: { listening: [1], dialling: [1] },
  refuses: { fresh: [], resumed: [] },
  reason: 'Verified',
});

/** What is said when a is well, and b was seen like this. */
function told(b: Partial<Seen>) {
  const peer = peerOf(['a', 'b']);
  const seen = new Map([
    ['a', good('a')],
    ['b', { ...good('b'), ...b }],
  ]);
  const status = statusOf(peer, null, seen, new Set(), NOW);
  const { reason, message } = conditionOf({ status }, 'Verified') ?? {};
  return { verified: conditionOf({ status }, 'Verified')?.status, reason, message, summary: status.edges?.summary };
}

test('all edges were seen to work', () => {
  expect(told({})).toMatchObject({ verified: 'True', reason: 'AllEdgesVerified', summary: '2/2' });
});

test('a member that refuses what the other presents: both edges fail, and why is said', () => {
  const refusing = {
    trusts: { listening: [], dialling: [] },
    refuses: { fresh: [1], resumed: [] },
    reason: 'NotTrusted',
  };
  expect(told(refusing)).toMatchObject({
    verified: 'False',
    reason: 'EdgesFailing',
    summary: '0/2',
    message: '0 of 2 edges were seen to work. a -> b: b does not trust generation 1, of which a presents a leaf.',
  });
});

test('whether a generation is trusted of which nobody here has the key is not seen, and said so', () => {
  expect(told({ trusts: { listening: [2], dialling: [2] } })).toMatchObject({
    verified: 'Unknown',
    reason: 'EdgesUnknown',
    message:
      '0 of 2 edges were seen to work. a -> b: It is not seen whether b trusts generation 1, of which a presents a leaf.',
  });
});

test('a member whose addresses differ fails; one that is unsteady, or not seen, is unknown', () => {
  const nothing = { trusts: { listening: [], dialling: [] } };
  expect(told({ reason: 'Contradictory', message: 'b differs' })).toMatchObject({ verified: 'False' });
  for (const reason of ['Unsteady', 'Unreachable'])
    expect(told({ ...nothing, presents: undefined, reason, message: 'b is so' }), reason).toMatchObject({
      verified: 'Unknown',
      reason: 'EdgesUnknown',
      message: '0 of 2 edges were seen to work. a -> b: b is so',
    });
});

test('a star has the edges of its center, both ways', () => {
  const star = peerOf(['a', 'b', 'c'], { topology: 'Star', center: 'b' });
  expect(edgesOf(star).map(({ from, to }) => `${from}>${to}`)).toEqual(['a>b', 'b>a', 'b>c', 'c>b']);
  expect(edgesOf(peerOf(['a', 'b', 'c']))).toHaveLength(6);
});
