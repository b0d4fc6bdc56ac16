import { beforeAll, describe, expect, test } from 'vitest';
import { combineEvidence, type MemberVerdict, type ObservedEndpoint } from '../../src/probe/evidence.ts';
import type { EndpointObservation, UnreachableReason } from '../../src/probe/probe.ts';
import type { Answer } from '../../src/probe/verdict.ts';
import { type Identity, makeAuthority, makeLeaf } from './pki.ts';

let leaf: Identity;
let otherLeaf: Identity;
beforeAll(async () => {
  const authority = await makeAuthority('mesh G1');
  [leaf, otherLeaf] = [await makeLeaf(authority, 'a'), await makeLeaf(authority, 'a')];
});

const PORT = 49002;

type Reached = Extract<EndpointObservation, { kind: 'reached' }>;

function reached(
  address: string,
  answers: Record<number, Answer>,
  shown = leaf,
  also: readonly Identity[] = [],
): Reached {
  const trusts = Object.entries(answers).map(
    ([generation, answer]) => [Number(generation), { answer, detail: 'why', mixed: false }] as const,
  );
  return {
    kind: 'reached',
    address,
    port: PORT,
    presented: [shown.leaf.pem],
    alsoPresented: also.map((identity) => identity.leaf.pem),
    enforced: true,
    trusts: new Map(trusts),
    resumption: null,
    unasked: null,
    connections: 2,
  };
}

function dark(address: string, reason: UnreachableReason, message: string): EndpointObservation {
  return { kind: 'unreachable', address, port: PORT, reason, message, connections: 1 };
}

function one(...observations: readonly EndpointObservation[]): ObservedEndpoint {
  return { host: 'a.test', port: PORT, instances: 'One', observations };
}

function many(...observations: readonly EndpointObservation[]): ObservedEndpoint {
  return { host: 'lb.test', port: PORT, instances: 'Many', observations };
}

function combine(endpoints: readonly ObservedEndpoint[], generations: readonly number[] = [1]): MemberVerdict {
  return combineEvidence({ member: 'vast2', generations, endpoints });
}

describe('answers', () => {
  const cases: readonly [string, () => readonly ObservedEndpoint[], Answer, boolean][] = [
    ['one yes', () => [one(reached('10.0.0.1', { 1: 'yes' }))], 'yes', false],
    ['all yes', () => [one(reached('10.0.0.1', { 1: 'yes' }), reached('10.0.0.2', { 1: 'yes' }))], 'yes', false],
    ['one of two no', () => [one(reached('10.0.0.1', { 1: 'yes' }), reached('10.0.0.2', { 1: 'no' }))], 'no', false],
    ['all no', () => [one(reached('10.0.0.1', { 1: 'no' })), one(reached('10.0.0.2', { 1: 'no' }))], 'no', true],
    [
      'no and unknown',
      () => [one(reached('10.0.0.1', { 1: 'no' }), reached('10.0.0.2', { 1: 'unknown' }))],
      'no',
      false,
    ],
    ['no and dark', () => [one(reached('10.0.0.1', { 1: 'no' }), dark('10.0.0.2', 'Timeout', 'x'))], 'no', false],
    [
      'yes and unknown',
      () => [one(reached('10.0.0.1', { 1: 'yes' }), reached('10.0.0.2', { 1: 'unknown' }))],
      'unknown',
      false,
    ],
    [
      'yes and dark',
      () => [one(reached('10.0.0.1', { 1: 'yes' }), dark('10.0.0.2', 'Timeout', 'x'))],
      'unknown',
      false,
    ],
    ['yes and an endpoint not probed', () => [one(reached('10.0.0.1', { 1: 'yes' })), one()], 'unknown', false],
    ['not asked', () => [one(reached('10.0.0.1', {}))], 'unknown', false],
    ['no endpoint', () => [], 'unknown', false],
    ['a balancer alone, yes', () => [many(reached('10.0.0.9', { 1: 'yes' }))], 'unknown', false],
    ['a balancer alone, no', () => [many(reached('10.0.0.9', { 1: 'no' }))], 'no', false],
    [
      'a balancer beside a yes',
      () => [many(reached('10.0.0.9', { 1: 'yes' })), one(reached('10.0.0.1', { 1: 'yes' }))],
      'yes',
      false,
    ],
    [
      'a balancer against a yes',
      () => [many(reached('10.0.0.9', { 1: 'no' })), one(reached('10.0.0.1', { 1: 'yes' }))],
      'no',
      false,
    ],
    [
      'a balancer beside a no',
      () => [many(reached('10.0.0.9', { 1: 'no' })), one(reached('10.0.0.1', { 1: 'no' }))],
      'no',
      true,
    ],
  ];
  test.each(cases)('%s', (_, endpoints, answer, refused) => {
    const verdict = combine(endpoints());
    expect(verdict.trusts.get(1)).toBe(answer);
    expect(verdict.refuses.has(1)).toBe(refused);
  });

  test('each generation is judged by itself', () => {
    const { trusts, refuses, reason } = combine([one(reached('10.0.0.1', { 1: 'yes', 2: 'no' }))], [1, 2]);
    expect([...trusts]).toEqual([
      [1, 'yes'],
      [2, 'no'],
    ]);
    expect([...refuses]).toEqual([2]);
    expect(reason).toBe('');
  });
});

