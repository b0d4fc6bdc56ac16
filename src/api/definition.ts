import type { z } from 'zod';
import type { Kind, KindResource } from './names.ts';

/** A column of `kubectl get`; priority 1 shows with `-o wide` only. */
interface Column {
  readonly name: string;
  readonly type: 'string' | 'date';
  readonly jsonPath: string;
  readonly description: string;
  readonly priority?: 1;
}

/** All that is to be said about a kind. CRD, parse and update check are made from this and from nothing else. */
export interface Definition<K extends Kind, Spec, Status> {
  readonly resource: KindResource<K>;
  readonly shortName: string;
  readonly description: string;
  /** Longest metadata.name, and what it must fit. */
  readonly name: { readonly most: number; readonly because: string };
  readonly spec: z.ZodType<Spec>;
  readonly status: z.ZodType<Status>;
  /** Fields directly below spec that never change, each with what to do instead. */
  readonly immutable: Readonly<Partial<Record<keyof Spec & string, string>>>;
  /** Fields that `kubectl get --field-selector` knows. */
  readonly selectable: readonly string[];
  readonly columns: readonly Column[];
}
