/**
 * The ledger: the one object in which the decisions of a mesh are kept (design section 3.1), as JSON in a Secret.
 *
 * Its head is small and checked by a schema; the roster has up to thousands of rows and is read at every pass, so a row is
 * a short list, `"ns/name": [uid, leaf, bundle, since, grant]`, checked by hand. What is written by another version, cut short
 * or edited wrongly is refused as a whole: a ledger that is half believed breaks links.
 */
import { z } from 'zod';
import { sha256 } from './fields.ts';
import { parseInstant } from './instant.ts';
import { MAX_GENERATION, type MemberKey } from './names.ts';
import { describeIssues } from './parse.ts';
import { isList, isRecord, shown } from './raw.ts';

export interface GenerationRecord {
  readonly secretName: string;
  /** SHA-256 of the certificate (DER), lower-case hex. */
  readonly fingerprint: string;
  readonly secretUid: string;
  /** Where the passphrase of the key is; null: the key is not encrypted. */
  readonly passphraseRef: { readonly name: string; readonly key: string } | null;
  /** Whether it was made elsewhere, and copied from a Secret of the user's. */
  readonly imported: boolean;
  /** Whether its key is not here: others sign with it, and nobody here can. */
  readonly withoutKey: boolean;
}

/**
 * Open: the Secret may change, and was not seen to have arrived. Proven: it was.
 * Reversed: it was open when the rotation turned round; it keeps its slot and its content until the opposite grant may be given.
 * Reopened: that opposite grant. Open, and its Secret comes with a new leaf, for only the leaf tells that this content has arrived and
 * not one that was still on its way.
 */
const GRANTS = ['Open', 'Proven', 'Reversed', 'Reopened'] as const;
export type Grant = (typeof GRANTS)[number];

/** One member. Replaced as a whole, never changed in place. */
export interface RosterEntry {
  /** UID of the ClusterCertificate. */
  readonly uid: string;
  /** Generation that signs this member's leaf; null: it was never given a Secret. */
  readonly leaf: number | null;
  /** Generations in its bundle, lowest first. */
  readonly bundle: readonly number[];
  /** Epoch in which this content was decided: a Secret of a lower epoch must be written. */
  readonly since: number;
  readonly grant: Grant | null;
}

/** How a rotation goes: where members honour every CA of a bundle, and where they honour one only. */
export type Strategy = 'Staged' | 'Lockstep';
/** Stages of a rotation in which both generations are trusted for a while. */
export type StagedStage = 'Append' | 'Roll' | 'Drop';
/** Stages of one in which all change at one time. */
export type LockstepStage = 'Prepare' | 'Swap';

export interface Rotation {
  readonly from: number;
  readonly to: number;
  readonly direction: 'Forward' | 'Backward';
  readonly stage: StagedStage | LockstepStage;
  /** When the rotation began, RFC 3339. */
  readonly startedAt: string;
  /** When the stage began, RFC 3339. */
  readonly since: string;
  /** Since when everything is proven, RFC 3339; null: it is not. The soak is counted from here. */
  readonly provenSince: string | null;
  /** Epoch at which the last grant was proven, or the stage began. */
  readonly provenEpoch: number;
  /** Since when links may be down, RFC 3339: in lockstep, until all were seen to have changed. Null: they hold. */
  readonly interruptedSince: string | null;
  /** Whether there may be leaves of the newer of the two: it was made elsewhere, or was the signer already. */
  readonly hasSigned: boolean;
}

interface HistoryEntry {
  readonly generation: number;
  readonly startedAt: string;
  readonly completedAt: string;
}

export interface Ledger {
  /** Goes up by one with every write; the only order that there is. */
  readonly epoch: number;
  /** The highest number ever used. */
  readonly highest: number;
  readonly generations: Readonly<Record<number, GenerationRecord>>;
  /** Null: nothing was minted yet. */
  readonly signer: number | null;
  /** What members are to trust now, lowest first. */
  readonly bundle: readonly number[];
  readonly rotation: Rotation | null;
  readonly roster: ReadonlyMap<MemberKey, RosterEntry>;
  /** The last rotation was rolled back while `spec.rotation.generation` was unset: nothing starts by itself until it is set. */
  readonly held: boolean;
  /** The last MAX_HISTORY, oldest first. */
  readonly history: readonly HistoryEntry[];
  /** When the ledger was created, RFC 3339. */
  readonly created: string;
}

export const MAX_HISTORY = 10;
/** Largest text that is read; a Secret holds 1 MiB. */
const MAX_TEXT = 1_048_576;
/** Version of the format. */
const FORMAT = 1;

