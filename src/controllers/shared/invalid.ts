import type { Kind, KindResource } from '../../api/names.ts';
import type { EventReason } from '../../api/vocabulary.ts';
import { nextConditions, condition, progress } from './status.ts';
import { Refusal } from './refusal.ts';
import type { Meta } from './view.ts';
import type { Kept } from './world.ts';

/** Tells an event about one of our objects. */
export type Teller = (
  resource: KindResource,
  meta: Pick<Meta, 'name' | 'namespace' | 'uid'>,
  type: 'Normal' | 'Warning',
  reason: EventReason,
  note: string,
) => void;

/** The status of an object that the schema refuses: what is wrong, field by field, and nothing else. */
export function invalidStatus<K extends Kind>(kept: Kept<K>, now: number): object {
  const problems = kept.parsed.ok ? [] : kept.parsed.problems;
  const refusal = new Refusal(
    'InvalidSpec',
    `The object is not valid: ${problems.join('; ')}. Correct it and apply it again.`,
  );
  const updates = [...progress(refusal), condition('Ready', 'False', refusal.reason, refusal.message)];
  return {
    observedGeneration: kept.meta.generation,
    conditions: nextConditions(storedConditions(kept.status), updates, kept.meta.generation, now),
  };
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
