import { type GenerationRecord, type Ledger, MAX_HISTORY, type RosterEntry } from '../api/ledger.ts';
import { contentOf } from './content.ts';
import type { MemberKey, Wish } from './facts.ts';
import type { Findings, Rotating } from './grants.ts';
import type { Story } from './story.ts';
import { rfc3339 } from './time.ts';

/**
 * Names a minted generation: the first one becomes the signer, every later one is the `next` of a new rotation.
 * A number that is not above every number ever used is a mistake of the caller.
 */
export function adoptGeneration(ledger: Ledger, number: number, record: GenerationRecord, now: number): Ledger {
  if (number <= ledger.highest) throw new Error(`generation ${number} was used before`);
  if (ledger.rotation !== null) throw new Error('a rotation is running');
  const epoch = ledger.epoch + 1;
  const grown = { ...ledger, epoch, highest: number, generations: { ...ledger.generations, [number]: record } };
  if (ledger.signer === null) return { ...grown, signer: number, bundle: [number] };
  const at = rfc3339(now);
  return {
    ...grown,
    bundle: [...ledger.bundle, number],
    rotation: {
      from: ledger.signer,
      to: number,
      direction: 'Forward',
      stage: 'Append',
      startedAt: at,
      since: at,
      provenSince: null,
      provenEpoch: epoch,
    },
    roster: withoutGrants(ledger.roster),
  };
}

function withoutGrants(roster: Ledger['roster']): Ledger['roster'] {
  const next = new Map<MemberKey, RosterEntry>();
  for (const [member, entry] of roster) next.set(member, entry.grant === null ? entry : { ...entry, grant: null });
  return next;
}

/** What a stage does when every member was proven: hold for the soak, or give way to the next. */
export interface Advance {
  readonly ledger: Ledger;
  /** When the soak ends; null when nothing is held. */
  readonly soakUntil: number | null;
}

/**
 * Leaves the running stage when every grant is proven and what proved it still holds, and then the soak has passed since.
 * The moment of proof is kept in the ledger; only contrary evidence clears it.
 */
export function advance(
  rotating: Rotating,
  findings: Findings,
  wish: Wish,
  epoch: number,
  now: number,
  story: Story,
): Advance {
  const { rotation, roster } = rotating;
  const stay = (ledger: Ledger, soakUntil: number | null = null): Advance => ({ ledger, soakUntil });
  const all = [...findings.values()];
  const proven = [...roster.values()].every((entry) => entry.grant === 'Proven') && all.every((finding) => finding.ok);

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
  const since = rotation.provenSince === null ? now : Date.parse(rotation.provenSince);
  const soakUntil = since + wish.soak;
  if (now < soakUntil) {
    if (rotation.provenSince !== null) return stay(rotating, soakUntil);
    story.tell(
      'Normal',
      'Soaking',
      `Stage ${rotation.stage} is proven by every member; it is held for the soak until ${rfc3339(soakUntil)}`,
    );
    return stay({ ...rotating, rotation: { ...rotation, provenSince: rfc3339(now) } }, soakUntil);
  }
  return stay(nextStage(rotating, epoch, now, story));
}

function nextStage(rotating: Rotating, epoch: number, now: number, story: Story): Ledger {
  const { rotation } = rotating;
  const { from, to } = rotation;
  if (rotation.stage === 'Drop') return complete(rotating, now, story);
  const stage = rotation.stage === 'Append' ? 'Roll' : 'Drop';
  story.tell(
    'Normal',
    'StageEntered',
    stage === 'Roll'
      ? `Every member was seen to trust generation ${to}: it signs from now on, leaves are rolled`
      : `Every member was seen to present a leaf of generation ${to}: generation ${from} is dropped from the bundles`,
  );
  const next = { ...rotation, stage, since: rfc3339(now), provenSince: null, provenEpoch: epoch } as const;
  const { leaf, bundle } = contentOf(next);
  return { ...rotating, signer: leaf, bundle, rotation: next, roster: withoutGrants(rotating.roster) };
}

function complete(rotating: Rotating, now: number, story: Story): Ledger {
  const { from, to, startedAt } = rotating.rotation;
  const generations = Object.fromEntries(Object.entries(rotating.generations).filter(([n]) => Number(n) !== from));
  story.tell(
    'Normal',
    'RotationCompleted',
    `Every member was seen to refuse generation ${from}: the rotation to generation ${to} is complete`,
  );
  return {
    ...rotating,
    generations,
    rotation: null,
    roster: withoutGrants(rotating.roster),
    history: [...rotating.history, { generation: to, startedAt, completedAt: rfc3339(now) }].slice(-MAX_HISTORY),
  };
}
