/** All that a probe does, over every protocol: trust, sessions from before, names, slow lines, busy and silent servers. */
import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { encodeBundle } from '../../../src/pki/bundle.ts';
import type { SigningAuthority } from '../../../src/pki/issue.ts';
import { Canaries, type CanarySet } from '../../../src/probe/canary.ts';
import { combineEvidence } from '../../../src/probe/evidence.ts';
import { Lookups } from '../../../src/probe/lookups.ts';
import { type EndpointObservation, type ProbeRequest, probeEndpoint } from '../../../src/probe/probe.ts';
import { EndpointSessions } from '../../../src/probe/sessions.ts';
import { type Identity, makeAuthority, makeLeaf } from '../pki.ts';
import { type Material, slowProxy } from '../servers.ts';
import { front, PROTOCOLS } from './front.ts';

let old: SigningAuthority;
let next: SigningAuthority;
let member: Identity;
let canaries: CanarySet;

beforeAll(async () => {
  [old, next] = [await makeAuthority('mesh G1'), await makeAuthority('mesh G2')];
  member = await makeLeaf(old, 'a.mesh');
  const authorities = new Map([
    [1, old],
    [2, next],
  ]);
  canaries = await new Canaries(randomBytes).make({ authorities, like: member.leaf, now: Date.now() });
});

const trusting = (...authorities: readonly SigningAuthority[]): Material => ({
  identity: member,
  bundle: encodeBundle(authorities.map(({ certificate }) => certificate)),
});

type Reached = Extract<EndpointObservation, { kind: 'reached' }>;

async function look(request: Pick<ProbeRequest, 'port' | 'protocol'> & Partial<ProbeRequest>): Promise<Reached> {
  const signal = AbortSignal.timeout(60_000);
  const [seen] = await probeEndpoint({ host: '127.0.0.1', timeoutMs: 3000, ...canaries, signal, ...request });
  if (seen?.kind !== 'reached') throw new Error(`not reached: ${seen?.message}`);
  return seen;
}

const answersOf = ({ trusts }: Reached): string[] => [...trusts.values()].map(({ answer }) => answer);

describe.concurrent.each(PROTOCOLS)('%s', (protocol) => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: trust, before and after a change', async (version) => {
    const tls = { minVersion: version, maxVersion: version };
    await using server = await front(protocol, trusting(old), { tls });
    const before = await look({ port: server.port, protocol });
    expect(answersOf(before)).toEqual(['yes', 'no']);
    expect(before).toMatchObject({ enforced: true, unasked: null });
    expect(before.presented[0]).toBe(member.leaf.pem);
    server.server.reload(trusting(old, next));
    expect(answersOf(await look({ port: server.port, protocol }))).toEqual(['yes', 'yes']);
    server.server.reload(trusting(next));
    expect(answersOf(await look({ port: server.port, protocol }))).toEqual(['no', 'yes']);
  });

  test('a server that lets in any certificate', async () => {
    await using server = await front(protocol, trusting(old), { tls: { rejectUnauthorized: false } });
    const seen = await look({ port: server.port, protocol });
    expect(answersOf(seen)).toEqual(['unknown', 'unknown']);
    expect(seen.enforced).toBe(false);
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: sessions from before are kept, and offered', async (version) => {
    const keys = randomBytes(48);
    const tls = { minVersion: version, maxVersion: version, ticketKeys: keys };
    await using server = await front(protocol, trusting(old, next), { tls });
    const kept = new EndpointSessions(Date.now);
    const sessions = { generation: 1, dropping: true, kept };
    const dropping = () => look({ port: server.port, protocol, sessions });
    expect(answersOf(await dropping())).toEqual(['yes', 'yes']);
    server.server.reload(trusting(next));
    server.server.setTicketKeys(keys);
    const still = await dropping();
    expect(answersOf(still)).toEqual(['no', 'yes']);
    expect(still.resumption).toEqual({ answer: 'accepts', version });
    server.server.setTicketKeys(randomBytes(48));
    // Twice where a session of TLS 1.3 was used before.
    const after = [await dropping(), await dropping(), await dropping()].map(({ resumption }) => resumption);
    expect(after).toContainEqual({ answer: 'refuses' });
  });

  test('a name with several addresses', async () => {
    await using one = await front(protocol, trusting(old, next));
    await using two = await front(protocol, trusting(old), { host: '127.0.0.2', port: one.port });
    const lookups = new Lookups(async () => ['127.0.0.1', '127.0.0.2', '127.0.0.3']);
    const signal = AbortSignal.timeout(60_000);
    const request = { host: 'a.mesh.test', port: two.port, protocol, timeoutMs: 3000, ...canaries, lookups, signal };
    const seen = await probeEndpoint(request);
    expect(seen.map((at) => (at.kind === 'reached' ? answersOf(at) : at.reason))).toEqual([
      ['yes', 'yes'],
      ['yes', 'no'],
      'ConnectionRefused',
    ]);
  });

  test('a line with 150 ms each way', async () => {
    await using server = await front(protocol, trusting(old));
    await using slow = await slowProxy(server.port, 150);
    const candidates = new Map([...canaries.candidates].slice(0, 1));
    const seen = await look({ port: slow.port, protocol, candidates, timeoutMs: 5000 });
    expect(answersOf(seen)).toEqual(['yes']);
  });

  test('in quiet times the chain is read', async () => {
    await using server = await front(protocol, trusting(old));
    const seen = await look({ port: server.port, protocol, candidates: new Map() });
    expect(seen).toMatchObject({ connections: 1, presented: [member.leaf.pem, old.certificate.pem] });
  });

  test('an aborted probe ends at once', async () => {
    await using server = await front(protocol, trusting(old));
    await using slow = await slowProxy(server.port, 500);
    const controller = new AbortController();
    const pending = look({ port: slow.port, protocol, signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 200);
    await expect(pending).rejects.toThrow('enough');
  });
});

