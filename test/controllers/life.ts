/**
 * A whole life of a mesh of two, from creation to deletion, and what may happen to its operator on the way. Every write of the operator and
 * every event that it is told is a moment with a name, the same in every life; a plan says what is to happen at which moment.
 */
import { decodeLedger, type Ledger } from '../../src/api/ledger.ts';
import { LEDGER_KEY } from '../../src/api/names.ts';
import type { Client, KubeObject, Resource } from '../../src/runtime/client.ts';
import type { OperatorProcess, TestOperators } from '../support/operator.ts';
import { differences, type EndState, endStateOf } from './end-state.ts';
import { Follow } from './follow.ts';
import { type EventFate, Gate, type Judge, type Named, type Told, type Write, type WriteFate } from './gate.ts';
import { disorders, generationSecrets, lapses, Links, Mesh } from './rotating.ts';
import { CONFIG_MAPS, ROLE_BINDINGS, Scene } from './scene.ts';

const NAMESPACES: Resource = { group: '', version: 'v1', plural: 'namespaces', kind: 'Namespace' };
/** Longest wait for one step of a life. Much longer than a step takes: lives run side by side on few cores. */
const STEP_MS = 240_000;

/** A write or an event. */
export interface Moment {
  /** What is written or told, and in which stage and direction: `update Ledger, Forward Roll`. */
  readonly kind: string;
  /** Stage and direction, and in which rotation. */
  readonly stage: string;
  /** Whether members are looked at, and something waits for what is seen. */
  readonly rotating: boolean;
  /** The plural of what is written or told of, e.g. `secrets`. */
  readonly resource: string;
  /** Of Secrets what they hold (`Ledger`, `Generation`, `Member`), else as `resource`. */
  readonly object: string;
  /** The same of one object in one rotation, e.g. of `a` from 1 to 2, and the how manieth: it is found again in every life. */
  readonly id: string;
}

/** What happens at a write (so many came before it) or at an event. */
export interface Plan {
  write(moment: Moment, before: number): WriteFate;
  event(moment: Moment): EventFate;
}

/** The state at each rest, by its name, in order. */
type Rests = ReadonlyMap<string, EndState>;

export interface Lived {
  readonly writes: readonly Moment[];
  readonly events: readonly Moment[];
  readonly rests: Rests;
  /** Ids of the moments at which something happened. */
  readonly met: ReadonlySet<string>;
  /** How often its operator was killed. */
  readonly deaths: number;
  /** Between the members, over every edge; those that failed are among the faults. */
  readonly handshakes: { readonly ok: number; readonly failed: number };
  /** Whatever is not as in the undisturbed life, or against the rules; empty: nothing. */
  readonly faults: readonly string[];
}

/** Names the moments as they come, and deals out their fates. */
class Course implements Judge {
  readonly writes: Moment[] = [];
  readonly events: Moment[] = [];
  readonly met = new Set<string>();
  /** The user has deleted it all. */
  deleted = false;
  deaths = 0;
  /** Once the last rotation was over: it may have been starting when the user deleted it all. */
  diedLate = false;
  /** Nothing happens any more. */
  over = false;
  readonly #plan: Plan;
  readonly #counts = new Map<string, number>();
  #ledger: Ledger | null = null;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  write(write: Write): WriteFate {
    const { verb, subresource } = write;
    const moment = this.#moment(`${verb} ${objectIn(write)}${subresource === '' ? '' : `/${subresource}`}`, write);
    const fate = this.over ? 'done' : this.#plan.write(moment, this.writes.length);
    this.writes.push(moment);
    // From when it is sent: the answer and the event that tells of it come in any order.
    if (fate !== 'lost') this.#follow(write);
    if (fate === 'done') return fate;
    this.met.add(moment.id);
    this.deaths += 1;
    this.diedLate ||= this.deleted || (this.#ledger?.rotation === null && this.#ledger.signer === LAST);
    return fate;
  }

  event(told: Told): EventFate {
    const moment = this.#moment(`${told.type} ${objectIn(told)}`, told);
    const fate = this.over ? 'told' : this.#plan.event(moment);
    this.events.push(moment);
    if (fate !== 'told') this.met.add(moment.id);
    return fate;
  }

