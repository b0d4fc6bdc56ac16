import {
  type GenerationRecord,
  type Ledger,
  MAX_HISTORY,
  type RosterEntry,
  type Rotation,
  type Strategy,
} from '../api/ledger.ts';
import { contentOf } from './content.ts';
import type { Approvable, Approval, Facts, MemberKey, Wish } from './facts.ts';
import type { Findings, Rotating } from './grants.ts';
import { cut, inventory, unfit } from './matrix.ts';
import type { Story } from './story.ts';
import { rfc3339 } from './time.ts';

/**
 * Names a minted generation: the first one becomes the signer, every later one is the `next` of a new rotation.
 * A number that is not above every number ever used is a mistake of the caller.
 */
export function adoptGeneration(
  ledger: Ledger,
  number: number,
  record: GenerationRecord,
  now: number,
  strategy: Strategy,
): Ledger {
  if (number <= ledger.highest) throw new Error(`generation ${number} was used before`);
  if (ledger.rotation !== null) throw new Error('a rotation is running');
  const epoch = ledger.epoch + 1;
  const grown = { ...ledger, epoch, highest: number, generations: { ...ledger.generations, [number]: record } };
  if (ledger.signer === null) return { ...grown, signer: number, bundle: [number] };
  const at = rfc3339(now);
  const lockstep = strategy === 'Lockstep';
  return {
    ...grown,
    bundle: lockstep ? ledger.bundle : [...ledger.bundle, number],
    rotation: {
      from: ledger.signer,
      to: number,
      direction: 'Forward',
      stage: lockstep ? 'Prepare' : 'Append',
      startedAt: at,
      since: at,
      provenSince: null,
      provenEpoch: epoch,
      interruptedSince: null,
      hasSigned: record.imported,
    },
    roster: withoutGrants(ledger.roster),
    held: false,
  };
}

/**
 * Turns a rotation round: `from` and `to` are exchanged and the stage is mapped, so that everybody goes back through the gates that
 * it came by. Append becomes Drop of what was appended, Roll rolls back, Drop becomes Append of what was dropped. What was proven has to
 * be granted again; what was open keeps its slot and its content until the opposite grant may be given under the same conditions as any
 * grant (design rule 4): turning it round blindly would break links, for it may have arrived already.
 */
export function reverse(rotating: Rotating, approval: Approval, epoch: number, now: number, story: Story): Rotating {
  const { rotation } = rotating;
  const { from: to, to: from } = rotation;
  const turned: Rotation = {
    ...rotation,
    from,
    to,
    direction: from < to ? 'Forward' : 'Backward',
    stage: opposite(rotation),
    since: rfc3339(now),
    // Once all were seen to have changed, links hold; they go down when all change back.
    interruptedSince: rotation.interruptedSince ?? (hasChanged(rotation) ? rfc3339(now) : null),
    provenSince: null,
    provenEpoch: epoch,
  };
  story.tell(
    'Normal',
    'RotationReversed',
    `spec.rotation.generation is ${to} again: stage ${rotation.stage} to generation ${from} becomes ${turned.stage} to generation ${to}${stillApproved(approval, turned)}`,
  );
  const roster = new Map<MemberKey, RosterEntry>();
  for (const [member, entry] of rotating.roster) {
    const grant = entry.grant === null || entry.grant === 'Proven' ? null : 'Reversed';
    roster.set(member, { ...entry, grant });
  }
  const { leaf, bundle } = contentOf(turned);
  return { ...rotating, signer: leaf, bundle, rotation: turned, roster };
}

const OPPOSITE = { Append: 'Drop', Roll: 'Roll', Drop: 'Append', Prepare: 'Swap' } as const;

/** In lockstep the way back is one step, from wherever it is; and who turns round again begins anew, with everybody as before. */
function opposite({ stage, direction }: Rotation): Rotation['stage'] {
  if (stage !== 'Swap') return OPPOSITE[stage];
  return direction === 'Forward' ? 'Swap' : 'Prepare';
}

/** Whether no member was given anything of the generation that the rotation leads to: Prepare, and it was never turned round. */
export function isUntouched({ stage, since, startedAt }: Rotation): boolean {
  return stage === 'Prepare' && since === startedAt;
}

/**
 * Ends a rotation that nobody has had anything of yet: there is nothing to be seen, whoever is dark, and nobody has anything to load. What is
 * being written still is what everybody has. Who joined meanwhile, and was not granted yet, is issued as while nothing rotates.
 */
