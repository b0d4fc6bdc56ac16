/** Reading TypeScript as a syntax tree, just enough for the rules of this folder. */
import { parseAst } from 'rolldown/parseAst';

/** A node of the ESTree syntax tree, seen generically. */
export interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}

export function parse(code: string, file: string): Node {
  return asNode(parseAst(code, { lang: 'ts' }, file)) ?? { type: 'Program' };
}

export function asNode(value: unknown): Node | null {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
    ? { ...value, type: value.type }
    : null;
}

/** Calls `visit` for a node and all below it; where it returns false, not below. */
export function walk(node: Node, visit: (node: Node) => boolean): void {
  if (!visit(node)) return;
  for (const value of Object.values(node)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      const child = asNode(item);
      if (child !== null) walk(child, visit);
    }
  }
}

export interface Import {
  readonly specifier: string;
  /** Nothing of it is there at run time. */
  readonly typeOnly: boolean;
}

/** Everything a module imports or re-exports, dynamically and in types too. */
export function importsOf(program: Node): Import[] {
  const found: Import[] = [];
  walk(program, (node) => {
    const kind = node['importKind'] ?? node['exportKind'];
    switch (node.type) {
      case 'ImportDeclaration':
      case 'ExportNamedDeclaration':
      case 'ExportAllDeclaration':
      case 'ImportExpression':
      case 'TSImportType': {
        const source = asNode(node['source']);
        if (source === null) break;
        const specifier = typeof source['value'] === 'string' ? source['value'] : '(computed)';
        const typeOnly = kind === 'type' || node.type === 'TSImportType' || allTypes(node['specifiers']);
        found.push({ specifier, typeOnly });
        break;
      }
    }
    return true;
  });
  return found;
}

function allTypes(specifiers: unknown): boolean {
  if (!Array.isArray(specifiers) || specifiers.length === 0) return false;
  return specifiers.every((item) => {
    const node = asNode(item);
    return node !== null && (node['importKind'] === 'type' || node['exportKind'] === 'type');
  });
}
