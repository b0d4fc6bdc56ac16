/** Verdicts against real servers: for each set-up a trusted, an untrusted and a newly trusted generation. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeBundle } from '../../src/pki/bundle.ts';
import type { Authority } from '../../src/pki/issue.ts';
import { Canaries, type CanarySet } from '../../src/probe/canary.ts';
import { type EndpointObservation, probeEndpoint } from '../../src/probe/probe.ts';
import { type Identity, makeAuthority, makeLeaf } from './pki.ts';
import {
  type Material,
  type TestServer,
  javaServer,
  nodeServer,
  onPath,
  opensslServer,
  programServer,
  pythonServer,
} from './servers.ts';

let first: Authority;
let second: Authority;
let member: Identity;
let canaries: CanarySet;

beforeAll(async () => {
  [first, second] = [await makeAuthority('mesh G1'), await makeAuthority('mesh G2')];
  member = await makeLeaf(first, 'a.mesh');
  canaries = await new Canaries(randomBytes).make({
    authorities: new Map([
      [1, first],
      [2, second],
    ]),
    like: member.leaf,
    now: Date.now(),
  });
});

interface Setup {
  readonly name: string;
  readonly needs: readonly string[];
  readonly start: (material: Material) => Promise<TestServer>;
  readonly enforcing: boolean;
}

const VERIFY = ['-Verify', '1', '-verify_return_error'] as const;

export const setups: readonly Setup[] = [
  { name: 'node', needs: [], enforcing: true, start: (m) => nodeServer(m) },
  { name: 'node, TLS 1.2 only', needs: [], enforcing: true, start: (m) => nodeServer(m, { maxVersion: 'TLSv1.2' }) },
  { name: 'node, TLS 1.3 only', needs: [], enforcing: true, start: (m) => nodeServer(m, { minVersion: 'TLSv1.3' }) },
  {
    name: 'node, not enforcing',
    needs: [],
    enforcing: false,
    start: (m) => nodeServer(m, { rejectUnauthorized: false }),
  },
  {
    name: 'node, not enforcing, TLS 1.3 only',
    needs: [],
    enforcing: false,
    start: (m) => nodeServer(m, { rejectUnauthorized: false, minVersion: 'TLSv1.3' }),
  },
  { name: 'openssl', needs: ['openssl'], enforcing: true, start: (m) => opensslServer(m, ...VERIFY) },
  {
    name: 'openssl, TLS 1.2 only',
    needs: ['openssl'],
    enforcing: true,
    start: (m) => opensslServer(m, ...VERIFY, '-tls1_2'),
  },
  {
    name: 'openssl, TLS 1.3 only',
    needs: ['openssl'],
    enforcing: true,
    start: (m) => opensslServer(m, ...VERIFY, '-tls1_3'),
  },
  {
    name: 'openssl, TLS 1.3 only, no tickets',
    needs: ['openssl'],
    enforcing: true,
    start: (m) => opensslServer(m, ...VERIFY, '-tls1_3', '-num_tickets', '0'),
  },
  {
    name: 'openssl, -Verify without return error',
    needs: ['openssl'],
    enforcing: false,
    start: (m) => opensslServer(m, '-Verify', '1'),
  },
  { name: 'python', needs: ['python3'], enforcing: true, start: pythonServer },
  { name: 'java', needs: ['java', 'keytool'], enforcing: true, start: (m) => javaServer(m) },
  { name: 'java, TLS 1.3 only', needs: ['java', 'keytool'], enforcing: true, start: (m) => javaServer(m, 'TLSv1.3') },
  {
    name: 'gnutls-serv',
    needs: ['gnutls-serv'],
    enforcing: true,
    start: (m) =>
      programServer(m, ({ port }) => [
        'gnutls-serv',
        '--port',
        String(port),
        '--x509certfile',
        'tls.crt',
        '--x509keyfile',
        'tls.key',
        '--x509cafile',
        'ca.crt',
        '--require-client-cert',
        '--verify-client-cert',
        '--quiet',
      ]),
  },
  {
    name: 'redis',
    needs: ['redis-server'],
    enforcing: true,
    start: (m) =>
      programServer(m, ({ port }) => [
        'redis-server',
        '--port',
        '0',
        '--tls-port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--tls-cert-file',
        'tls.crt',
        '--tls-key-file',
        'tls.key',
        '--tls-ca-cert-file',
        'ca.crt',
        '--save',
        '',
      ]),
  },
];

async function probe(port: number, which = canaries): Promise<Extract<EndpointObservation, { kind: 'reached' }>> {
  const observations = await probeEndpoint({
    host: '127.0.0.1',
    port,
    timeoutMs: 5000,
    ...which,
    signal: AbortSignal.timeout(60_000),
  });
  expect(observations).toHaveLength(1);
  const [observation] = observations;
  if (observation?.kind !== 'reached') throw new Error(`not reached: ${observation?.message}`);
  return observation;
}

for (const { name, needs, start, enforcing } of setups) {
  const lacking = needs.filter((program) => !onPath(program));
  if (lacking.length > 0) console.log(`skipped ${name}: ${lacking.join(', ')} not on PATH`);

  describe.skipIf(lacking.length > 0)(name, () => {
    let only: TestServer;
    let both: TestServer;

    beforeAll(async () => {
      only = await start({ identity: member, bundle: encodeBundle([first.certificate]) });
      both = await start({ identity: member, bundle: encodeBundle([first.certificate, second.certificate]) });
    });
    afterAll(async () => {
      await only[Symbol.asyncDispose]();
      await both[Symbol.asyncDispose]();
    });

    test('one CA: yes for it, no for the other', async () => {
      const { trusts, enforced, presented } = await probe(only.port);
      expect({ enforced, g1: trusts.get(1)?.answer, g2: trusts.get(2)?.answer }, JSON.stringify([...trusts])).toEqual(
        enforcing ? { enforced: true, g1: 'yes', g2: 'no' } : { enforced: false, g1: 'unknown', g2: 'unknown' },
      );
      if (!enforcing) expect(trusts.get(1)?.detail).toContain('not enforced');
      expect(presented[0]).toBe(member.leaf.pem);
    });

    test('a bundle of two: yes for both', async () => {
      const { trusts } = await probe(both.port);
      const answer = enforcing ? 'yes' : 'unknown';
      expect([trusts.get(1)?.answer, trusts.get(2)?.answer], JSON.stringify([...trusts])).toEqual([answer, answer]);
    });

    test('quiet: one handshake reads the chain', async () => {
      const { presented, enforced, trusts } = await probe(only.port, { ...canaries, candidates: new Map() });
      expect(presented[0]).toBe(member.leaf.pem);
      expect(enforced).toBe(enforcing);
      expect(trusts.size).toBe(0);
    });
  });
}
