/**
 * CustomResourceDefinitions from the schemas.
 *
 * The converter takes what zod says in OpenAPI terms and lets through only what a structural schema may hold and what is bounded and
 * documented. Everything else is refused by name, so that nothing is lost on the way without being noticed.
 */
import { z } from 'zod';
import type { CelRule, KeptRule } from './fields.ts';
import { CATEGORY, GROUP, type Kind, KINDS, VERSION } from './names.ts';
import { DEFINITIONS } from './objects.ts';
import { immutableMessage, nameMessage } from './parse.ts';
import { isList, isRecord, shown } from './raw.ts';

/** A structural schema (or a part of it), as JSON. */
export interface Structural {
  readonly [keyword: string]: unknown;
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Structural>>;
  readonly required?: readonly unknown[];
  readonly items?: Structural;
  readonly additionalProperties?: Structural;
}

/** A schema says something that a CRD cannot, or leaves out what a CRD needs. */
class SchemaError extends Error {
  override readonly name = 'SchemaError';
  constructor(path: string, what: string) {
    super(`${path}: ${what}`);
  }
}

/**
 * Who writes what a schema describes. What OpenAPI has no word for is a CEL rule where people write, with a message that they understand;
 * where only the operator does it is a pattern, and lists are written as a whole. For every write evaluates every rule of the whole
 * object, which costs far more than a pattern; and of a list that several may write to the API server notes for each field of each
 * item who has, in every object, which was a quarter of a ClusterCertificate.
 */
export type Writer = 'people' | 'operator';

/** The structural schema of a zod schema. Throws SchemaError, naming the field, on what cannot be expressed. */
export function structural(schema: z.ZodType, path: string, writer: Writer = 'people'): Structural {
  const raw: unknown = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    unrepresentable: 'throw',
    reused: 'inline',
    cycles: 'throw',
    override: ({ zodSchema }) => {
      const { type } = zodSchema._zod.def;
      if (!TYPES.includes(type))
        throw new SchemaError(path, `holds a zod "${type}", which would be lost or mean something else`);
    },
  });
  return convert(raw, path, writer);
}

// ---------------------------------------------------------------------------------------------------- converter

/** zod types that come through unchanged. A transformation, for one, would silently be left out. */
const TYPES = ['array', 'boolean', 'enum', 'literal', 'number', 'object', 'optional', 'record', 'string', 'union'];

const RULES = 'x-kubernetes-validations';
const LIST_TYPE = ['x-kubernetes-list-type', 'x-kubernetes-list-map-keys'];

/** Keywords that are taken as they are. No pattern: where one may stand, a rule brings it along. */
const PLAIN = ['description', 'enum', 'format', 'minLength', 'maxLength', 'minItems', 'maxItems', 'maxProperties'];
const HANDLED = [
  'type',
  'properties',
  'required',
  'items',
  'additionalProperties',
  'minimum',
  'maximum',
  'anyOf',
  'x-kubernetes-int-or-string',
  ...LIST_TYPE,
  RULES,
];

function convert(raw: unknown, path: string, writer: Writer): Structural {
  if (!isRecord(raw)) throw new SchemaError(path, 'is no schema');
  for (const keyword of Object.keys(raw)) {
    if (!PLAIN.includes(keyword) && !HANDLED.includes(keyword)) {
      throw new SchemaError(path, `a CRD of ours has no "${keyword}"`);
    }
  }
  const plain = {
    ...Object.fromEntries(PLAIN.filter((keyword) => keyword in raw).map((keyword) => [keyword, raw[keyword]])),
    ...checksOf(raw, path, writer),
  };
  if (raw['x-kubernetes-int-or-string'] === true) return { ...plain, 'x-kubernetes-int-or-string': true };
  if ('anyOf' in raw)
    throw new SchemaError(path, 'a choice of types is not structural; use optional fields and a rule');
  switch (raw['type']) {
    case 'object':
      return { type: 'object', ...plain, ...convertObject(raw, path, writer) };
    case 'array':
      return { type: 'array', ...plain, ...listTypeOf(raw, writer), items: convertItems(raw, path, writer) };
    case 'string':
      return { type: 'string', ...plain, ...boundedString(raw, path) };
    case 'integer':
      return { type: 'integer', ...plain, ...integer(raw) };
    case 'number':
      if (isList(raw['enum']) && raw['enum'].every(Number.isInteger)) return { type: 'integer', ...plain };
      throw new SchemaError(path, 'is not a whole number: fractions are not portable');
    case 'boolean':
      return { type: 'boolean', ...plain };
    default:
      throw new SchemaError(path, 'has no type');
  }
}

