/** What a soak of many rotations needs: a plan for each, the story by which a failure is explained, and the trial of dropped leaves. */
import type { Ledger, StagedStage } from '../../src/api/ledger.ts';
import { decodeLedger } from '../../src/api/ledger.ts';
import { LABELS, LEDGER_KEY, ledgerSecretName, ROLES } from '../../src/api/names.ts';
import { parseCertificates } from '../../src/pki/certificate.ts';
import { compare, type Credential } from '../demo/trial.ts';
import type { Failure, Loaded, Report, Version } from '../mesh/endpoint.ts';
import type { MeshProcess } from '../mesh/spawn.ts';
import type { LiveSecret, Scene } from './scene.ts';
import { textOf } from './scene.ts';

type Stage = StagedStage;

export interface Plan {
  readonly maxConcurrent: 1 | '100%';
  /** Where the user changes their mind; null: nowhere. */
  readonly turn: Stage | null;
  /** And once more: forth again. */
  readonly twice: boolean;
}

const STAGES: readonly Stage[] = ['Append', 'Roll', 'Drop'];

/**
 * Every third goes back: from each stage, and in both manners, within 18. Every tenth of the others goes back and forth again. Every
 * other of those that go back, and every eighth of the others, changes one member after the other, which takes twice as long.
 */
export function planOf(index: number): Plan {
  const maxConcurrent = index % 12 === 0 || index % 6 === 2 ? 1 : '100%';
  if (index % 3 === 2) return { maxConcurrent, turn: STAGES[((index - 2) / 3) % 3] ?? null, twice: false };
  return { maxConcurrent, turn: index % 10 === 9 ? 'Roll' : null, twice: index % 10 === 9 };
}

/** The stage is under way: one member is through it, or, where all may change at once, one is about to change. */
export function underWay(stage: Stage, maxConcurrent: Plan['maxConcurrent']): (ledger: Ledger) => boolean {
  const wanted = maxConcurrent === 1 ? 'Proven' : 'Open';
  return ({ rotation, roster }) =>
    rotation?.stage === stage && [...roster.values()].some(({ grant }) => grant === wanted);
}

// -------------------------------------------------------------------------------------------------- the story

/** Follows the ledger and the members' Secrets, and remembers when what was, and every leaf. */
export class Story {
  readonly #scene: Scene;
  readonly #stages: { readonly at: number; readonly text: string }[] = [];
  /** `G7` by the fingerprint of that CA, and of every leaf of it. */
  readonly #generations = new Map<string, string>();
  /** The newest of each member by generation. */
  readonly #leaves = new Map<number, Map<string, Credential>>();
  #read = 0;
  /** The most grants that were open at one time. */
  mostOpen = 0;

  constructor(scene: Scene) {
    this.#scene = scene;
    scene.secrets.onChange(() => this.#follow());
    this.#follow();
  }

  /** What each member had of this generation last. */
  leavesOf(generation: number): ReadonlyMap<string, Credential> {
    return this.#leaves.get(generation) ?? new Map<string, Credential>();
  }

  /** Every handshake that failed, with what one needs to know to find out why. */
  failures(processes: readonly MeshProcess[]): readonly string[] {
    return processes.flatMap(({ name, latest }) =>
      Object.entries(latest?.edges ?? {}).flatMap(([to, { failures, handshakes }]) => {
        const partner = processes.find((each) => each.name === to)?.loads ?? [];
        const told = failures.map((failure) => this.#explain(name, to, failure, partner));
        const untold = handshakes.failed - failures.length;
        return untold > 0 ? [...told, `${name} -> ${to}: ${untold} more`] : told;
      }),
    );
  }

  #explain(from: string, to: string, failure: Failure, partner: readonly Loaded[]): string {
    const { began, ended, version, error, loaded } = failure;
    // What it had when the handshake began, and whatever it loaded meanwhile.
    const first = partner.findLastIndex(({ at }) => at <= began);
    const theirs = partner.slice(Math.max(first, 0)).filter(({ at }) => at <= ended);
    const stage = this.#stages.findLast(({ at }) => at <= Date.parse(ended))?.text ?? 'before the first ledger';
    return [
      `${from} -> ${to} (${version ?? 'any version'}), ${began} to ${ended}: ${error}`,
      `  stage: ${stage}`,
      `  ${from} had loaded ${this.#words(loaded)}`,
      `  ${to} had loaded ${theirs.map((each) => this.#words(each)).join(', then ') || 'nothing'}`,
    ].join('\n');
  }

  #words({ bundle, leaf, at }: Loaded): string {
    const name = (fingerprint: string): string => this.#generations.get(fingerprint) ?? fingerprint.slice(0, 12);
    return `a leaf of ${name(leaf)} and the bundle ${bundle.map(name).join(' + ')} at ${at}`;
  }

