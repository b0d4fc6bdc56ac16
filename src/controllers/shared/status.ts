import type { Kind } from '../../api/names.ts';
import { clip, type Condition, MAX_CONDITION_MESSAGE } from '../../api/fields.ts';
import { CONDITIONS, type ConditionReason, type ConditionType } from '../../api/vocabulary.ts';
import type { Client, KubeObject, Resource } from '../../runtime/client.ts';
import { type ConditionUpdate, setConditions } from '../../runtime/conditions.ts';
import type { Refusal } from './refusal.ts';
import type { View } from './view.ts';
import type { Kept } from './kept.ts';

export function condition(
  type: ConditionType,
  status: 'True' | 'False' | 'Unknown',
  reason: ConditionReason,
  message: string,
): ConditionUpdate {
  return { type, status, reason, message: clip(message, MAX_CONDITION_MESSAGE) };
}

/**
 * The two conditions by which kstatus and GitOps tools see whether a spec was acted on; never both True.
 * A refusal stalls: the user must act.
 */
export function progress(refusal: Refusal | null, busy: string | null = null): readonly ConditionUpdate[] {
  if (refusal !== null) {
    return [
      condition('Reconciling', 'False', refusal.reason, refusal.message),
      condition('Stalled', 'True', refusal.reason, refusal.message),
    ];
  }
  return [
    busy === null
      ? condition('Reconciling', 'False', 'UpToDate', 'This spec has been acted on.')
      : condition('Reconciling', 'True', 'Progressing', busy),
    condition('Stalled', 'False', 'UpToDate', 'Nothing in this object needs to be corrected.'),
  ];
}

/** Whether the status as it is stored says this refusal already: it is told once. */
export function saysRefusal(
  status: { readonly conditions?: readonly Condition[] | undefined } | null | undefined,
  { message }: Refusal,
): boolean {
  return (
    status?.conditions?.some((each) => each.type === 'Stalled' && each.status === 'True' && each.message === message) ??
    false
  );
}

const ORDER = Object.keys(CONDITIONS);

/** Conditions after a pass; transition times move only where the status changes. */
export function nextConditions(
  before: readonly Condition[] | undefined,
  updates: readonly ConditionUpdate[],
  generation: number,
  now: number,
): Condition[] {
  return [
    ...setConditions(
      before?.map((each) => ({ ...each })),
      updates,
      { observedGeneration: generation, now, owned: ORDER },
    ),
  ].map(({ observedGeneration = generation, ...rest }) => ({ ...rest, observedGeneration }));
}

/** Whether the API server would store both alike: the order of members means nothing, undefined ones are not there. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((each, i) => sameJson(each, b[i]));
  }
  const [ours, theirs] = [Object.entries(a), new Map<string, unknown>(Object.entries(b))];
  for (const [name, value] of ours) {
    if (!sameJson(value, theirs.get(name))) return false;
    theirs.delete(name);
  }
  return [...theirs.values()].every((value) => value === undefined);
}

/**
 * Writes the whole status, in one request, and only when it differs from what is there. An update, and of nothing else: for a patch the
 * API server would write out the whole object and read it again. It holds for the version that was looked at; to whoever has changed
 * the object meanwhile the next pass answers.
 * @returns whether it was written
 * @throws ApiError Conflict when the object is not what it was any more
 */
export async function writeStatus<K extends Kind>(
  client: Client,
  resource: Resource,
  view: Pick<View<Kept<K>>, 'remember'>,
  kept: Kept<K>,
  status: object,
  signal: AbortSignal,
): Promise<boolean> {
  if (sameJson(kept.status ?? {}, status)) return false;
  const { name, namespace, uid, resourceVersion } = kept.meta;
  const object: KubeObject = { metadata: { name, namespace, uid, resourceVersion }, status };
  view.remember(await client.update(resource, object, { subresource: 'status', signal }));
  return true;
}
