import { describe, expect, it } from 'vitest';
import type { ObjectMeta, ObjectRef, Patch, Resource } from '../../src/runtime/client.ts';
import { type Finalized, finalizersOf, finalizerStep, withFinalizer } from '../../src/runtime/finalizers.ts';

const OURS = 'test.io/ours';
const THING: Resource = { group: 'test', version: 'v1', plural: 'things', kind: 'Thing' };

function meta(finalizers?: string[], deleting = false): ObjectMeta {
  return {
    namespace: 'ns',
    name: 'a',
    uid: 'u1',
    resourceVersion: '7',
    ...(finalizers === undefined ? {} : { finalizers }),
    ...(deleting ? { deletionTimestamp: '2026-11-22T12:00:00Z' } : {}),
  };
}

function finalized(finalizers?: string[], deleting = false): Finalized {
  const metadata = meta(finalizers);
  return { uid: metadata.uid, resourceVersion: '7', deleting, finalizers: finalizersOf(metadata, OURS) };
}

const sameObject = { op: 'test', path: '/metadata/uid', value: 'u1' };

describe('the four cases of a finalizer', () => {
  it('not ours, alive: add it', () => {
    const first = [
      sameObject,
      { op: 'test', path: '/metadata/finalizers', value: null },
      { op: 'add', path: '/metadata/finalizers', value: [OURS] },
    ];
    expect(finalizerStep(finalized(), OURS)).toEqual({ case: 'add', patch: first });
    expect(finalizerStep(finalized([]), OURS)).toEqual({ case: 'add', patch: first });
    expect(finalizerStep(finalized(['other']), OURS)).toEqual({
      case: 'add',
      patch: [
        sameObject,
        { op: 'test', path: '/metadata/resourceVersion', value: '7' },
        { op: 'add', path: '/metadata/finalizers/-', value: OURS },
      ],
    });
  });

  it('ours, alive: work', () => {
    expect(finalizerStep(finalized(['other', OURS]), OURS)).toEqual({ case: 'work' });
  });

  it('ours, going: clean up, then remove this entry and no other', () => {
    expect(finalizerStep(finalized(['other', OURS], true), OURS)).toEqual({
      case: 'cleanUp',
      patch: [
        sameObject,
        { op: 'test', path: '/metadata/finalizers/1', value: OURS },
        { op: 'remove', path: '/metadata/finalizers/1' },
      ],
    });
  });

  it('not ours, going: nothing', () => {
    expect(finalizerStep(finalized(['other'], true), OURS)).toEqual({ case: 'gone' });
    expect(finalizerStep(finalized(undefined, true), OURS)).toEqual({ case: 'gone' });
  });
});

describe('performing them', () => {
  async function perform(metadata: ObjectMeta, cleanUp: () => Promise<void> = async () => {}) {
    const happened: string[] = [];
    const client = {
      async patch<T>(_resource: Resource, _ref: ObjectRef, patch: Patch): Promise<T> {
        happened.push(patch.type);
        return {} as T;
      },
    };
    const alive = withFinalizer({ client, resource: THING, finalizer: OURS }, { metadata }, async () => {
      happened.push('cleanUp');
      await cleanUp();
    });
    return { alive: await alive.catch((error: unknown) => String(error)), happened };
  }

  it('says whether work may begin', async () => {
    expect(await perform(meta([OURS]))).toEqual({ alive: true, happened: [] });
    expect(await perform(meta())).toEqual({ alive: false, happened: ['json'] });
    expect(await perform(meta([], true))).toEqual({ alive: false, happened: [] });
  });

  it('removes the entry after the cleaning, and not when that failed', async () => {
    expect(await perform(meta([OURS], true))).toEqual({ alive: false, happened: ['cleanUp', 'json'] });
    const failing = () => Promise.reject(new Error('not yet'));
    expect(await perform(meta([OURS], true), failing)).toEqual({ alive: 'Error: not yet', happened: ['cleanUp'] });
  });
});
