/** Verdicts against real servers: for each set-up a trusted, an untrusted and a newly trusted generation. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeBundle } from '../../src/pki/bundle.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { Canaries, type CanarySet } from '../../src/probe/canary.ts';
import { type EndpointObservation, probeEndpoint } from '../../src/probe/probe.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { type Identity, makeAuthority, makeLeaf } from './pki.ts';
import type { TestServer } from './servers.ts';
import { setups } from './setups.ts';

let first: SigningAuthority;
let second: SigningAuthority;
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

const NOT_ENFORCED = {
  answer: 'unknown',
  detail: "client certificates are not enforced: a certificate of nobody's CA was accepted as well",
};

for (const setup of setups) {
  const { name, needs, start, enforcing } = setup;
  const why = await lacking(...needs);

  describe.skipIf(why !== null)(`${name} ${why ?? ''}`, () => {
    let only: TestServer;
    let both: TestServer;

    beforeAll(async () => {
      only = await start({ identity: member, bundle: encodeBundle([first.certificate]) });
      both = await start({ identity: member, bundle: encodeBundle([first.certificate, second.certificate]) });
      // Java takes seconds to start on a busy machine.
    }, 60_000);
    afterAll(async () => {
      await only[Symbol.asyncDispose]();
      await both[Symbol.asyncDispose]();
    });

    test('one CA: yes for it, no for the other', proves('generic', 'probe'), async () => {
      const { trusts, enforced, presented } = await probe(only.port);
      expect([...trusts]).toMatchObject([
        [1, enforcing ? { answer: 'yes' } : NOT_ENFORCED],
        [2, enforcing ? { answer: 'no' } : NOT_ENFORCED],
      ]);
      expect(enforced).toBe(enforcing);
      expect(presented[0]).toBe(member.leaf.pem);
    });

    test('a bundle of two: yes for both', proves('generic', 'probe'), async () => {
      const { trusts } = await probe(both.port);
      const each = enforcing ? { answer: 'yes' } : NOT_ENFORCED;
      expect([...trusts]).toMatchObject([
        [1, each],
        [2, each],
      ]);
    });

    test('quiet: one handshake reads the chain', async () => {
      const { presented, enforced, trusts } = await probe(only.port, { ...canaries, candidates: new Map() });
      expect(presented[0]).toBe(member.leaf.pem);
      expect(enforced).toBe(enforcing);
      expect(trusts.size).toBe(0);
    });
  });
}
