import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureBinaries, locate } from './binaries.ts';
import { BINARY_NAMES, cacheFolder, kubernetesVersion } from './cache.ts';
import { isRunning } from './processes.ts';
import { run } from './run.ts';

/**
 * A `go` that "builds" shell scripts which know their version, and writes down how it was called. What else it does is
 * told by files beside it: `hang`, `fail-<binary>`, `broken-<binary>`, `version`.
 */
const FAKE_GO = `#!/bin/sh
here=\${0%/*}
[ "$1" = version ] && { echo "go version $(cat "$here/version" 2>/dev/null || echo go1.26.8) linux/amd64"; exit; }
while [ "$1" != -o ]; do shift; done
name=\${2##*/}
echo "$name GOFLAGS=$GOFLAGS GOTOOLCHAIN=$GOTOOLCHAIN" >> "$here/calls"
[ -e "$here/hang" ] && { echo $$ > "$here/hanging"; exec sleep 600; }
[ -e "$here/fail-$name" ] && { echo "cannot compile $name" >&2; exit 1; }
[ -e "$here/broken-$name" ] && { printf 'not a program' > "$2"; chmod +x "$2"; exit; }
printf '#!/bin/sh\\necho "$0 ${kubernetesVersion()}"\\n' > "$2"
chmod +x "$2"
`;

let root: string;
let tools: string;
let env: NodeJS.ProcessEnv;
let lines: string[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'replicert-binaries-'));
  tools = join(root, 'tools');
  await mkdir(tools);
  await script(join(tools, 'go'), FAKE_GO);
  env = { PATH: `${tools}:/usr/bin:/bin`, XDG_CACHE_HOME: join(root, 'cache'), HOME: root, GOFLAGS: '-race' };
  lines = [];
});
afterEach(() => rm(root, { recursive: true, force: true }));

const ensure = (): ReturnType<typeof ensureBinaries> => ensureBinaries({ env, log: (line) => lines.push(line) });
const tell = (file: string, text = ''): Promise<void> => writeFile(join(tools, file), text);
const cached = (file: string): string => join(cacheFolder(env), file);

async function script(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await chmod(path, 0o755);
}

async function calls(): Promise<string[]> {
  const text = await readFile(join(tools, 'calls'), 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean);
}

async function builtSince(before: number): Promise<string[]> {
  return (await calls()).slice(before).map((call) => call.split(' ')[0] ?? '');
}

async function assets(names: readonly string[]): Promise<string> {
  const folder = join(root, 'assets');
  await mkdir(folder);
  for (const name of names) await script(join(folder, name), '#!/bin/sh\necho v1.30.0\n');
  return folder;
}

describe('the look-up', () => {
  test('takes KUBEBUILDER_ASSETS when it has all four', async () => {
    env['KUBEBUILDER_ASSETS'] = await assets(BINARY_NAMES);
    expect((await ensure()).etcd).toBe(join(env['KUBEBUILDER_ASSETS'], 'etcd'));
    expect(await calls()).toEqual([]);
  });

  test('says what setup-envtest leaves out, and goes on to the next way', async () => {
    env['KUBEBUILDER_ASSETS'] = await assets(['etcd', 'kube-apiserver', 'kubectl']);
    expect((await ensure())['kube-apiserver']).toBe(cached('kube-apiserver'));
    expect(lines[0]).toContain('no kube-controller-manager');
    expect(lines[0]).toContain('setup-envtest');
  });

  test('does not take an asset that does not run', async () => {
    env['KUBEBUILDER_ASSETS'] = await assets(BINARY_NAMES);
    await script(join(env['KUBEBUILDER_ASSETS'], 'kubectl'), '#!/bin/sh\necho "wrong machine" >&2; exit 126\n');
    const located = await locate(env);
    expect(located).toMatchObject({
      from: 'nowhere',
      why: [expect.stringContaining('wrong machine'), expect.anything()],
    });
  });

  test('builds all four once, saying so, and then finds them in the cache', async () => {
    await ensure();
    expect(await builtSince(0)).toEqual(BINARY_NAMES);
    expect(lines.join('\n')).toMatch(/building kube-apiserver \(2 of 4\): done in \d+ s/);
    expect((await locate(env)).from).toBe('cache');
    expect((await ensure()).kubectl).toBe(cached('kubectl'));
    expect(await calls()).toHaveLength(BINARY_NAMES.length);
  });

  test('builds with the installed toolchain, without the flags of the user', async () => {
    await ensure();
    expect(new Set((await calls()).map((call) => call.replace(/^\S+ /, '')))).toEqual(
      new Set(['GOFLAGS=-mod=readonly GOTOOLCHAIN=local']),
    );
  });

  test.each([
    ['no `go` on the PATH', async () => rm(join(tools, 'go'))],
    ['Go 1.25 is on the PATH, 1.26 or newer is needed', async () => tell('version', 'go1.25.9')],
  ])('names the three ways when there is %s', async (why, arrange) => {
    await arrange();
    env['PATH'] = `${tools}:${await withoutGo()}`;
    const error = await ensure().then(
      () => 'none',
      (reason: unknown) => String(reason),
    );
    expect(error).toContain(why);
    for (const way of ['KUBEBUILDER_ASSETS', cacheFolder(env), 'install Go 1.26']) expect(error).toContain(way);
  });

  test.each(['go1.26.0', 'go1.30.1', 'go2.0.0', 'devel go1.27-abcdef'])('builds with %s', async (version) => {
    await tell('version', version);
    await ensure();
    expect(await calls()).toHaveLength(BINARY_NAMES.length);
  });
});

