/**
 * An adversarial mesh in memory, for the planner: Secrets are written late or never, members load them whenever they like, probes begin
 * and end at different times, passes act on what they read long ago. Every action is one atomic step; the order is chosen by the test.
 */
import { emptyLedger, type GenerationRecord, type Ledger, type Strategy } from '../../src/api/ledger.ts';
import type { MemberKey } from '../../src/api/names.ts';
import { sameBundle } from '../../src/rotation/content.ts';
import type {
  Acknowledgement,
  Blocker,
  CertificateFact,
  Evidence,
  Facts,
  SecretFact,
  Wish,
  Witness,
} from '../../src/rotation/facts.ts';
import { type Decision, plan } from '../../src/rotation/plan.ts';
import { adoptGeneration } from '../../src/rotation/stages.ts';

/** Members of the meshes in these tests. */
export const A: MemberKey = 'ns/a';
export const B: MemberKey = 'ns/b';
export const C: MemberKey = 'ns/c';

export const NOW = Date.parse('2026-10-05T00:00:00Z');
const YEAR = 365 * 24 * 3_600_000;

const record = (number: number): GenerationRecord => ({
  secretName: `ca-g${number}`,
  fingerprint: String(number).padStart(64, '0'),
  secretUid: `uid-${number}`,
  passphraseRef: null,
  imported: false,
  withoutKey: false,
});

const USES = 'it uses its Secret';
const SEEN = { Append: USES, Roll: USES, Drop: USES, Prepare: USES, Swap: USES };
const BARRED: Blocker = { reason: 'NamespaceNotAllowed', message: 'Its namespace is not allowed.' };

const LACK: Blocker = { reason: 'LeafUnavailable', message: 'No such leaf is brought.' };

export interface Loaded {
  readonly leaf: number;
  readonly bundle: readonly number[];
  readonly fingerprint: string;
}

interface Member {
  readonly uid: string;
  exists: boolean;
  /** Version of the Secret object: what resourceVersion is. */
  version: number;
  secret: SecretFact | null;
  /** The files on its disk: what a kubelet brought last. */
  mounted: SecretFact | null;
  /** What its process uses. */
  loaded: Loaded | null;
  /** The revision of the Secret that this came from. */
  inUse: string;
  evidence: Evidence | null;
  /** Its object is there, but may not be served any more. */
  barred: boolean;
  /** Generations of which its leaf, always the same, is brought: whether it is there. */
  brought: ReadonlyMap<number, boolean>;
  dark: boolean;
  /** Nobody can look at it. */
  probed: boolean;
  acknowledged: Acknowledgement | null;
  /** Whether it takes up sessions from before it refused a generation; unknown: nobody kept one. */
  remembers: 'yes' | 'no' | 'unknown';
}

/** Something that was begun on what was true then, and is finished later. */
type Unfinished =
  | { readonly kind: 'plan'; readonly epoch: number; readonly decision: Decision }
  | { readonly kind: 'write'; readonly member: MemberKey; readonly version: number; readonly next: SecretFact }
  | { readonly kind: 'probe'; readonly member: MemberKey; readonly epoch: number; readonly revision: string };

export class SimulatedMesh {
  ledger: Ledger = adoptGeneration(emptyLedger('2026-10-01T00:00:00Z'), 1, record(1), NOW, 'Staged');
  readonly members = new Map<MemberKey, Member>();
  wish: Wish = {
    generation: null,
    renewBefore: 0,
    soak: 0,
    maxConcurrent: 1,
    paused: false,
    approval: { required: [], upTo: null },
    departed: new Set(),
    deleting: false,
  };
  /** How rotations that begin go on. */
  strategy: Strategy = 'Staged';
  /** When generations end; all others outlive every test. */
  ends: ReadonlyMap<number, number> = new Map();
  now = NOW;
  unfinished: Unfinished[] = [];
  /** The most grants that were open at one time. */
  mostOpen = 0;
  /** The stages that it went through. */
  readonly stages = new Set<string>();
  /** How often the rotation was turned round. */
  reversals = 0;
  #counter = 0;

