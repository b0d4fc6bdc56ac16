/** The demo from the first command to the verdict. */
import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { kubeconfig } from '../control-plane/components.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { Cluster } from './cluster.ts';
import type { Company } from './company.ts';
import { hasArrived, sentOver, StageCounts } from './counts.ts';
import { DemoFailure } from './failure.ts';
import { onFreePorts } from './manifest.ts';
import { Mesh, viewOf } from './mesh.ts';
import { news } from './news.ts';
import type { Screen } from './screen.ts';
import { table } from './table.ts';
import { span } from './text.ts';
import { compare, type Credential, show } from './trial.ts';
import type { Answer, Outcome } from './verdict.ts';
import { allEdges, tallyOf, type View } from './view.ts';

export const ROOT = join(import.meta.dirname, '..', '..');
export const NAMESPACE = 'storage';
const CA = 'mesh';
const OPERATOR = { namespace: 'replicert-system', name: 'replicert-operator' } as const;
const EXAMPLE = 'examples/mesh.yaml';

/** The lag of the files behind their Secret. */
const LAG_MS = [200, 3000] as const;
const LOOK_EVERY_MS = 500;
const READY_WITHIN_MS = 60_000;
const ROTATED_WITHIN_MS = 240_000;
const ARRIVED_WITHIN_MS = 20_000;
/** Replication before the rotation, so that one sees what it must not disturb: so many handshakes over each edge. */
const WARM_UP_HANDSHAKES = 20;

export interface Scene {
  readonly plane: ControlPlane;
  readonly company: Company;
  readonly screen: Screen;
  /** For the demo's files, keys among them: goes with the control plane. */
  readonly dir: string;
  /** Aborted with the reason when the demo is to end early. */
  readonly signal: AbortSignal;
}

export class Scenario {
  readonly #scene: Scene;
  readonly #cluster: Cluster;
  #mesh = new Mesh([]);
  #began = performance.now();
  #view: View | null = null;

  constructor(scene: Scene) {
    this.#scene = scene;
    const command = (text: string): void => scene.screen.line([span('$ ', 'dim'), span(text, 'bold')]);
    this.#cluster = new Cluster(scene.plane, NAMESPACE, command, scene.signal);
  }

  /** Brings the operator and the mesh up, rotates the CA, and tries everything that must hold afterwards. */
  async play(): Promise<Outcome> {
    await this.#install();
    await this.#startOperator();
    await this.#startMesh();
    const saved = await this.#cluster.credentials();
    const before = await this.#trySaved(saved);
    const { outcome, members } = await this.#rotate();
    return { ...outcome, trials: await this.#tryOldCa(saved, before, outcome.to, members) };
  }

  async #install(): Promise<void> {
    this.#chapter('Install: the kinds, the operator, its rights in the namespace that it watches');
    const cluster = this.#cluster;
    await cluster.kubectl('apply', '--server-side', '-f', 'crds/');
    await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s');
    await cluster.kubectl('apply', '-f', 'deploy/operator.yaml');
    await cluster.kubectl('create', 'namespace', NAMESPACE);
    await cluster.kubectl('apply', '-n', NAMESPACE, '-f', 'deploy/watched-namespace.yaml');
  }

