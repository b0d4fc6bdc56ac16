/** When a session that is refused proves something, and when not: with handshakes that are written down, for time and odd servers. */
import { expect, test } from 'vitest';
import { contextTag, element, sequence, unsignedInteger } from '../../src/pki/der.ts';
import type { Canary } from '../../src/probe/canary.ts';
import type { Attempt, Outcome, TlsVersion } from '../../src/probe/handshake.ts';
import { AddressSessions, type Dial, EndpointSessions, type Resumption, Sessions } from '../../src/probe/sessions.ts';

const dropped: Canary = { certificate: 'dropped', key: '' };
const staying: Canary = { certificate: 'staying', key: '' };

const FINISHED: Outcome = { kind: 'accepted', proof: 'finished' };
const REFUSED: Outcome = { kind: 'rejected', alert: 48 };
const TIMED_OUT: Outcome = { kind: 'failed', reason: 'Timeout', message: '' };

let counter = 0;
/** As OpenSSL serializes one, as far as it is read. */
function session(lifetimeSeconds: number | null = 7200): Buffer {
  counter += 1;
  const fields = [unsignedInteger(Buffer.of(counter))];
  const hint = Buffer.alloc(4);
  hint.writeUInt32BE(lifetimeSeconds ?? 0);
  if (lifetimeSeconds !== null) fields.push(element(contextTag(9, 'constructed'), unsignedInteger(hint)));
  return sequence(...fields);
}

function attempt(version: TlsVersion, outcome: Outcome, more: Partial<Attempt> = {}): Attempt {
  const none = { presented: [], roundTripMs: 1, verdictMs: 1, connections: 1, sessions: [], parting: null } as const;
  return { ...none, outcome, version, spoken: true, resumed: false, ...more };
}

const unspoken = (version: TlsVersion): Attempt => attempt(version, TIMED_OUT, { spoken: false });

/** A server of TLS 1.2 only (1.3 with `version`), whose answers to offered sessions are the test's. */
class Server {
  now = 1_000_000;
  /** Whether the session is taken up; null: the handshake fails. */
  takesUp: (bytes: Buffer) => boolean | null = () => false;
  /** Given in each full handshake that is accepted. */
  gives: () => Buffer[] = () => [session()];
  /** Given when a session is taken up. */
  renews: () => Buffer[] = () => [];
  readonly version: TlsVersion;
  readonly offered: Buffer[] = [];
  readonly sessions: AddressSessions;

  constructor(version: TlsVersion = 'TLSv1.2') {
    this.version = version;
    this.sessions = new AddressSessions(() => this.now);
  }

  readonly dial: Dial = async (canary, version, bytes) => {
    if (version !== this.version) return unspoken(version);
    if (bytes !== undefined) {
      this.offered.push(bytes);
      const taken = this.takesUp(bytes);
      if (taken === null) return attempt(version, TIMED_OUT);
      if (taken) return attempt(version, FINISHED, { resumed: true, sessions: this.renews() });
    }
    return canary === staying ? this.accepted() : attempt(version, REFUSED);
  };

  accepted(): Attempt {
    return attempt(this.version, FINISHED, { sessions: this.gives() });
  }

  /** Twice: that it does not speak the other version must have been seen again. The first time it gives nothing. */
  async keep(sessions = this.sessions): Promise<void> {
    await sessions.keep(dropped, attempt(this.version, FINISHED), this.dial);
    await sessions.keep(dropped, this.accepted(), this.dial);
  }

  judge(): Promise<Resumption> {
    return this.sessions.judge(dropped, { canary: staying, accepted: this.accepted() }, this.dial);
  }

  /** As if nothing else could tell. */
  judgeAlone(): Promise<Resumption> {
    return this.sessions.judge(dropped, null, this.dial);
  }
}

/** Takes up each session at its first use only. */
function once(): (bytes: Buffer) => boolean {
  const used = new Set<Buffer>();
  return (bytes) => {
    const first = !used.has(bytes);
    used.add(bytes);
    return first;
  };
}

