import { describe, expect, it } from 'vitest';
import { ApiError, type ApiObject, type ObjectRef, type Patch, type Resource } from '../../src/runtime/client.ts';
import { cutNote, type EventDetails, EventRecorder } from '../../src/runtime/events.ts';
import { FakeClock, settle } from './fake-clock.ts';

const CA: ApiObject = {
  apiVersion: 'replicert.io/v1alpha1',
  kind: 'ReplicationCA',
  metadata: { namespace: 'storage', name: 'vast', uid: 'u1', resourceVersion: '7' },
};
const STARTED: EventDetails = { type: 'Normal', reason: 'RotationStarted', action: 'Rotate', note: 'G1 to G2' };
const WINDOW = 300_000;

interface Write {
  readonly verb: 'create' | 'patch';
  readonly name: string;
  readonly body: unknown;
}

function bench({ capacity = 500, answer = async (_write: Write) => {}, busy = (): boolean => false } = {}) {
  const clock = new FakeClock();
  const writes: Write[] = [];
  const note = async (write: Write) => {
    writes.push(write);
    await answer(write);
  };
  const client = {
    async create<T extends ApiObject>(_resource: Resource, object: T): Promise<T> {
      await note({ verb: 'create', name: object.metadata.name, body: object });
      return object;
    },
    async patch<T>(_resource: Resource, ref: ObjectRef, patch: Patch): Promise<T> {
      await note({ verb: 'patch', name: ref.name, body: 'body' in patch ? patch.body : patch.operations });
      return {} as T;
    },
  };
  const recorder = new EventRecorder({
    client,
    reportingController: 'replicert.io/operator',
    reportingInstance: 'operator-0',
    capacity,
    busy,
    clock,
  });
  return { clock, recorder, writes };
}

describe('an event', () => {
  it('is written at once, in full', async () => {
    const { recorder, writes } = bench();
    recorder.record(CA, STARTED);
    await settle();
    const name = writes[0]?.name;
    expect(name).toMatch(/^vast\.[0-9a-f]{16}$/);
    expect(writes).toEqual([
      {
        verb: 'create',
        name,
        body: {
          metadata: { namespace: 'storage', name },
          eventTime: '2026-11-22T12:00:00.000000Z',
          reportingController: 'replicert.io/operator',
          reportingInstance: 'operator-0',
          ...STARTED,
          regarding: {
            apiVersion: 'replicert.io/v1alpha1',
            kind: 'ReplicationCA',
            namespace: 'storage',
            name: 'vast',
            uid: 'u1',
            resourceVersion: '7',
          },
        },
      },
    ]);
  });

  it('that repeats within the window costs one patch, when the window ends', async () => {
    const { clock, recorder, writes } = bench();
    for (let i = 0; i < 5; i++) {
      recorder.record(CA, STARTED);
      await clock.advance(1_000);
    }
    expect(writes).toHaveLength(1);
    await clock.advance(WINDOW);
    expect(writes.slice(1)).toEqual([
      {
        verb: 'patch',
        name: writes[0]?.name,
        body: { series: { count: 5, lastObservedTime: '2026-11-22T12:00:04.000000Z' } },
      },
    ]);
  });

  it('is never written more than once in a window, however long it repeats', async () => {
    const { clock, recorder, writes } = bench();
    for (let second = 0; second < 3600; second += 10) {
      recorder.record(CA, STARTED);
      await clock.advance(10_000);
    }
    expect(writes.length).toBeLessThanOrEqual(1 + 3_600_000 / WINDOW);
    expect(writes.filter(({ verb }) => verb === 'create')).toHaveLength(1);
  });

  it('is forgotten when it has not repeated for a window: then it is news again', async () => {
    const { clock, recorder, writes } = bench();
    recorder.record(CA, STARTED);
    await clock.advance(WINDOW);
    expect(clock.pending).toBe(0);
    recorder.record(CA, STARTED);
    await settle();
    expect(writes.map(({ verb }) => verb)).toEqual(['create', 'create']);
  });

  it('is another one when anything in it is different', async () => {
    const { recorder, writes } = bench();
    recorder.record(CA, STARTED);
    recorder.record(CA, { ...STARTED, note: 'G2 to G3' });
    recorder.record(CA, { ...STARTED, type: 'Warning' });
    recorder.record({ ...CA, metadata: { ...CA.metadata, uid: 'u2' } }, STARTED);
    await settle();
    expect(writes).toHaveLength(4);
  });

  it('about an object without a namespace lives in default', async () => {
    const { recorder, writes } = bench();
    recorder.record({ metadata: { name: 'x' } }, STARTED);
    await settle();
    expect(writes[0]?.body).toMatchObject({ metadata: { namespace: 'default' } });
  });

  it('about an object with a very long name has a name that is allowed', async () => {
    const { recorder, writes } = bench();
    recorder.record({ metadata: { namespace: 'ns', name: `${'a'.repeat(229)}.${'b'.repeat(23)}` } }, STARTED);
    await settle();
    expect(writes[0]?.name).toMatch(/^a{229}\.[0-9a-f]{16}$/);
  });
});

