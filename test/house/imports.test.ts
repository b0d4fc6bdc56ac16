import { globSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, expect, test } from 'vitest';
import { impurities } from './purity.ts';
import { forbiddenImports } from './rooms.ts';
import { parse } from './syntax.ts';

const SRC = join(import.meta.dirname, '..', '..', 'src');
const files = globSync('**/*.ts', { cwd: SRC }).map((file) => file.split(sep).join('/'));
const programs = new Map(files.map((file) => [file, parse(readFileSync(join(SRC, file), 'utf8'), file)]));

describe('the source', () => {
  test('imports only along the arrows of the architecture', () => {
    expect(programs.size).toBeGreaterThan(0);
    expect([...programs].flatMap(([file, program]) => forbiddenImports(file, program))).toEqual([]);
  });

  test('decides a rotation without clock, randomness or I/O', () => {
    const planners = [...programs].filter(([file]) => file.startsWith('rotation/'));
    expect(planners.length).toBeGreaterThan(0);
    expect(planners.flatMap(([file, program]) => impurities(program).map((what) => `${file}: ${what}`))).toEqual([]);
  });
});

describe('forbiddenImports', () => {
  const check = (file: string, code: string): string[] => forbiddenImports(file, parse(code, file));

  test.each([
    ['rotation/plan.ts', `import { Client } from '../runtime/client.ts';`],
    ['rotation/plan.ts', `import type { Certificate } from '../pki/certificate.ts';`],
    ['rotation/plan.ts', `import { randomBytes } from 'node:crypto';`],
    ['rotation/plan.ts', `export { Client } from '../runtime/client.ts';`],
    ['rotation/plan.ts', `export * from '../runtime/client.ts';`],
    ['rotation/plan.ts', `type C = import('../runtime/client.ts').Client;`],
    ['rotation/deep/plan.ts', `import '../../runtime/client.ts';`],
    ['rotation/plan.ts', `import '../api/../runtime/client.ts';`],
    ['pki/keys.ts', `const probe = await import('../probe/probe.ts');`],
    ['pki/keys.ts', `const name = 'x'; await import(name);`],
    ['pki/keys.ts', `import * as tls from 'node:tls';`],
    ['api/x.ts', `import { stringify } from 'yaml';`],
    ['api/x.ts', `import zod from 'zodiac';`],
    ['runtime/x.ts', `import type { Mesh } from '../api/mesh.ts';`],
    ['controllers/mesh/x.ts', `import { main } from '../../cli/main.ts';`],
    ['cli/x.ts', `import { reconcile } from '../controllers/mesh/x.ts';`],
    ['profiles/x.ts', `import { generatePrivateKey } from '../pki/keys.ts';`],
    ['profiles/x.ts', `import { type KeySpec, keyMatches } from '../pki/keys.ts';`],
    ['main.ts', `import { plan } from './rotation/plan.ts';`],
    ['main.ts', `import { helper } from '../test/support/cluster.ts';`],
    ['runtime/x.ts', `import { options } from '../options.ts';`],
    ['cellar/x.ts', `export const x = 1;`],
  ])('in %s it refuses %s', (file, code) => {
    expect(check(file, code)).toHaveLength(1);
  });

  test.each([
    ['rotation/plan.ts', `import type { Ledger } from '../api/ledger.ts'; import { step } from './step.ts';`],
    [
      'rotation/plan.ts',
      `// import { Client } from '../runtime/client.ts';\nexport const text = "from '../runtime/x.ts'";`,
    ],
    ['profiles/vast.ts', `import type { KeySpec } from '../pki/keys.ts'; import { type Port } from '../api/port.ts';`],
    ['runtime/client.ts', `import { KubeConfig } from '@kubernetes/client-node/dist/config.js'; import 'node:net';`],
    ['controllers/mesh/x.ts', `import { plan } from '../../rotation/plan.ts'; import { y } from '../shared/y.ts';`],
    ['main.ts', `import { start } from './controllers/start.ts'; import { options } from './options.ts';`],
  ])('in %s it lets %s pass', (file, code) => {
    expect(check(file, code)).toEqual([]);
  });
});

describe('impurities', () => {
  test.each([
    `export const now = () => Date.now();`,
    `const { now } = Date;`,
    `const when = new Date();`,
    `const when = Date();`,
    `const clock = Date;`,
    `const dates = [1].map(Date.now);`,
    `const t = performance.now();`,
    `const x = Math.random();`,
    `const x = Math['random']();`,
    `const { random } = Math;`,
    `const id = crypto.randomUUID();`,
    `const home = process.env['HOME'];`,
    `const home = globalThis.process;`,
    `setTimeout(() => undefined, 5);`,
    `const later = setTimeout as (f: () => void) => void;`,
    `const object = { process };`,
    `console.log('x');`,
    `export async function f(): Promise<void> {}`,
    `const plan = async () => 1;`,
    `const here = import.meta.dirname;`,
    `const m = import('./x.ts');`,
    `const x = { [process.pid]: 1 };`,
  ])('it finds %s', (code) => {
    expect(impurities(parse(code, 'x.ts'))).not.toEqual([]);
  });

  test.each([
    `const when = new Date(instant).toISOString();`,
    `const instant = Date.parse(text) + Date.UTC(2026, 1);`,
    `const most = Math.max(1, Math.floor(x));`,
    `const step = plan.process; const stage = { process: 1 }; class A { performance = 1; fetch(): void {} }`,
    `interface Facts { readonly process: string; readonly now: Date }\nconst f = (d: Date): Date => d;`,
    `// Date.now()\nconst text = 'Math.random()';`,
  ])('it lets %s pass', (code) => {
    expect(impurities(parse(code, 'x.ts'))).toEqual([]);
  });
});
