/** TLS sessions from before a Drop: who still takes one up holds the rotation, by name, and the old key stays until it is cured. */
import tls from 'node:tls';
import { expect, test } from 'vitest';
import { testBed } from './bed.ts';
import type { Files, Member } from './member.ts';
import { disorders, generationSecrets, held, lapses, Mesh } from './rotating.ts';

const bed = testBed(1);
const TIMEOUT = 180_000;

/** A real partner's connection, over a session if there is one. @returns the session that it was given; null: it was refused */
function connect(to: Member, files: Files | null, session?: Buffer): Promise<Buffer | null> {
  if (files === null) throw new Error('there are no files to connect with');
  const options = { host: '127.0.0.1', port: to.port, maxVersion: 'TLSv1.2', rejectUnauthorized: false } as const;
  const socket = tls.connect({ ...options, ...files, ...(session === undefined ? {} : { session }) });
  return new Promise((resolve) => {
    let given: Buffer | null = null;
    socket.on('error', () => {});
    socket.on('close', () => resolve(given));
    socket.once('secureConnect', () => {
      expect(socket.isSessionReused()).toBe(session !== undefined);
      given = socket.getSession() ?? null;
      socket.end();
    });
  });
}

const seenOf = ({ scene }: Mesh, name: string) =>
  scene.peers.get('mesh')?.status?.members?.find((each) => each.name === name);
const numbers = ({ scene }: Mesh) => generationSecrets(scene).map(([number]) => number);

const STILL_RESUMED =
  /^b at 127\.0\.0\.1:\d+ refuses new handshakes of the old generation, but still takes up a TLS 1\.[23] session from before, .*Change its session ticket keys/;

test('a member that shares ticket keys holds the Drop until it has others', { timeout: TIMEOUT }, async () => {
  const here = await bed.scene();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  const [a, b] = [mesh.member('a'), mesh.member('b')];
  b.resumeSessions();
  const old = a.files;
  const session = await connect(b, old);
  if (session === null) throw new Error('b refuses a');

  await mesh.want({ generation: 2, maxConcurrent: 2 });
  const { next } = await held(mesh, 'b', 'StillResumed', STILL_RESUMED);
  expect(next).toMatch(STILL_RESUMED);
  expect(here.ledger('mesh')).toMatchObject({ bundle: [2], rotation: { stage: 'Drop' } });
  expect(here.cas.get('mesh')?.status).toMatchObject({ blockedBy: 'b/StillResumed', progress: '1/2' });
  expect(here.peers.get('mesh')?.status?.blockedBy).toBe('b/StillResumed');
  expect(seenOf(mesh, 'b')).toMatchObject({
    refuses: { fresh: [1], resumed: [] },
    sessions: { generation: 1, accepted: true },
  });
  expect(seenOf(mesh, 'a')).toMatchObject({ refuses: { fresh: [1], resumed: [1] } });
  // The edges work, and the old key is kept.
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  expect(numbers(mesh)).toEqual([1, 2]);
  // It is as the status says: the old leaf is refused, and whoever has a session of it is let in.
  expect(await connect(b, old)).toBeNull();
  expect(await connect(b, old, session)).not.toBeNull();

  b.resumeSessions();
  await here.stable('mesh', 2, TIMEOUT);
  expect(await connect(b, old, session)).toBeNull();
  await here.secrets.until('the old key is gone', () => numbers(mesh).join() === '2');
  expect(disorders(here, 'mesh', 2)).toEqual([]);
  expect(lapses(here)).toEqual([]);
});

const NO_SESSION_KEPT =
  /^b refuses new handshakes of generation 1, but none of its TLS sessions from before was kept .* It goes on at (\S+), when the last of them has expired; or as soon as b is restarted/;

test('an operator that was restarted waits until sessions have expired, or the member has forgotten them', {
  timeout: TIMEOUT,
}, async () => {
  const { installation, scenes } = await bed.install();
  const [here] = scenes;
  const first = await installation.start();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  const b = mesh.member('b');
  b.resumeSessions();
  await mesh.want({ generation: 2, maxConcurrent: 2 });
  await held(mesh, 'b', 'StillResumed', STILL_RESUMED);
  await first.kill();
  const second = await installation.start();
  await held(mesh, 'b', 'NoSessionKept', NO_SESSION_KEPT);
  const { sessions } = seenOf(mesh, 'b') ?? {};
  if (sessions?.expireBy === undefined) throw new Error('it does not say how long');
  // What Node says of its sessions.
  expect(Date.parse(sessions.expireBy) - Date.parse(sessions.refusedSince)).toBe(7_200_000);
  expect(numbers(mesh)).toEqual([1, 2]);
  // What was proven of a before is not lost.
  expect(seenOf(mesh, 'a')).toMatchObject({ reason: 'Verified', refuses: { fresh: [1], resumed: [1] } });

  // It was restarted.
  b.resumeSessions();
  await here.stable('mesh', 2, TIMEOUT);
  await here.secrets.until('the old key is gone', () => numbers(mesh).join() === '2');
  await second.stop();
});

test('where nothing else can tell, it goes on when the last session has expired, and not before', {
  timeout: TIMEOUT,
}, async () => {
  const { installation, scenes } = await bed.install();
  const [here] = scenes;
  const first = await installation.start();
  await using mesh = await Mesh.start(here, ['a', 'b']);
  mesh.member('b').resumeSessions(20);
  await mesh.want({ generation: 2, maxConcurrent: 2 });
  const seen = (reason: string) => () => seenOf(mesh, 'b')?.reason === reason && seenOf(mesh, 'b')?.sessions;
  await here.peers.until('b takes up old sessions', seen('StillResumed'));
  await first.kill();
  const second = await installation.start();
  const { expireBy = '' } = await here.peers.until('b is waited for', seen('NoSessionKept'));
  await here.stable('mesh', 2, TIMEOUT);
  const [last] = here.ledger('mesh').history.toReversed();
  expect(Date.parse(last?.completedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(expireBy));
  await second.stop();
});