  #follow({ resource, name, body }: Write): void {
    if (resource !== 'secrets' || (name !== LEDGER && name !== '')) return;
    const text = (body as { data?: Readonly<Record<string, string>> } | null)?.data?.[LEDGER_KEY];
    if (text !== undefined) this.#ledger = decodeLedger(Buffer.from(text, 'base64').toString('utf8'));
  }

  #moment(what: string, named: Named): Moment {
    const { resource, name } = named;
    const rotation = this.#ledger?.rotation ?? null;
    const stage = this.#stage(rotation);
    const kind = `${what}, ${stage}`;
    const route = rotation === null ? `highest ${this.#ledger?.highest ?? 0}` : `${rotation.from} to ${rotation.to}`;
    const whole = `${kind}, ${name.replace(/^(mesh-g\d+)-.*/, '$1')}, ${route}`;
    const nth = (this.#counts.get(whole) ?? 0) + 1;
    this.#counts.set(whole, nth);
    const rotating = rotation !== null && !this.deleted;
    return { kind, stage: `${stage}, ${route}`, rotating, resource, object: objectIn(named), id: `${whole}, ${nth}.` };
  }

  #stage(rotation: Ledger['rotation']): string {
    if (this.deleted) return 'deletion';
    if (rotation !== null) return `${rotation.direction} ${rotation.stage}`;
    return this.#ledger === null || this.#ledger.signer === null ? 'creation' : 'Stable';
  }
}

const LEDGER = 'mesh-ledger';
/** The generation that a life ends with. */
const LAST = 3;

function objectIn({ resource, name }: Named): string {
  if (resource !== 'secrets') return resource;
  if (name === LEDGER) return 'Ledger';
  return /^mesh-g\d+-/.test(name) ? 'Generation' : 'Member';
}

/** What lives need; all of them share one API server. */
export interface Ground {
  readonly client: Client;
  readonly operators: TestOperators;
  /** The operator, by path. */
  readonly program: string;
  namespace(): Promise<string>;
}

/**
 * Lives once: create and issue; rotate to 2 and roll back from Drop, member by member; rotate to 3, both at once; delete. After each step
 * it waits until everything is as in the undisturbed life.
 * @param undisturbed null: this is it
 */
export async function live(ground: Ground, plan: Plan, undisturbed: Rests | null): Promise<Lived> {
  const { client, program } = ground;
  const namespace = await ground.namespace();
  const installation = await ground.operators.install([namespace]);
  const scene = await Scene.open(client, namespace);
  const others = await Promise.all(
    [CONFIG_MAPS, ROLE_BINDINGS].map((resource) => Follow.start<KubeObject>({ client, namespace, resource })),
  );
  const course = new Course(plan);
  const rests = new Map<string, EndState>();
  const faults: string[] = [];
  let handshakes = { ok: 0, failed: 0 };
  try {
    await using gate = await Gate.open(await installation.kubeconfig(), course);
    const start = () => installation.start({ standby: true, kubeconfig: gate.kubeconfig, program, leaseSeconds: 60 });
    await using operator = new Mortal(gate, start);
    const rest = async (name: string): Promise<void> => {
      const wanted = undisturbed?.get(name) ?? null;
      const may = course.diedLate ? leftBehind(rests) : [];
      rests.set(name, await (wanted === null ? unchanging(scene, others) : restAt(scene, others, name, wanted, may)));
    };
    handshakes = await Promise.race([steps(scene, course, rest, faults), operator.failure]);
    course.over = true;
    await operator.stop();
  } catch (error) {
    faults.push(error instanceof Error ? error.message : String(error));
  } finally {
    for (const follow of others) follow.stop();
    await scene.close();
    for (const name of [namespace, installation.system]) await client.delete(NAMESPACES, { name });
  }
  const { writes, events, met, deaths } = course;
  return { writes, events, rests, met, deaths, handshakes, faults };
}

async function steps(
  scene: Scene,
  course: Course,
  rest: (name: string) => Promise<void>,
  faults: string[],
): Promise<Lived['handshakes']> {
  await using mesh = await Mesh.start(scene, ['a', 'b'], {
    spec: { deletionPolicy: 'Delete' },
    certificates: { a: { deletionPolicy: 'Delete' } },
    timeoutMs: STEP_MS,
  });
  const members = Object.values(mesh.members);
  await using links = new Links(members, 500);
  await rest('issued');

  await mesh.want({ generation: 2 });
  // Nobody loads what comes in Drop: the one who may change first is still about to when the rotation is turned round.
  const off = scene.secrets.onChange(() => {
    if (scene.ledger('mesh').rotation?.stage === 'Drop') for (const member of members) member.behave('frozen');
  });
  const isOpen = ({ rotation, roster }: Ledger): boolean =>
    rotation?.stage === 'Drop' && [...roster.values()].some(({ grant }) => grant === 'Open');
  await mesh.ledgerUntil('a grant is open in Drop', isOpen, STEP_MS);
  off();
  await mesh.want({ generation: 1 });
  await mesh.ledgerUntil('it goes back', ({ rotation }) => rotation?.direction === 'Backward', STEP_MS);
  for (const member of members) member.behave('serving');
  await scene.stable('mesh', 1, STEP_MS);
  await rest('rolled back');
  faults.push(...disorders(scene, 'mesh', 1));

  await mesh.want({ generation: LAST, maxConcurrent: 2 });
  await scene.stable('mesh', LAST, STEP_MS);
  await rest('rotated');
  faults.push(...(await links.stop()), ...disorders(scene, 'mesh', 2), ...lapses(scene));

  course.deleted = true;
  await scene.delete('ReplicationCA', 'mesh');
  const waits = () => scene.cas.get('mesh')?.status?.phase === 'Terminating';
  await scene.cas.until('the deleted CA waits for its members', waits, STEP_MS);
  await scene.delete('ClusterCertificate', 'a');
  await scene.delete('ClusterCertificate', 'b');
  await scene.delete('ReplicationPeer', 'mesh');
  await scene.cas.until('the CA is gone', () => scene.cas.get('mesh') === undefined, STEP_MS);
  await rest('deleted');
  return { ok: links.handshakes, failed: links.failures.length };
}