const REFUSES: Resumption = { answer: 'refuses' };
const SILENT: Resumption = { answer: 'unknown', lifetimeMs: null };

test('a session past its lifetime is refused for that', async () => {
  const server = new Server();
  server.gives = () => [session(300)];
  await server.keep();
  server.now += 300_000;
  expect(await server.judgeAlone()).toEqual(SILENT);
  await server.keep();
  server.now += 299_000;
  expect(await server.judgeAlone()).toEqual(REFUSES);
});

test('one without a lifetime is believed for five minutes', async () => {
  for (const [age, expected] of [
    [300_000, SILENT],
    [299_000, REFUSES],
  ] as const) {
    const server = new Server();
    server.gives = () => [session(null)];
    await server.keep();
    server.now += age;
    expect(await server.judgeAlone()).toEqual(expected);
  }
});

test('one that was taken up a moment ago is as good as new', async () => {
  const server = new Server();
  server.gives = () => [session(300)];
  await server.keep();
  server.takesUp = () => true;
  server.now += 299_000;
  expect(await server.judge()).toEqual({ answer: 'accepts', version: 'TLSv1.2' });
  server.takesUp = () => false;
  server.now += 299_000;
  expect(await server.judgeAlone()).toEqual(REFUSES);
});

test('TLS 1.3: a session that is good for one use proves nothing at its second', async () => {
  const server = new Server('TLSv1.3');
  server.takesUp = once();
  await server.keep();
  expect(await server.judgeAlone()).toEqual({ answer: 'accepts', version: 'TLSv1.3' });
  expect(await server.judgeAlone()).toEqual(SILENT);
});

test('TLS 1.3: one that is seen to be good for more proves it', async () => {
  const server = new Server('TLSv1.3');
  server.takesUp = () => true;
  await server.keep();
  expect(await server.judgeAlone()).toEqual({ answer: 'accepts', version: 'TLSv1.3' });
  server.takesUp = () => false;
  expect(await server.judgeAlone()).toEqual(REFUSES);
});

test('TLS 1.3: what a server gives for one that it takes up is offered next', async () => {
  const server = new Server('TLSv1.3');
  server.takesUp = once();
  server.renews = () => [session()];
  await server.keep();
  for (const _ of [1, 2, 3, 4, 5]) {
    expect(await server.judgeAlone()).toEqual({ answer: 'accepts', version: 'TLSv1.3' });
  }
  server.takesUp = () => false;
  expect(await server.judgeAlone()).toEqual(REFUSES);
});

test('a handshake that fails proves nothing', async () => {
  const server = new Server();
  await server.keep();
  server.takesUp = () => null;
  expect(await server.judgeAlone()).toEqual(SILENT);
  server.takesUp = () => false;
  expect(await server.judgeAlone()).toEqual(REFUSES);
});

test('one that is taken up by one process of several is enough', async () => {
  const server = new Server();
  await server.keep();
  await server.keep();
  let dials = 0;
  server.takesUp = () => (dials += 1) === 2;
  expect(await server.judgeAlone()).toEqual({ answer: 'accepts', version: 'TLSv1.2' });
});

test('a form of sessions that is not known is not offered, and proves nothing', async () => {
  const server = new Server();
  server.gives = () => [Buffer.from('\0nodejs:tls:session:2\0...')];
  await server.keep();
  expect(await server.judgeAlone()).toEqual(SILENT);
  expect(server.offered).toEqual([]);
});

test('what Node puts before a session is taken off: it would be passed over for another name', async () => {
  const server = new Server();
  const bare = session();
  const name = Buffer.from('a.mesh');
  server.gives = () => [
    Buffer.concat([Buffer.from('\0nodejs:tls:session:1\0'), Buffer.of(0, name.length), name, bare]),
  ];
  await server.keep();
  expect(await server.judgeAlone()).toEqual(REFUSES);
  expect(server.offered).toEqual([bare, bare]);
});