  constructor(members: readonly MemberKey[]) {
    for (const member of members) this.join(member);
  }

  join(member: MemberKey): void {
    this.members.set(member, {
      uid: `uid-${member}`,
      exists: true,
      version: 0,
      secret: null,
      mounted: null,
      loaded: null,
      inUse: '',
      evidence: null,
      barred: false,
      brought: new Map(),
      dark: false,
      probed: true,
      acknowledged: null,
      remembers: 'no',
    });
  }

  member(key: MemberKey): Member {
    const member = this.members.get(key);
    if (member === undefined) throw new Error(`no member ${key}`);
    return member;
  }

  facts(): Facts {
    const certificates = new Map<MemberKey, CertificateFact>();
    const witnesses = new Map<MemberKey, readonly Witness[]>();
    for (const [key, member] of this.members) {
      const { uid, exists, secret, evidence, probed, acknowledged } = member;
      const barred = member.barred ? BARRED : null;
      const brought = new Map([...member.brought].map(([number, there]) => [number, there ? null : LACK]));
      if (exists) certificates.set(key, { uid, barred, secret, brought });
      witnesses.set(key, [
        {
          peer: 'mesh',
          member: key,
          name: key.slice(3),
          probed,
          acknowledgedWhen: SEEN,
          acknowledged,
          roles: { listens: true, dials: true },
          freshFor: 90_000,
          evidence,
        },
      ]);
    }
    const generations = new Map(
      Object.keys(this.ledger.generations).map((number) => [
        Number(number),
        { issuedAt: NOW - YEAR, notAfter: this.ends.get(Number(number)) ?? NOW + 9 * YEAR },
      ]),
    );
    return {
      wish: this.wish,
      ledger: this.ledger,
      generations,
      certificates,
      witnesses,
      verifies: () => null,
      watched: () => true,
      obstacle: null,
    };
  }

  /** The numbers that the user may ask for now: on, back, and (five at most) a new one. */
  usable(): readonly number[] {
    const { rotation, signer, highest } = this.ledger;
    if (rotation !== null) return [rotation.from, rotation.to];
    return [signer ?? 1, ...(highest < 5 ? [highest + 1] : [])];
  }

  // ---- what the operator does -----------------------------------------------------------------------------------

  beginPlan(): void {
    this.unfinished.push({ kind: 'plan', epoch: this.ledger.epoch, decision: plan(this.facts(), this.now) });
  }

  /** @param renew its leaf is due */
  beginWrite(key: MemberKey, renew = false): void {
    const entry = this.ledger.roster.get(key);
    const member = this.member(key);
    if (entry === undefined || entry.leaf === null || !member.exists) return;
    const { secret, version } = member;
    if (secret !== null && secret.epoch > this.ledger.epoch) return;
    const sameLeaf = secret?.leaf === entry.leaf;
    const granted = secret !== null && secret.epoch < entry.since;
    const right = sameLeaf && secret.bundle !== null && sameBundle(secret.bundle, entry.bundle) && !granted;
    if (right && !renew) return;
    const brought = member.brought.get(entry.leaf);
    if (brought === false && !sameLeaf) return;
    const keepsLeaf = sameLeaf && !renew && !(granted && entry.grant === 'Reopened');
    this.#counter++;
    const next: SecretFact = {
      epoch: this.ledger.epoch,
      revision: `r${this.#counter}`,
      leaf: entry.leaf,
      leafFingerprint:
        brought !== undefined ? `brought-${entry.leaf}` : keepsLeaf ? secret.leafFingerprint : `leaf-${this.#counter}`,
      leafEpoch: brought !== undefined ? 0 : keepsLeaf ? secret.leafEpoch : this.ledger.epoch,
      leafNotAfter: NOW + YEAR,
      bundle: entry.bundle,
    };
    this.unfinished.push({ kind: 'write', member: key, version, next });
  }