function convertObject(raw: Readonly<Record<string, unknown>>, path: string, writer: Writer): Structural {
  const { properties, additionalProperties, required } = raw;
  if (isRecord(properties) && additionalProperties === undefined) {
    const fields = Object.entries(properties).map(([name, field]): [string, Structural] => {
      const converted = convert(field, `${path}.${name}`, writer);
      if (converted.description === undefined) throw new SchemaError(`${path}.${name}`, 'has no description');
      return [name, converted];
    });
    return {
      ...(isList(required) && required.length > 0 ? { required } : {}),
      properties: Object.fromEntries(fields),
    };
  }
  if (properties !== undefined)
    throw new SchemaError(path, 'has both known and unknown fields, or refuses unknown ones');
  if (!isRecord(additionalProperties)) throw new SchemaError(path, 'has no fields');
  if (raw['maxProperties'] === undefined)
    throw new SchemaError(path, 'has no maxProperties: rules on it have no bound');
  return { additionalProperties: convert(additionalProperties, `${path}.*`, writer) };
}

function convertItems(raw: Readonly<Record<string, unknown>>, path: string, writer: Writer): Structural {
  if (raw['maxItems'] === undefined) throw new SchemaError(path, 'has no maxItems: rules on it have no bound');
  const items = convert(raw['items'], `${path}[]`, writer);
  const keys = raw['x-kubernetes-list-map-keys'];
  switch (raw['x-kubernetes-list-type']) {
    case 'atomic':
      return items;
    case 'set':
      if (items.type !== 'string') throw new SchemaError(path, 'is a set of something other than texts');
      return items;
    case 'map':
      if (!isList(keys) || keys.length === 0) throw new SchemaError(path, 'is a list map without keys');
      for (const key of keys) {
        if (!items.required?.includes(key))
          throw new SchemaError(path, `its key ${shown(key)} is not a required field of its items`);
      }
      return items;
    default:
      throw new SchemaError(path, 'has no x-kubernetes-list-type: nobody knows how to merge it');
  }
}

function listTypeOf(raw: Readonly<Record<string, unknown>>, writer: Writer): Structural {
  if (writer === 'operator') return { 'x-kubernetes-list-type': 'atomic' };
  return Object.fromEntries(LIST_TYPE.filter((keyword) => keyword in raw).map((keyword) => [keyword, raw[keyword]]));
}

function checksOf(raw: Readonly<Record<string, unknown>>, path: string, writer: Writer): Structural {
  const kept = keptRules(raw);
  if (kept.length === 0) return {};
  if (writer === 'people') return { [RULES]: kept.map(celRule) };
  const [{ pattern } = {}, ...more] = kept;
  if (pattern === undefined || more.length > 0) throw new SchemaError(path, 'has a rule that is no pattern');
  return { pattern };
}

function celRule(kept: KeptRule): CelRule {
  const { pattern: _, ...rule } = kept;
  return rule;
}

/** What `withRules` put there. */
function keptRules(raw: Readonly<Record<string, unknown>>): readonly KeptRule[] {
  return (raw[RULES] ?? []) as readonly KeptRule[];
}

function boundedString(raw: Readonly<Record<string, unknown>>, path: string): Structural {
  if (raw['format'] !== undefined && raw['format'] !== 'date-time') {
    throw new SchemaError(path, `Kubernetes reads the format ${shown(raw['format'])} otherwise, or not at all`);
  }
  if (raw['maxLength'] === undefined && raw['enum'] === undefined) {
    throw new SchemaError(path, 'has no maxLength: rules on it have no bound');
  }
  return {};
}

/** zod bounds every whole number by what JavaScript holds exactly; only bounds of our own are kept. */
function integer({ minimum, maximum }: Readonly<Record<string, unknown>>): Structural {
  return {
    format: 'int64',
    ...(typeof minimum === 'number' && minimum > Number.MIN_SAFE_INTEGER ? { minimum } : {}),
    ...(typeof maximum === 'number' && maximum < Number.MAX_SAFE_INTEGER ? { maximum } : {}),
  };
}

// ---------------------------------------------------------------------------------------------------- definition