export function abandon({ rotation, ...rest }: Rotating, wish: Wish, epoch: number, now: number, story: Story): Ledger {
  const { from, to, startedAt } = rotation;
  story.tell(
    'Normal',
    'RotationReversed',
    `spec.rotation.generation is ${from} again: no member was given anything of generation ${to} yet, so it is over`,
  );
  const roster = new Map<MemberKey, RosterEntry>();
  for (const [member, entry] of withoutGrants(rest.roster))
    roster.set(member, entry.leaf === null ? { ...entry, leaf: from, bundle: [from], since: epoch } : entry);
  return { ...rest, roster, ...ending(rest, wish, now, { dropped: to, kept: from, startedAt, back: true }) };
}

/** Whether members may have changed to what lockstep leads to. */
function hasChanged({ stage, direction }: Rotation): boolean {
  return stage === 'Swap' && direction === 'Forward';
}

function withoutGrants(roster: Ledger['roster']): Ledger['roster'] {
  const next = new Map<MemberKey, RosterEntry>();
  for (const [member, entry] of roster) next.set(member, entry.grant === null ? entry : { ...entry, grant: null });
  return next;
}

/** What holds a rotation although its evidence would let it go on. */
export type Hold =
  | { readonly kind: 'soak'; readonly until: number }
  | { readonly kind: 'approval'; readonly generation: number; readonly stage: Approvable }
  /** The next stage would break a link, whatever is proven. */
  | { readonly kind: 'unsafe'; readonly message: string }
  | { readonly kind: 'pause' };

/** What a stage does when every member was proven: give way to the next, or be held. */
export interface Advance {
  readonly ledger: Ledger;
  readonly hold: Hold | null;
}

/**
 * Leaves the running stage when every grant is proven and what proved it still holds; then the soak has passed since, the next stage is
 * approved, and nobody has paused. The moment of proof is kept in the ledger; only contrary evidence clears it.
 */
export function advance(
  facts: Facts,
  rotating: Rotating,
  findings: Findings,
  epoch: number,
  now: number,
  story: Story,
): Advance {
  const { wish } = facts;
  const { rotation } = rotating;
  const stay = (ledger: Ledger, hold: Hold | null = null): Advance => ({ ledger, hold });
  const all = [...findings.values()];
  // Whoever still has to be granted is found to wait.
  const proven = all.every((finding) => finding.ok);

  if (!proven) {
    const contrary = all.some((finding) => !finding.ok && finding.contrary);
    if (rotation.provenSince === null || !contrary) return stay(rotating);
    story.tell(
      'Warning',
      'ProofLost',
      `Stage ${rotation.stage}: what was proven no longer holds; the soak begins again`,
    );
    return stay({ ...rotating, rotation: { ...rotation, provenSince: null } });
  }
  const hold = danger(facts, rotating, now) ?? holdOf(rotation, wish, now);
  if (hold !== null && rotation.provenSince !== null) return stay(rotating, hold);
  tellOfInterruption(rotation, now, story);
  if (hold === null) {
    story.acknowledged(all.flatMap(({ claims }) => claims));
    return stay(nextStage(rotating, wish, epoch, now, story));
  }
  if (hold.kind === 'soak') {
    story.tell(
      'Normal',
      'Soaking',
      `Stage ${rotation.stage} is proven by every member; it is held for the soak until ${rfc3339(hold.until)}`,
    );
  }
  return stay({ ...rotating, rotation: { ...rotation, provenSince: rfc3339(now), interruptedSince: null } }, hold);
}

function tellOfInterruption({ interruptedSince }: Rotation, now: number, story: Story): void {
  if (interruptedSince === null) return;
  const seconds = Math.round((now - Date.parse(interruptedSince)) / 1000);
  story.tell(
    'Normal',
    'InterruptionEnded',
    `Every member was seen to use what its Secret holds: links were down at most from ${interruptedSince} to ${rfc3339(now)}, ${seconds} s`,
  );
}

/** Before signer and bundle change: the matrix of the whole mesh. */
function danger(facts: Facts, { rotation, roster }: Rotating, now: number): Hold | null {
  const stage = NEXT_STAGE[rotation.stage];
  if (stage === null) return null;
  const content = contentOf({ ...rotation, stage });
  const blocker =
    stage === 'Swap' ? unfit(facts, content, now) : cut(facts, inventory(facts, roster), content, null, now);
  return blocker === null ? null : { kind: 'unsafe', message: blocker.message };
}

