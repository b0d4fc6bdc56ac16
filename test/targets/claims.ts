/** Which test proves what of which target system: said by the test, read from its source, kept in docs/targets/README.md. */
import { globSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { ProfileName } from '../../src/profiles/index.ts';
import { asNode, type Node, parse, walk } from '../house/syntax.ts';

/** What there is to prove of a target system, with the heads of the table's columns. */
export const ASPECTS = {
  material: 'material',
  reload: 'reload',
  probe: 'probe',
  rotation: 'rotation with live data',
  rollback: 'rollback',
  lockstep: 'lockstep',
} as const;
export type Aspect = keyof typeof ASPECTS;

export interface Claim {
  readonly system: string;
  readonly aspect: string;
  /** Path of the test file in the repository, with slashes. */
  readonly file: string;
  /** Name of the test, without those of its suites. */
  readonly test: string;
}

declare module 'vitest' {
  interface TaskMeta {
    proves?: { readonly system: ProfileName; readonly aspects: readonly Aspect[] };
  }
}

/** Among the options of a test: it proves this of a target system. Both arguments and the test's name are literals, for `claimsIn` reads them. */
export function proves(system: ProfileName, ...aspects: readonly [Aspect, ...Aspect[]]) {
  return { meta: { proves: { system, aspects } } };
}

/** All that the tests below `root` claim to prove. */
export function claimsBelow(root: string): readonly Claim[] {
  const files = globSync('test/**/*.test.ts', { cwd: root }).map((file) => file.split(sep).join('/'));
  return files.toSorted().flatMap((file) => claimsIn(readFileSync(join(root, file), 'utf8'), file));
}

/** What the tests in the source of one file claim. @throws on a claim that is not made of literals */
export function claimsIn(code: string, file: string): readonly Claim[] {
  if (!code.includes('proves(')) return [];
  const found: Claim[] = [];
  walk(parse(code, file), (node) => {
    if (node.type !== 'CallExpression') return true;
    const [name, options] = argumentsOf(node);
    const spread = nodesOf(options?.['properties']).map((property) => asNode(property['argument']));
    for (const call of [options, ...spread]) {
      if (call?.type !== 'CallExpression' || asNode(call['callee'])?.['name'] !== 'proves') continue;
      const [system = '', ...aspects] = argumentsOf(call).map((argument) => literal(argument, file));
      found.push(...aspects.map((aspect) => ({ system, aspect, file, test: literal(name, file) })));
    }
    return true;
  });
  return found;
}

const argumentsOf = (call: Node): readonly Node[] => nodesOf(call['arguments']);

const nodesOf = (list: unknown): readonly Node[] =>
  Array.isArray(list) ? list.flatMap((item) => asNode(item) ?? []) : [];

function literal(node: Node | undefined, file: string): string {
  const value = node?.type === 'Literal' ? node['value'] : null;
  // Not of test.each: what it writes there is known when it runs.
  if (typeof value === 'string' && !/[%$]/.test(value)) return value;
  throw new Error(`${file}: a test that proves something has literals for its name and for what it proves`);
}
