import { clip, MAX_DISPLAY, MAX_MESSAGE } from '../../api/fields.ts';
import type { Ledger, Rotation } from '../../api/ledger.ts';
import { generationName, type MemberKey } from '../../api/names.ts';
import type { ReplicationCA } from '../../api/objects.ts';
import { MAX_LISTED, type ReplicationCAStatus } from '../../api/replication-ca.ts';
import type { ConditionReason, EventReason } from '../../api/vocabulary.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { rawSubjectOf } from '../../pki/issue.ts';
import { keySpecOf, sameKeySpec } from '../../pki/keys.ts';
import type { Facts } from '../../rotation/facts.ts';
import type { Decision } from '../../rotation/plan.ts';
import type { Hold } from '../../rotation/stages.ts';
import { namespaceOf } from '../../rotation/story.ts';
import { startBy } from '../../rotation/wanted.ts';
import { secondTime } from '../../runtime/clock.ts';
import type { ConditionUpdate } from '../../runtime/conditions.ts';
import { authorityWish, type AuthorityWish, BACKDATE } from '../shared/effective.ts';
import type { Refusal } from '../shared/refusal.ts';
import { condition, nextConditions, progress } from '../shared/status.ts';
import { expiring } from './expiry.ts';
import { isRoutine, type Waiting, waitingFor } from './waiting.ts';

/** A warning that is no refusal: it goes on, but not for long unless somebody acts. */
export interface Alarm {
  readonly reason: ConditionReason & EventReason;
  readonly message: string;
}

/** What a pass came to. */
export interface Outcome {
  readonly ca: ReplicationCA;
  readonly refusal: Refusal | null;
  readonly alarm: Alarm | null;
  /** What is known although nothing was decided: a ledger that was judged good. Null: it cannot be used, or was not looked at. */
  readonly ledger: Ledger | null;
  /** Null: nothing could be decided. */
  readonly rotation: {
    readonly facts: Facts;
    readonly decision: Decision;
    readonly generations: ReadonlyMap<number, Certificate>;
  } | null;
  readonly bundleSha256: string | null;
}

/** The status after a pass, made from scratch: wiping it changes nothing but the times of transitions. */
export function statusOf(
  { ca, refusal, alarm, ledger: known, rotation, bundleSha256 }: Outcome,
  now: number,
): ReplicationCAStatus {
  const { generation } = ca.metadata;
  const conditions = (updates: readonly ConditionUpdate[]) => ({
    observedGeneration: generation,
    conditions: nextConditions(ca.status?.conditions, updates, generation, now),
  });
  if (rotation === null) {
    if (refusal === null) {
      const pending = condition('Ready', 'False', 'Pending', 'The first generation is about to be made.');
      return { ...conditions([...progress(null, pending.message), pending]), phase: 'Pending' };
    }
    const { reason, message } = refusal;
    const course = known?.rotation ?? null;
    const gap = course === null || course.interruptedSince === null ? '' : `; ${downSince(course)}`;
    return {
      // Nothing from before: whoever reads a column takes it for true.
      ...conditions([
        ...progress(refusal),
        condition('Ready', 'False', reason, message),
        condition('Rotating', 'Unknown', reason, `Nothing moves while this CA is stalled${gap}. ${message}`),
      ]),
      phase: 'Stalled',
      ...(known === null ? {} : standing(known)),
      blockedBy: reason,
      rotation: { ...(course === null ? {} : courseOf(course)), next: clip(message, MAX_MESSAGE) },
    };
  }
  const { facts, decision, generations } = rotation;
  const { ledger } = decision;
  const waiting = waitingFor(decision);
  const signer = ledger.signer === null ? undefined : generations.get(ledger.signer);
  const blockedBy = blockedByOf(ca, decision, waiting, refusal, alarm);
  return {
    ...conditions([
      ...progress(refusal),
      ready(decision, signer, refusal, alarm, now),
      rotating(ca, decision, waiting, signer),
    ]),
    phase: phaseOf(ca, ledger, refusal),
    ...standing(ledger),
    ...(blockedBy.length === 0 ? {} : { blockedBy: clip(blockedBy.join(', '), MAX_DISPLAY) }),
    ...(signer === undefined ? {} : { expires: secondTime(signer.notAfter).slice(0, 10) }),
    generations: listGenerations(ledger, generations),
    ...(bundleSha256 === null ? {} : { bundle: { sha256: bundleSha256, generations: [...ledger.bundle] } }),
    members: countMembers(facts, ledger),
    rotation: describeRotation(rotation, nextLine(ca, decision, waiting, refusal, alarm), waiting, now),
    history: ledger.history.map((entry) => ({ ...entry })),
  };
}