  beginProbe(key: MemberKey): void {
    const { secret, probed } = this.member(key);
    if (secret !== null && probed)
      this.unfinished.push({ kind: 'probe', member: key, epoch: this.ledger.epoch, revision: secret.revision });
  }

  /** Finishes the i-th thing that was begun; what was outrun fails as the API server would make it fail. */
  finish(i: number): void {
    const [task] = this.unfinished.splice(i, 1);
    if (task === undefined) return;
    switch (task.kind) {
      case 'plan':
        if (task.epoch === this.ledger.epoch) this.#commit(task.decision);
        return;
      case 'write': {
        const member = this.member(task.member);
        if (member.version !== task.version) return;
        member.version++;
        member.secret = task.next;
        return;
      }
      case 'probe':
        this.member(task.member).evidence = this.#see(task.member, task.epoch, task.revision);
    }
  }

  /** The process dies: everything that was begun is forgotten. */
  crash(): void {
    this.unfinished = [];
  }

  #commit({ step }: Decision): void {
    if (step.kind === 'rest') return;
    const next =
      step.kind === 'commit'
        ? step.ledger
        : adoptGeneration(this.ledger, step.generation, record(step.generation), this.now, this.strategy);
    if (next.epoch !== this.ledger.epoch + 1) throw new Error(`epoch went from ${this.ledger.epoch} to ${next.epoch}`);
    const [before, after] = [this.ledger.rotation, next.rotation];
    if (after !== null) this.stages.add(after.stage);
    if (before !== null && after !== null && before.to !== after.to) this.reversals++;
    this.ledger = next;
    for (const [key, member] of this.members) if (this.#left(key)) member.loaded = null;
    const slots = [...next.roster.values()].filter(({ grant }) => grant !== null && grant !== 'Proven').length;
    this.mostOpen = Math.max(this.mostOpen, slots);
  }

