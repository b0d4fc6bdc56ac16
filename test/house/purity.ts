/** Finds what makes code depend on more than its arguments. */
import { asNode, type Node, walk } from './syntax.ts';

/** Globals that bring in a clock, randomness, I/O or the process. Of Date and Math some uses are pure: see below. */
const IMPURE: ReadonlySet<string> = new Set(
  [
    'process performance crypto globalThis global Temporal require eval Function Date Math',
    'setTimeout setInterval setImmediate queueMicrotask AbortSignal',
    'fetch WebSocket EventSource BroadcastChannel console navigator localStorage',
  ].flatMap((line) => line.split(' ')),
);

/** Each use of a clock, randomness, I/O or asynchrony in a module, in words for people. */
export function impurities(program: Node): string[] {
  const found: string[] = [];
  const only = (...values: readonly unknown[]): false => {
    for (const value of values.flat()) {
      const child = asNode(value);
      if (child !== null) walk(child, visit);
    }
    return false;
  };
  /** Says whether to look at all the parts of the node too; `only` looks at some. */
  const visit = (node: Node): boolean => {
    if (node.type === 'AwaitExpression' || node['async'] === true) found.push('async code');
    switch (node.type) {
      case 'Identifier':
        if (IMPURE.has(String(node['name']))) found.push(String(node['name']));
        return false;
      case 'ImportExpression':
        found.push('import()');
        return true;
      case 'MetaProperty':
        found.push('import.meta');
        return false;
      case 'NewExpression':
        // new Date(instant) is arithmetic, new Date() is the clock.
        return isNamed(node['callee'], 'Date') && isFilled(node['arguments']) ? only(node['arguments']) : true;
      case 'MemberExpression': {
        if (node['computed'] === true) return true;
        const property = String(asNode(node['property'])?.['name']);
        if (isNamed(node['object'], 'Date') && (property === 'parse' || property === 'UTC')) return false;
        if (isNamed(node['object'], 'Math') && property !== 'random') return false;
        return only(node['object']);
      }
      case 'Property':
      case 'PropertyDefinition':
      case 'MethodDefinition':
        // A property of that name is no use of the global.
        return only(...(node['computed'] === true ? [node['key']] : []), node['value']);
      case 'ImportDeclaration':
        return false;
      default:
        // Types are gone at run time, but `as`, `satisfies` and `!` carry an expression along.
        return node.type.startsWith('TS') ? only(node['expression']) : true;
    }
  };
  walk(program, visit);
  return found;
}

function isNamed(value: unknown, name: string): boolean {
  const node = asNode(value);
  return node?.type === 'Identifier' && node['name'] === name;
}

function isFilled(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}