/** What the ledger alone says. */
function standing({ signer, rotation, roster }: Ledger) {
  return {
    ...(signer === null ? {} : { signer, signerName: generationName(signer) }),
    ...(rotation === null ? {} : { progress: progressOf(rotation, roster) }),
  };
}

function courseOf({ from, to, direction, stage, startedAt, since, interruptedSince }: Rotation) {
  const interrupted = interruptedSince === null ? {} : { interruptedSince };
  return { from, to, direction, stage, startedAt, stageStartedAt: since, ...interrupted };
}

/** `1/3`, and `back` where the stage leads back: its name is the same in both directions. */
function progressOf({ direction }: Rotation, roster: Ledger['roster']): string {
  const proven = [...roster.values()].filter(({ grant }) => grant === 'Proven').length;
  return `${proven}/${roster.size}${direction === 'Backward' ? ' back' : ''}`;
}

/** What is waited for, first things first: a hand before members, for without it none of them may change. */
function blockedByOf(
  ca: ReplicationCA,
  decision: Decision,
  waiting: readonly Waiting[],
  refusal: Refusal | null,
  alarm: Alarm | null,
): readonly string[] {
  const { hold, stalled } = decision;
  if (stalled !== null) return [stalled.reason];
  const trouble = refusal ?? alarm;
  const first = trouble === null ? [] : [trouble.reason];
  const home = ca.metadata.namespace;
  if (isPaused(ca, decision)) {
    const stuck = waiting.filter((each) => !isRoutine(each));
    return [...first, 'Paused', ...membersOf(stuck, home)];
  }
  if (hold?.kind === 'approval') return [...first, 'WaitingForApproval'];
  if (hold?.kind === 'soak') return [...first, 'Soaking'];
  if (hold?.kind === 'unsafe') return [...first, 'BundleUnsafe'];
  return [...first, ...membersOf(waiting, home)];
}

/** The first of these members, and how many more; nothing when there is none. */
function membersOf(waiting: readonly Waiting[], home: string): readonly string[] {
  const [first] = waiting;
  if (first === undefined) return [];
  const { member, reason } = first;
  const name = namespaceOf(member) === home ? member.slice(home.length + 1) : member;
  return [waiting.length === 1 ? `${name}/${reason}` : `${name}/${reason} +${waiting.length - 1}`];
}

/** Whether spec.rotation.paused holds something: a rotation that runs, or one that would begin. */
function isPaused({ spec }: ReplicationCA, { ledger, pending }: Decision): boolean {
  return spec.rotation?.paused === true && (ledger.rotation !== null || pending?.reason === 'Paused');
}

function phaseOf(
  ca: ReplicationCA,
  ledger: Ledger,
  refusal: Refusal | null,
): NonNullable<ReplicationCAStatus['phase']> {
  if (ca.metadata.deletionTimestamp !== null) return 'Terminating';
  if (refusal !== null) return 'Stalled';
  if (ledger.signer === null) return 'Pending';
  if (ledger.rotation === null) return 'Stable';
  return PHASES[ledger.rotation.stage];
}

const PHASES = {
  Append: 'Appending',
  Roll: 'Rolling',
  Drop: 'Dropping',
  Prepare: 'Preparing',
  Swap: 'Swapping',
} as const;