/**
 * What may be left in the end when no operator ran while everything was deleted: nobody was seen to go, so the Secret of a
 * ClusterCertificate with `deletionPolicy: Delete` stays (docs/reference.md says so), but then just as it was.
 */
function leftBehind(rests: Rests): readonly (readonly [key: string, state: string])[] {
  const secret = rests.get('rotated')?.get('Secret a');
  return secret === undefined ? [] : [['Secret a', secret]];
}

/** Longer than what is hidden or delayed takes to come after all. */
const SETTLE_MS = 3_000;

/**
 * Waits until all is as it was in the undisturbed life, and stays so.
 * @param may what may be there besides, in this state
 */
async function restAt(
  scene: Scene,
  others: readonly Follow<KubeObject>[],
  name: string,
  wanted: EndState,
  may: readonly (readonly [key: string, state: string])[],
): Promise<EndState> {
  const deadline = Date.now() + STEP_MS;
  const settled = name === 'deleted' ? SETTLE_MS : 0;
  for (let since: number | null = null; ; ) {
    const now = endStateOf(scene, others);
    const left = may.filter(([key, state]) => now.get(key) === state);
    const found = differences(new Map([...wanted, ...left]), now);
    since = found.length > 0 ? null : (since ?? Date.now());
    if (since !== null && Date.now() - since >= settled) return now;
    const wait = since === null ? deadline - Date.now() : settled;
    if (wait <= 0) throw new Error(`${name}: not as in the undisturbed life:\n${found.join('\n')}`);
    await change(scene, others, wait);
  }
}

const QUIET_MS = 5_000;

/** Waits until nothing changes any more. */
async function unchanging(scene: Scene, others: readonly Follow<KubeObject>[]): Promise<EndState> {
  await scene.secrets.until('one generation at most is left', () => generationSecrets(scene).length <= 1, STEP_MS);
  for (let before = endStateOf(scene, others); ; ) {
    const until = Date.now() + QUIET_MS;
    let now = before;
    while (Date.now() < until) {
      await change(scene, others, until - Date.now());
      now = endStateOf(scene, others);
    }
    if (differences(before, now).length === 0) return now;
    before = now;
  }
}

/** The next change of anything, or the end of this wait. Changes come in crowds: one look for all of them. */
async function change(scene: Scene, others: readonly Follow<KubeObject>[], waitMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const follows = [scene.cas, scene.certificates, scene.peers, scene.secrets, ...others];
  const offs = follows.map((follow) => follow.onChange(() => void setTimeout(resolve, 100)));
  const timer = setTimeout(resolve, waitMs);
  await promise;
  clearTimeout(timer);
  for (const off of offs) off();
}

/** An operator that is killed each time that the gate shuts, and started again: the container that was restarted, with the same identity. */
class Mortal {
  /** Rejects when it could not be started, or ended by itself. */
  readonly failure: Promise<never>;
  readonly #enough = Promise.withResolvers<'enough'>();
  readonly #running: Promise<void>;

  constructor(gate: Gate, start: () => Promise<OperatorProcess>) {
    this.#running = this.#run(gate, start);
    const failed = Promise.withResolvers<never>();
    this.failure = failed.promise;
    this.failure.catch(() => {});
    this.#running.catch(failed.reject);
  }

  /** Ends it in good order; one that was just killed comes back first. */
  async stop(): Promise<void> {
    this.#enough.resolve('enough');
    await this.#running;
  }

  /** Whether that went well is for `stop` to say. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => {});
  }

  async #run(gate: Gate, start: () => Promise<OperatorProcess>): Promise<void> {
    for (;;) {
      const operator = await start();
      const shut = gate.shut.then(() => 'shut' as const);
      const ended = operator.ended().then(() => 'ended' as const);
      switch (await Promise.race([shut, ended, this.#enough.promise])) {
        case 'ended':
          throw new Error(`the operator ended by itself:\n${operator.tail()}`);
        case 'shut':
          await operator.kill();
          gate.reopen();
          break;
        case 'enough': {
          const code = await operator.stop();
          if (code !== 0) throw new Error(`the operator stopped with exit code ${code}:\n${operator.tail()}`);
          return;
        }
      }
    }
  }
}
