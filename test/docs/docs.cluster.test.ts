/** Every command of the documentation that is marked, run as it stands there, in the order in which it stands there. */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PROFILES } from '../../src/api/fields.ts';
import { kubeconfig as kubeconfigOf } from '../control-plane/components.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { kubectlEnvironment } from '../control-plane/kubectl.ts';
import { run } from '../control-plane/run.ts';
import { lackingControlPlane } from '../support/cluster.ts';
import { Company } from '../demo/company.ts';
import { onFreePorts } from '../demo/manifest.ts';
import { Mesh } from '../demo/mesh.ts';
import { closedPort } from '../probe/servers.ts';
import { type Block, blocksOf } from './blocks.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** Of a cluster that KUBECONFIG names, the namespace `storage` is not ours to rotate. */
const foreign = lackingControlPlane();

let reader: Reader | null = null;
afterEach(() => reader?.leave());

/** Somebody in front of a terminal, in a checkout, with a cluster and kubectl. */
class Reader {
  readonly #plane: ControlPlane;
  readonly #dir: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #company: Company;
  readonly #deaths: Error[] = [];

  private constructor(plane: ControlPlane, dir: string) {
    this.#plane = plane;
    this.#dir = dir;
    this.#company = new Company(dir, (death) => this.#deaths.push(death));
    const path = [dirname(plane.binaries.kubectl), dirname(process.execPath), process.env['PATH']].join(delimiter);
    this.#env = { ...kubectlEnvironment(plane.dir), KUBECONFIG: plane.kubeconfig, PATH: path };
  }

  static async arrive(): Promise<Reader> {
    const plane = await startControlPlane({ log: () => undefined });
    const dir = join(plane.dir, 'reader');
    await mkdir(dir);
    for (const folder of ['crds', 'deploy', 'examples', 'src', 'test'])
      await symlink(join(ROOT, folder), join(dir, folder));
    return new Reader(plane, dir);
  }

  /** Installs everything, and starts the operator. */
  async install(): Promise<void> {
    await this.shell(
      'kubectl apply --server-side -f crds/ -f deploy/operator.yaml && kubectl create namespace storage && ' +
        'kubectl apply -n storage -f deploy/watched-namespace.yaml',
    );
    const token = await this.shell('kubectl create token replicert-operator -n replicert-system --duration=1h');
    const file = join(this.#dir, 'operator.kubeconfig');
    await writeFile(file, kubeconfigOf(this.#plane.server, join(this.#plane.dir, 'ca.crt'), token.trim()));
    const options = ['--namespaces', 'storage', '--lease-namespace', 'replicert-system', '--health-port', '0'];
    this.#company.start('operator', [join(ROOT, 'src', 'main.ts'), '--kubeconfig', file, ...options]);
  }

  /** Brings up the mesh of examples/mesh.yaml with its three members. */
  async settle(): Promise<void> {
    const example = await readFile(join(ROOT, 'examples', 'mesh.yaml'), 'utf8');
    const { text, members } = await onFreePorts(example);
    const where = { kubeconfig: this.#plane.kubeconfig, namespace: 'storage', dir: join(this.#dir, 'mesh') };
    new Mesh(members).start(this.#company, { ...where, lagMs: [0, 300] });
    await this.shell('kubectl apply -f -', text);
    await this.shell('kubectl wait -n storage --for=condition=Ready ccert --all --timeout=60s');
  }

  /** Types a script; what it prints. Fails with what it says when it fails. */
  async shell(script: string, input = ''): Promise<string> {
    const options = { env: { ...this.#env, HERE: this.#dir }, cwd: this.#dir, input, timeoutMs: 300_000 };
    const { code, stdout, stderr } = await run('bash', ['-euo', 'pipefail', '-c', script], options);
    if (code !== 0) throw new Error(`exit code ${code} of\n${script}\n${stdout}${stderr}`);
    return stdout;
  }

  async follow({ use, text, line }: Block): Promise<void> {
    try {
      if (use === 'run') await this.shell(`${text}\n${STAYS}`);
      else if (use === 'apply') await this.shell('kubectl apply --server-side -f -', text);
      else if (use === 'check') await this.shell('kubectl apply --server-side --dry-run=server -f -', text);
      else this.#company.startCommand(`line-${line}`, ['bash', '-c', text], { env: this.#env, cwd: this.#dir });
    } catch (error) {
      throw new Error(`line ${line}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    for (const death of this.#deaths) throw death;
  }

  async leave(): Promise<void> {
    await this.#company.end();
    await this.#plane.stop();
  }
}

/** Who types all of it in one shell must be where the next block expects it. */
const STAYS = '[ "$(pwd -P)" = "$(cd "$HERE" && pwd -P)" ] || { echo "it ends in $PWD" >&2; exit 1; }';

/** The ports that a document has listened on, exchanged for free ones. */
async function onPortsOfOurs(text: string): Promise<string> {
  const ports = new Set([...text.matchAll(/--listen 127\.0\.0\.1:(\d+)/g)].flatMap(([, port]) => port ?? []));
  let exchanged = text;
  for (const port of ports) exchanged = exchanged.replaceAll(port, String(await closedPort()));
  return exchanged;
}

describe.skipIf(foreign !== null)(`the commands of ${foreign ?? ''}`, () => {
  test.each([
    ['README.md', 'a checkout'],
    ['docs/adopt-a-mesh.md', 'an operator'],
    ['docs/bring-your-own.md', 'an operator'],
    ['docs/rotate-a-ca.md', 'a mesh'],
    ['docs/recovery.md', 'a mesh'],
    ['docs/outputs.md', 'a mesh'],
  ])('%s', { timeout: 900_000 }, async (file, before) => {
    const blocks = blocksOf(await onPortsOfOurs(await readFile(join(ROOT, file), 'utf8')));
    expect(blocks.length).toBeGreaterThan(0);
    reader = await Reader.arrive();
    if (before !== 'a checkout') await reader.install();
    if (before === 'a mesh') await reader.settle();
    // Examples are checked last: they need a namespace that the commands make.
    const ordered = [...blocks.filter(({ use }) => use !== 'check'), ...blocks.filter(({ use }) => use === 'check')];
    for (const block of ordered) await reader.follow(block);
  });

  describe('of docs/targets, one after the other', () => {
    let visitor: Reader;
    beforeAll(async () => {
      visitor = await Reader.arrive();
      await visitor.install();
    });
    afterAll(() => visitor.leave());

    test.each(PROFILES)('%s.md', { timeout: 300_000 }, async (name) => {
      const blocks = blocksOf(await readFile(join(ROOT, 'docs', 'targets', `${name}.md`), 'utf8'));
      expect(blocks.some(({ use }) => use === 'apply')).toBe(true);
      for (const block of blocks) await visitor.follow(block);
    });
  });
});