function ready(
  { ledger, stalled }: Decision,
  signer: Certificate | undefined,
  refusal: Refusal | null,
  alarm: Alarm | null,
  now: number,
): ConditionUpdate {
  // What is asked for cannot be had; what is served is served all the same.
  if (refusal !== null && (stalled === null || signer === undefined))
    return condition('Ready', 'False', refusal.reason, refusal.message);
  if (signer === undefined) return condition('Ready', 'False', 'Pending', 'The first generation is about to be made.');
  if (now >= signer.notAfter) {
    return condition(
      'Ready',
      'False',
      'Expired',
      `Generation ${ledger.signer} expired at ${secondTime(signer.notAfter)}. Check the clock, or rotate to a new generation.`,
    );
  }
  if (now < signer.notBefore) {
    return condition(
      'Ready',
      'False',
      'Expired',
      `Generation ${ledger.signer} is not valid before ${secondTime(signer.notBefore)} by the operator's clock. Check the clock.`,
    );
  }
  const bundle = ledger.bundle.map(generationName).join(' + ');
  const served = `Leaves are signed by ${generationName(ledger.signer ?? 0)}; the bundle is ${bundle}.`;
  return alarm === null
    ? condition('Ready', 'True', 'Serving', served)
    : condition('Ready', 'True', alarm.reason, `${served} ${alarm.message}`);
}

function rotating(
  ca: ReplicationCA,
  { ledger, hold, pending, stalled }: Decision,
  waiting: readonly Waiting[],
  signer: Certificate | undefined,
): ConditionUpdate {
  const { rotation } = ledger;
  const paused = ca.spec.rotation?.paused === true;
  if (rotation === null) {
    const change = pending?.message ?? idleImport(ca, ledger) ?? specChange(authorityWish(ca), ledger, signer);
    if (change !== null) return condition('Rotating', 'False', 'RotationPending', change);
    return condition('Rotating', 'False', 'Stable', 'No rotation is running.');
  }
  const back = rotation.direction === 'Backward' ? 'Back: ' : '';
  const course = `${back}${rotation.stage} from ${generationName(rotation.from)} to ${generationName(rotation.to)}`;
  const interrupted = isInterrupted(rotation, waiting);
  const where = interrupted ? `${course}: ${downSince(rotation)}` : course;
  if (stalled !== null)
    return condition('Rotating', 'True', 'GenerationUnavailable', `${where}: held. ${stalled.message}`);
  const [first] = waiting;
  const state =
    hold === null || hold.kind === 'pause'
      ? first === undefined
        ? 'proven by every member'
        : `waiting for ${waiting.length} of ${ledger.roster.size} members. ${first.message}`
      : holdMessage(hold, ledger.roster.size);
  const tail = `${announced(ca, ledger, hold)}${pending === null || paused ? '' : ` ${pending.message}`}`;
  if (paused)
    return condition(
      'Rotating',
      'True',
      'Paused',
      `${where}: held by spec.rotation.paused; ${pending?.message ?? state}`,
    );
  return condition('Rotating', 'True', reasonOf(rotation, hold, interrupted), `${where}: ${state}${tail}`);
}

/** Whether links may be down at this moment. Whoever only knows sessions from before has changed. */
function isInterrupted({ interruptedSince }: Rotation, waiting: readonly Waiting[]): boolean {
  const changed = new Set(['NoSessionKept', 'StillResumed']);
  return interruptedSince !== null && waiting.some(({ reason }) => !changed.has(reason));
}

function downSince({ interruptedSince, direction, from }: Rotation): string {
  const back = direction === 'Forward' ? ` (back: set spec.rotation.generation to ${from})` : '';
  return `links between members that have changed and those that have not are down, since ${interruptedSince} at the earliest${back}`;
}

