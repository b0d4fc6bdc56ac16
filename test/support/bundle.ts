import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, tail } from '../control-plane/run.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** The operator as its sources. */
export const sourceEntry = join(ROOT, 'src', 'main.ts');

/** What Node is started with for the operator: `npm start` says it. */
export async function nodeFlags(): Promise<readonly string[]> {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } };
  const [node, ...words] = scripts.start.split(' ');
  const program = words.pop();
  if (node !== 'node' || program !== 'dist/operator.mjs')
    throw new Error(`npm start does something else: ${scripts.start}`);
  return words;
}

/** Bundles the operator as it is shipped; returns the program. */
export async function bundle(): Promise<string> {
  const { code, stdout, stderr } = await run('npm', ['run', '--silent', 'bundle'], { cwd: ROOT, env: process.env });
  if (code !== 0) throw new Error(`npm run bundle failed:\n${tail(stdout + stderr)}`);
  return join(ROOT, 'dist', 'operator.mjs');
}
