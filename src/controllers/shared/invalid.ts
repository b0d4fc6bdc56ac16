import type { Kind, KindResource } from '../../api/names.ts';
import type { EventReason } from '../../api/vocabulary.ts';
import { type Client, isInvalid } from '../../runtime/client.ts';
import { nextConditions, condition, progress, writeStatus } from './status.ts';
import { Refusal } from './refusal.ts';
import type { Meta, View } from './view.ts';
import type { Kept } from './kept.ts';

/** Tells an event about one of our objects. */
export type Teller = (
  resource: KindResource,
  meta: Pick<Meta, 'name' | 'namespace' | 'uid'>,
  type: 'Normal' | 'Warning',
  reason: EventReason,
  note: string,
) => void;

/**
 * Tells the user of an object that the schema refuses what is wrong with it, field by field: in its status, or, where the spec is such
 * that the API server takes no status either, by an event.
 */
export async function tellInvalid<K extends Kind>(
  tools: { readonly client: Client; readonly tell: Teller; readonly now: () => number },
  resource: KindResource<K>,
  view: View<Kept<K>>,
  kept: Kept<K>,
  signal: AbortSignal,
): Promise<void> {
  const problems = kept.parsed.ok ? [] : kept.parsed.problems;
  const refusal = new Refusal(
    'InvalidSpec',
    `The object is not valid: ${problems.join('; ')}. Correct it and apply it again.`,
  );
  const updates = [...progress(refusal), condition('Ready', 'False', refusal.reason, refusal.message)];
  const { generation } = kept.meta;
  const conditions = nextConditions(storedConditions(kept.status), updates, generation, tools.now());
  try {
    await writeStatus(tools.client, resource, view, kept, { observedGeneration: generation, conditions }, signal);
  } catch (error) {
    if (!isInvalid(error)) throw error;
    tools.tell(resource, kept.meta, 'Warning', 'Stalled', refusal.message);
  }
}

function storedConditions(status: unknown): Parameters<typeof nextConditions>[0] {
  if (typeof status !== 'object' || status === null || !('conditions' in status) || !Array.isArray(status.conditions))
    return undefined;
  return status.conditions.filter(isCondition);
}

type Stored = NonNullable<Parameters<typeof nextConditions>[0]>[number];

function isCondition(value: unknown): value is Stored {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    typeof value.type === 'string' &&
    'lastTransitionTime' in value &&
    typeof value.lastTransitionTime === 'string' &&
    'status' in value
  );
}
