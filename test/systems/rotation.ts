/**
 * Members of a real system that replicate over mutual TLS while records are written to one of them all the time: a whole rotation, one
 * that is turned round in the middle, and what is left of the old CA.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { ProfileName } from '../../src/profiles/index.ts';
import type { Bed } from '../controllers/bed.ts';
import { disorders, handshake, lapses } from '../controllers/rotating.ts';
import { ca, certificate, peer, type Scene, textOf } from '../controllers/scene.ts';
import { Records } from './records.ts';
import type { Server } from './server.ts';
import { SyncedFiles } from './synced.ts';

/** For the whole of it, milliseconds. */
export const ROTATION_TIMEOUT = 600_000;
const STABLE_TIMEOUT = 240_000;
/** Between two records, and between two handshakes of one edge. */
const RECORD_PACE = 10;
const HANDSHAKE_PACE = 200;

/** How a system replicates, and what its logs say. */
export interface Replication<S extends Server> {
  readonly profile: ProfileName;
  /** What the ClusterCertificate of a member says besides its CA. */
  readonly certificate: (name: string) => Parameters<typeof certificate>[2];
  /** Members start in this order; records are written to the first, and are to arrive at all others. */
  readonly names: readonly [string, string, ...string[]];
  /** @param files folder that follows its Secret @param before those that were started before it */
  readonly start: (name: string, files: string, before: readonly S[]) => Promise<S>;
  /** Loads its files as the page of the system says, and begins all connections of this member anew. @returns when they are there */
  readonly load: (server: S, all: readonly S[]) => Promise<void>;
  /** Whether to load its files means a restart: it cannot be dialled meanwhile. */
  readonly restarts?: boolean;
  /** @returns when the system says that it has the record */
  readonly write: (record: string, all: readonly S[]) => Promise<void>;
  /** Hands over every record that arrives at this member, from the first on, until it is aborted. */
  readonly read: (server: S, take: (record: string) => void, signal: AbortSignal) => Promise<void>;
  /** Lines of a log that tell of certificates and connections that failed. */
  readonly trouble: RegExp;
  /** Those of them that tell of a certificate which it refused when it was dialled: the prober shows such. Members that dial do not fail. */
  readonly refusal: RegExp;
  /** Longest that a record may take, milliseconds. */
  readonly longestLag: number;
}

/** @param bed its shared operator watches a namespace for this */
export async function rotateLive<S extends Server>(bed: Bed, system: Replication<S>): Promise<void> {
  const { names, profile } = system;
  const here = await bed.scene();
  await here.apply(
    ca('mesh', { profile }),
    ...names.map((name) => certificate(name, 'mesh', system.certificate(name))),
  );
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names });
  await using stack = new AsyncDisposableStack();
  const kubeconfig = bed.cluster.kubeconfig;
  const members: Member<S>[] = [];
  for (const name of names) {
    const where = { kubeconfig, namespace: here.namespace, secret: name };
    const files = stack.use(await SyncedFiles.of({ ...where, lag: [0, 1_500] }));
    const before = members.map(({ server }) => server);
    members.push({ name, files, server: stack.use(await system.start(name, files.dir, before)) });
  }
  const servers = members.map(({ server }) => server);
  for (const { files, server } of members) files.follow(() => system.load(server, servers));
  await here.apply(peer('mesh', Object.fromEntries(members.map(({ name, server }) => [name, server.port])), '5s'));
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  const first = members.map(({ name }) => pairOf(here, name));

  const records = new Records();
  await using reading = new Ending((signal) =>
    members.slice(1).map(({ name, server }) => system.read(server, records.arriving(name), signal)),
  );
  await using dialling = new Ending((signal) =>
    edgesOf(members).map(([from, to]) => dial(from.server, to, system.restarts === true, signal)),
  );
  await using writing = new Ending((signal) => [
    records.write((record) => system.write(record, servers), RECORD_PACE, signal),
  ]);

  await rotateAndTurnBack(here);

  await writing.end();
  const arrived = () => records.arrivals.map(({ count }) => count);
  await expect.poll(arrived, { timeout: 20_000 }).toEqual(names.slice(1).map(() => records.written));
  await reading.end();
  const handshakes = await dialling.end();
  console.log(reportOf(system, members, records, handshakes));

  // No record is lost, none is out of order, and none was long on its way.
  expect(records.written).toBeGreaterThan(500);
  expect(records.arrivals.flatMap((arrival) => arrival.disorders)).toEqual([]);
  for (const { longestMs } of records.arrivals) expect(longestMs).toBeLessThan(system.longestLag);
  expect(handshakes.flatMap(({ failures }) => failures)).toEqual([]);
  for (const { ok } of handshakes) expect(ok).toBeGreaterThan(20);
  expect(members.flatMap(({ files }) => files.failures)).toEqual([]);
  expect(disorders(here, 'mesh', 1)).toEqual([]);
  expect(lapses(here)).toEqual([]);
  for (const { instance } of servers) {
    const troubles = instance
      .log()
      .split('\n')
      .filter((line) => system.trouble.test(line));
    expect(troubles.some((line) => system.refusal.test(line))).toBe(true);
    expect(troubles.filter((line) => !system.refusal.test(line))).toEqual([]);
  }

  // Whoever still has a leaf of generation 1 is refused by all.
  for (const [i, pair] of first.entries()) {
    const { name = '' } = members[i] ?? {};
    for (const to of servers) {
      await handshake({ files: filesOf(here, name) }, to);
      await expect(handshake({ files: { ...filesOf(here, name), ...pair } }, to)).rejects.toThrow('alert');
    }
  }
}

