/** Sessions from before a generation was dropped: against servers that forget them with their files, and servers that do not. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeBundle } from '../../src/pki/bundle.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { Canaries, type Canary, type CanarySet } from '../../src/probe/canary.ts';
import { type TlsVersion, handshake } from '../../src/probe/handshake.ts';
import { type EndpointObservation, probeEndpoint } from '../../src/probe/probe.ts';
import { protocolOf } from '../../src/probe/protocols/index.ts';
import { type Resumption, EndpointSessions } from '../../src/probe/sessions.ts';
import { lacking } from '../support/packages.ts';
import { type Identity, makeAuthority, makeLeaf } from './pki.ts';
import { type ReloadingServer, reloadings } from './reloading.ts';
import type { Material } from './servers.ts';

let old: SigningAuthority;
let next: SigningAuthority;
let leaf: Identity;
let canaries: CanarySet;
const counts = new Map<string, number>();

beforeAll(async () => {
  [old, next] = [await makeAuthority('mesh G1'), await makeAuthority('mesh G2')];
  leaf = await makeLeaf(next, 'a.mesh');
  const authorities = new Map([
    [1, old],
    [2, next],
  ]);
  canaries = await new Canaries(randomBytes).make({ authorities, like: leaf.leaf, now: Date.now() });
});

afterAll(() => {
  const told = [...counts].map(([answer, count]) => `${count} ${answer}`).join(', ');
  console.log(`sessions from before, over ${reloadings.length} set-ups: ${told}`);
});

function trusting(...authorities: readonly SigningAuthority[]): Material {
  return { identity: leaf, bundle: encodeBundle(authorities.map(({ certificate }) => certificate)) };
}

type Reached = Extract<EndpointObservation, { kind: 'reached' }>;

async function probe(port: number, sessions: EndpointSessions, dropping = true): Promise<Reached> {
  const [seen] = await probeEndpoint({
    host: '127.0.0.1',
    port,
    timeoutMs: 5000,
    ...canaries,
    sessions: { generation: 1, dropping, kept: sessions },
    signal: AbortSignal.timeout(60_000),
  });
  if (seen?.kind !== 'reached') throw new Error(`not reached: ${seen?.message}`);
  return seen;
}

/** What is seen of sessions, once new handshakes are refused. */
async function resumptionAt(port: number, sessions: EndpointSessions): Promise<Resumption> {
  const { trusts, resumption } = await probe(port, sessions);
  expect(trusts.get(1)?.answer).toBe('no');
  expect(trusts.get(2)?.answer).toBe('yes');
  if (resumption === null) throw new Error('nothing was seen of sessions');
  counts.set(resumption.answer, (counts.get(resumption.answer) ?? 0) + 1);
  return resumption;
}

async function times<T>(count: number, look: () => Promise<T>): Promise<T[]> {
  const seen: T[] = [];
  for (let i = 0; i < count; i += 1) seen.push(await look());
  return seen;
}

/** Whether the server takes up a session that it has just given. */
async function takesUp(port: number, canary: Canary, version: TlsVersion): Promise<boolean> {
  const [protocol, signal] = [protocolOf('TLS'), AbortSignal.timeout(60_000)];
  const request = { address: '127.0.0.1', port, protocol, canary, version, timeoutMs: 5000, signal };
  const { version: spoken, sessions } = await handshake(request);
  const [session] = sessions;
  if (spoken !== version || session === undefined) return false;
  const { resumed, outcome, presented } = await handshake({ ...request, session });
  // What a session shows is the certificate of the time in which it was made.
  expect(presented.length > 0).toBe(!resumed);
  return resumed && outcome.kind === 'accepted';
}

for (const { name, needs, start, remembers, resumes, lifetimeMs, forgettable = true } of reloadings) {
  const why = await lacking(...needs);

  describe.skipIf(why !== null)(`${name} ${why ?? ''}`, () => {
    let server: ReloadingServer;
    beforeAll(async () => {
      server = await start(trusting(old, next));
    }, 60_000);
    afterAll(() => server[Symbol.asyncDispose]());

    test(`takes up sessions of ${resumes.join(' and ') || 'no version'}`, async () => {
      const canary = canaries.candidates.get(1);
      if (canary === undefined) throw new Error('no canary');
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        expect([version, await takesUp(server.port, canary, version)]).toEqual([version, resumes.includes(version)]);
      }
    });

    test('is judged by sessions that were kept', { timeout: 60_000 }, async () => {
      const sessions = new EndpointSessions(Date.now);
      for (const _ of [1, 2]) {
        const { trusts, resumption } = await probe(server.port, sessions);
        expect(trusts.get(1)?.answer).toBe('yes');
        expect(resumption).toBeNull();
      }
      await server.load(trusting(next));
      // As often as a rotation may have to look.
      const looks = await times(remembers ? 6 : 0, () => resumptionAt(server.port, sessions));
      expect(new Set(looks.map(({ answer }) => answer))).toEqual(new Set(remembers ? ['accepts'] : []));
      if (remembers) await server.cure();
      expect(await resumptionAt(server.port, sessions)).toEqual({ answer: 'refuses' });
      // And it stays so, though sessions that were used up tell nothing any more.
      expect(await resumptionAt(server.port, sessions)).toEqual({ answer: 'refuses' });

      // It comes back with the old files: whatever was proven is void.
      await server.load(trusting(old, next));
      expect((await probe(server.port, sessions)).resumption).toBeNull();
      await server.load(trusting(next));
      expect((await resumptionAt(server.port, sessions)).answer).toBe(remembers ? 'accepts' : 'refuses');
      await server.load(trusting(old, next));
    });

    test('where it has loaded other files before the first look that counts, is judged by the looks before', {
      timeout: 60_000,
    }, async () => {
      // A rotation that appends generation 1 is turned round: nobody has seen it accepted, and the next files are there already.
      await server.load(trusting(next));
      const sessions = new EndpointSessions(Date.now);
      for (const _ of [1, 2]) {
        const { trusts, resumption } = await probe(server.port, sessions, false);
        expect(trusts.get(1)?.answer).toBe('no');
        expect(resumption).toBeNull();
      }
      await server.load(trusting(next));
      const answer = (remembers || !forgettable) && resumes.length > 0 ? 'unknown' : 'refuses';
      expect((await resumptionAt(server.port, sessions)).answer).toBe(answer);
      if (answer === 'refuses' || !forgettable) return;
      await server.cure();
      expect(await resumptionAt(server.port, sessions)).toEqual({ answer: 'refuses' });
    });

    test('where none was kept, is judged by whether it has forgotten newer ones', { timeout: 60_000 }, async () => {
      await server.load(trusting(next));
      const sessions = new EndpointSessions(Date.now);
      const none = lifetimeMs === 0 ? { answer: 'refuses' } : { answer: 'unknown', lifetimeMs };
      const looks = await times(3, () => resumptionAt(server.port, sessions));
      // That a server gives no session counts when it was seen twice.
      expect(looks).toEqual([lifetimeMs === 0 ? { answer: 'unknown', lifetimeMs: null } : none, none, none]);
      if (!forgettable) return;
      await server.cure();
      for (const _ of [1, 2]) expect(await resumptionAt(server.port, sessions)).toEqual({ answer: 'refuses' });
    });
  });
}