/** The ledger cannot be believed. The message names what is wrong; it holds no key, for a ledger has none. */
export class LedgerError extends Error {
  override readonly name = 'LedgerError';
  constructor(what: string) {
    super(`the ledger cannot be read: ${what}`);
  }
}

/** The ledger of a new ReplicationCA, before anything was minted. `created` is RFC 3339. */
export const emptyLedger = (created: string): Ledger => ({
  epoch: 1,
  highest: 0,
  generations: {},
  signer: null,
  bundle: [],
  rotation: null,
  roster: new Map(),
  held: false,
  history: [],
  created,
});

/** Compact JSON, the same text for the same ledger. */
export function encodeLedger(ledger: Ledger): string {
  const rows = [...ledger.roster].sort(([one], [other]) => (one < other ? -1 : 1));
  const { roster: _, ...head } = ledger;
  return JSON.stringify({
    format: FORMAT,
    ...head,
    roster: Object.fromEntries(
      rows.map(([member, { uid, leaf, bundle, since, grant }]) => [member, [uid, leaf, bundle, since, grant]]),
    ),
  });
}

/** Reads what encodeLedger wrote, and checks that it makes sense. Throws LedgerError, and nothing else. */
export function decodeLedger(text: string): Ledger {
  if (text.length > MAX_TEXT) throw new LedgerError(`it has ${text.length} characters, more than ${MAX_TEXT}`);
  const raw = parseJson(text);
  const { roster: rows, ...fields } = raw;
  const head = headSchema.safeParse(fields, { reportInput: true });
  if (!head.success) throw new LedgerError(describeIssues('ledger', head.error).slice(0, 4).join('; '));
  const { format: _, generations, ...rest } = head.data;
  const known = Object.fromEntries(Object.entries(generations).map(([number, record]) => [Number(number), record]));
  const ledger = { ...rest, generations: known, roster: readRoster(rows, rest.epoch, known) };
  checkHead(ledger);
  return ledger;
}

function parseJson(text: string): Readonly<Record<string, unknown>> {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    throw new LedgerError('it is not JSON (cut short?)'); // the parser's own message would quote the text
  }
  if (!isRecord(raw)) throw new LedgerError('it is not a JSON object');
  return raw;
}

// ---------------------------------------------------------------------------------------------------- head

const counted = z.int().min(0);
const generationNumber = z.int().min(1).max(MAX_GENERATION);
const instant = z.string().refine((text) => parseInstant(text) !== null, { error: 'must be an instant in RFC 3339' });
const word = z.string().min(1).max(253);

const headSchema = z.strictObject({
  format: z.literal(FORMAT),
  epoch: z.int().min(1),
  highest: counted.max(MAX_GENERATION),
  generations: z
    .record(
      z.string(),
      z.strictObject({
        secretName: word,
        fingerprint: sha256(),
        secretUid: word,
        passphraseRef: z.strictObject({ name: word, key: word }).nullable(),
        imported: z.boolean().default(false), // ledgers of before CAs could be imported have none
        withoutKey: z.boolean().default(false), // and those of before they could be without their keys
      }),
    )
    .refine((records) => Object.keys(records).every((key) => /^[1-9][0-9]{0,5}$/.test(key)), {
      error: 'must be recorded by number',
    }),
  signer: generationNumber.nullable(),
  bundle: z.array(generationNumber),
  rotation: z
    .strictObject({
      from: generationNumber,
      to: generationNumber,
      direction: z.enum(['Forward', 'Backward']),
      stage: z.enum(['Append', 'Roll', 'Drop', 'Prepare', 'Swap']),
      startedAt: instant,
      since: instant,
      provenSince: instant.nullable(),
      provenEpoch: counted,
      interruptedSince: instant.nullable().default(null), // ledgers of before there was lockstep have none
      hasSigned: z.boolean().default(true), // older ledgers do not say
    })
    .nullable(),
  held: z.boolean().default(false), // ledgers of before there were rollbacks have none
  history: z
    .array(z.strictObject({ generation: generationNumber, startedAt: instant, completedAt: instant }))
    .max(MAX_HISTORY),
  created: instant,
});

/** The invariants that hold between any two transitions; breaking one means that something else wrote the ledger. */
function checkHead({ epoch, highest, generations, signer, bundle, rotation, history, roster }: Ledger): void {
  const numbers = Object.keys(generations).map(Number);
  for (const number of [...numbers, ...history.map(({ generation }) => generation)]) {
    if (number > highest)
      throw new LedgerError(`generation ${number} is above the highest number ever used, ${highest}`);
  }
  checkBundle('bundle', bundle, generations);
  if (signer === null) {
    if (numbers.length > 0 || rotation !== null) throw new LedgerError('there are generations but no signer');
    for (const [member, { leaf }] of roster) {
      if (leaf !== null) throw new LedgerError(`there is no signer, but ${member} has a leaf`);
    }
    return;
  }
  if (generations[signer] === undefined) throw new LedgerError(`signer ${signer} is not among the generations`);
  if (!bundle.includes(signer)) throw new LedgerError(`signer ${signer} is not in the bundle`);
  if (rotation !== null) checkRotation(rotation, signer, bundle, epoch, generations);
}

