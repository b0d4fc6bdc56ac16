/** Rotations in tests: a mesh that is ready to rotate, links that are tried all the time, and what must hold in every version of every object. */
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { decodeLedger, type Ledger, type Rotation } from '../../src/api/ledger.ts';
import { ANNOTATIONS, LABELS, LEDGER_KEY, ledgerSecretName, ROLES } from '../../src/api/names.ts';
import { conditionOf } from './follow.ts';
import { Member } from './member.ts';
import { type Acknowledgement, ca, certificate, type LiveSecret, peer, peerAt, type Scene, textOf } from './scene.ts';

type CaSpec = NonNullable<Parameters<typeof ca>[1]>;
type RotationSpec = NonNullable<CaSpec['rotation']>;

interface MeshOptions {
  readonly spec?: CaSpec;
  readonly lagMs?: () => number;
  /** By member; default: nothing but the reference to the CA. */
  readonly certificates?: Readonly<Record<string, Parameters<typeof certificate>[2]>>;
  readonly timeoutMs?: number;
  /** Whether it can be seen that everybody serves. Default: true. */
  readonly verified?: boolean;
}

/** A CA `mesh`, its members with an endpoint each, and a peer `mesh` that names them all. */
export class Mesh {
  readonly scene: Scene;
  readonly members: Readonly<Record<string, Member>>;
  readonly #spec: CaSpec;
  readonly #visitors: Member[] = [];

  private constructor(scene: Scene, members: Readonly<Record<string, Member>>, spec: CaSpec) {
    this.scene = scene;
    this.members = members;
    this.#spec = spec;
  }