const NEXT_STAGE = { Append: 'Roll', Roll: 'Drop', Drop: null, Prepare: 'Swap', Swap: null } as const;

/** What holds a proven stage, first things first. Whoever goes back is in a hurry: only a pause holds that. */
function holdOf({ direction, stage, to, provenSince }: Rotation, wish: Wish, now: number): Hold | null {
  if (direction === 'Forward') {
    const until = (provenSince === null ? now : Date.parse(provenSince)) + wish.soak;
    if (now < until) return { kind: 'soak', until };
    const next = NEXT_STAGE[stage];
    if (next !== null && !approved(wish.approval, to, next)) return { kind: 'approval', generation: to, stage: next };
  }
  return wish.paused ? { kind: 'pause' } : null;
}

function approved({ required, upTo }: Approval, generation: number, stage: Approvable): boolean {
  // It breaks links: nobody enters it without having been told to.
  if (stage === 'Swap') return upTo?.generation === generation && upTo.stage === 'Swap';
  if (!required.includes(stage)) return true;
  return upTo?.generation === generation && (upTo.stage === 'Drop' || upTo.stage === stage);
}

/**
 * An approval is part of what is wanted, like the number: as long as it stands there it counts, also for a rotation that was turned round
 * twice. Nobody is to be surprised by that.
 */
function stillApproved({ required, upTo }: Approval, { direction, to }: Rotation): string {
  if (direction !== 'Forward' || required.length === 0 || upTo?.generation !== to) return '';
  return `; spec.rotation.approval.upTo still approves it up to ${upTo.stage}: take that out if it is to wait for you again`;
}

function nextStage(rotating: Rotating, wish: Wish, epoch: number, now: number, story: Story): Ledger {
  const { rotation } = rotating;
  const { from, to } = rotation;
  const stage = NEXT_STAGE[rotation.stage];
  if (stage === null) return complete(rotating, wish, now, story);
  story.tell('Normal', 'StageEntered', entered(stage, from, to));
  const since = rfc3339(now);
  const interruptedSince = stage === 'Swap' ? since : null;
  const hasSigned = rotation.hasSigned || contentOf({ from, to, stage }).leaf === Math.max(from, to);
  const course = { ...rotation, stage, hasSigned };
  const next = { ...course, since, provenSince: null, provenEpoch: epoch, interruptedSince } as const;
  const { leaf, bundle } = contentOf(next);
  return { ...rotating, signer: leaf, bundle, rotation: next, roster: withoutGrants(rotating.roster) };
}

function entered(stage: Approvable, from: number, to: number): string {
  switch (stage) {
    case 'Roll':
      return `Every member was seen to trust generation ${to}: it signs from now on, leaves are rolled`;
    case 'Drop':
      return `Every member was seen to present a leaf of generation ${to}: generation ${from} is dropped from the bundles`;
    case 'Swap':
      return `Every member was seen to be as it should be, and it is approved: all change from generation ${from} to ${to} at one time, and links are down until the last one has`;
  }
}

function complete(rotating: Rotating, wish: Wish, now: number, story: Story): Ledger {
  const { from, to, direction, startedAt } = rotating.rotation;
  story.tell(
    'Normal',
    'RotationCompleted',
    direction === 'Forward'
      ? `Every member was seen to refuse generation ${from}: the rotation to generation ${to} is complete`
      : `Every member was seen to refuse generation ${from}: the rotation was rolled back to generation ${to}`,
  );
  const end = ending(rotating, wish, now, { dropped: from, kept: to, startedAt, back: direction === 'Backward' });
  return { ...rotating, ...end, roster: withoutGrants(rotating.roster) };
}

/** What is left of a rotation: one generation less, and a line of history. */
function ending(
  { generations, history }: Pick<Ledger, 'generations' | 'history'>,
  wish: Wish,
  now: number,
  { dropped, kept, startedAt, back }: { dropped: number; kept: number; startedAt: string; back: boolean },
): Pick<Ledger, 'generations' | 'rotation' | 'held' | 'history'> {
  return {
    generations: Object.fromEntries(Object.entries(generations).filter(([n]) => Number(n) !== dropped)),
    rotation: null,
    held: back && wish.generation === null,
    history: [...history, { generation: kept, startedAt, completedAt: rfc3339(now) }].slice(-MAX_HISTORY),
  };
}