  /** The operator runs outside, but as the account and with the rights that it would have in a pod. */
  async #startOperator(): Promise<void> {
    const { plane, company, dir, signal } = this.#scene;
    const { namespace, name } = OPERATOR;
    const token = await this.#cluster.kubectl('create', 'token', name, '-n', namespace, '--duration=24h');
    const file = join(dir, 'operator.kubeconfig');
    await writeFile(file, kubeconfig(plane.server, join(plane.dir, 'ca.crt'), token.trim()), { mode: 0o600 });
    const args = ['--namespaces', NAMESPACE, '--lease-namespace', namespace, '--health-port', '0'];
    this.#say('The operator, a process of its own, has the rights of that token and no others:');
    this.#say(`node src/main.ts ${args.join(' ')}`);
    signal.throwIfAborted();
    company.start('operator', [join(ROOT, 'src', 'main.ts'), '--kubeconfig', file, ...args]);
  }

  async #startMesh(): Promise<void> {
    this.#chapter('A mesh of three clusters: one CA, three certificates, one list of who replicates');
    const { plane, company, dir } = this.#scene;
    const { text, members, exchanged } = await onFreePorts(await readFile(join(ROOT, EXAMPLE), 'utf8'));
    let file = EXAMPLE;
    if (exchanged.size > 0) {
      file = join(dir, 'mesh.yaml');
      await writeFile(file, text);
      const pairs = [...exchanged].map(([port, other]) => `${port} -> ${other}`).join(', ');
      this.#say(`Ports of ${EXAMPLE} are in use here, a copy has others: ${pairs}`);
    }
    this.#mesh = new Mesh(members);
    const files = join(dir, 'mesh');
    this.#mesh.start(company, { kubeconfig: plane.kubeconfig, namespace: NAMESPACE, dir: files, lagMs: LAG_MS });
    this.#say('Three endpoints, each a process of its own, get their files from their Secret, up to');
    this.#say('3 s late. They demand client certificates, hand over data, and handshake all the time.');
    await this.#cluster.kubectl('apply', '-f', file);
    await this.#cluster.kubectl('wait', '-n', NAMESPACE, '--for=condition=Ready', 'ccert', '--all', '--timeout=60s');
    await this.#cluster.kubectl('wait', '-n', NAMESPACE, '--for=condition=Verified', 'rpeer', '--all', '--timeout=60s');
    this.#print(await this.#cluster.kubectl('get', 'replicert', '-n', NAMESPACE));
    this.#restartClock();
    await this.#until('every cluster to replicate with every other', READY_WITHIN_MS, ({ members: seen }) =>
      seen.every(
        ({ edges }) =>
          edges.length === members.length - 1 && edges.every(({ handshakes }) => handshakes.ok >= WARM_UP_HANDSHAKES),
      ),
    );
  }

  async #rotate(): Promise<{ outcome: Omit<Outcome, 'trials'>; members: View['members'] }> {
    const from = this.#latest().signer ?? 0;
    const to = from + 1;
    this.#chapter(`The rotation: from now on generation ${to} is wanted`);
    const patch = JSON.stringify({ spec: { rotation: { generation: to } } });
    const counts = new StageCounts();
    counts.add(this.#latest());
    await this.#cluster.kubectl('patch', '-n', NAMESPACE, 'rca', CA, '--type=merge', '-p', patch);
    this.#restartClock();
    const done = await this.#until(`the rotation to generation ${to}`, ROTATED_WITHIN_MS, (view) => {
      counts.add(view);
      return view.signer === to && view.rotation === null && view.phase === 'Stable';
    });
    const last = await this.#until('all that was sent to arrive', ARRIVED_WITHIN_MS, (view) => hasArrived(done, view));
    const edges = last.members.flatMap(({ name, edges: outgoing }) =>
      outgoing.map((edge) => ({
        ...edge,
        from: name,
        dueBytes: sentOver(done, name, edge.to),
        inStage: counts.of(name, edge.to),
      })),
    );
    const outcome = {
      from,
      to,
      completed: true,
      seconds: done.at / 1000,
      edges,
      lost: last.members.map(({ name, lost }) => ({ member: name, blocks: lost })),
      requests: await this.#cluster.requestsOf(`system:serviceaccount:${OPERATOR.namespace}:${OPERATOR.name}`),
    };
    return { outcome, members: last.members };
  }

  /** Whether each endpoint lets in the leaf of another: one that is refused later was good once. */
  async #trySaved(saved: ReadonlyMap<string, Credential>): Promise<ReadonlyMap<string, Answer>> {
    const answers = new Map<string, Answer>();
    for (const member of this.#mesh.members) {
      const leaf = this.#leafOfAnother(saved, member.name);
      answers.set(member.name, await show(leaf, member, leaf.bundle));
    }
    this.#say('A leaf of each cluster is put aside: it is to be worth nothing after the rotation.');
    return answers;
  }

  async #tryOldCa(
    saved: ReadonlyMap<string, Credential>,
    before: ReadonlyMap<string, Answer>,
    to: number,
    members: View['members'],
  ): Promise<Outcome['trials']> {
    this.#chapter('Afterwards: every endpoint is shown a leaf of the old CA, and one of the new');
    const present = await this.#cluster.credentials();
    const trials: Outcome['trials'][number][] = [];
    for (const member of this.#mesh.members) {
      const old = this.#leafOfAnother(saved, member.name);
      const now = this.#leafOfAnother(present, member.name);
      const { control, after } = await compare(old, now, member);
      const trusts = members.find(({ name }) => name === member.name)?.trusts ?? [];
      const loadedOnlyNew = trusts.length === 1 && trusts[0] === to;
      const unseen: Answer = { kind: 'unclear', why: 'not tried' };
      trials.push({ member: member.name, before: before.get(member.name) ?? unseen, control, after, loadedOnlyNew });
    }
    this.#print(await this.#cluster.kubectl('get', 'replicert', '-n', NAMESPACE));
    return trials;
  }

  #leafOfAnother(credentials: ReadonlyMap<string, Credential>, name: string): Credential {
    const other = this.#mesh.members.find((member) => member.name !== name);
    const credential = other === undefined ? undefined : credentials.get(other.name);
    if (credential === undefined)
      throw new DemoFailure(`no Secret for a partner of ${name}`, 'see operator.log in the logs');
    return credential;
  }

  /** Shows the mesh until the demo is ended from outside. */
  async idle(): Promise<void> {
    await this.#until('the end', Number.POSITIVE_INFINITY, () => false);
  }

  async close(): Promise<void> {
    await this.#cluster.close();
  }

  // -------------------------------------------------------------------------------------------------- looking

  async #until(what: string, withinMs: number, reached: (view: View) => boolean): Promise<View> {
    const { signal, screen } = this.#scene;
    const deadline = performance.now() + withinMs;
    for (;;) {
      signal.throwIfAborted();
      const view = await this.#look();
      if (reached(view)) return view;
      if (performance.now() > deadline) {
        screen.keepTable();
        throw new DemoFailure(`waited ${withinMs / 1000} s for ${what}: ${standing(view)}`, this.#remedy(view));
      }
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  async #look(): Promise<View> {
    const { screen } = this.#scene;
    await this.#cluster.credentials();
    const ca = await this.#cluster.ca(CA);
    const view = viewOf(ca, this.#mesh.view(this.#cluster), performance.now() - this.#began);
    for (const line of news(this.#view, view)) screen.line(line);
    screen.table(table(view, screen.width));
    this.#view = view;
    return view;
  }

  #latest(): View {
    if (this.#view === null) throw new Error('nothing has been looked at yet');
    return this.#view;
  }

  #remedy({ waitingFor }: View): string {
    return waitingFor === '' ? 'see operator.log in the logs' : `the operator says: ${waitingFor}`;
  }

  #restartClock(): void {
    this.#began = performance.now();
  }

  // -------------------------------------------------------------------------------------------------- telling

  #chapter(text: string): void {
    this.#scene.screen.dropTable();
    this.#scene.screen.line();
    this.#scene.screen.line([span(text, 'bold')]);
  }

  #say(text: string): void {
    this.#scene.screen.line([span(`  ${text}`, 'dim')]);
  }

  #print(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.#scene.screen.line([span(`  ${line}`)]);
  }
}

function standing(view: View): string {
  const { handshakes, failed } = tallyOf(allEdges(view));
  const where =
    view.rotation === null ? `${view.phase || 'no status yet'}` : `stage ${view.rotation.stage} ${view.progress}`;
  return `${where}, ${handshakes} handshakes, ${failed} failed`;
}

export const shownPath = (path: string): string => relative(process.cwd(), path) || '.';