function checkRotation(
  { from, to, direction, stage, provenEpoch, interruptedSince }: Rotation,
  signer: number,
  bundle: readonly number[],
  epoch: number,
  generations: Ledger['generations'],
): void {
  const route = `rotation ${direction} from ${from} to ${to} in stage ${stage}`;
  for (const number of [from, to]) {
    if (generations[number] === undefined) throw new LedgerError(`${route}: generation ${number} is not recorded`);
  }
  if (direction === 'Forward' ? from >= to : from <= to)
    throw new LedgerError(`${route}: the numbers go the other way`);
  if (stage === 'Prepare' && direction === 'Backward')
    throw new LedgerError(`${route}: nothing is prepared on the way back`);
  const wanted = stage === 'Append' || stage === 'Prepare' ? from : to;
  if (signer !== wanted) throw new LedgerError(`${route}: the signer must be ${wanted}, not ${signer}`);
  const both = stage === 'Append' || stage === 'Roll';
  if (stage !== 'Prepare' && stage !== 'Swap' && interruptedSince !== null)
    throw new LedgerError(`${route}: no link is down in this stage`);
  const other = signer === from ? to : from;
  if (both ? !bundle.includes(from) || !bundle.includes(to) : bundle.includes(other)) {
    throw new LedgerError(
      `${route}: the bundle must ${both ? `hold both` : `not hold ${other}`}, it is ${shown(bundle)}`,
    );
  }
  if (provenEpoch > epoch) throw new LedgerError(`${route}: provenEpoch ${provenEpoch} is above the epoch, ${epoch}`);
}

function checkBundle(
  where: string,
  bundle: readonly unknown[],
  generations: Ledger['generations'],
): asserts bundle is readonly number[] {
  let last = 0;
  for (const number of bundle) {
    if (typeof number !== 'number' || generations[number] === undefined) {
      throw new LedgerError(`${where}: generation ${shown(number)} is not recorded`);
    }
    if (number <= last) throw new LedgerError(`${where}: must go up without duplicates, it is ${shown(bundle)}`);
    last = number;
  }
}

// ---------------------------------------------------------------------------------------------------- roster

const MEMBER = /^[a-z0-9][a-z0-9-]{0,62}\/[a-z0-9][a-z0-9.-]{0,62}$/;
const isMember = (key: string): key is MemberKey => MEMBER.test(key);

function readRoster(raw: unknown, epoch: number, generations: Ledger['generations']): Map<MemberKey, RosterEntry> {
  if (!isRecord(raw)) throw new LedgerError('roster: must be an object');
  const roster = new Map<MemberKey, RosterEntry>();
  for (const [member, row] of Object.entries(raw)) {
    if (!isMember(member)) throw new LedgerError(`roster: ${shown(member)} is not namespace/name`);
    roster.set(member, readRow(member, row, epoch, generations));
  }
  return roster;
}

function readRow(member: string, row: unknown, epoch: number, generations: Ledger['generations']): RosterEntry {
  const wrong = (what: string) => new LedgerError(`roster, ${member}: ${what}`);
  if (!isList(row) || row.length !== 5) throw wrong('must be [uid, leaf, bundle, since, grant]');
  const [uid, leaf, bundle, since, grant] = row;
  if (typeof uid !== 'string' || uid === '' || uid.length > 64) throw wrong('uid must be a text of 1 to 64 characters');
  if (leaf !== null && (typeof leaf !== 'number' || generations[leaf] === undefined)) {
    throw wrong(`leaf: generation ${shown(leaf)} is not recorded`);
  }
  if (!isList(bundle)) throw wrong('bundle must be a list');
  checkBundle(`roster, ${member}: bundle`, bundle, generations);
  if (typeof since !== 'number' || !Number.isSafeInteger(since) || since < 1 || since > epoch) {
    throw wrong(`since must be an epoch from 1 to ${epoch}, it is ${shown(since)}`);
  }
  const known = GRANTS.find((each) => each === grant) ?? null;
  if (grant !== null && known === null) throw wrong(`grant must be ${GRANTS.join(', ')} or null`);
  return { uid, leaf, bundle, since, grant: known };
}
