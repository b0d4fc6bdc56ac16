/** The mesh endpoint is what rotations are measured with: it must show no failure where there is none, and each where there is. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeBundle } from '../../src/pki/bundle.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { Canaries } from '../../src/probe/canary.ts';
import { probeEndpoint } from '../../src/probe/probe.ts';
import { type Identity, makeAuthority, makeLeaf } from '../probe/pki.ts';
import { closedPort } from '../probe/servers.ts';
import { lacking } from '../support/packages.ts';
import type { Report } from './endpoint.ts';
import { syncSecretToDir } from './files.ts';
import { type EndpointOptions, MeshProcess, failuresOf } from './spawn.ts';

const NAMES = ['a', 'b'] as const;
type Name = (typeof NAMES)[number];

let root: string;
let old: SigningAuthority;
let next: SigningAuthority;
let ports: Record<Name, number>;
let mesh: Record<Name, MeshProcess>;

function begin(manner: Record<Name, Partial<EndpointOptions>>, dialled = { a: '', b: '' }): void {
  const start = (name: Name, peer: Name): MeshProcess =>
    new MeshProcess({
      name,
      dir: path.join(root, name),
      listen: `127.0.0.1:${ports[name]}`,
      peers: { [peer]: `127.0.0.1:${ports[peer]}${dialled[peer]}` },
      everyMs: 20,
      reportMs: 50,
      ...manner[name],
    });
  mesh = { a: start('a', 'b'), b: start('b', 'a') };
}

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'mesh-'));
  [old, next] = [await makeAuthority('mesh G1'), await makeAuthority('mesh G2')];
  ports = { a: await closedPort(), b: await closedPort() };
});
afterEach(async () => {
  await Promise.all(NAMES.map((name) => mesh[name].stop()));
  await rm(root, { recursive: true, force: true });
});

async function deliver(name: Name, leaf: Identity, ...trusted: readonly SigningAuthority[]): Promise<void> {
  const bundle = encodeBundle(trusted.map(({ certificate }) => certificate));
  const data = { 'ca.crt': bundle, 'tls.crt': leaf.certificate, 'tls.key': leaf.key };
  await syncSecretToDir(
    Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text)])),
    path.join(root, name),
  );
}

/** The member has loaded its files, and went on for some handshakes after that. */
async function loaded(name: Name, loads: number): Promise<void> {
  const at = await mesh[name].until((report) => report.loads >= loads);
  const edge = Object.values(at.edges)[0];
  const tried = edge === undefined ? 0 : edge.handshakes.ok + edge.handshakes.failed;
  await mesh[name].until(({ edges }) => {
    const now = Object.values(edges)[0];
    return now !== undefined && now.handshakes.ok + now.handshakes.failed >= tried + 5;
  });
}

/** By the book: each step when all have loaded the one before. @returns the new leaves */
async function rotate(): Promise<Record<Name, Identity>> {
  const before = { a: await makeLeaf(old, 'a'), b: await makeLeaf(old, 'b') };
  const after = { a: await makeLeaf(next, 'a'), b: await makeLeaf(next, 'b') };
  for (const name of NAMES) await deliver(name, before[name], old);
  for (const name of NAMES) await loaded(name, 1);

  for (const name of NAMES) await deliver(name, before[name], old, next);
  for (const name of NAMES) await loaded(name, 2);
  for (const name of NAMES) await deliver(name, after[name], old, next);
  for (const name of NAMES) await loaded(name, 3);
  for (const name of NAMES) await deliver(name, after[name], next);
  for (const name of NAMES) await loaded(name, 4);
  return after;
}