/** What happens in lockstep without another word of the user, before it does. */
function announced({ spec }: ReplicationCA, { rotation, roster }: Ledger, hold: Hold | null): string {
  if (rotation?.stage !== 'Prepare' || hold?.kind === 'approval') return '';
  const upTo = spec.rotation?.approval?.upTo;
  if (upTo?.stage !== 'Swap' || upTo.generation !== rotation.to) return '';
  return ` Swap is approved: as soon as nothing holds it, ${together(roster.size)}.`;
}

/** What happens in Swap. */
function together(members: number): string {
  return `all ${members} members get another CA and leaf at one time, and links between those that have loaded them and those that have not are down until all have`;
}

function reasonOf({ direction }: Rotation, hold: Hold | null, interrupted: boolean): ConditionReason {
  if (hold?.kind === 'soak') return 'Soaking';
  if (hold?.kind === 'unsafe') return 'BundleUnsafe';
  if (hold?.kind === 'approval') return 'WaitingForApproval';
  if (interrupted) return 'Interrupted';
  return direction === 'Backward' ? 'RollingBack' : 'WaitingForEvidence';
}

function holdMessage(hold: Exclude<Hold, { kind: 'pause' }>, members: number): string {
  if (hold.kind === 'unsafe') return `proven by every member. ${hold.message}`;
  if (hold.kind === 'soak') return `proven by every member, held for the soak until ${secondTime(hold.until)}.`;
  return hold.stage === 'Swap'
    ? `nothing but your approval of Swap is waited for. From then on, ${together(members)}. To give it, ${lineFor(hold)}.`
    : `proven by every member, ${hold.stage} waits for approval. To give it, ${lineFor(hold)}.`;
}

/** What to commit so that a hold ends. */
function lineFor(hold: Hold): string {
  switch (hold.kind) {
    case 'soak':
      return `Nothing: the soak ends at ${secondTime(hold.until)}.`;
    case 'approval':
      return hold.stage === 'Swap'
        ? `set spec.rotation.approval: {required: [Swap], upTo: {generation: ${hold.generation}, stage: Swap}}`
        : `set spec.rotation.approval.upTo: {generation: ${hold.generation}, stage: ${hold.stage}}`;
    case 'unsafe':
      return hold.message;
    case 'pause':
      return 'set spec.rotation.paused: false';
  }
}

/** What to do so that it goes on; undefined: nothing waits, or it waits for nobody in particular. */
function nextLine(
  ca: ReplicationCA,
  decision: Decision,
  waiting: readonly Waiting[],
  refusal: Refusal | null,
  alarm: Alarm | null,
): string | undefined {
  const trouble = refusal ?? alarm;
  if (trouble !== null) return trouble.message;
  const { pending, hold, ledger } = decision;
  if (isPaused(ca, decision)) {
    const stuck = waiting.find((each) => !isRoutine(each));
    return [lineFor({ kind: 'pause' }), ...(stuck === undefined ? [] : [stuck.message])].join('. Besides: ');
  }
  if (hold !== null) return lineFor(hold);
  return ledger.rotation === null ? pending?.message : waiting[0]?.message;
}

/** An entry of spec.imported that came too late: its number was minted already. */
function idleImport({ spec }: ReplicationCA, { generations, highest }: Ledger): string | null {
  const late = spec.imported?.find(({ generation }) => generations[generation]?.imported === false);
  if (late === undefined) return null;
  return `Generation ${late.generation} was minted before spec.imported named a CA for it, which changes nothing now. Give that CA generation ${highest + 1} and set spec.rotation.generation to it, or take the entry out.`;
}

