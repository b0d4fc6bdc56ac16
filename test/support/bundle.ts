import { join } from 'node:path';
import { run, tail } from '../control-plane/run.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** The operator as its sources. */
export const sourceEntry = join(ROOT, 'src', 'main.ts');

/** Bundles the operator as it is shipped; returns the program. */
export async function bundle(): Promise<string> {
  const { code, stdout, stderr } = await run('npm', ['run', '--silent', 'bundle'], { cwd: ROOT, env: process.env });
  if (code !== 0) throw new Error(`npm run bundle failed:\n${tail(stdout + stderr)}`);
  return join(ROOT, 'dist', 'operator.mjs');
}