describe('while there is more urgent work', () => {
  it('events wait, and are written as soon as it has ended', async () => {
    let busy = true;
    const { clock, recorder, writes } = bench({ busy: () => busy });
    recorder.record(CA, STARTED);
    recorder.record(CA, { ...STARTED, note: 'second' });
    await clock.advance(9_000);
    expect(writes).toHaveLength(0);
    busy = false;
    await clock.advance(100);
    expect(writes).toHaveLength(2);
  });

  it('no event waits longer than ten seconds, however many do', async () => {
    const { clock, recorder, writes } = bench({ busy: () => true });
    for (let i = 0; i < 5; i++) recorder.record(CA, { ...STARTED, note: String(i) });
    await clock.advance(5_000);
    recorder.record(CA, { ...STARTED, note: 'later' });
    await clock.advance(5_000);
    expect(writes).toHaveLength(5);
    await clock.advance(5_000);
    expect(writes).toHaveLength(6);
  });

  it('the end does not wait for it', async () => {
    const { clock, recorder, writes } = bench({ busy: () => true });
    recorder.record(CA, STARTED);
    const stopped = recorder.stop();
    await clock.advance(100);
    await stopped;
    expect(writes).toHaveLength(1);
  });
});

describe('when events cannot be written', () => {
  const refusal = (status: number) => new ApiError('create Event', status, 'X', 'no');

  it('nobody who records them notices', async () => {
    const { clock, recorder, writes } = bench({ answer: () => Promise.reject(refusal(403)) });
    recorder.record(CA, STARTED);
    recorder.record(CA, STARTED);
    await clock.advance(WINDOW);
    // There was more to tell, so it is tried once more; it was never created, so that is what is tried.
    expect(writes.map(({ verb }) => verb)).toEqual(['create', 'create']);
    expect(writes[1]?.body).toMatchObject({ series: { count: 2 } });
  });

  it('because the first has expired, the story goes on in a new one', async () => {
    const { clock, recorder, writes } = bench({
      answer: ({ verb }) => (verb === 'patch' ? Promise.reject(refusal(404)) : Promise.resolve()),
    });
    recorder.record(CA, STARTED);
    await settle();
    recorder.record(CA, STARTED);
    await clock.advance(WINDOW);
    expect(writes.map(({ verb }) => verb)).toEqual(['create', 'patch', 'create']);
    expect(writes[2]?.name).not.toBe(writes[0]?.name);
  });

  it('fast enough, they take a bounded place, are written one by one, and the rest is dropped', async () => {
    const gates: (() => void)[] = [];
    const { recorder, writes } = bench({ capacity: 10, answer: () => new Promise((resolve) => gates.push(resolve)) });
    for (let i = 0; i < 25; i++) recorder.record(CA, { ...STARTED, note: String(i) });
    await settle();
    expect(recorder.dropped).toBe(15);
    expect(writes).toHaveLength(1);
    for (let gate = gates.shift(); gate !== undefined; gate = gates.shift()) {
      gate();
      await settle();
    }
    expect(writes).toHaveLength(10);
  });

  it('at the end, stop waits two seconds for them and no longer', async () => {
    const { clock, recorder, writes } = bench({ answer: () => new Promise(() => {}) });
    recorder.record(CA, STARTED);
    recorder.record(CA, { ...STARTED, note: 'second' });
    const stopped = recorder.stop();
    expect(await clock.elapse()).toBe(2_000);
    await stopped;
    recorder.record(CA, { ...STARTED, note: 'third' });
    await clock.advance(WINDOW);
    expect(writes).toHaveLength(1);
  });
});

describe('notes', () => {
  it.each([
    ['short', 'short', 5],
    ['x'.repeat(1024), 'x'.repeat(1024), 1024],
    ['x'.repeat(1025), `${'x'.repeat(1021)}…`, 1024],
    ['€'.repeat(400), `${'€'.repeat(340)}…`, 1023],
    ['😀'.repeat(300), `${'😀'.repeat(255)}…`, 1023],
  ])('have at most 1,024 bytes and no half characters', (note, cut, bytes) => {
    expect(cutNote(note)).toBe(cut);
    expect(Buffer.byteLength(cutNote(note))).toBe(bytes);
  });
});