/** The CustomResourceDefinition of a kind, as an object that is to be written as YAML. */
export function customResourceDefinition(kind: Kind) {
  const { resource, shortName, description, columns, selectable } = DEFINITIONS[kind];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${resource.plural}.${GROUP}`,
      labels: { 'app.kubernetes.io/name': 'replicert' },
    },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        plural: resource.plural,
        singular: kind.toLowerCase(),
        kind,
        listKind: `${kind}List`,
        shortNames: [shortName],
        categories: [CATEGORY],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          ...(selectable.length === 0 ? {} : { selectableFields: selectable.map((jsonPath) => ({ jsonPath })) }),
          schema: { openAPIV3Schema: rootSchema(kind, description) },
        },
      ],
    },
  };
}

/** The status of an object that nobody has looked at yet. */
const UNSEEN = {
  observedGeneration: 0,
  conditions: [
    {
      type: 'Ready',
      status: 'Unknown',
      reason: 'Pending',
      message: 'Waiting for the operator.',
      lastTransitionTime: '1970-01-01T00:00:00Z',
    },
  ],
};

function rootSchema(kind: Kind, description: string): Structural {
  const { spec, status, name } = DEFINITIONS[kind];
  const nameRule: CelRule = { rule: `self.size() <= ${name.most}`, message: nameMessage(kind) };
  return {
    description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: `${GROUP}/${VERSION}` },
      kind: { type: 'string', description: kind },
      // Here, and not on the object: there a rule costs the API server a copy of the whole schema.
      metadata: { type: 'object', properties: { name: { type: 'string', [RULES]: [nameRule] } } },
      spec: { ...withImmutables(kind, structural(spec, 'spec')), description: 'What is wanted.' },
      status: {
        ...structural(status, 'status', 'operator'),
        description: 'What was found. Written by Replicert only.',
        // From its first moment an object says that it is not ready yet (kstatus, kubectl wait), without a write of ours.
        default: UNSEEN,
      },
    },
  };
}

/**
 * Adds the update rules. Each stands on its field, where the API server looks at two values and not at everything beside them; but an
 * optional field may also come and go, which only the spec shows.
 */
function withImmutables(kind: Kind, spec: Structural): Structural {
  const remedies: Readonly<Record<string, string | undefined>> = DEFINITIONS[kind].immutable;
  const properties = { ...spec.properties };
  const comings: CelRule[] = [];
  for (const [field, remedy] of Object.entries(remedies)) {
    const message = immutableMessage(remedy ?? '');
    properties[field] = withRule(properties[field] ?? {}, { rule: 'self == oldSelf', message });
    if (spec.required?.includes(field) === true) continue;
    comings.push({ rule: `has(self.${field}) == has(oldSelf.${field})`, message, fieldPath: `.${field}` });
  }
  return comings.reduce(withRule, { ...spec, properties });
}

function withRule(schema: Structural, rule: CelRule): Structural {
  const before = schema[RULES];
  return { ...schema, [RULES]: [...(isList(before) ? before : []), rule] };
}

// ---------------------------------------------------------------------------------------------------- kustomize

/** OpenAPI definitions that tell kustomize which lists to merge, and by which key. */
export function kustomizeSchema() {
  const definitions = KINDS.map((kind): [string, unknown] => [
    `io.replicert.${VERSION}.${kind}`,
    {
      type: 'object',
      properties: { spec: mergeSchema(structural(DEFINITIONS[kind].spec, 'spec')) },
      'x-kubernetes-group-version-kind': [{ group: GROUP, version: VERSION, kind }],
    },
  ]);
  return { definitions: Object.fromEntries(definitions) };
}

function mergeSchema(schema: Structural): Structural {
  if (schema.properties !== undefined) {
    const fields = Object.entries(schema.properties).map(([name, field]): [string, Structural] => [
      name,
      mergeSchema(field),
    ]);
    return { type: 'object', properties: Object.fromEntries(fields) };
  }
  if (schema.items === undefined) return schema.type === undefined ? {} : { type: schema.type };
  const list = { type: 'array', items: mergeSchema(schema.items) };
  const keys = schema['x-kubernetes-list-map-keys'];
  switch (schema['x-kubernetes-list-type']) {
    case 'map':
      return {
        ...list,
        'x-kubernetes-patch-strategy': 'merge',
        'x-kubernetes-patch-merge-key': isList(keys) ? keys[0] : undefined,
      };
    case 'set':
      return { ...list, 'x-kubernetes-patch-strategy': 'merge' };
    default:
      return list;
  }
}