  #follow(): void {
    const { versions } = this.#scene.secrets;
    for (const { type, object } of versions.slice(this.#read)) {
      if (type === 'DELETED') continue;
      if (object.metadata.name === ledgerSecretName('mesh')) this.#readLedger(object);
      if (object.metadata.labels?.[LABELS.role] === ROLES.member) this.#readMember(object);
    }
    this.#read = versions.length;
  }

  #readLedger(object: LiveSecret): void {
    const { epoch, rotation, signer, roster } = decodeLedger(textOf(object, LEDGER_KEY));
    const open = [...roster].filter(([, { grant }]) => grant !== null && grant !== 'Proven');
    this.mostOpen = Math.max(this.mostOpen, open.length);
    const where =
      rotation === null ? `Stable on G${signer}` : `${rotation.stage} from G${rotation.from} to G${rotation.to}`;
    const text = `${where}, epoch ${epoch}, open: ${open.map(([member]) => member.split('/')[1]).join() || 'none'}`;
    this.#stages.push({ at: Date.now(), text });
  }

  #readMember(object: LiveSecret): void {
    const credential = credentialOf(object);
    const [leaf] = parseCertificates(credential.certificate);
    const number = Number(/G(\d+)$/.exec(leaf?.issuer ?? '')?.[1]);
    for (const { fingerprint, subject } of parseCertificates(credential.bundle))
      this.#generations.set(fingerprint, /G\d+$/.exec(subject)?.[0] ?? subject);
    if (leaf !== undefined) this.#generations.set(leaf.fingerprint, `G${number}`);
    const leaves = this.#leaves.get(number) ?? new Map<string, Credential>();
    this.#leaves.set(number, leaves.set(object.metadata.name, credential));
  }
}

function credentialOf(secret: LiveSecret): Credential {
  return { bundle: textOf(secret, 'ca.crt'), certificate: textOf(secret, 'tls.crt'), key: textOf(secret, 'tls.key') };
}

// -------------------------------------------------------------------------------------------------- dropped leaves

export interface Listener {
  readonly name: string;
  readonly port: number;
  readonly versions: readonly Version[];
}

/**
 * Shows every listener, in each version that it speaks, every leaf that its partners had of a dropped generation, and at the
 * same time one that it has to let in.
 * @returns how many were refused, and whatever else became of the others
 */
export async function tryDropped(
  scene: Scene,
  dropped: ReadonlyMap<string, Credential>,
  listeners: readonly Listener[],
): Promise<{ readonly refused: number; readonly others: readonly string[] }> {
  const trials = await Promise.all(
    listeners.map(async ({ name, port, versions }) => {
      const found: (string | null)[] = [];
      for (const [partner, saved] of [...dropped].filter(([each]) => each !== name)) {
        for (const version of versions) {
          const present = credentialOf(scene.secret(partner));
          const { control, after } = await compare(saved, present, { host: '127.0.0.1', port }, version);
          const good = control.kind === 'accepted' && after.kind === 'refused';
          const words = `${JSON.stringify(after)}, while one of now is ${JSON.stringify(control)}`;
          found.push(good ? null : `the dropped leaf of ${partner} at ${name} (${version}): ${words}`);
        }
      }
      return found;
    }),
  );
  const all = trials.flat();
  return {
    refused: all.filter((each) => each === null).length,
    others: all.filter((each): each is string => each !== null),
  };
}

// -------------------------------------------------------------------------------------------------- counting

export interface Count {
  readonly ok: number;
  readonly failed: number;
}

/** By `from -> to`. */
export function countsOf(reports: readonly Report[]): ReadonlyMap<string, Count> {
  return new Map(
    reports.flatMap(({ name, edges }) =>
      Object.entries(edges).map(([to, { handshakes }]) => [`${name} -> ${to}`, handshakes] as const),
    ),
  );
}

export function totalOf(counts: Iterable<Count>): Count {
  let [ok, failed] = [0, 0];
  for (const each of counts) [ok, failed] = [ok + each.ok, failed + each.failed];
  return { ok, failed };
}
