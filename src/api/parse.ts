/** From what came over the wire to typed objects, or to sentences that say what is wrong. Never throws. */
import type { z } from 'zod';
import type { Kind } from './names.ts';
import { DEFINITIONS, type Metadata, type ObjectOf } from './objects.ts';
import { isList, isRecord, shown } from './raw.ts';

export type Parsed<K extends Kind> =
  | { readonly ok: true; readonly object: ObjectOf<K> }
  | { readonly ok: false; readonly metadata: Metadata; readonly problems: readonly string[] };

/** Longest list of problems that is reported; one more line says how many were left out. */
const MAX_PROBLEMS = 16;

/**
 * Reads one object as the API server returns it (or as a file holds it). Fields that the schema does not have are ignored, as the
 * API server prunes them. A status that does not fit is dropped: it is written anew, and as evidence it counts as not seen.
 * @param before another version of it: where its generation is the same, so is its spec, and is not read again
 */
export function parseObject<K extends Kind>(kind: K, raw: unknown, before: ObjectOf<K> | null = null): Parsed<K> {
  const definition = DEFINITIONS[kind];
  const fields = isRecord(raw) ? raw : {};
  const metadata = readMetadata(fields['metadata']);
  const readStatus = (): ObjectOf<K>['status'] => {
    const status = definition.status.safeParse(tame(fields['status']));
    return status.success ? status.data : null;
  };
  if (before !== null && sameSpec(before.metadata, metadata))
    return { ok: true, object: { kind, metadata, spec: before.spec, status: readStatus() } };
  const spec = definition.spec.safeParse(tame(fields['spec']), { reportInput: true });
  const problems = [...nameProblems(kind, metadata.name), ...(spec.success ? [] : describeIssues('spec', spec.error))];
  if (!spec.success || problems.length > 0) return { ok: false, metadata, problems: shorten(problems) };
  return { ok: true, object: { kind, metadata, spec: spec.data, status: readStatus() } };
}

/** The API server counts `generation` up with every change of the spec (API conventions, Metadata). */
function sameSpec(a: Metadata, b: Metadata): boolean {
  return a.uid !== '' && a.uid === b.uid && a.generation !== 0 && a.generation === b.generation;
}

/** What the API server refuses about changing one spec into another, as parsed. Empty where the change is allowed. */
export function updateProblems<K extends Kind>(
  kind: K,
  before: ObjectOf<K>['spec'],
  after: ObjectOf<K>['spec'],
): string[] {
  const remedies: Readonly<Record<string, string | undefined>> = DEFINITIONS[kind].immutable;
  const old: Readonly<Record<string, unknown>> = { ...before };
  const now: Readonly<Record<string, unknown>> = { ...after };
  return Object.entries(remedies)
    .filter(([field]) => canonical(old[field]) !== canonical(now[field]))
    .map(([field, remedy]) => `spec.${field}: ${immutableMessage(remedy ?? '')}`);
}

/** The message of an immutable field; CRD and parse say the same. */
export const immutableMessage = (remedy: string): string => `cannot be changed: ${remedy}`;

/** The message of a name that is too long; CRD and parse say the same. */
export function nameMessage(kind: Kind): string {
  const { most, because } = DEFINITIONS[kind].name;
  return `must have at most ${most} characters: ${because}`;
}

// ---------------------------------------------------------------------------------------------------- input

/** Deeper than any schema of ours, and far from the end of the stack. */
const MAX_DEPTH = 24;
/** More than any list or map of ours may hold: what is beyond changes no verdict, but costs time. */
const MAX_ENTRIES = 4_096;

/** Null members of objects are dropped, as the API server drops them; what no schema can accept is cut off. */
function tame(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === MAX_DEPTH) return undefined;
  if (isList(value)) return value.slice(0, MAX_ENTRIES).map((item) => tame(item, depth + 1));
  const entries = Object.entries(value).slice(0, MAX_ENTRIES);
  return Object.fromEntries(
    entries.filter(([, item]) => item !== null).map(([key, item]) => [key, tame(item, depth + 1)]),
  );
}

function readMetadata(raw: unknown): Metadata {
  const fields = isRecord(raw) ? raw : {};
  const string = (field: string): string => (typeof fields[field] === 'string' ? fields[field] : '');
  const instant = (field: string): string | null => (typeof fields[field] === 'string' ? fields[field] : null);
  return {
    name: string('name'),
    namespace: string('namespace'),
    uid: string('uid'),
    resourceVersion: string('resourceVersion'),
    generation: Number.isSafeInteger(fields['generation']) ? Number(fields['generation']) : 0,
    creationTimestamp: instant('creationTimestamp'),
    deletionTimestamp: instant('deletionTimestamp'),
  };
}

function nameProblems(kind: Kind, name: string): string[] {
  if (name === '') return ['metadata.name: is required'];
  return name.length <= DEFINITIONS[kind].name.most ? [] : [`metadata.name: ${nameMessage(kind)}`];
}

/** Text that is equal for equal values, whatever the order of keys. Undefined members count as absent. */
function canonical(value: unknown): string {
  if (isList(value)) return `[${value.map(canonical).join()}]`;
  if (!isRecord(value)) return shown(value, Infinity);
  const present = Object.entries(value).filter(([, item]) => item !== undefined);
  const members = present.map(([key, item]) => `${shown(key, Infinity)}:${canonical(item)}`);
  return `{${members.sort().join()}}`;
}

// ---------------------------------------------------------------------------------------------------- sentences

function shorten(problems: readonly string[]): string[] {
  const rest = problems.length - MAX_PROBLEMS;
  return rest <= 0 ? [...problems] : [...problems.slice(0, MAX_PROBLEMS), `and ${rest} more problems`];
}

/** One sentence per issue: `spec.rotation.generation: must be 1 or more (got 0)`. */
export function describeIssues(root: string, error: z.ZodError): string[] {
  return error.issues.map((issue) => `${pathText(root, issue.path)}: ${sentence(issue)}`);
}

function pathText(root: string, path: readonly PropertyKey[]): string {
  let text = root;
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += /^[A-Za-z0-9_]+$/.test(String(step)) ? `.${String(step)}` : `[${shown(String(step))}]`;
  }
  return text;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a whole number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

function sentence(issue: z.core.$ZodIssue): string {
  const got = gotText(issue.input);
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is required';
      return `must be ${TYPES[issue.expected] ?? issue.expected}${got}`;
    case 'invalid_value':
      return issue.input === undefined ? 'is required' : `must be ${oneOf(issue.values)}${got}`;
    case 'too_small':
      return issue.origin === 'array'
        ? `must have at least ${issue.minimum} ${issue.minimum === 1 ? 'item' : 'items'}`
        : issue.origin === 'string'
          ? 'must not be empty'
          : `must be ${issue.minimum} or more${got}`;
    case 'too_big':
      return issue.origin === 'array'
        ? `must have at most ${issue.maximum} items`
        : issue.origin === 'string'
          ? `must have at most ${issue.maximum} characters`
          : `must be ${issue.maximum} or less${got}`;
    default:
      return `${issue.message}${got}`;
  }
}

const oneOf = (values: readonly unknown[]): string =>
  values.length === 1 ? String(values[0]) : `one of ${values.map(String).join(', ')}`;

function gotText(input: unknown): string {
  if (typeof input === 'string') return ` (got ${shown(input)})`;
  if (typeof input === 'number' || typeof input === 'boolean') return ` (got ${input})`;
  return input === null ? ' (got null)' : '';
}
