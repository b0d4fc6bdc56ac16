import { expect, test } from 'vitest';
import { parseObject } from '../../src/api/parse.ts';
import type { ProfileName } from '../../src/api/fields.ts';
import { seenOf } from '../../src/controllers/replicationpeer/observe.ts';
import { profileOf } from '../../src/profiles/index.ts';

const seen = {
  name: 'a',
  certificate: 'storage/a',
  epoch: 3,
  endpoints: ['10.0.0.1:443', '10.0.0.2:443'],
  observedAt: '2026-10-05T00:00:00Z',
  reason: 'Verified',
};
const at = (...hosts: readonly string[]) => hosts.map((host) => ({ host, port: 443 }));

/** What counts of what was seen of member a, when the spec has it so. */
function counts(member: object, profile: ProfileName = 'generic', before = seen): boolean {
  const metadata = { name: 'mesh', namespace: 'storage', uid: 'u', resourceVersion: '1', generation: 1 };
  const parsed = parseObject('ReplicationPeer', {
    metadata,
    spec: { members: [{ name: 'a', ...member }] },
    status: { members: [before] },
  });
  if (!parsed.ok) throw new Error('the peer is invalid');
  const [first] = parsed.object.spec.members;
  if (first === undefined) throw new Error('the peer has a member');
  return seenOf(parsed.object, first, profileOf(profile)) !== null;
}

test('what was seen of a member counts where it listens now, and nowhere else', () => {
  expect(counts({ endpoints: at('10.0.0.1', '10.0.0.2') })).toBe(true);
  expect(counts({ endpoints: at('10.0.0.1', '10.0.0.3') }), 'moved').toBe(false);
  expect(counts({ endpoints: at('10.0.0.1', '10.0.0.2', '10.0.0.3') }), 'one more that nobody looked at').toBe(false);
  expect(counts({ endpoints: at('10.0.0.1') })).toBe(false);
  const [first, second] = at('10.0.0.1', '10.0.0.2');
  expect(counts({ endpoints: [first, { ...second, instances: 'Many' }] }), 'many behind one').toBe(false);
  expect(counts({}), 'nowhere any more').toBe(false);
  expect(counts({ endpoints: at('10.0.0.1', '10.0.0.2'), certificateRef: { name: 'b' } }), 'another one').toBe(false);
  expect(counts({ endpoints: at('10.0.0.1', '10.0.0.2'), proof: 'Acknowledge' }), 'a seen no is not unseen').toBe(true);
});

test.each([
  ['postgres', 5432],
  ['mysql', 3306],
  ['galera', 4567],
  ['redis', 6379],
  ['nats', 6222],
  ['etcd', 2380],
  ['rabbitmq', 5671],
  ['vast', 49_002],
] as const)('of profile %s it is %i, where what is spoken there is its own', (profile, port) => {
  const before = { ...seen, endpoints: [`10.0.0.1:${port}`] };
  const at = (over: object) => counts({ endpoints: [{ host: '10.0.0.1', ...over }] }, profile, before);
  const { protocol } = profileOf(profile);
  expect(at({})).toBe(true);
  expect(at({ protocol })).toBe(true);
  expect(at({ protocol: protocol === 'TLS' ? 'NATS' : 'TLS' }), 'something else listens elsewhere').toBe(false);
  expect(at({ protocol: protocol === 'TLS' ? 'NATS' : 'TLS', port })).toBe(true);
});

test('a port that is not named is the one of the profile', () => {
  const vast = { ...seen, endpoints: ['10.0.0.1:49002'] };
  const endpoints = [{ host: '10.0.0.1' }];
  expect(counts({ endpoints }, 'vast', vast)).toBe(true);
  expect(counts({ endpoints: [{ host: '10.0.0.1', port: 49_002 }] }, 'vast', vast)).toBe(true);
  expect(counts({ endpoints: at('10.0.0.1') }, 'vast', vast)).toBe(false);
  expect(counts({ endpoints }, 'generic', vast), 'there is none').toBe(false);
  const two = [...at('10.0.0.1'), { host: '10.0.0.2' }];
  const one = { ...seen, endpoints: ['10.0.0.1:443'] };
  expect(counts({ endpoints: two }, 'generic', one), 'one is known, but not the other').toBe(false);
});