test('a leaf so large that Node would keep back the sessions of its server: that there is none proves nothing', async () => {
  for (const [length, expected] of [
    [7_001, SILENT],
    [7_000, REFUSES],
  ] as const) {
    const server = new Server();
    const accepted = attempt(server.version, FINISHED, { presented: ['x'.repeat(length)] });
    for (let look = 0; look < 2; look++) await server.sessions.keep(dropped, accepted, server.dial);
    expect(await server.sessions.judge(dropped, { canary: staying, accepted }, server.dial)).toEqual(expected);
  }
});

test('a server that gives no session is believed at the second look: a busy one may look so', async () => {
  const server = new Server();
  server.gives = () => [];
  expect(await server.judge()).toEqual(SILENT);
  expect(await server.judge()).toEqual(REFUSES);
  // Once, and never again: it was only busy.
  const busy = new Server();
  busy.takesUp = () => true;
  await busy.keep();
  busy.gives = () => [];
  await busy.sessions.keep(dropped, busy.accepted(), busy.dial);
  expect(await busy.judge()).toEqual({ answer: 'accepts', version: 'TLSv1.2' });
});

test('where none was kept and the server still knows newer ones, it is told how long they live', async () => {
  const server = new Server();
  server.takesUp = () => true;
  for (const _ of [1, 2]) expect(await server.judge()).toEqual({ answer: 'unknown', lifetimeMs: 7_200_000 });
  // A year is more than the protocol allows.
  server.gives = () => [session(31_536_000)];
  expect(await server.judge()).toEqual({ answer: 'unknown', lifetimeMs: 604_800_000 });
  server.takesUp = () => false;
  expect(await server.judge()).toEqual(REFUSES);
});

test('one that was made before it is to be judged tells whether it has loaded other files meanwhile', async () => {
  const server = new Server();
  const prepare = (last: boolean): Promise<void> =>
    server.sessions.prepare({ canary: staying, accepted: server.accepted() }, last, server.dial);
  await prepare(true);
  expect(await server.judge()).toEqual(REFUSES);
  // Each makes a new one before; then the first is as good as any, and it alone knows what was before it.
  for (const [last, offered] of [
    [true, 1],
    [false, 0],
  ] as const) {
    const made: Buffer[] = [];
    const other = new Server();
    other.gives = () => [session()].map((each) => (made.push(each), each));
    for (const _ of [1, 2])
      await other.sessions.prepare({ canary: staying, accepted: other.accepted() }, last, other.dial);
    other.takesUp = () => true;
    await other.judge();
    expect(other.offered).toEqual([made[offered]]);
  }
  // Whoever is seen to accept the generation may give more of it.
  const again = new Server();
  await again.sessions.prepare({ canary: staying, accepted: again.accepted() }, true, again.dial);
  await again.sessions.keep(dropped, attempt('TLSv1.2', REFUSED), again.dial);
  again.takesUp = () => true;
  expect(await again.judge()).toMatchObject({ answer: 'unknown' });
});

test('a server that loads its files while its sessions are kept is judged by those that it gave before', async () => {
  let keys = 0;
  let accepts = true;
  const sessions = new AddressSessions(() => 1_000_000);
  const madeWith = new Map<Buffer, number>();
  const dial: Dial = async (canary, version, bytes) => {
    const made = session();
    madeWith.set(made, keys);
    if (bytes !== undefined && madeWith.get(bytes) === keys)
      return attempt(version, FINISHED, { resumed: true, sessions: [made] });
    const outcome = canary === staying || accepts ? FINISHED : REFUSED;
    return attempt(version, outcome, { sessions: outcome === FINISHED ? [made] : [] });
  };
  const judge = async (): Promise<Resumption> =>
    sessions.judge(dropped, { canary: staying, accepted: await dial(staying, 'TLSv1.2') }, dial);
  accepts = false;
  expect(await judge()).toEqual({ answer: 'unknown', lifetimeMs: 7_200_000 });
  [keys, accepts] = [1, true];
  const accepted = await dial(dropped, 'TLSv1.2');
  [keys, accepts] = [2, false];
  // In TLS 1.3 it refuses already.
  await sessions.keep(dropped, accepted, dial);
  expect(await judge()).toEqual(REFUSES);
});