describe('MySQL', () => {
  const protocol = 'MySQL';

  test('whoever was accepted logs in and quits, and no two are refused without a login between them', async () => {
    await using server = await front(protocol, trusting(old), { tls: { maxVersion: 'TLSv1.2' } });
    await look({ port: server.port, protocol });
    // Before the control and after it, four times generation 1, and after each of two times generation 2.
    const all = Array.from({ length: 8 }, () => ['replicert-canary', 'password of 0', 'quit']);
    await expect.poll(() => server.logins).toEqual(all);
  });

  test('to a server that does not let it log in no canary is shown', async () => {
    await using server = await front(protocol, trusting(old), { letsIn: () => false });
    const seen = await look({ port: server.port, protocol });
    expect(seen).toMatchObject({ connections: 1, enforced: null, presented: [member.leaf.pem, old.certificate.pem] });
    const endpoints = [{ host: 'a', port: 1, instances: 'One' as const, observations: [seen] }];
    const { reason, message, presents } = combineEvidence({ member: 'a', generations: [1], endpoints });
    expect(reason).toBe('LoginDenied');
    expect(message).toContain('does not let replicert-canary log in ("Access denied for user \'replicert-canary\'")');
    expect(message).toContain("CREATE USER 'replicert-canary'@'%' REQUIRE SSL");
    expect(presents?.fingerprint).toBe(member.leaf.fingerprint);
    // What it presents is seen all the same.
    expect(combineEvidence({ member: 'a', generations: [], endpoints }).reason).toBe('');
  });

  test('nor any more to one that ceases to', async () => {
    let left = 3;
    await using server = await front(protocol, trusting(old), { letsIn: () => (left -= 1) > 0 });
    const { unasked, trusts } = await look({ port: server.port, protocol });
    expect(unasked).toContain('Access denied');
    expect(trusts.size).toBe(0);
  });

  test('nor to one that wants a certificate before it speaks of logins', async () => {
    await using server = await front(protocol, trusting(old), {
      tls: { maxVersion: 'TLSv1.2', rejectUnauthorized: true },
    });
    const seen = await look({ port: server.port, protocol });
    expect(seen.unasked).toBe('without a certificate one does not get as far as to log in as replicert-canary');
  });
});