/** A changed key, name or duration applies to the next generation (design rule 8); an imported one is what it is. */
function specChange(wish: AuthorityWish, ledger: Ledger, signer: Certificate | undefined): string | null {
  if (signer === undefined || ledger.signer === null || ledger.generations[ledger.signer]?.imported === true)
    return null;
  const changed: string[] = [];
  const subject = { ...wish.subject, commonName: `${wish.commonName} ${generationName(ledger.signer)}` };
  if (signer.rawSubject !== rawSubjectOf(subject)) changed.push('the subject');
  if (!sameKeySpec(keySpecOf(signer.publicKey), wish.key)) changed.push('the kind of key');
  if (Math.abs(signer.notAfter - signer.notBefore - BACKDATE - wish.duration) > 2_000) changed.push('the duration');
  if (changed.length === 0) return null;
  return `A change of ${changed.join(' and ')} applies to the next generation. Set spec.rotation.generation to ${ledger.highest + 1} to rotate to it.`;
}

function listGenerations(ledger: Ledger, generations: ReadonlyMap<number, Certificate>) {
  const { rotation, signer } = ledger;
  return Object.entries(ledger.generations).flatMap(([text, { secretName, imported }]) => {
    const number = Number(text);
    const certificate = generations.get(number);
    if (certificate === undefined) return [];
    const role =
      number === signer ? ('Signer' as const) : number === rotation?.to ? ('Next' as const) : ('Old' as const);
    const { subject, fingerprint, notBefore, notAfter } = certificate;
    return [
      {
        number,
        role,
        subject: clip(subject, 1_024),
        fingerprint,
        notBefore: secondTime(notBefore),
        notAfter: secondTime(notAfter),
        secretName,
        ...(imported ? { imported } : {}),
      },
    ];
  });
}

function countMembers(facts: Facts, ledger: Ledger) {
  const { roster, signer, rotation } = ledger;
  const seen = (
    member: MemberKey,
    holds: (witness: NonNullable<ReturnType<Facts['witnesses']['get']>>[number]) => boolean,
  ): boolean => {
    const witnesses = facts.witnesses.get(member) ?? [];
    return witnesses.length > 0 && witnesses.every(holds);
  };
  const count = (holds: Parameters<typeof seen>[1]): number =>
    [...roster.keys()].filter((member) => seen(member, holds)).length;
  return {
    total: roster.size,
    trustNext:
      rotation === null ? 0 : count(({ evidence }) => evidence?.trusts.listening.includes(rotation.to) ?? false),
    onSigner: signer === null ? 0 : count(({ evidence }) => evidence?.presents?.generation === signer),
  };
}

/** The instants of the signer that a user is told of: from which it should be replaced, and at which it expires. */
export function instantsOf({ facts, decision, generations }: NonNullable<Outcome['rotation']>): readonly number[] {
  const signer = generations.get(decision.ledger.signer ?? 0);
  if (signer === undefined) return [];
  const { notBefore, notAfter } = signer;
  return [startBy(facts.wish, { issuedAt: notBefore + BACKDATE, notAfter }), notAfter];
}

function describeRotation(
  { facts, decision: { ledger }, generations }: NonNullable<Outcome['rotation']>,
  line: string | undefined,
  waiting: readonly Waiting[],
  now: number,
) {
  const { rotation } = ledger;
  const signer = generations.get(ledger.signer ?? 0);
  const next = line === undefined ? {} : { next: clip(line, MAX_MESSAGE) };
  const mustStartBy =
    signer === undefined
      ? {}
      : {
          mustStartBy: secondTime(
            startBy(facts.wish, { issuedAt: signer.notBefore + BACKDATE, notAfter: signer.notAfter }),
          ),
        };
  const soon = expiring(facts, ledger, now);
  const deadlines = {
    ...mustStartBy,
    ...(soon.length === 0
      ? {}
      : {
          expiring: soon.slice(0, MAX_LISTED).map(({ name, notAfter }) => ({ name, notAfter: secondTime(notAfter) })),
          expiringTotal: soon.length,
        }),
  };
  if (rotation === null) return { ...next, ...deadlines };
  return {
    ...courseOf(rotation),
    waitingFor: waiting.slice(0, MAX_LISTED).map((each) => ({ ...each })),
    waitingForTotal: waiting.length,
    ...next,
    ...deadlines,
  };
}
