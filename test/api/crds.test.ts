import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { customResourceDefinition, type Structural, structural } from '../../src/api/crd.ts';
import { atomic, mapBy, setOf, text, withRules } from '../../src/api/fields.ts';
import { KINDS } from '../../src/api/names.ts';
import { DEFINITIONS } from '../../src/api/objects.ts';
import { isRecord } from '../../src/api/raw.ts';
import { generatedFiles, staleFiles } from '../../src/cli/crds.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Every field below a schema, by path, items of lists as `[]`. */
function* fieldsOf(schema: Structural, path: string): Generator<[string, Structural]> {
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    yield [`${path}.${name}`, field];
    yield* fieldsOf(field, `${path}.${name}`);
  }
  if (schema.items !== undefined) yield* fieldsOf(schema.items, `${path}[]`);
  if (schema.additionalProperties !== undefined) yield* fieldsOf(schema.additionalProperties, `${path}.*`);
}

/** Every part of a schema, itself included. */
function* partsOf(schema: Structural): Generator<Structural> {
  yield schema;
  for (const part of [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties]) {
    if (part !== undefined) yield* partsOf(part);
  }
}

const RULES = 'x-kubernetes-validations';
const has = (schema: Structural, keyword: string): boolean => keyword in schema;

describe('the files', () => {
  test('are what the schemas say (else: node src/cli/crds.ts)', async () => {
    expect(await staleFiles(ROOT)).toEqual([]);
  });

  test('are all of them generated', async () => {
    const crds = (await readdir(join(ROOT, 'crds'))).map((file) => `crds/${file}`);
    expect(crds.sort()).toEqual([...generatedFiles().keys()].filter((path) => path.startsWith('crds/')).sort());
  });

  test('read back as YAML give the definitions', () => {
    const texts = [...generatedFiles()].filter(([path]) => path.endsWith('.yaml')).map(([, content]) => content);
    expect(texts.map((content): unknown => parse(content))).toEqual(KINDS.map(customResourceDefinition));
  });
});

describe.each(KINDS)('%s', (kind) => {
  const spec = structural(DEFINITIONS[kind].spec, 'spec');
  const status = structural(DEFINITIONS[kind].status, 'status');
  const everything = [...fieldsOf(spec, 'spec'), ...fieldsOf(status, 'status')];

  test('says of every field what it is', () => {
    const silent = everything.filter(([, { description = '' }]) => description.length < 12);
    expect(silent.map(([path]) => path)).toEqual([]);
  });

  test('says of every field whether it is required, or what it is when absent', () => {
    const optional = (schema: Structural, path: string): string[] => [
      ...Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [
        ...(schema.required?.includes(name) || /Default: |Required with Star/.test(field.description ?? '')
          ? []
          : [`${path}.${name}`]),
        ...optional(field, `${path}.${name}`),
      ]),
      ...(schema.items === undefined ? [] : optional(schema.items, `${path}[]`)),
    ];
    expect([...optional(spec, 'spec'), ...optional(status, 'status')]).toEqual([]);
    const required = [...fieldsOf(spec, 'spec')].filter(([, { description = '' }]) =>
      description.includes('Required.'),
    );
    for (const [path] of required)
      expect(path).toMatch(
        /\.(name|host|port|members|endpoints|caRef|type|kind|outputs|directory|service|consulDomain)$|^spec\.rotation\.approval\.|\.acknowledged\.|^spec\.(imported|provided)\[\]\.(generation|secretRef)$/,
      );
  });

  test('gives an example of every value in the spec', () => {
    const values = [...fieldsOf(spec, 'spec')].filter(
      ([, { properties, items }]) => properties === undefined && items?.properties === undefined,
    );
    const without = values.filter(([, { description = '' }]) => !/Example: \S/.test(description));
    expect(without.map(([path]) => path)).toEqual([]);
  });

  test('sets no defaults: what people leave out stays left out', () => {
    for (const part of [...partsOf(spec), ...partsOf(status)]) expect(part).not.toHaveProperty('default');
  });

  test('gives every rule a message that is a sentence about the field', () => {
    const rules = [...partsOf(spec)].flatMap((part) => [part['x-kubernetes-validations'] ?? []].flat());
    const messages = rules.map((rule) => (isRecord(rule) ? rule['message'] : null));
    expect(messages.length).toBeGreaterThan(3);
    expect(messages.filter((message) => !/^(must|cannot) .{10,}/.test(String(message)))).toEqual([]);
  });

  test('spares the API server what is dear and nobody needs: rules of a status, or of the whole object, and who wrote which item of it', () => {
    const { openAPIV3Schema: root } = customResourceDefinition(kind).spec.versions[0]?.schema ?? {};
    const written = root?.properties?.['status'] ?? {};
    const kept = [...fieldsOf(status, 'status')].flatMap(([path, part]) => (has(part, RULES) ? [path] : []));
    const checked = [...fieldsOf(written, 'status')].flatMap(([path, part]) => (has(part, 'pattern') ? [path] : []));
    expect(checked).toEqual(kept);
    expect(checked.length).toBeGreaterThan(5);
    const lists = [...partsOf(written)].filter(({ type }) => type === 'array');
    expect(new Set(lists.map((part) => part['x-kubernetes-list-type']))).toEqual(new Set(['atomic']));
    expect([...partsOf(written), root ?? {}].filter((part) => has(part, RULES))).toEqual([]);
  });

  test('points its columns and selectors at fields that exist', () => {
    const { columns, selectable } = DEFINITIONS[kind];
    const paths = new Set(everything.map(([path]) => `.${path}`));
    const pointedAt = [...columns.map((column) => column.jsonPath), ...selectable]
      .filter((jsonPath) => jsonPath !== '.metadata.creationTimestamp')
      .map((jsonPath) => jsonPath.replace(/\[\?\(@\.type=="[A-Za-z]+"\)\]/, '[]'));
    expect(pointedAt.filter((path) => !paths.has(path))).toEqual([]);
  });

  test('makes fields immutable that exist', () => {
    for (const field of Object.keys(DEFINITIONS[kind].immutable)) expect(spec.properties).toHaveProperty(field);
  });
});

