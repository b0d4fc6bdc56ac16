/** What somebody has who followed a recipe: files that openssl made, in a folder of their own. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../control-plane/run.ts';

export class Recipe {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async follow(script: string): Promise<Recipe> {
    const recipe = new Recipe(await mkdtemp(join(tmpdir(), 'recipe-')));
    await recipe.run(script);
    return recipe;
  }

  async run(script: string): Promise<string> {
    const { code, stdout, stderr } = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: this.#dir });
    if (code !== 0) throw new Error(`exit code ${code} of\n${script}\n${stderr}`);
    return stdout;
  }

  async read(name: string): Promise<string> {
    return readFile(join(this.#dir, name), 'utf8');
  }

  /** A Secret's content: files of the recipe by the keys that they get. */
  async secret(files: Readonly<Record<string, string>>): Promise<Record<string, string>> {
    const entries = Object.entries(files).map(
      async ([key, name]): Promise<[string, string]> => [key, await this.read(name)],
    );
    return Object.fromEntries(await Promise.all(entries));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true });
  }
}

export const SUBJECT = '/CN=Replication-Root-CA';
/** A root as one command makes it, with another curve where RSA would only take its time. */
export const ROOT = `
  openssl ecparam -genkey -name prime256v1 -out ca.key
  openssl req -new -x509 -days 3650 -key ca.key -out ca.crt -subj '${SUBJECT}'`;
