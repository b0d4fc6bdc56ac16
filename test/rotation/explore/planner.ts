/** From a state of the world to the facts of the shipped planner, and from its decision to the next ledger. */
import {
  decodeLedger,
  encodeLedger,
  type GenerationRecord,
  type Ledger,
  type RosterEntry,
} from '../../../src/api/ledger.ts';
import type { MemberKey } from '../../../src/api/names.ts';
import type {
  CertificateFact,
  Evidence,
  Facts,
  GenerationFact,
  SecretFact,
  Witness,
} from '../../../src/rotation/facts.ts';
import type { plan } from '../../../src/rotation/plan.ts';
import type { adoptGeneration } from '../../../src/rotation/stages.ts';
import { encodeFacts } from './codec.ts';
import { disobeyed, type Settings } from './obey.ts';
import {
  bit,
  type Entry,
  type Generations,
  GRANTS,
  type Head,
  has,
  listed,
  type Member,
  NAMES,
  type NextLedger,
  sawNothing,
  type Sight,
  type State,
} from './state.ts';

/** The code that is explored: as it is shipped, or with a bug put in. */
export interface Planner {
  readonly plan: typeof plan;
  readonly adoptGeneration: typeof adoptGeneration;
}

/** A ledger that the planner wants, or what is wrong with what it wants. */
export type Alternative =
  | { readonly next: NextLedger; readonly told: readonly string[]; readonly broken: null }
  | { readonly next: null; readonly told: readonly string[]; readonly broken: string };

const keyOf = (index: number): MemberKey => `${NAMES.charAt(index)}/${NAMES.charAt(index)}`;
const keys: readonly MemberKey[] = Array.from(NAMES, (_, i) => keyOf(i));
const indexOf = new Map(keys.map((key, i) => [key, i]));
const key = (index: number): MemberKey => keys[index] ?? keyOf(index);

const NOW = Date.parse('2026-10-05T00:00:00Z');
const SOAK = 600_000;
const FRESH_FOR = 90_000;
const DAY = 86_400_000;
const CREATED = '2026-10-01T00:00:00Z';
const TURNED = '2026-10-01T00:00:01Z';
/** The moment of proof, by what has become of the soak: no stage is proven, it runs, it is over. */
const PROVEN_SINCE = [null, new Date(NOW).toISOString(), new Date(NOW - SOAK).toISOString()] as const;
const OBSERVED_AT = [NOW, NOW - FRESH_FOR - 1, NOW + DAY] as const;
const STAGES = ['Append', 'Roll', 'Drop'] as const;
const LOCKSTEP_STAGES = ['Prepare', 'Roll', 'Swap'] as const;
const stagesOf = ({ lockstep }: Pick<Settings, 'lockstep'>) => (lockstep ? LOCKSTEP_STAGES : STAGES);

const record = (number: number): GenerationRecord => ({
  secretName: `ca-g${number}`,
  fingerprint: String(number).padStart(64, '0'),
  secretUid: `uid-${number}`,
  passphraseRef: null,
  imported: false,
  withoutKey: false,
});
const records = Array.from({ length: 32 }, (_, number) => record(number));
const lists: readonly (readonly number[])[] = Array.from({ length: 512 }, (_, set) => listed(set));
const listOf = (set: Generations): readonly number[] => lists[set] ?? listed(set);

// ---- Facts -------------------------------------------------------------------------------------------------------

/** A member as the watches show it. */
function shownOf(member: Member): Member {
  const { oldSecret, oldSight } = member;
  if (oldSecret === null && oldSight === null) return member;
  return {
    ...member,
    ...(oldSecret === null ? {} : { certificate: oldSecret.certificate, secret: oldSecret.secret }),
    ...(oldSight === null ? {} : { sight: oldSight.sight }),
  };
}

function rosterEntry(entry: Entry): RosterEntry {
  return {
    uid: 'known',
    leaf: entry.leaf === 0 ? null : entry.leaf,
    bundle: listOf(entry.bundle),
    since: entry.since,
    grant: GRANTS[entry.grant] ?? null,
  };
}

