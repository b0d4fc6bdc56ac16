/** A row of the table of good and bad objects, and what several kinds say alike. */
import type { Kind } from '../../../src/api/names.ts';

export interface Row {
  readonly kind: Kind;
  readonly what: string;
  /** Default: an ordinary name. */
  readonly name?: string;
  /** The spec; in an update, the one after it. */
  readonly spec: unknown;
  /** Present: an update from this spec. */
  readonly before?: unknown;
  /** Null: accepted. */
  readonly refused: Refusal | null;
}

export interface Refusal {
  /** The field that both must name. */
  readonly at: string;
  /** What zod must say; the API server too where `server` is absent. */
  readonly says: string;
  /** What the API server says by itself, for rules that OpenAPI has. */
  readonly server?: string;
}

export const ENUM = 'Unsupported value';
export const REQUIRED = { says: 'is required', server: 'Required value' };
export const duplicates = (says: string) => ({ says, server: 'Duplicate value' });

export const DURATION = 'must be a duration with units h, m, s or ms in this order, such as 8760h or 1h30m';