describe('the converter refuses', () => {
  const field = z.string().max(9).describe('a field of some sort');
  const refused: [string, z.ZodType, string][] = [
    ['a choice of types', z.union([field, z.int()]), 'not structural'],
    ['a nullable field', field.nullable(), 'zod "nullable"'],
    ['a transformation', z.object({ a: field.transform(Number) }), 'zod "pipe"'],
    ['a default', field.default('x'), 'zod "default"'],
    ['a value instead of an error', field.catch('x'), 'zod "catch"'],
    ['a pattern', field.regex(/a/), 'pattern'],
    ['a format that means something else', z.iso.duration().max(9), 'pattern'],
    ['a format that Kubernetes does not know', z.base64().max(9), '"contentEncoding"'],
    ['an unbounded text', z.string(), 'no maxLength'],
    ['an unbounded list', z.array(field).meta({ 'x-kubernetes-list-type': 'set' }), 'no maxItems'],
    ['a list that nobody can merge', z.array(field).max(3), 'no x-kubernetes-list-type'],
    [
      'a set of objects',
      z
        .array(z.object({ a: field }))
        .max(3)
        .meta({ 'x-kubernetes-list-type': 'set' }),
      'is a set of',
    ],
    [
      'a list map by an optional key',
      mapBy('a', z.object({ a: field.optional() }), 0, 3),
      'its key "a" is not a required',
    ],
    [
      'a list map without keys',
      z
        .array(z.object({ a: field }))
        .max(3)
        .meta({ 'x-kubernetes-list-type': 'map' }),
      'keys',
    ],
    ['an unbounded map', z.record(z.string(), field), 'no maxProperties'],
    ['fields of any kind', z.looseObject({}), 'zod "unknown"'],
    ['known and unknown fields', z.object({ a: field }).catchall(field), 'both known and unknown'],
    ['a strict object', z.strictObject({ a: field }), 'refuses unknown ones'],
    ['fractions', z.number(), 'not a whole number'],
    ['null', z.null(), 'zod "null"'],
    ['anything', z.unknown(), 'zod "unknown"'],
    ['a field without a description', z.object({ a: z.string().max(9) }), 'spec.a: has no description'],
    ['examples as a keyword', field.meta({ examples: ['x'] }), '"examples"'],
  ];
  test.each(refused)('%s', (_what, schema, why) => {
    expect(() => structural(schema, 'spec')).toThrow(why);
  });

  test('of a status, a rule that no pattern can say', () => {
    const rule = { cel: 'self > 1', says: 'must be above 1', holds: (value: number) => value > 1 };
    const schema = z.object({ a: withRules(z.int(), rule).describe('a field of some sort') });
    expect(() => structural(schema, 'status', 'operator')).toThrow('status.a: has a rule that is no pattern');
  });

  test('a schema that holds itself', () => {
    const tree: z.ZodType = z.object({
      get below() {
        return tree.describe('the trees below');
      },
    });
    expect(() => structural(tree, 'spec')).toThrow(/cycle/i);
  });
});

describe('the converter keeps', () => {
  test('bounds of numbers, but not those of JavaScript', () => {
    expect(structural(z.int(), 'x')).toEqual({ type: 'integer', format: 'int64' });
    expect(structural(z.int().min(0).max(9), 'x')).toEqual({
      type: 'integer',
      format: 'int64',
      minimum: 0,
      maximum: 9,
    });
  });

  test('rules and their order, with a description added later', () => {
    const rule = (cel: string) => ({ cel, says: `must ${cel}`, holds: () => true });
    const schema = withRules(withRules(text(5), rule('a')), rule('b'))
      .optional()
      .describe('d');
    expect(structural(schema, 'x')).toMatchObject({
      description: 'd',
      maxLength: 5,
      'x-kubernetes-validations': [{ rule: 'a' }, { rule: 'b' }],
    });
  });

  test('the pattern of a rule where only the operator writes', () => {
    const shape = { pattern: /^[a-z]+$/, says: 'must be lower-case letters' };
    expect(structural(text(5, shape), 'x', 'operator')).toEqual({ type: 'string', maxLength: 5, pattern: '^[a-z]+$' });
  });

  test('list types and keys', () => {
    expect(structural(setOf(text(5), 3), 'x')).toMatchObject({ 'x-kubernetes-list-type': 'set', maxItems: 3 });
    expect(structural(atomic(text(5), 1, 3), 'x')).toMatchObject({ 'x-kubernetes-list-type': 'atomic', minItems: 1 });
  });
});

test('only fields.ts makes checks of its own: everywhere else a check has its CEL rule beside it', async () => {
  for (const file of ['replication-ca.ts', 'replication-peer.ts', 'cluster-certificate.ts']) {
    const code = await readFile(join(ROOT, 'src/api', file), 'utf8');
    expect(code).not.toMatch(/\.(refine|superRefine|check|regex|overwrite|trim)\(/);
  }
});
