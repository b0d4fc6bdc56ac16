import type { ApiObject, Client, JsonPatchOperation, ObjectMeta, Resource } from './client.ts';

/** What is to be known of an object's finalizers: anybody may add to the list, as much as an object can hold. */
export interface Finalizers {
  readonly count: number;
  /** Where ours is in the list; null: it is not. */
  readonly own: number | null;
}

export function finalizersOf({ finalizers = [] }: ObjectMeta, finalizer: string): Finalizers {
  const index = finalizers.indexOf(finalizer);
  return { count: finalizers.length, own: index < 0 ? null : index };
}

/** As much of an object as says what is to be done about its finalizers. */
export interface Finalized {
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
  readonly deleting: boolean;
  readonly finalizers: Finalizers;
}

/**
 * What a finalizer means for an object now: {ours is there} x {being deleted} gives four cases, and no fifth.
 * The patches test what they were computed from, so two owners never remove each other's entry and a namesake is never touched.
 */
export type FinalizerStep =
  /** Not ours yet: add the entry, and do nothing else until that is seen. */
  | { readonly case: 'add'; readonly patch: readonly JsonPatchOperation[] }
  /** Ours, and alive. */
  | { readonly case: 'work' }
  /** Ours, and on its way out: clean up, then apply the patch. */
  | { readonly case: 'cleanUp'; readonly patch: readonly JsonPatchOperation[] }
  /** Going, and nothing of ours holds it. */
  | { readonly case: 'gone' };

export function finalizerStep(
  { uid, resourceVersion, deleting, finalizers: { count, own } }: Finalized,
  finalizer: string,
): FinalizerStep {
  const sameObject: JsonPatchOperation = { op: 'test', path: '/metadata/uid', value: uid };
  if (own === null) {
    if (deleting) return { case: 'gone' };
    const patch: JsonPatchOperation[] =
      count === 0
        ? [
            { op: 'test', path: '/metadata/finalizers', value: null },
            { op: 'add', path: '/metadata/finalizers', value: [finalizer] },
          ]
        : [
            { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
            { op: 'add', path: '/metadata/finalizers/-', value: finalizer },
          ];
    return { case: 'add', patch: [sameObject, ...patch] };
  }
  if (!deleting) return { case: 'work' };
  const path = `/metadata/finalizers/${own}`;
  return {
    case: 'cleanUp',
    patch: [sameObject, { op: 'test', path, value: finalizer }, { op: 'remove', path }],
  };
}

/**
 * Performs the step. `cleanUp` runs before the entry goes and must bear being run again; while it throws, the entry stays.
 * Returns true when the object is alive and carries the entry, so that work on it may begin.
 * A failed test is an ApiError Invalid: the object changed meanwhile, try again on what it is now.
 */
export async function withFinalizer(
  {
    client,
    resource,
    finalizer,
    signal,
  }: {
    readonly client: Pick<Client, 'patch'>;
    readonly resource: Resource;
    readonly finalizer: string;
    readonly signal?: AbortSignal | undefined;
  },
  object: ApiObject,
  cleanUp: () => Promise<void>,
): Promise<boolean> {
  const { uid, resourceVersion, deletionTimestamp } = object.metadata;
  const finalizers = finalizersOf(object.metadata, finalizer);
  const step = finalizerStep(
    { uid, resourceVersion, deleting: deletionTimestamp !== undefined, finalizers },
    finalizer,
  );
  switch (step.case) {
    case 'work':
      return true;
    case 'gone':
      return false;
    case 'cleanUp':
      await cleanUp();
      break;
    case 'add':
      break;
  }
  await client.patch(resource, object.metadata, { type: 'json', operations: step.patch }, { signal });
  return false;
}