  /** Its ClusterCertificate was deleted and the ledger does not know it any more: it replicates no more. */
  #left(key: MemberKey): boolean {
    return !this.member(key).exists && !this.ledger.roster.has(key);
  }

  #see(key: MemberKey, epoch: number, revision: string): Evidence {
    const { loaded, dark, remembers } = this.member(key);
    const blind = dark || loaded === null;
    const askable = (number: number): boolean => this.ledger.generations[number]?.withoutKey !== true;
    const refused = blind
      ? []
      : Object.keys(this.ledger.generations)
          .map(Number)
          .filter((number) => askable(number) && !loaded.bundle.includes(number));
    const trusted = blind
      ? []
      : loaded.bundle.filter((number) => askable(number) && this.now < (this.ends.get(number) ?? Infinity));
    return {
      epoch,
      revision,
      observedAt: this.now,
      presents: blind ? null : { fingerprint: loaded.fingerprint, generation: loaded.leaf },
      trusts: { listening: trusted, dialling: trusted },
      refuses: { fresh: refused, resumed: remembers === 'no' ? refused : [] },
      resumes: remembers === 'yes' ? refused : [],
      reason: blind ? 'Unreachable' : '',
      message: blind ? `${key} is unreachable` : '',
    };
  }

  // ---- what members do --------------------------------------------------------------------------------------------

  /** Its kubelet brings what the Secret holds now. */
  mount(key: MemberKey): void {
    const member = this.member(key);
    member.mounted = member.secret;
  }

  /** A dark member hangs: it loads nothing, but its links live on what it loaded before. */
  load(key: MemberKey): void {
    const member = this.member(key);
    const { mounted, dark } = member;
    if (dark || this.#left(key) || mounted === null || mounted.leaf === null || mounted.bundle === null) return;
    member.inUse = mounted.revision;
    member.loaded = { leaf: mounted.leaf, bundle: mounted.bundle, fingerprint: mounted.leafFingerprint };
  }

  /** One pass of the operator, begun and finished. */
  pass(): Decision {
    const decision = plan(this.facts(), this.now);
    this.#commit(decision);
    return decision;
  }

  /** These Secrets are written, brought and loaded. */
  deliver(...members: readonly MemberKey[]): void {
    for (const member of members) {
      this.beginWrite(member);
      while (this.unfinished.length > 0) this.finish(0);
      this.mount(member);
      this.load(member);
    }
  }

  /** These members are probed. */
  look(...members: readonly MemberKey[]): void {
    for (const member of members) this.beginProbe(member);
    while (this.unfinished.length > 0) this.finish(0);
  }

  /** All goes well until this holds of the ledger. */
  until(wanted: (ledger: Ledger) => boolean): void {
    for (let round = 0; round < 200; round++) {
      if (wanted(this.ledger)) return;
      this.pass();
      this.deliver(...this.members.keys());
      this.look(...this.members.keys());
    }
    throw new Error(`never: ${JSON.stringify(this.ledger.rotation)}`);
  }

  /** One pass of the operator, and then a member for which all goes well at once. */
  serve(key: MemberKey): void {
    for (const begin of [
      () => this.beginPlan(),
      () => this.beginWrite(key),
      () => (this.mount(key), this.load(key), this.beginProbe(key)),
    ]) {
      const before = this.unfinished.length;
      begin();
      if (this.unfinished.length > before) this.finish(before);
    }
  }

  /** Somebody looks at the member itself, and vouches for it when it does use what its Secret holds. */
  acknowledge(key: MemberKey): void {
    const member = this.member(key);
    const { secret, loaded } = member;
    const { rotation } = this.ledger;
    if (rotation === null || secret === null || loaded === null || member.inUse !== secret.revision) return;
    const { to: generation, stage } = rotation;
    const { revision } = secret;
    const claim = { by: 'jane', manager: null, reason: 'seen', expires: this.now + 3_600_000 };
    member.acknowledged = { revision, generation, stage, ...claim };
  }

  /** The machine behind a deleted member is gone, and its user says so. */
  depart(key: MemberKey): void {
    if (this.member(key).exists) throw new Error(`${key} is still there`);
    this.members.delete(key);
    this.unfinished = this.unfinished.filter((task) => task.kind === 'plan' || task.member !== key);
    this.wish = { ...this.wish, departed: new Set([...this.wish.departed, key]) };
  }

  // ---- what must hold ---------------------------------------------------------------------------------------------

  /** The links that are broken now: a leaf really presented that a partner's really loaded bundle does not hold. */
  brokenLinks(): string[] {
    const live = [...this.members].flatMap(([key, { loaded }]) => (loaded === null ? [] : [{ key, loaded }]));
    return live.flatMap((from) =>
      live
        .filter((to) => to.key !== from.key && !to.loaded.bundle.includes(from.loaded.leaf))
        .map((to) => `${to.key} does not trust generation ${from.loaded.leaf} of ${from.key}`),
    );
  }

  /** Everybody does everything in turn, until nothing changes any more: what a healthy world comes to. */
  settle(rounds = 400): void {
    for (let round = 0; round < rounds; round++) {
      const before = JSON.stringify([this.ledger.epoch, this.ledger.rotation]);
      this.beginPlan();
      for (const key of this.members.keys()) this.beginWrite(key);
      while (this.unfinished.length > 0) this.finish(0);
      for (const key of this.members.keys()) {
        this.mount(key);
        this.load(key);
        this.beginProbe(key);
      }
      while (this.unfinished.length > 0) this.finish(0);
      const after = plan(this.facts(), this.now);
      if (after.step.kind === 'rest' && before === JSON.stringify([this.ledger.epoch, this.ledger.rotation])) return;
    }
    throw new Error(`the mesh does not settle: ${JSON.stringify(this.ledger.rotation)}`);
  }
}

/** Small, seeded, and good enough to choose the next step (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
