import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Finished, run } from '../control-plane/run.ts';

const SETUP = join(import.meta.dirname, '..', '..', '.ci', 'setup.mjs');

const LOCK = {
  packages: {
    '': { name: 'x' },
    'node_modules/tool': { version: '1.0.0' },
    'node_modules/for-here': { optional: true, os: [process.platform], cpu: [process.arch] },
    'node_modules/for-elsewhere': { optional: true, os: ['plan9'], cpu: [process.arch] },
  },
};

/** An `npm` that installs what is for here, and counts. */
const FAKE_NPM = `#!/bin/sh
echo "$@" >> calls
[ -e fail ] && exit 1
for name in tool for-here; do mkdir -p node_modules/$name && echo '{}' > node_modules/$name/package.json; done
`;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'replicert-setup-'));
  await Promise.all([mkdir(join(root, '.ci')), mkdir(join(root, 'tools'))]);
  await copyFile(SETUP, join(root, '.ci', 'setup.mjs'));
  await writeFile(join(root, 'package-lock.json'), JSON.stringify(LOCK));
  await script('npm', FAKE_NPM);
  await script('node', '#!/bin/sh\necho v24.1.0\n');
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function script(name: string, text: string): Promise<void> {
  await writeFile(join(root, 'tools', name), text);
  await chmod(join(root, 'tools', name), 0o755);
}

const setup = (): Promise<Finished> =>
  run(process.execPath, [join(root, '.ci', 'setup.mjs')], { env: { PATH: `${join(root, 'tools')}:/usr/bin:/bin` } });

async function installs(): Promise<number> {
  return (await readFile(join(root, 'calls'), 'utf8')).split('\n').filter(Boolean).length;
}

test('installs once', async () => {
  expect(await setup()).toMatchObject({ code: 0, stdout: '' });
  expect(await readFile(join(root, 'calls'), 'utf8')).toMatch(/^ci /);
  expect(await setup()).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(await installs()).toBe(1);
});

test.each([
  ['the lock file changed', async () => writeFile(join(root, 'package-lock.json'), `${JSON.stringify(LOCK)}\n`)],
  ['a package is missing', async () => rm(join(root, 'node_modules', 'tool'), { recursive: true })],
  [
    'a package for this platform is missing',
    async () => rm(join(root, 'node_modules', 'for-here'), { recursive: true }),
  ],
  ['all are missing', async () => rm(join(root, 'node_modules'), { recursive: true })],
])('installs again when %s', async (_, change) => {
  await setup();
  await change();
  expect(await setup()).toMatchObject({ code: 0 });
  expect(await installs()).toBe(2);
});

test('does not take a failed installation for one', async () => {
  await writeFile(join(root, 'fail'), '');
  expect(await setup()).toMatchObject({ code: 1, stderr: expect.stringContaining('`npm ci` failed') as unknown });
  await rm(join(root, 'fail'));
  expect(await setup()).toMatchObject({ code: 0 });
  expect(await installs()).toBe(2);
});

test('says which Node it wants', async () => {
  await script('node', '#!/bin/sh\necho v20.20.2\n');
  const { code, stderr } = await setup();
  expect(code).toBe(1);
  expect(stderr).toContain('Node 24 or newer is needed and Node 20 was found');
});