describe('the cache', () => {
  beforeEach(async () => {
    await ensure();
  });

  test.each([
    ['truncated', async (file: string) => writeFile(file, '#!/bin/sh\n')],
    ['altered at the same length', async (file: string) => flipLastByte(file)],
    ['gone', async (file: string) => rm(file)],
    ['without its seal', async (file: string) => rm(`${file}.json`)],
    ['with half a seal', async (file: string) => writeFile(`${file}.json`, '{"size":')],
    ['no longer executable', async (file: string) => chmod(file, 0o644)],
  ])('builds a binary again that is %s, and only that one', async (_, spoil) => {
    await spoil(cached('kube-apiserver'));
    await ensure();
    expect(await builtSince(BINARY_NAMES.length)).toEqual(['kube-apiserver']);
    expect((await run(cached('kube-apiserver'), ['--version'])).stdout).toContain(kubernetesVersion());
  });

  test('believes a copied cache, whose times are new', async () => {
    await utimes(cached('etcd'), new Date(), new Date());
    await ensure();
    expect(await builtSince(BINARY_NAMES.length)).toEqual([]);
  });

  async function flipLastByte(file: string): Promise<void> {
    const content = await readFile(file);
    content.writeUInt8(content.readUInt8(content.length - 1) ^ 1, content.length - 1);
    // A moment that no clock reads now: the change must show by content and time, as on a disk.
    await writeFile(file, content);
    await utimes(file, new Date(0), new Date(0));
  }
});

describe('a build', () => {
  test('that fails says why with the words of Go, keeps what it finished, and leaves no rubbish', async () => {
    await tell('fail-kube-controller-manager');
    await expect(ensure()).rejects.toThrow('cannot compile kube-controller-manager');
    expect(await rubbish()).toEqual([]);
    await rm(join(tools, 'fail-kube-controller-manager'));
    const before = (await calls()).length;
    await ensure();
    expect(await builtSince(before)).toEqual(['kube-controller-manager', 'kubectl']);
  });

  test('whose result does not run is not put into the cache', async () => {
    await tell('broken-etcd');
    await expect(ensure()).rejects.toThrow(/etcd that was just built does not run/);
    await expect(stat(cached('etcd'))).rejects.toThrow('ENOENT');
  });

  test('runs once when two processes want it at the same time', async () => {
    const main = join(import.meta.dirname, 'main.ts');
    const both = await Promise.all([1, 2].map(() => run(process.execPath, [main, 'build'], { env })));
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(both[0]?.stdout).toBe(both[1]?.stdout);
    expect(await calls()).toHaveLength(BINARY_NAMES.length);
  });

  test('ends with its SIGKILLed starter, and the next one takes over', async () => {
    await tell('hang');
    const starter = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), 'build'], { env, stdio: 'ignore' });
    const hanging = async (): Promise<number> => Number(await readFile(join(tools, 'hanging'), 'utf8').catch(() => 0));
    await expect.poll(hanging, { timeout: 10_000 }).toBeGreaterThan(0);
    const compiler = await hanging();
    expect(await isRunning(compiler)).toBe(true);

    starter.kill('SIGKILL');
    await expect.poll(() => isRunning(compiler), { timeout: 10_000 }).toBe(false);
    expect(await rubbish()).toHaveLength(1);

    await rm(join(tools, 'hang'));
    await ensure();
    expect((await locate(env)).from).toBe('cache');
    expect(await rubbish()).toEqual([]);
  });

  async function rubbish(): Promise<string[]> {
    const expected = new Set(['lock', ...BINARY_NAMES, ...BINARY_NAMES.map((name) => `${name}.json`)]);
    return (await readdir(cacheFolder(env))).filter((entry) => !expected.has(entry));
  }
});

/** A folder with what the fake `go` needs of the system and surely no Go. */
async function withoutGo(): Promise<string> {
  const folder = join(root, 'system');
  await mkdir(folder);
  await script(join(folder, 'cat'), '#!/bin/sh\nexec /bin/cat "$@"\n');
  return folder;
}
