import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseCertificates } from '../../src/pki/certificate.ts';
import { failuresOf } from '../mesh/spawn.ts';
import { testBed } from './bed.ts';
import { Member } from './member.ts';
import { Replication } from './replication.ts';
import { disorders, generationSecrets, lapses, Links, Mesh, rounds } from './rotating.ts';
import { ca, certificate, peer, textOf } from './scene.ts';

const bed = testBed(9);
const TIMEOUT = 180_000;

test('under replication a rotation breaks no link and loses no byte', { timeout: TIMEOUT }, async () => {
  const here = await bed.scene();
  const names = ['a', 'b', 'c'] as const;
  const members = names.map((name) => ({ name }));
  await using replication = await Replication.start(here, members, { lagMs: () => randomInt(1_500), everyMs: 100 });
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
    story
      .filter((line) => line.includes(` ${stage}: `) || line.includes(` ${stage} from generation 1 to 2: `))
      .map((line) => line.replace(/ \w+( from generation 1 to 2)?: \S+\/(\w) .*/, ' $2')),
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

test.concurrent(
  'a joiner in the middle waits for its grant, and columns tell whom all wait for',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b']);
    await using c = await Member.start(here, 'c');
    mesh.member('b').behave('frozen');
    await mesh.want({ generation: 2 });
    await here.cas.until('b is waited for', () => here.cas.get('mesh')?.status?.blockedBy === 'b/NotTrusted', 60_000);
    await mesh.ledgerUntil('a is proven', ({ roster }) => roster.get(`${here.namespace}/a`)?.grant === 'Proven');
    await here.cas.until('progress', () => here.cas.get('mesh')?.status?.progress === '1/2');
    const { stdout } = await bed.cluster.kubectl(['get', 'rca', '-n', here.namespace]);
    expect(stdout.replaceAll(/ +/g, ' ')).toMatch(
      /^NAME PHASE SIGNER PROGRESS WAITING-FOR EXPIRES AGE\nmesh Appending G1 1\/2 b\/NotTrusted 20\d\d-\d\d-\d\d /,
    );

    await here.apply(
      certificate('c', 'mesh'),
      peer('mesh', { a: mesh.member('a').port, b: mesh.member('b').port, c: c.port }),
    );
    const message = /A rotation is running; its first Secret waits for a grant/;
    await here.condition('ClusterCertificate', 'c', 'Ready', { status: 'False', reason: 'NotIssued', message });
    expect(here.secrets.get('c')).toBeUndefined();
    const { roster, bundle } = here.ledger('mesh');
    expect([roster.get(`${here.namespace}/c`)?.leaf, bundle]).toEqual([null, [1, 2]]);

    mesh.member('b').behave('serving');
    await here.stable('mesh', 2, TIMEOUT);
    await here.ready({ ClusterCertificate: ['a', 'b', 'c'], ReplicationPeer: ['mesh'] });
    const [first] = here.secrets.historyOf('c');
    if (first === undefined) throw new Error('c has no Secret');
    expect(parseCertificates(textOf(first, 'ca.crt')).map(({ commonName }) => commonName)).toEqual([
      'mesh G1',
      'mesh G2',
    ]);
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

test.concurrent(
  'two rotations in a row: the second is asked for while the first runs',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b'], { lagMs: () => randomInt(300) });
    const links = new Links(Object.values(mesh.members));
    await mesh.want({ generation: 2 });
    await mesh.ledgerUntil('the first begins', ({ rotation }) => rotation?.to === 2);
    await mesh.want({ generation: 3, maxConcurrent: '100%' });
    await here.condition('ReplicationCA', 'mesh', 'Rotating', {
      status: 'True',
      message: /Generation 3 starts when the rotation to generation 2 is complete\./,
    });
    await here.stable('mesh', 3, TIMEOUT);
    expect(await links.stop()).toEqual([]);
    expect(links.handshakes).toBeGreaterThan(50);
    expect(here.ledger('mesh').history.map(({ generation }) => generation)).toEqual([2, 3]);
    await here.secrets.until('old generations are gone', () => generationSecrets(here).length === 1);
    expect(generationSecrets(here).map(([number]) => number)).toEqual([3]);
    expect(disorders(here, 'mesh', 2)).toEqual([]);
    expect(lapses(here)).toEqual([]);
    const begun = here.ledgers('mesh').flatMap(({ rotation, epoch }) => (rotation?.to === 3 ? [epoch] : []))[0] ?? 0;
    const done = here.ledgers('mesh').find(({ history }) => history.length === 1)?.epoch;
    expect(begun).toBe((done ?? 0) + 1);
  },
  TIMEOUT,
);

test.concurrent.each([
  ['a number', 2],
  ['a percentage, rounded up', '34%'],
] as const)(
  'maxConcurrent as %s bounds how many change at a time',
  async (_, maxConcurrent) => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b', 'c']);
    const links = new Links(Object.values(mesh.members));
    await mesh.want({ generation: 2, maxConcurrent });
    await here.stable('mesh', 2, TIMEOUT);
    expect(await links.stop()).toEqual([]);
    expect(disorders(here, 'mesh', 2)).toEqual([]);
    const open = here
      .ledgers('mesh')
      .map(({ roster }) => [...roster.values()].filter(({ grant }) => grant === 'Open').length);
    expect(Math.max(...open)).toBe(2);
  },
  TIMEOUT,
);

test.concurrent(
  'a proven stage is held for the soak',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b']);
    await mesh.want({ generation: 2, soak: '3s', maxConcurrent: 2 });
    const { message } = await here.condition('ReplicationCA', 'mesh', 'Rotating', { reason: 'Soaking' }, TIMEOUT);
    expect(message).toMatch(/^Append from G1 to G2: proven by every member, held for the soak until 20\S+Z\.$/);
    expect(here.cas.get('mesh')?.status?.rotation?.next).toMatch(/^Nothing: the soak ends at 20\S+Z\.$/);
    await here.stable('mesh', 2, TIMEOUT);
    const ledgers = here.ledgers('mesh');
    const held = ledgers.flatMap((ledger, i) => {
      const before = ledgers[i - 1]?.rotation;
      if (before == null || before.stage === ledger.rotation?.stage) return [];
      const left = ledger.rotation?.since ?? ledger.history.at(-1)?.completedAt ?? '';
      return [[before.stage, Date.parse(left) - Date.parse(before.provenSince ?? '') >= 3_000]];
    });
    expect(held).toEqual([
      ['Append', true],
      ['Roll', true],
      ['Drop', true],
    ]);
    for (const stage of ['Append', 'Roll', 'Drop'])
      await here.eventUntil('ReplicationCA', 'mesh', 'Soaking', new RegExp(`Stage ${stage} is proven by every member`));
    expect(disorders(here, 'mesh', 2)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

test.concurrent(
  'paused and approved: it stands where the user holds it, and status says which line to commit',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b']);
    const links = new Links(Object.values(mesh.members));
    const rotating = (reason: string, message: RegExp) =>
      here.condition('ReplicationCA', 'mesh', 'Rotating', { reason, message }, TIMEOUT);
    const nextIs = (line: string) =>
      here.cas.until(`next: ${line}`, () => here.cas.get('mesh')?.status?.rotation?.next === line, TIMEOUT);
    const still = async (): Promise<void> => {
      const { epoch } = here.ledger('mesh');
      await rounds(here, 'mesh', 3);
      expect(here.ledger('mesh').epoch).toBe(epoch);
    };
    const approval = { required: ['Roll', 'Drop'] as const };

    await mesh.want({ generation: 2, paused: true, approval });
    await rotating('RotationPending', /paused is true; the rotation to generation 2 begins when it is false\.$/);
    await nextIs('set spec.rotation.paused: false');
    expect(generationSecrets(here).map(([number]) => number)).toEqual([1]);

    await mesh.want({ generation: 2, approval });
    await mesh.ledgerUntil('the first grant', ({ roster }) =>
      [...roster.values()].some(({ grant }) => grant === 'Open'),
    );
    await mesh.want({ generation: 2, approval, paused: true });
    await rotating('Paused', /^Append from G1 to G2: held by spec\.rotation\.paused; waiting for 1 of 2 members\./);
    await nextIs('set spec.rotation.paused: false');
    await still();

    await mesh.want({ generation: 2, approval });
    const needed =
      /Roll waits for approval\. To give it, set spec\.rotation\.approval\.upTo: \{generation: 2, stage: Roll\}\.$/;
    await rotating('WaitingForApproval', needed);
    await nextIs('set spec.rotation.approval.upTo: {generation: 2, stage: Roll}');
    await here.eventUntil('ReplicationCA', 'mesh', 'ApprovalNeeded', needed);
    await still();

    await mesh.want({
      generation: 2,
      approval: { ...approval, upTo: { generation: 2, stage: 'Roll' } },
      maxConcurrent: 2,
    });
    await rotating('WaitingForApproval', /^Roll from G1 to G2: proven by every member, Drop waits for approval\./);
    await mesh.want({
      generation: 2,
      approval: { ...approval, upTo: { generation: 2, stage: 'Drop' } },
      maxConcurrent: 2,
    });
    await here.stable('mesh', 2, TIMEOUT);
    expect(await links.stop()).toEqual([]);
    expect(disorders(here, 'mesh', 2)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

test.concurrent(
  'a CA that comes near its end is rotated by itself; pinned, it says so',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b'], {
      // Due a minute after it was made: a third of its life is the most that counts.
      spec: { duration: '90s', renewBefore: '88s', rotation: { maxConcurrent: 2 } },
    });
    const { rotation } = await mesh.ledgerUntil('a rotation begins', (ledger) => ledger.rotation !== null, TIMEOUT);
    expect([rotation?.from, rotation?.to]).toEqual([1, 2]);
    await here.eventUntil(
      'ReplicationCA',
      'mesh',
      'RotationStarted',
      /\(generation 1 expires within spec\.renewBefore\)/,
    );
    // The second is as short-lived as the first, and is not to be followed at once.
    await mesh.want({ generation: 2, maxConcurrent: 2 });
    await here.stable('mesh', 2, TIMEOUT);
    await here.condition(
      'ReplicationCA',
      'mesh',
      'Rotating',
      {
        status: 'False',
        reason: 'RotationPending',
        message:
          /Generation 2 expires within spec\.renewBefore, but spec\.rotation\.generation pins it\. Set it to 3 to rotate\./,
      },
      TIMEOUT,
    );
    const { expiring, expiringTotal } = await here.cas.until(
      'who expires is listed',
      () =>
        (here.cas.get('mesh')?.status?.rotation?.expiring?.length ?? 0) > 0 && here.cas.get('mesh')?.status?.rotation,
    );
    expect(expiringTotal).toBe(3);
    expect(expiring?.map(({ name }) => name).toSorted()).toEqual(['G2', `${here.namespace}/a`, `${here.namespace}/b`]);
    await here.eventUntil('ReplicationCA', 'mesh', 'ExpiryNear', /^3 certificates end with their generation, /);
    await here.condition('ClusterCertificate', 'a', 'Ready', {
      message: /would not live longer\. Rotate the CA: set spec\.rotation\.generation of ReplicationCA \S+ to 3\.$/,
    });
    expect(lapses(here)).toEqual([]);
    await mesh.want({ generation: 3, maxConcurrent: 2 });
    await mesh.ledgerUntil('the next begins', (ledger) => ledger.rotation?.to === 3);
  },
  TIMEOUT,
);

test.concurrent(
  'a number that cannot be rotated to changes nothing, and the message names those that can',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b']);
    await mesh.want({ generation: 3 });
    await mesh.ledgerUntil('a grant is open', ({ roster }) =>
      [...roster.values()].some(({ grant }) => grant === 'Open'),
    );

    await mesh.want({ generation: 2 });
    const back =
      /spec\.rotation\.generation is 2, which is not above the highest number ever used, 3\. Nothing moves meanwhile\. Set it to 3 to go on, or to 1 to go back\./;
    await here.condition('ReplicationCA', 'mesh', 'Stalled', {
      status: 'True',
      reason: 'GenerationUnavailable',
      message: back,
    });
    await here.condition('ReplicationCA', 'mesh', 'Rotating', {
      status: 'True',
      reason: 'GenerationUnavailable',
      message: back,
    });
    await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True' });
    const { epoch } = here.ledger('mesh');
    await rounds(here, 'mesh', 3);
    expect(here.ledger('mesh').epoch).toBe(epoch);
    expect(here.cas.get('mesh')?.status?.rotation?.next).toMatch(back);

    await mesh.want({ generation: 3, maxConcurrent: 2 });
    await here.stable('mesh', 3, TIMEOUT);
    await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'False' });
    for (const generation of [1, 2]) {
      await mesh.want({ generation });
      await here.condition('ReplicationCA', 'mesh', 'Stalled', {
        status: 'True',
        reason: 'GenerationUnavailable',
        message:
          /is [12], which is not above the highest number ever used, 3: none is used twice\. Set it to 3 to stay, or to 4 or more to rotate\./,
      });
    }
    await mesh.want({ generation: 999_999 });
    await here.condition('ReplicationCA', 'mesh', 'Stalled', {
      status: 'True',
      reason: 'GenerationUnavailable',
      message:
        /more than 1000 above the highest number ever used, 3; .* Set it to 3 to stay, or to 4 \(at most 1003\) to/,
    });
    await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True' });
    await here.apply(ca('new', { rotation: { generation: 999_999 } }));
    await here.stalled('ReplicationCA', 'new', 'GenerationUnavailable', /Set it to 1 \(at most 1000\)\.$/);
    await here.apply(ca('new', { rotation: { generation: 1000 } }));
    await here.stable('new', 1000);
    await mesh.want({ generation: 3 });
    await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'False' });
    expect(here.ledger('mesh')).toMatchObject({ highest: 3, rotation: null });
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);