test('a newer one that has only expired tells nothing', async () => {
  const server = new Server();
  const born = new Map<Buffer, number>();
  server.gives = () => {
    const made = session(10);
    born.set(made, server.now);
    return [made];
  };
  server.takesUp = (bytes) => server.now - (born.get(bytes) ?? 0) < 10_000;
  for (const _ of [1, 2, 3]) {
    expect(await server.judge()).toEqual({ answer: 'unknown', lifetimeMs: 10_000 });
    server.now += 10_000;
  }
});

test('an address that is new is shown what others of its endpoint gave', async () => {
  const server = new Server();
  const endpoint = new EndpointSessions(() => server.now);
  await server.keep(endpoint.at('10.0.0.1'));
  expect(await endpoint.at('10.0.0.2').judge(dropped, null, server.dial)).toEqual(REFUSES);
  server.takesUp = () => true;
  expect(await endpoint.at('10.0.0.3').judge(dropped, null, server.dial)).toMatchObject({ answer: 'accepts' });
});

test('sessions are of one mesh and one generation', async () => {
  const server = new Server();
  const all = new Sessions(() => server.now);
  const at = (mesh: string, generation: string) => all.of(mesh, generation, 'a:1').at('10.0.0.1');
  await server.keep(at('ns/one', 'g1'));
  expect(await at('ns/two', 'g1').judge(dropped, null, server.dial)).toEqual(SILENT);
  expect(await at('ns/one', 'g1').judge(dropped, null, server.dial)).toEqual(REFUSES);
  expect(await at('ns/one', 'g2').judge(dropped, null, server.dial)).toEqual(SILENT);
  expect(await at('ns/one', 'g1').judge(dropped, null, server.dial)).toEqual(SILENT);
});

/** A server that has made new ticket keys between two looks, and in the one after that does not answer when a session is offered. */
async function reloadsUnseen(version: TlsVersion, given: number): Promise<Resumption> {
  const server = new Server(version);
  let keys = 0;
  const madeWith = new Map<Buffer, number>();
  server.gives = () =>
    Array.from({ length: given }, () => {
      const made = session();
      madeWith.set(made, keys);
      return made;
    });
  const used = new Set<Buffer>();
  const takesUp = (bytes: Buffer): boolean => {
    const good = madeWith.get(bytes) === keys && !(version === 'TLSv1.3' && used.has(bytes));
    used.add(bytes);
    return good;
  };
  server.takesUp = takesUp;
  server.renews = server.gives;
  for (const _ of [1, 2]) expect(await server.judge()).toEqual({ answer: 'unknown', lifetimeMs: 7_200_000 });
  keys = 1;
  server.takesUp = (bytes) => (used.add(bytes), null);
  expect(await server.judge()).toEqual({ answer: 'unknown', lifetimeMs: 7_200_000 });
  server.takesUp = takesUp;
  return server.judge();
}

test('a newer one that was offered in vain is offered again: those that came after it know nothing of what was before', async () => {
  expect(await reloadsUnseen('TLSv1.2', 1)).toEqual(REFUSES);
  // Whether that one use of it has arrived is not known, but there is another.
  expect(await reloadsUnseen('TLSv1.3', 2)).toEqual(REFUSES);
});

test('TLS 1.3: a newer one that may have been used proves nothing, where there was no other', async () => {
  const server = new Server('TLSv1.3');
  const takesUp = once();
  server.takesUp = takesUp;
  for (const _ of [1, 2]) await server.judge();
  // It arrives, but the answer does not.
  server.takesUp = (bytes) => (takesUp(bytes), null);
  await server.judge();
  server.takesUp = takesUp;
  expect(await server.judge()).toEqual({ answer: 'unknown', lifetimeMs: 7_200_000 });
});