test('a staged rotation breaks nothing; data flows all the time; a canary is judged but not counted', async () => {
  begin({ a: {}, b: {} });
  const after = await rotate();
  const canaries = await new Canaries(randomBytes).make({
    authorities: new Map([
      [1, old],
      [2, next],
    ]),
    like: after.a.leaf,
    now: Date.now(),
  });
  const [seen] = await probeEndpoint({
    host: '127.0.0.1',
    port: ports.a,
    timeoutMs: 5000,
    ...canaries,
    signal: AbortSignal.timeout(20_000),
  });
  if (seen?.kind !== 'reached') throw new Error('not reached');
  expect([seen.trusts.get(1)?.answer, seen.trusts.get(2)?.answer]).toEqual(['no', 'yes']);
  expect(seen.presented[0]).toBe(after.a.leaf.pem);

  const [a, b] = await Promise.all([mesh.a.stop(), mesh.b.stop()]);
  expect([...failuresOf(a), ...failuresOf(b)]).toEqual([]);
  // A yes is asked for four times.
  expect(a.inbound.canaries).toBe(4);
  expect(a.loaded?.bundle).toEqual([next.certificate.fingerprint]);
  expect(a.loaded?.leaf).toBe(after.a.leaf.fingerprint);
  const edge = a.edges['b'];
  expect(edge?.handshakes.ok).toBeGreaterThan(20);
  expect(edge?.stream.ackedBytes).toBeGreaterThan(100_000);
  expect(a.inbound.receivedBytes).toBeGreaterThan(100_000);
});

test('a leaf that the partner does not trust shows as failures on both edges', async () => {
  begin({ a: {}, b: {} });
  for (const name of NAMES) await deliver(name, await makeLeaf(old, name), old);
  for (const name of NAMES) await loaded(name, 1);
  await deliver('a', await makeLeaf(next, 'a'), old, next);
  await loaded('a', 2);
  const dialled = await mesh.a.until(({ edges }) => (edges['b']?.handshakes.failed ?? 0) > 0);
  const listened = await mesh.b.until(({ edges }) => (edges['a']?.handshakes.failed ?? 0) > 0);
  expect(failuresOf(dialled).join()).toMatch(/^a -> b: \d+ x /);
  expect(failuresOf(listened).join()).toMatch(/^b -> a: \d+ x SELF_SIGNED_CERT_IN_CHAIN/);
});

const noPython = await lacking('python3');
describe.skipIf(noPython !== null)(`Node at one end, OpenSSL (of python3) at the other ${noPython ?? ''}`, () => {
  beforeEach(() => {
    const versions = { a: ['TLSv1.2', 'TLSv1.3'], b: ['TLSv1.3'] } as const;
    const dialled = { a: '@TLSv1.2,TLSv1.3', b: '@TLSv1.3' };
    begin({ a: { streams: false, versions: versions.a }, b: { engine: 'OpenSSL', versions: versions.b } }, dialled);
  });

  test('a staged rotation breaks nothing, in the versions that each is to speak', async () => {
    const after = await rotate();
    const [a, b] = await Promise.all([mesh.a.stop(), mesh.b.stop()]);
    expect([...failuresOf(a), ...failuresOf(b)]).toEqual([]);
    expect(Object.keys(a.edges['b']?.versions ?? {})).toEqual(['TLSv1.3']);
    expect(Object.keys(b.edges['a']?.versions ?? {}).toSorted()).toEqual(['TLSv1.2', 'TLSv1.3']);
    expect(b.loaded).toMatchObject({ bundle: [next.certificate.fingerprint], leaf: after.b.leaf.fingerprint });
    expect(mesh.b.loads.map(({ bundle }) => bundle.length)).toEqual([1, 2, 2, 1]);
  });

  test('a leaf that the partner does not trust is told by each end, with what it had loaded', async () => {
    for (const name of NAMES) await deliver(name, await makeLeaf(old, name), old);
    for (const name of NAMES) await loaded(name, 1);
    const { leaf, ...rest } = await makeLeaf(next, 'b');
    await deliver('b', { leaf, ...rest }, old, next);
    await loaded('b', 2);
    const failed = ({ edges }: Report): boolean => Object.values(edges).some(({ failures }) => failures.length > 1);
    const dialled = (await mesh.b.until(failed)).edges['a']?.failures ?? [];
    const listened = (await mesh.a.until(failed)).edges['b']?.failures ?? [];
    expect(new Set(dialled.map(({ version }) => version))).toEqual(new Set(['TLSv1.2', 'TLSv1.3']));
    expect(dialled[0]?.loaded).toEqual(mesh.b.loads[1]);
    expect(dialled[0]?.loaded.leaf).toBe(leaf.fingerprint);
    expect(listened[0]).toMatchObject({ version: 'TLSv1.3', error: 'SELF_SIGNED_CERT_IN_CHAIN' });
    expect(listened[0]?.loaded).toEqual(mesh.a.loads[0]);
  });
});
