/** What the page of a target system says to run beside it, run as it stands there, but for the places of files. */
import { spawn } from 'node:child_process';
import { chmod, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { syncSecretToDir } from '../mesh/files.ts';
import type { TwoGenerations } from '../probe/protocols/mesh.ts';
import type { Material } from '../probe/servers.ts';
import type { Server } from './server.ts';

const PAGES = path.join(import.meta.dirname, '..', '..', 'docs', 'targets');

/**
 * Runs the loop of a page beside a server, whose files are from now on those of a mounted Secret, and expects it to load each of the
 * versions that a rotation brings.
 * @param places what is meant here by what stands in the loop
 */
export async function expectPageLoads(
  mesh: TwoGenerations,
  server: Server,
  page: string,
  places: Readonly<Record<string, string>>,
): Promise<void> {
  const volume = path.join(server.instance.dir, 'tls');
  const [start, ...stages] = mesh.stages;
  await rm(volume, { recursive: true });
  await mount(volume, start);
  await using _ = await runLoop(page, { '/tls/': `${volume}/`, ...places });
  for (const stage of stages) {
    await mount(volume, stage);
    const isLoaded = () => mesh.holds({ port: server.port, protocol: 'TLS' }, stage);
    await expect.poll(isLoaded, { timeout: 30_000, interval: 500 }).toBe(true);
  }
}

/** The one script of the page that the tests of documents do not run. @returns ends it */
async function runLoop(page: string, places: Readonly<Record<string, string>>): Promise<AsyncDisposable> {
  const text = await readFile(path.join(PAGES, `${page}.md`), 'utf8');
  const [script = '', ...others] = [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = '']) => block);
  const unknown = Object.keys(places).filter((place) => !script.includes(place));
  if (others.length > 0 || unknown.length > 0) throw new Error(`${page}.md: one script, in which is ${unknown.join()}`);
  const here = Object.entries(places).reduce((all, [place, other]) => all.replaceAll(place, other), script);
  const child = spawn('sh', ['-c', here], { detached: true, stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    async [Symbol.asyncDispose]() {
      // With what it waits for.
      if (child.pid !== undefined) process.kill(-child.pid);
      await ended;
    },
  };
}

/** Lets a folder be like the volume of a member's Secret, for a server of another user. */
async function mount(dir: string, { identity, bundle }: Material): Promise<void> {
  const files = { 'ca.crt': bundle, 'tls.crt': identity.certificate, 'tls.key': identity.key };
  const bytes = Object.entries(files).map(([key, text]) => [key, Buffer.from(text)] as const);
  await syncSecretToDir(Object.fromEntries(bytes), dir);
  const data = path.join(dir, '..data');
  for (const name of await readdir(data)) await chmod(path.join(data, name), 0o644);
}