interface Member<S extends Server> {
  readonly name: string;
  readonly files: SyncedFiles;
  readonly server: S;
}

/** CA `mesh`, from generation 1 to 2, and on to 3 until a leaf of that is there; from there back to 2. */
export async function rotateAndTurnBack(here: Scene): Promise<void> {
  const { profile = 'generic' } = here.cas.get('mesh')?.spec ?? {};
  const want = (generation: number) => here.apply(ca('mesh', { profile, rotation: { generation } }));
  await want(2);
  await here.stable('mesh', 2, STABLE_TIMEOUT);
  await want(3);
  const isRolling = () => {
    const { rotation, roster } = here.ledger('mesh');
    return rotation?.stage === 'Roll' && [...roster.values()].some(({ leaf }) => leaf === 3);
  };
  await here.cas.until('one member presents generation 3', isRolling, STABLE_TIMEOUT);
  await want(2);
  await here.stable('mesh', 2, STABLE_TIMEOUT);
}

function pairOf(here: Scene, name: string): { readonly cert: string; readonly key: string } {
  const secret = here.secret(name);
  return { cert: textOf(secret, 'tls.crt'), key: textOf(secret, 'tls.key') };
}

const filesOf = (here: Scene, name: string) => ({ ...pairOf(here, name), ca: textOf(here.secret(name), 'ca.crt') });

// -------------------------------------------------------------------------------------------------- what goes on meanwhile

/** What goes on until it is ended, or left. */
class Ending<T> {
  readonly #end = new AbortController();
  readonly #work: Promise<T[]>;

  constructor(begin: (signal: AbortSignal) => readonly Promise<T>[]) {
    this.#work = Promise.all(begin(this.#end.signal));
    // Told by whoever ends it.
    this.#work.catch(() => undefined);
  }

  async end(): Promise<readonly T[]> {
    this.#end.abort();
    return this.#work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#work.catch(() => undefined);
  }
}

interface Dialled {
  readonly edge: string;
  ok: number;
  readonly failures: string[];
}

const edgesOf = <M>(members: readonly M[]): readonly (readonly [from: M, to: M])[] =>
  members.flatMap((from) => members.filter((to) => to !== from).map((to) => [from, to] as const));

/** Fresh handshakes from one to the other, all the time, with what the one has loaded: each proves both ends. */
async function dial(
  from: Server,
  { name, files, server }: Member<Server>,
  restarts: boolean,
  signal: AbortSignal,
): Promise<Dialled> {
  const seen: Dialled = { edge: `${from.instance.name} -> ${name}`, ok: 0, failures: [] };
  const shake = () => handshake({ files: from.instance.loaded() }, server);
  while (!signal.aborted) {
    try {
      await (restarts ? files.turns.take(shake) : shake());
      seen.ok += 1;
    } catch (error) {
      seen.failures.push(`${seen.edge}: ${String(error)}`);
    }
    await sleep(HANDSHAKE_PACE, undefined, { signal }).catch(() => undefined);
  }
  return seen;
}

function reportOf<S extends Server>(
  { profile }: Replication<S>,
  members: readonly Member<S>[],
  { written, arrivals }: Records,
  handshakes: readonly Dialled[],
): string {
  const sum = handshakes.reduce((all, { ok }) => all + ok, 0);
  const loads = members.map(({ name, files }) => `${name} ${files.loads}`).join(', ');
  const lags = arrivals.map(
    ({ name, longestMs, repeated }) => `${name} ${longestMs} ms${repeated > 0 ? ` (${repeated} came twice)` : ''}`,
  );
  return `${profile}: ${written} records, ${sum} handshakes, loads: ${loads}; longest lag: ${lags.join(', ')}`;
}