  /** Returns when all is Ready, and every member was seen to serve. */
  static async start(
    scene: Scene,
    names: readonly string[],
    { spec = {}, lagMs = () => 0, certificates: specs = {}, timeoutMs, verified = true }: MeshOptions = {},
  ): Promise<Mesh> {
    const started = await Promise.all(names.map((name) => Member.start(scene, name, { lagMs })));
    const mesh = new Mesh(scene, Object.fromEntries(started.map((member) => [member.name, member])), spec);
    const certificates = names.map((name) => certificate(name, 'mesh', specs[name]));
    await scene.apply(ca('mesh', spec), ...certificates, mesh.peer());
    await scene.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names, ReplicationPeer: ['mesh'] }, timeoutMs);
    const seen = { status: verified ? 'True' : 'Unknown' };
    await scene.condition('ReplicationPeer', 'mesh', 'Verified', seen, timeoutMs);
    return mesh;
  }

  /** The peer of these members, each at its port. */
  peer(names: readonly string[] = Object.keys(this.members)) {
    return peer('mesh', Object.fromEntries(names.map((name) => [name, this.member(name).port])), '5s');
  }

  /** Applies the peer with what somebody has seen of members. */
  async acknowledge(claims: Readonly<Record<string, Acknowledgement>>): Promise<void> {
    const at = Object.values(this.members).map(({ name, port }) => [name, { host: '127.0.0.1', port }] as const);
    await this.scene.apply(peerAt('mesh', Object.fromEntries(at), '5s', claims));
  }

  member(name: string): Member {
    const member = this.members[name];
    if (member === undefined) throw new Error(`there is no member ${name}`);
    return member;
  }

  /** Applies the CA with this `spec.rotation`. */
  async want(rotation: RotationSpec): Promise<void> {
    await this.scene.apply(ca('mesh', { ...this.#spec, rotation }));
  }

  /** Waits for a ledger. */
  async ledgerUntil(what: string, wanted: (ledger: Ledger) => boolean, timeoutMs = 60_000): Promise<Ledger> {
    const { scene } = this;
    return scene.secrets.until(
      `ledger: ${what}`,
      () => {
        const ledger = scene.ledger('mesh');
        return wanted(ledger) && ledger;
      },
      timeoutMs,
    );
  }

  /** Starts a server that is no member; it goes with the mesh. */
  async visit(...[name, options]: [string, Parameters<typeof Member.start>[2]]): Promise<Member> {
    const visitor = await Member.start(this.scene, name, options);
    this.#visitors.push(visitor);
    return visitor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [...Object.values(this.members), ...this.#visitors].map((member) => member[Symbol.asyncDispose]()),
    );
  }
}

/** Waits until the peer has written what it saw this often again: whatever the operator was to do on that, it had its chance. */
export async function rounds(scene: Scene, name: string, count: number, timeoutMs = 60_000): Promise<void> {
  const before = scene.peers.historyOf(name).length;
  await scene.peers.until(
    `${count} rounds of ReplicationPeer ${name}`,
    () => scene.peers.historyOf(name).length >= before + count,
    timeoutMs,
  );
}

/** Waits for this reason for waiting, as the status of the CA tells it; then nothing moves, however often it is looked at. */
export async function held(
  { scene }: Mesh,
  member: string,
  reason: string,
  message: RegExp,
): Promise<{ readonly epoch: number; readonly next: string | undefined }> {
  const waiting = () =>
    scene.cas
      .get('mesh')
      ?.status?.rotation?.waitingFor?.find(
        (each) =>
          each.member === `${scene.namespace}/${member}` && each.reason === reason && message.test(each.message),
      );
  await scene.cas.until(`waiting for ${member}: ${reason} ${String(message)}`, waiting, 60_000);
  // Others are granted yet, and proven.
  await rounds(scene, 'mesh', 3);
  const open = () =>
    [...scene.ledger('mesh').roster].some(
      ([key, { grant }]) =>
        key !== `${scene.namespace}/${member}` && (grant === 'Open' || grant === 'Reversed' || grant === 'Reopened'),
    );
  await scene.secrets.until('what was granted to others is proven', () => !open(), 60_000);
  const { epoch } = scene.ledger('mesh');
  await rounds(scene, 'mesh', 3);
  const now = scene.ledger('mesh').epoch;
  if (now !== epoch) throw new Error(`the ledger moved from epoch ${epoch} to ${now} although ${member} is ${reason}`);
  await scene.cas.until(`still waiting for ${member}: ${reason}`, waiting);
  return { epoch, next: scene.cas.get('mesh')?.status?.rotation?.next };
}

// -------------------------------------------------------------------------------------------------- links

/** Every edge of a mesh of members in this process, tried all the time by fresh handshakes. */
export class Links {
  readonly failures: string[] = [];
  readonly #end = new AbortController();
  readonly #edges: Promise<void>[];
  handshakes = 0;

  constructor(members: readonly Member[], everyMs = 200) {
    this.#edges = members.flatMap((from) =>
      members.filter((to) => to !== from).map((to) => this.#try(from, to, everyMs)),
    );
  }

  async stop(): Promise<readonly string[]> {
    this.#end.abort();
    await Promise.all(this.#edges);
    return this.failures;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #try(from: Member, to: Member, everyMs: number): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      try {
        await handshake(from, to);
        this.handshakes += 1;
      } catch (error) {
        this.failures.push(`${from.name} -> ${to.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
      await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  }
}

/** Rejects when it fails. In TLS 1.2 the client is through only when the server has accepted it. */
export function handshake(from: Pick<Member, 'files'>, to: Pick<Member, 'port'>): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port: to.port,
      maxVersion: 'TLSv1.2',
      checkServerIdentity: () => undefined,
    } as const;
    const socket = tls.connect({ ...options, ...from.files }, () => {
      socket.destroy();
      resolve();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed in the handshake')));
  });
}

// -------------------------------------------------------------------------------------------------- what must hold

/** Every version of an object that was not Ready although an earlier one was. */
export function lapses(scene: Scene): readonly string[] {
  const found: string[] = [];
  for (const { versions } of [scene.cas, scene.certificates, scene.peers]) {
    const wasReady = new Set<string>();
    for (const { object } of versions) {
      const ready = conditionOf(object, 'Ready');
      const { name } = object.metadata;
      if (ready?.status === 'True') wasReady.add(name);
      else if (wasReady.has(name))
        found.push(`${String(object.kind)} ${name}: Ready=${ready?.status} ${ready?.reason}: ${ready?.message}`);
    }
  }
  return found;
}

/**
 * Whatever is against the rules of a rotation in the sequence of versions of the ledger and of members' Secrets (design section 3):
 * epochs go up one by one, grants are bounded, every member has one grant per stage, which is proven only after its Secret was written
 * under it, and no stage ends before.
 */
export function disorders(scene: Scene, name: string, maxConcurrent: number): readonly string[] {
  const found: string[] = [];
  const secrets = new Map<string, Written>();
  let last: Ledger | null = null;
  for (const { type, object } of scene.secrets.versions) {
    const { labels, annotations, deletionTimestamp } = object.metadata;
    if (labels?.[LABELS.role] === ROLES.member) {
      const member = `${scene.namespace}/${labels[LABELS.certificate]}`;
      const epoch = type === 'DELETED' ? 0 : Number(annotations?.[ANNOTATIONS.epoch]);
      const known = secrets.get(member);
      if (type !== 'DELETED' && epoch < (known?.epoch ?? 0)) found.push(`${member}: Secret back at epoch ${epoch}`);
      secrets.set(member, { epoch, leaf: object.data?.['tls.crt'] ?? '', reopened: known?.reopened ?? '' });
    }
    if (object.metadata.name !== ledgerSecretName(name) || type === 'DELETED' || deletionTimestamp !== undefined)
      continue;
    const ledger = decodeLedger(textOf(object, LEDGER_KEY));
    if (last !== null) found.push(...against(last, ledger, secrets, maxConcurrent));
    last = ledger;
  }
  if (last === null) throw new Error(`there was no ledger of ${name}`);
  return found;
}

/** A member's Secret: the epoch that it was written in, its leaf, and the leaf that it held when its grant was turned round. */
interface Written {
  readonly epoch: number;
  readonly leaf: string;
  readonly reopened: string;
}

const NEXT_STAGE = { Append: 'Roll', Roll: 'Drop', Drop: null, Prepare: 'Swap', Swap: null } as const;

function against(
  before: Ledger,
  after: Ledger,
  secrets: Map<string, Written>,
  maxConcurrent: number,
): readonly string[] {
  if (JSON.stringify([before, [...before.roster]]) === JSON.stringify([after, [...after.roster]])) return [];
  const at = `epoch ${after.epoch}`;
  const found: string[] = [];
  if (after.epoch !== before.epoch + 1) found.push(`${at} follows ${before.epoch}`);
  if (after.highest < before.highest) found.push(`${at}: highest number from ${before.highest} to ${after.highest}`);
  const open = [...after.roster.values()].filter(({ grant }) => grant !== null && grant !== 'Proven').length;
  if (open > maxConcurrent) found.push(`${at}: ${open} open grants`);
  if (before.rotation !== null && before.rotation.from === after.rotation?.to)
    return [...found, ...againstReversal(before, after, before.rotation.stage)];

  const sameStage = stageOf(before.rotation) === stageOf(after.rotation);
  for (const [member, entry] of after.roster) {
    const was = before.roster.get(member);
    const secret = secrets.get(member);
    if (secret !== undefined && was?.grant === 'Reversed' && entry.grant === 'Reopened')
      secrets.set(member, { ...secret, reopened: secret.leaf });
    const step = `${sameStage ? (was?.grant ?? 'none') : 'none'} -> ${entry.grant ?? 'none'}`;
    if (step === 'Open -> Proven' || step === 'Reopened -> Proven') {
      if (secret === undefined || secret.epoch < entry.since)
        found.push(`${at}: ${member} proven before its Secret was written under its grant`);
      if (step === 'Reopened -> Proven' && secret?.leaf === secret?.reopened)
        found.push(`${at}: ${member} was turned round without a new leaf`);
    } else if (!/^(\w+) -> \1$|^none -> Open$|^Reversed -> Reopened$/.test(step)) {
      found.push(`${at}: ${member} from ${step}`);
    } else if (was !== undefined && !/^(none -> Open|Reversed -> Reopened)$/.test(step) && was.since !== entry.since) {
      found.push(`${at}: ${member} has another epoch without a grant`);
    }
  }
  if (!sameStage) {
    const first = after.rotation?.stage === 'Prepare' ? 'Prepare' : 'Append';
    const expected = before.rotation === null ? first : NEXT_STAGE[before.rotation.stage];
    if ((after.rotation?.stage ?? null) !== expected)
      found.push(`${at}: stage ${before.rotation?.stage} -> ${after.rotation?.stage}`);
    // Whoever leaves with this very update is not asked any more.
    const asked = [...before.roster].filter(([member]) => after.roster.has(member));
    if (before.rotation !== null && asked.some(([, { grant }]) => grant !== 'Proven'))
      found.push(`${at}: stage ${before.rotation.stage} left before every grant was proven`);
  }
  return found;
}

/** Of Swap: on the way forth. */
const OPPOSITE = { Append: 'Drop', Roll: 'Roll', Drop: 'Append', Prepare: 'Swap', Swap: 'Swap' } as const;

/** Turned round: what is open keeps its slot and its content, all others begin again. */
function againstReversal(before: Ledger, after: Ledger, stage: Rotation['stage']): readonly string[] {
  const at = `epoch ${after.epoch}, turned round`;
  const found = after.rotation?.stage === OPPOSITE[stage] ? [] : [`${at}: stage ${stage} -> ${after.rotation?.stage}`];
  for (const [member, was] of before.roster) {
    const grant = was.grant === null || was.grant === 'Proven' ? null : 'Reversed';
    const { leaf, bundle, since } = was;
    const entry = after.roster.get(member);
    if (
      JSON.stringify([entry?.leaf, entry?.bundle, entry?.since, entry?.grant]) !==
      JSON.stringify([leaf, bundle, since, grant])
    )
      found.push(`${at}: ${member} from ${JSON.stringify(was)} to ${JSON.stringify(entry)}`);
  }
  return found;
}

function stageOf(rotation: Rotation | null): string {
  return rotation === null ? '' : `${rotation.from}-${rotation.to}-${rotation.stage}`;
}

/** The generation Secrets that there are, by number. */
export function generationSecrets(scene: Scene): readonly (readonly [number: number, secret: LiveSecret])[] {
  return scene.secrets
    .list()
    .filter(({ metadata: { labels } }) => labels?.[LABELS.role] === ROLES.generation)
    .map((secret) => [Number(secret.metadata.labels?.[LABELS.generation]), secret] as const)
    .toSorted(([a], [b]) => a - b);
}
