/** docs/reference.md: every field, condition, reason and event, from the schemas and the vocabulary. */
import { type Structural, structural } from '../api/crd.ts';
import { ANNOTATIONS, GROUP, type Kind, KINDS, LABELS, VERSION } from '../api/names.ts';
import { DEFINITIONS } from '../api/objects.ts';
import { CONDITION_REASONS, CONDITIONS, EVENT_REASONS } from '../api/vocabulary.ts';

interface Field {
  readonly path: string;
  readonly schema: Structural;
  readonly required: boolean;
}

/** The whole page. */
export function referenceText(): string {
  return [
    '# Reference',
    '<!-- Written by `node src/cli/crds.ts` from src/api. Change that instead. -->',
    `API \`${GROUP}/${VERSION}\`. All kinds are namespaced; \`kubectl get replicert\` lists them all, and \`kubectl explain\` says ` +
      'the same as this page. Durations are those of Go: `30s`, `10m`, `8760h`. `kubectl` refuses fields that are not ' +
      'described here; the API server by itself drops them. Required fields have an asterisk.',
    ...KINDS.flatMap(kindSection),
    '## Conditions',
    words(CONDITIONS),
    '## Reasons of conditions',
    'What members are waited for has reasons of its own: [rotate-a-ca.md](rotate-a-ca.md#at-3-am-it-does-not-move).',
    words(CONDITION_REASONS),
    '## Events',
    words(EVENT_REASONS),
    '## Labels and annotations',
    'On Secrets and ConfigMaps that Replicert writes.',
    list(Object.values({ ...LABELS, ...ANNOTATIONS }).map((name) => `\`${name}\``)),
    '',
  ].join('\n\n');
}

function kindSection(kind: Kind): string[] {
  const { resource, shortName, description, spec, status, columns } = DEFINITIONS[kind];
  return [
    `## ${kind}`,
    `\`${resource.plural}\`, short \`${shortName}\`. ${description}`,
    '### spec',
    fieldTable(fieldsOf(structural(spec, 'spec'), 'spec')),
    '### status',
    fieldTable(fieldsOf(structural(status, 'status'), 'status')),
    '### Columns of `kubectl get`',
    table(
      ['column', 'what it shows'],
      columns.map((column) => [column.name.toUpperCase(), column.description]),
    ),
  ];
}

/** All fields below a schema, depth first, in the order of the schema. */
function fieldsOf(schema: Structural, path: string): Field[] {
  const required = schema.required ?? [];
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const own = { path: `${path}.${name}`, schema: property, required: required.includes(name) };
    const items = property.items;
    return [own, ...fieldsOf(property, own.path), ...(items === undefined ? [] : fieldsOf(items, `${own.path}[]`))];
  });
}

function fieldTable(fields: readonly Field[]): string {
  return table(
    ['field', 'type', 'what it is'],
    fields.map(({ path, schema, required }) => [
      `\`${path}\`${required ? ' \\*' : ''}`,
      typeOf(schema),
      schema.description ?? '',
    ]),
  );
}

function typeOf({ type, items, additionalProperties, ...schema }: Structural): string {
  if (type === 'array') return `list of ${items === undefined ? 'anything' : typeOf(items)}`;
  if (additionalProperties !== undefined) return `map of ${typeOf(additionalProperties)}`;
  if (schema['x-kubernetes-int-or-string'] === true) return 'integer or string';
  return type ?? '';
}

const words = (vocabulary: Readonly<Record<string, string>>): string =>
  table(
    ['word', 'meaning'],
    Object.entries(vocabulary).map(([word, meaning]) => [`\`${word}\``, meaning]),
  );

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

const list = (lines: readonly string[]): string => lines.map((line) => `- ${line}`).join('\n');

/** As text in a cell. */
const escaped = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
