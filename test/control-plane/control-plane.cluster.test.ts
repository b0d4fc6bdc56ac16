import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { lackingControlPlane } from '../support/cluster.ts';
import { apiServerArguments, etcdArguments } from './components.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { isRunning } from './processes.ts';
import { type Finished, run } from './run.ts';

const foreign = lackingControlPlane();
const root = await mkdtemp(join(tmpdir(), 'replicert-launcher-'));
afterAll(() => rm(root, { recursive: true, force: true }));

const kubectl = (plane: ControlPlane, ...args: string[]): Promise<Finished> =>
  run(plane.binaries.kubectl, ['--kubeconfig', plane.kubeconfig, ...args], { env: { HOME: plane.dir } });

const existsDir = (dir: string): Promise<boolean> =>
  readdir(dir).then(
    () => true,
    () => false,
  );

async function running(processes: ControlPlane['processes']): Promise<string[]> {
  const pairs = await Promise.all(
    Object.entries(processes).map(async ([name, pid]) => ((await isRunning(pid)) ? name : null)),
  );
  return pairs.filter((name) => name !== null);
}

describe.skipIf(foreign !== null)(`a control plane ${foreign ?? ''}`, () => {
  let plane: ControlPlane;
  const lines: string[] = [];
  beforeAll(async () => {
    plane = await startControlPlane({ log: (line) => lines.push(line) });
  });
  afterAll(() => plane.stop());

  test('is the version that go.mod names, with authorisation by RBAC', async () => {
    expect((await kubectl(plane, 'version')).stdout).toMatch(/Server Version: v1\./);
    const anonymous = await kubectl(plane, 'auth', 'can-i', 'list', 'secrets', '--as', 'nobody');
    expect(anonymous.stdout.trim()).toBe('no');
  });

  test('collects what lost its owner, and empties deleted namespaces', async () => {
    await kubectl(plane, 'create', 'namespace', 'gc');
    await kubectl(plane, 'create', 'configmap', 'owner', '-n', 'gc');
    const { stdout: uid } = await kubectl(
      plane,
      'get',
      'configmap',
      'owner',
      '-n',
      'gc',
      '-o',
      'jsonpath={.metadata.uid}',
    );
    const owner = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }];
    await kubectl(plane, 'create', 'configmap', 'owned', '-n', 'gc');
    const patch = JSON.stringify({ metadata: { ownerReferences: owner } });
    await kubectl(plane, 'patch', 'configmap', 'owned', '-n', 'gc', '--type=merge', '-p', patch);
    const owned = async (): Promise<string> =>
      (await kubectl(plane, 'get', 'configmap', '-n', 'gc', '-o', 'name')).stdout;
    expect(await owned()).toContain('configmap/owned');
    await kubectl(plane, 'delete', 'configmap', 'owner', '-n', 'gc');
    await expect.poll(owned, { timeout: 30_000 }).not.toContain('configmap/owned');
    expect(await kubectl(plane, 'delete', 'namespace', 'gc', '--timeout=40s')).toMatchObject({ code: 0 });
  });

  test('says so when a component dies, and stops without leaving anything', async () => {
    process.kill(plane.processes['kube-controller-manager'], 'SIGKILL');
    await expect.poll(() => lines.join('\n'), { timeout: 10_000 }).toContain('kube-controller-manager ended (SIGKILL)');
    expect(await running(plane.processes)).toEqual(['keeper', 'etcd', 'kube-apiserver']);
    await plane.stop();
    expect(await running(plane.processes)).toEqual([]);
    expect(await existsDir(plane.dir)).toBe(false);
  });
});