/** The ledger of a state, with its roster in the given order. */
function ledgerOf({ head, members }: State, order: readonly number[], settings: Settings): Ledger {
  const { epoch, highest, generations, signer, bundle, rotation, held } = head;
  const roster = new Map<MemberKey, RosterEntry>();
  for (const i of order) {
    const entry = members[i]?.entry ?? null;
    if (entry !== null) roster.set(key(i), rosterEntry(entry));
  }
  const named: Record<number, GenerationRecord> = {};
  for (const number of listOf(generations)) named[number] = records[number] ?? record(number);
  return {
    epoch,
    highest,
    generations: named,
    signer: signer === 0 ? null : signer,
    bundle: listOf(bundle),
    rotation:
      rotation === null
        ? null
        : {
            from: rotation.from,
            to: rotation.to,
            direction: rotation.backward ? 'Backward' : 'Forward',
            stage: stagesOf(settings)[rotation.stage],
            startedAt: CREATED,
            since: rotation.turned ? TURNED : CREATED,
            provenSince: PROVEN_SINCE[rotation.proven],
            provenEpoch: rotation.provenEpoch,
            interruptedSince: rotation.interrupted ? CREATED : null,
            // Of what is known of sessions, with which the world comes.
            hasSigned: true,
          },
    roster,
    held,
    history: [],
    created: CREATED,
  };
}

function secretFact(member: Member, generations: Generations): SecretFact | null {
  const { secret } = member;
  if (secret === null) return null;
  return {
    epoch: secret.epoch,
    revision: `revision-${secret.revision}`,
    leafFingerprint: `leaf-${secret.id}`,
    // Whatever is written under a grant that was turned round comes with a new leaf, but where it is brought.
    leafEpoch: member.brings ? 0 : secret.epoch,
    leafNotAfter: NOW + 300 * DAY,
    leaf: has(generations, secret.leaf) ? secret.leaf : null,
    bundle: (secret.bundle & ~generations) === 0 ? listOf(secret.bundle) : null,
  };
}

function evidence(sight: Sight | null): Evidence | null {
  if (sight === null) return null;
  const [trusts, refuses] = [listOf(sight.trusts), listOf(sight.refuses)];
  return {
    epoch: sight.epoch,
    revision: `revision-${sight.revision}`,
    observedAt: OBSERVED_AT[sight.age],
    presents: sight.leaf === 0 ? null : { fingerprint: `leaf-${sight.id}`, generation: sight.leaf },
    trusts: { listening: trusts, dialling: trusts },
    // Sessions from before the change are another world (test/probe): here whoever refuses, refuses them as well.
    refuses: { fresh: refuses, resumed: refuses },
    resumes: [],
    reason: sawNothing(sight)
      ? 'Unreachable'
      : sight.leaf === 0 || (sight.trusts | sight.refuses) === 0
        ? 'Inconclusive'
        : '',
    message: '',
  };
}

function acknowledgement({ vouch }: Member, settings: Settings): Witness['acknowledged'] {
  if (vouch === null) return null;
  const { revision, generation, stage } = vouch;
  return {
    revision: `revision-${revision}`,
    generation,
    stage: stagesOf(settings)[stage],
    expires: NOW + DAY,
    by: 'somebody',
    manager: null,
    reason: 'was seen',
  };
}

/** What verifiers make of distinct subjects and key ids, which every generation has, but where all are alike (checks.ts). */
const verifiesIn =
  ({ alike }: Settings): Facts['verifies'] =>
  (leaf, bundle) => {
    if (!bundle.includes(leaf)) return 'it does not hold that generation';
    return alike && bundle.length > 1 ? 'some verifiers take another CA for the issuer' : null;
  };

/** A CA that was to be imported is refused, or its passphrase is not there. */
const UNMAKEABLE = { reason: 'ImportRefused', message: 'It cannot be made.' };
const LACK = { reason: 'LeafUnavailable', message: 'It is not brought.' };
const USES = 'it uses its Secret';
const SEEN = { Append: USES, Roll: USES, Drop: USES, Prepare: USES, Swap: USES };
const BARRED = { reason: 'NamespaceNotAllowed', message: 'It may not be served.' };

const NOTHING: CertificateFact['brought'] = new Map();

function broughtBy({ brings, ready }: Member, generations: Generations): CertificateFact['brought'] {
  if (!brings) return NOTHING;
  return new Map(listOf(generations).map((number) => [number, has(ready, number) ? null : LACK]));
}