describe('the leaf presented', () => {
  test('the same everywhere', () => {
    const { presents, reason, message } = combine([
      one(reached('10.0.0.1', { 1: 'yes' }), reached('10.0.0.2', { 1: 'yes' })),
    ]);
    expect(presents).toEqual({ fingerprint: leaf.leaf.fingerprint, pem: leaf.leaf.pem });
    expect([reason, message]).toEqual(['', '']);
  });

  test('different at two addresses', () => {
    const verdict = combine([one(reached('10.0.0.1', { 1: 'yes' }), reached('10.0.0.2', { 1: 'yes' }, otherLeaf))]);
    expect([verdict.presents, verdict.reason]).toEqual([null, 'Contradictory']);
    expect(verdict.message).toContain(`${leaf.leaf.fingerprint.slice(0, 8)} at 10.0.0.1:49002`);
    expect(verdict.message).toContain(`${otherLeaf.leaf.fingerprint.slice(0, 8)} at 10.0.0.2:49002`);
  });

  test('different within one probe of one address', () => {
    const verdict = combine([one(reached('10.0.0.1', { 1: 'yes' }, leaf, [otherLeaf]))]);
    expect([verdict.presents, verdict.reason]).toEqual([null, 'Unsteady']);
    expect(verdict.message).toMatch(/^vast2 at 10\.0\.0\.1:49002 presents [0-9a-f]{8} and [0-9a-f]{8}, from one/);
  });

  test('unproven while an address is dark, or behind a balancer only', () => {
    expect(combine([one(reached('10.0.0.1', {}), dark('10.0.0.2', 'Timeout', 'x'))], []).presents).toBeNull();
    expect(combine([many(reached('10.0.0.9', {}))], []).presents).toBeNull();
    expect(combine([one(reached('10.0.0.1', {}))], []).presents?.fingerprint).toBe(leaf.leaf.fingerprint);
  });

  test('something that is no certificate', () => {
    const broken: EndpointObservation = { ...reached('10.0.0.1', {}), presented: ['garbage'] };
    expect(combine([one(broken)], []).presents).toBeNull();
  });
});

describe('reasons and messages', () => {
  test('unreachable names the address, the cause and the next step', () => {
    const { reason, message } = combine([one(dark('10.0.0.1', 'ConnectionRefused', 'connection refused'))]);
    expect(reason).toBe('Unreachable');
    expect(message).toBe(
      'vast2 at 10.0.0.1:49002 is unreachable: connection refused. Start the endpoint or correct spec.members[].endpoints.',
    );
  });

  test('several dark addresses are counted', () => {
    const { message } = combine([
      one(dark('10.0.0.1', 'Timeout', 'no TCP connection'), dark('fd00::1', 'Timeout', 'x')),
    ]);
    expect(message).toContain('(and 1 more address)');
  });

  test('IPv6 addresses are bracketed', () => {
    expect(combine([one(dark('fd00::1', 'Timeout', 'x'))]).message).toContain('[fd00::1]:49002');
  });

  const causes: readonly [UnreachableReason, string, string][] = [
    ['NameNotResolved', 'NameNotResolved', 'DNS'],
    ['NotTls', 'Unreachable', 'Correct port or protocol'],
    ['ClosedBeforeHandshake', 'Unreachable', 'TLS settings'],
    ['HandshakeFailed', 'Unreachable', 'TLS settings'],
    ['TooManyAddresses', 'Unreachable', 'Correct the name'],
    ['NoRoute', 'Unreachable', 'Start the endpoint'],
    ['TlsNotOffered', 'TlsNotOffered', 'Switch it on there'],
    ['ProtocolError', 'ProtocolError', 'Correct protocol or port'],
    ['HostRefused', 'HostRefused', "does not talk to the operator's host"],
  ];
  test.each(causes)('%s', (cause, expected, step) => {
    const { reason, message } = combine([one(dark('10.0.0.1', cause, 'the cause'))]);
    expect(reason).toBe(expected);
    expect(message).toContain(step);
    expect(message).toContain('the cause');
  });

  test('a server that takes anybody', () => {
    const open: EndpointObservation = { ...reached('10.0.0.1', { 1: 'unknown' }), enforced: false };
    const { reason, message } = combine([one(open)]);
    expect(reason).toBe('NotEnforced');
    expect(message).toContain('10.0.0.1:49002');
  });

  test('an unclear answer gives its detail', () => {
    expect(combine([one(reached('10.0.0.1', { 1: 'unknown' }))])).toMatchObject({
      reason: 'Inconclusive',
      message: 'It is unknown whether vast2 at 10.0.0.1:49002 trusts generation 1: why.',
    });
  });

  test('trust that differs between addresses names both', () => {
    const { reason, message } = combine([one(reached('10.0.0.1', { 1: 'yes' }), reached('10.0.0.2', { 1: 'no' }))]);
    expect(reason).toBe('Contradictory');
    expect(message).toContain('trusts generation 1 at 10.0.0.1:49002 but not at 10.0.0.2:49002');
  });

  test('no endpoint, none probed, only a balancer', () => {
    expect(combine([]).reason).toBe('NoEndpoints');
    expect(combine([one()]).reason).toBe('NotProbed');
    const { reason, message } = combine([many(reached('10.0.0.9', { 1: 'yes' }))]);
    expect(reason).toBe('SampledOnly');
    expect(message).toContain('lb.test:49002');
  });
});