describe.skipIf(foreign !== null)(`the end of whoever started it ${foreign ?? ''}`, () => {
  /** A runner of its own that starts a control plane, says where it is, and then idles. */
  const PROGRAM = `
    const { startControlPlane } = await import(${JSON.stringify(pathToFileURL(join(import.meta.dirname, 'control-plane.ts')).href)});
    const { processes, dir } = await startControlPlane();
    console.log(JSON.stringify({ processes, dir }));
    setInterval(() => undefined, 1000);
  `;

  test.each(['SIGKILL', 'SIGTERM'] as const)('by %s leaves no process and no folder', async (signal) => {
    const runner = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise<string>((resolve, reject) => {
      runner.stdout.setEncoding('utf8').once('data', resolve);
      runner.once('exit', () => reject(new Error('the runner ended early')));
    });
    const { processes, dir } = JSON.parse(line) as Pick<ControlPlane, 'processes' | 'dir'>;
    expect(await running(processes)).toEqual(['keeper', 'etcd', 'kube-apiserver', 'kube-controller-manager']);
    runner.kill(signal);
    await expect.poll(() => running(processes), { timeout: 10_000 }).toEqual([]);
    await expect.poll(() => existsDir(dir), { timeout: 10_000 }).toBe(false);
  });

  test('is not needed: a killed keeper does not leave its components either', async () => {
    const plane = await startControlPlane();
    process.kill(plane.processes.keeper, 'SIGKILL');
    await expect.poll(() => running(plane.processes), { timeout: 10_000 }).toEqual([]);
    await plane.stop();
    expect(await existsDir(plane.dir)).toBe(false);
  });
});

describe.skipIf(foreign !== null)(`a start ${foreign ?? ''}`, () => {
  test('takes other ports when somebody was faster', async () => {
    const assets = await assetsWithEtcd(`
      if [ ! -e ${root}/refused ]; then touch ${root}/refused; echo 'listen tcp: bind: address already in use'; exit 1; fi
    `);
    const plane = await startControlPlane({ env: { ...process.env, KUBEBUILDER_ASSETS: assets } });
    expect(await kubectl(plane, 'get', '--raw', '/readyz')).toMatchObject({ code: 0, stdout: 'ok' });
    await plane.stop();
  });

  test('that fails ends with the words of the component, and leaves nothing', async () => {
    const assets = await assetsWithEtcd(`
      echo "$@" > ${root}/arguments; echo 'the disk is on fire'; exit 1
    `);
    const start = startControlPlane({ env: { ...process.env, KUBEBUILDER_ASSETS: assets } });
    await expect(start).rejects.toThrow(/etcd ended before the API server was ready:\nthe disk is on fire/);
  });

  test('fails on CRDs that the API server refuses', async () => {
    const crds = await mkdtemp(join(root, 'crds-'));
    const metadata = { name: 'things.example.org' };
    await writeFile(
      join(crds, 'thing.yaml'),
      JSON.stringify({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata, spec: {} }),
    );
    await expect(startControlPlane({ crds })).rejects.toThrow(/the CRDs in .* were refused:[^]*spec\.group/);
  });

  /** All four binaries, with something that happens before etcd starts (but not when it is asked for its version). */
  async function assetsWithEtcd(before: string): Promise<string> {
    const folder = await mkdtemp(join(root, 'assets-'));
    const real = dirname(inject('cluster').kubectl);
    for (const name of ['kube-apiserver', 'kube-controller-manager', 'kubectl']) {
      await symlink(join(real, name), join(folder, name));
    }
    const guard = '[ "$1" = --version ] ||';
    await writeFile(join(folder, 'etcd'), `#!/bin/sh\n${guard} {\n${before}\n}\nexec ${join(real, 'etcd')} "$@"\n`);
    await chmod(join(folder, 'etcd'), 0o755);
    await mkdir(join(folder, 'logs'), { recursive: true });
    return folder;
  }
});

describe('the arguments', () => {
  const ports = { etcd: 1, etcdPeer: 2, api: 3 };

  test('let etcd skip the disk only when nobody asks for durability', () => {
    expect(etcdArguments('/x', ports, false)).toContain('--unsafe-no-fsync');
    expect(etcdArguments('/x', ports, true)).not.toContain('--unsafe-no-fsync');
  });

  test('listen on loopback alone', () => {
    const args = [...etcdArguments('/x', ports, false), ...apiServerArguments('/x', ports)];
    const listening = args.filter((arg) => /^--(listen-|bind-|advertise-)/.test(arg));
    expect(listening).toHaveLength(5);
    for (const arg of listening) expect(arg).toContain('127.0.0.1');
  });
});