/** What the planner is given. */
function factsOf(
  state: State,
  shown: readonly Member[],
  settings: Settings,
  order: readonly number[],
  obstacle: Facts['obstacle'],
): Facts {
  const { head, wanted, due } = state;
  const generations = new Map<number, GenerationFact>();
  for (const number of listOf(head.generations)) {
    // Of a life of 300 days, a third is left at `due`.
    const notAfter = NOW + (has(due, number) ? 50 : 250) * DAY;
    generations.set(number, { issuedAt: notAfter - 300 * DAY, notAfter });
  }
  const certificates = new Map<MemberKey, CertificateFact>();
  const witnesses = new Map<MemberKey, readonly Witness[]>();
  const departed = new Set<MemberKey>();
  for (const i of order) {
    const member = shown[i];
    if (member === undefined) continue;
    const name = key(i);
    if (member.departed) departed.add(name);
    if (member.certificate && !member.hidden) {
      const uid = member.entry === null || member.uidKnown ? 'known' : 'new';
      const barred = member.barred ? BARRED : null;
      const brought = broughtBy(member, head.generations);
      certificates.set(name, { uid, barred, secret: secretFact(member, head.generations), brought });
    }
    if (member.peer) {
      witnesses.set(name, [
        {
          peer: 'mesh',
          member: name,
          name: NAMES.charAt(i),
          probed: member.probed,
          acknowledgedWhen: SEEN,
          acknowledged: acknowledgement(member, settings),
          roles: { listens: true, dials: true },
          freshFor: FRESH_FOR,
          evidence: evidence(member.sight),
        },
      ]);
    }
  }
  return {
    wish: {
      generation: wanted.pin === 0 ? null : wanted.pin,
      renewBefore: 365 * DAY,
      soak: settings.soak ? SOAK : 0,
      maxConcurrent: settings.concurrent,
      paused: wanted.paused,
      approval: {
        required: settings.approval,
        upTo:
          wanted.approved.stage === 0
            ? null
            : { generation: wanted.approved.generation, stage: approvedStage(wanted.approved.stage, settings) },
      },
      departed,
      deleting: wanted.deleting,
    },
    ledger: ledgerOf(state, order, settings),
    generations,
    certificates,
    witnesses,
    verifies: verifiesIn(settings),
    watched: (namespace) => shown[NAMES.indexOf(namespace)]?.hidden !== true,
    obstacle,
  };
}

// ---- Decisions ---------------------------------------------------------------------------------------------------

const LEDGER_FIELDS = 'bundle,created,epoch,generations,held,highest,history,roster,rotation,signer';
const ROUTE_FIELDS = 'direction,from,hasSigned,interruptedSince,provenEpoch,provenSince,since,stage,startedAt,to';
const ENTRY_FIELDS = 'bundle,grant,leaf,since,uid';

const STAGE_NUMBERS = { Append: 0, Roll: 1, Drop: 2, Prepare: 0, Swap: 2 } as const;

const approvedStage = (stage: 1 | 2, { lockstep }: Settings) => (stage === 1 ? 'Roll' : lockstep ? 'Swap' : 'Drop');

/** A field that this form does not know would be lost silently, and with it what the exploration proves. */
function expectFields(what: string, object: object, fields: string): void {
  const found = Object.keys(object).sort().join();
  if (found !== fields) throw new Error(`${what} has the fields ${found}, the explorer knows ${fields}`);
}

function setOf(numbers: readonly number[]): Generations {
  let set = 0;
  for (const number of numbers) set |= bit(number);
  return set;
}

function headOf(ledger: Ledger): Head {
  const { rotation } = ledger;
  expectFields('the ledger', ledger, LEDGER_FIELDS);
  if (rotation !== null) expectFields('the rotation', rotation, ROUTE_FIELDS);
  return {
    epoch: ledger.epoch,
    highest: ledger.highest,
    generations: setOf(Object.keys(ledger.generations).map(Number)),
    signer: ledger.signer ?? 0,
    bundle: setOf(ledger.bundle),
    rotation:
      rotation === null
        ? null
        : {
            from: rotation.from,
            to: rotation.to,
            backward: rotation.direction === 'Backward',
            stage: STAGE_NUMBERS[rotation.stage],
            proven: rotation.provenSince === null ? 0 : Date.parse(rotation.provenSince) <= NOW - SOAK ? 2 : 1,
            provenEpoch: rotation.provenEpoch,
            interrupted: rotation.interruptedSince !== null,
            turned: rotation.stage === 'Prepare' && rotation.since !== rotation.startedAt,
          },
    held: ledger.held,
  };
}

