import { mkdtemp, rm } from 'node:fs/promises';
import { randomInt } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { parseCertificates } from '../../src/pki/certificate.ts';
import { syncSecretToDir } from '../mesh/files.ts';
import { failuresOf, MeshProcess } from '../mesh/spawn.ts';
import { closedPort } from '../probe/servers.ts';
import { testBed } from './bed.ts';
import { disorders, generationSecrets, lapses } from './rotating.ts';
import { ca, certificate, peer, type LiveSecret, type Scene, textOf } from './scene.ts';

const bed = testBed(1);
const TIMEOUT = 180_000;

/** Three endpoints, each a process of its own that has data to hand over; their files come up to 1.5 s late. */
async function startReplication(here: Scene, names: readonly string[]) {
  const root = await mkdtemp(path.join(tmpdir(), 'rotation-'));
  const ports = new Map<string, number>();
  for (const name of names) ports.set(name, await closedPort());
  const address = (name: string): string => `127.0.0.1:${ports.get(name)}`;
  const processes = names.map(
    (name) =>
      new MeshProcess({
        name,
        dir: path.join(root, name),
        listen: address(name),
        peers: Object.fromEntries(names.filter((other) => other !== name).map((other) => [other, address(other)])),
        everyMs: 100,
        reportMs: 500,
      }),
  );
  const stops = names.map((name) => deliver(here, name, path.join(root, name), 1_500));
  return {
    ports: Object.fromEntries(ports),
    processes,
    async stop() {
      const reports = await Promise.all(processes.map((each) => each.stop()));
      for (const stop of stops) await stop();
      await rm(root, { recursive: true, force: true });
      return reports;
    },
  };
}

/** What a kubelet does for a Secret volume: the newest version, late. @returns ends it */
function deliver(here: Scene, name: string, dir: string, maxLagMs: number): () => Promise<void> {
  let newest: LiveSecret | undefined;
  let writing: Promise<void> | null = null;
  const write = async (): Promise<void> => {
    for (let written: LiveSecret | undefined; written !== newest; ) {
      await sleep(randomInt(maxLagMs));
      written = newest;
      const data = Object.entries(written?.data ?? {}).map(
        ([key, text]) => [key, Buffer.from(text, 'base64')] as const,
      );
      await syncSecretToDir(Object.fromEntries(data), dir);
    }
  };
  const follow = (): void => {
    const secret = here.secrets.get(name);
    if (secret === newest || secret === undefined) return;
    newest = secret;
    writing ??= write().finally(() => (writing = null));
  };
  const off = here.secrets.onChange(follow);
  follow();
  return async () => {
    off();
    await writing;
  };
}

test('under replication a rotation breaks no link and loses no byte', { timeout: TIMEOUT }, async () => {
  const here = await bed.scene();
  const names = ['a', 'b', 'c'] as const;
  const replication = await startReplication(here, names);
  await here.apply(ca('mesh'), ...names.map((name) => certificate(name, 'mesh')), peer('mesh', replication.ports));
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names, ReplicationPeer: ['mesh'] });
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  for (const process of replication.processes) {
    await process.until(({ edges }) => Object.values(edges).every(({ handshakes }) => handshakes.ok > 0));
  }
  const old = here.generationSecret('mesh', 1);

  await here.apply(ca('mesh', { rotation: { generation: 2 } }));
  await here.stable('mesh', 2, TIMEOUT);
  const next = here.generationSecret('mesh', 2);
  const [root] = parseCertificates(textOf(next, 'tls.crt'));
  // What was sent until now arrives, and all have loaded what is left.
  for (const process of replication.processes) {
    const sent = process.latest?.edges ?? {};
    await process.until(
      ({ edges, loaded }) =>
        loaded?.bundle.join() === root?.fingerprint &&
        Object.entries(edges).every(([to, { stream }]) => stream.ackedBytes >= (sent[to]?.stream.sentBytes ?? 0)),
    );
  }
  const reports = await replication.stop();
  expect(reports.flatMap(failuresOf)).toEqual([]);
  for (const { edges, inbound } of reports) {
    expect(inbound.receivedBytes).toBeGreaterThan(100_000);
    for (const { handshakes } of Object.values(edges)) expect(handshakes.ok).toBeGreaterThan(20);
  }

  expect(disorders(here, 'mesh', 1)).toEqual([]);
  expect(lapses(here)).toEqual([]);
  await here.secrets.until('the old generation is gone', () => here.secrets.get(old.metadata.name) === undefined);
  expect(generationSecrets(here).map(([number]) => number)).toEqual([2]);
  const ledger = here.ledger('mesh');
  expect(ledger).toMatchObject({ signer: 2, highest: 2, bundle: [2], rotation: null });
  expect(Object.keys(ledger.generations)).toEqual(['2']);
  expect(ledger.history).toMatchObject([{ generation: 2 }]);
  expect(here.cas.get('mesh')?.status?.history).toEqual(ledger.history);

  await here.eventUntil('ReplicationCA', 'mesh', 'GenerationRemoved', new RegExp(old.metadata.name));
  const story = here.eventsOf('ReplicationCA', 'mesh').map(({ reason, note }) => `${reason} ${note}`);
  // Whoever is not seen at that moment is granted first, for it is in everybody's way but its own.
  const chapters = ['Append', 'Roll', 'Drop'].map((stage) =>
    story.filter((line) => line.includes(` ${stage}: `)).map((line) => line.replace(/ \w+: \S+\/(\w) .*/, ' $1')),
  );
  for (const chapter of chapters) {
    const order = chapter.filter((_, i) => i % 2 === 0).map((line) => line.replace('GrantOpened ', ''));
    expect(order.toSorted()).toEqual(names);
    expect(chapter).toEqual(order.flatMap((name) => [`GrantOpened ${name}`, `GrantProven ${name}`]));
  }
  const since = story.findIndex((line) => line.startsWith('GenerationMinted Generation 2'));
  expect(story.slice(since).filter((line) => !/^(Grant(Opened|Proven)|RotationHeld) /.test(line))).toEqual([
    expect.stringMatching(/^GenerationMinted Generation 2 is in Secret mesh-g2-/),
    expect.stringMatching(/^RotationStarted Rotation from generation 1 to 2 begins/),
    expect.stringMatching(/^StageEntered Every member was seen to trust generation 2/),
    expect.stringMatching(/^StageEntered Every member was seen to present a leaf of generation 2/),
    expect.stringMatching(/^RotationCompleted Every member was seen to refuse generation 1/),
    expect.stringMatching(/^GenerationRemoved /),
  ]);
});