function nextOf(ledger: Ledger, shown: readonly Member[]): NextLedger {
  const entries: (Entry | null)[] = shown.map(() => null);
  const uidKnown = shown.map(() => true);
  for (const [member, entry] of ledger.roster) {
    const i = indexOf.get(member) ?? -1;
    expectFields('a roster entry', entry, ENTRY_FIELDS);
    entries[i] = {
      leaf: entry.leaf ?? 0,
      bundle: setOf(entry.bundle),
      since: entry.since,
      grant: GRANTS.indexOf(entry.grant),
    };
    const before = shown[i];
    uidKnown[i] = before === undefined || before.entry === null || before.uidKnown || entry.uid === 'new';
  }
  return { head: headOf(ledger), entries, uidKnown };
}

/** All orders of n members. */
const ORDERS: readonly (readonly (readonly number[])[])[] = Array.from({ length: 5 }, (_, n) => permutations(n));

function permutations(n: number): readonly (readonly number[])[] {
  if (n === 0) return [[]];
  return permutations(n - 1).flatMap((rest) =>
    Array.from({ length: n }, (_, place) => [...rest.slice(0, place), n - 1, ...rest.slice(place)]),
  );
}

/** The explored planner, with what it decided before. Deciding is a function, so nothing is asked twice. */
export class Decider {
  readonly #planner: Planner;
  readonly #settings: Settings;
  #known = new Map<string, readonly Alternative[]>();
  /** How often the planner was really asked. */
  asked = 0;

  constructor(planner: Planner, settings: Settings) {
    this.#planner = planner;
    this.#settings = settings;
  }

  /** The ledgers that the planner may want in a state, one for each naming of the members; none: it rests. */
  decide(state: State): readonly Alternative[] {
    const shown = state.members.map(shownOf);
    const text = encodeFacts(state, shown);
    let known = this.#known.get(text);
    if (known === undefined) {
      known = this.#alternatives(state, shown);
      if (this.#known.size >= 200_000) this.#known = new Map();
      this.#known.set(text, known);
    }
    return known;
  }

  #alternatives(state: State, shown: readonly Member[]): readonly Alternative[] {
    const found = new Map<string, Alternative>();
    // First as if whatever is wanted could be made: what settles goes that way.
    for (const obstacle of state.head.rotation === null ? [null, UNMAKEABLE] : [null]) {
      for (const order of ORDERS[state.members.length] ?? []) {
        const alternative = this.#ask(state, shown, order, obstacle);
        if (alternative === null) continue;
        const name = JSON.stringify([alternative.next, alternative.broken]);
        if (!found.has(name)) found.set(name, alternative);
      }
    }
    return [...found.values()];
  }

  #ask(
    state: State,
    shown: readonly Member[],
    order: readonly number[],
    obstacle: Facts['obstacle'],
  ): Alternative | null {
    this.asked++;
    try {
      const facts = factsOf(state, shown, this.#settings, order, obstacle);
      const { step, story } = this.#planner.plan(facts, NOW);
      if (step.kind === 'rest') return null;
      const minted = step.kind === 'mint' ? step.generation : 0;
      if (minted !== 0 && obstacle !== null) throw new Error(`generation ${minted} is minted, which cannot be made`);
      const ledger =
        step.kind === 'commit'
          ? step.ledger
          : this.#planner.adoptGeneration(
              facts.ledger,
              minted,
              records[minted] ?? record(minted),
              NOW,
              this.#settings.lockstep ? 'Lockstep' : 'Staged',
            );
      decodeLedger(encodeLedger(ledger));
      const told = story.map(({ note }) => note);
      const next = nextOf(ledger, shown);
      const wrong = disobeyed(state, shown, next, this.#settings);
      if (wrong !== null) return { next: null, told, broken: wrong };
      return {
        next,
        told: minted === 0 ? told : [`generation ${minted} is minted`, ...told],
        broken: null,
      };
    } catch (error) {
      return { next: null, told: [], broken: error instanceof Error ? error.message : String(error) };
    }
  }
}
