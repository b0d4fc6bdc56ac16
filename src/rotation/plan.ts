import type { Ledger } from '../api/ledger.ts';
import type { Blocker, Facts } from './facts.ts';
import {
  chooseGrants,
  findProofs,
  type Findings,
  type Granting,
  openGrants,
  proveGrants,
  type Rotating,
} from './grants.ts';
import { updateRoster } from './roster.ts';
import { abandon, advance, type Hold, isUntouched, reverse } from './stages.ts';
import { type Chapter, Story } from './story.ts';
import { readWish, type Wanted } from './wanted.ts';

/**
 * The rotation machine: a total, synchronous function of (facts, now). At most one new ledger comes out of a pass;
 * it is written by one update that carries the resourceVersion it was read with, so that two replicas cannot both win
 * and a crash between any two writes needs no recovery code.
 */
export interface Decision {
  readonly step:
    | { readonly kind: 'rest' }
    | { readonly kind: 'commit'; readonly ledger: Ledger }
    | { readonly kind: 'mint'; readonly generation: number; readonly because: string };
  /** What to tell when the step has been performed. */
  readonly story: readonly Chapter[];
  /** The ledger as it is after the step: what status is made of. */
  readonly ledger: Ledger;
  readonly findings: Findings;
  readonly held: Granting['held'];
  /** What holds it although the evidence would let it go on. */
  readonly hold: Hold | null;
  /** The user must change the ReplicationCA before anything moves. */
  readonly stalled: Blocker | null;
  /** Something that the user asked for waits. */
  readonly pending: Blocker | null;
}

/** One pass of the machine. */
export function plan(facts: Facts, now: number): Decision {
  const { ledger, wish } = facts;
  const story = new Story();
  const epoch = ledger.epoch + 1;
  const wanted = wish.deleting
    ? ({ kind: 'stay', pending: null } as const)
    : readWish(wish, ledger, facts.generations, now);

  if (wanted.kind === 'start' && facts.obstacle === null) {
    return {
      ...nothing(ledger),
      step: { kind: 'mint', generation: wanted.generation, because: wanted.because },
    };
  }

  let next: Ledger = ledger;
  const roster = updateRoster(facts, epoch, story);
  if (roster !== ledger.roster) next = { ...next, roster };
  // A hold after a rollback ends when the field is set, whatever to.
  if (next.held && wish.generation !== null) next = { ...next, held: false };

  // What cannot be made holds nobody but the rotation to it: members come and go meanwhile.
  const unmade = wanted.kind === 'start' ? facts.obstacle : null;
  const stalled = wanted.kind === 'unavailable' ? wanted.blocker : unmade;
  const step: Step = { ledger: next, findings: new Map(), held: new Map(), hold: null };
  const after = isRotating(next) ? rotate(facts, next, wanted, epoch, now, story) : step;

  const committed = after.ledger === ledger ? ledger : { ...after.ledger, epoch };
  return {
    ...after,
    step: committed === ledger ? { kind: 'rest' } : { kind: 'commit', ledger: committed },
    story: story.chapters(),
    ledger: committed,
    stalled,
    pending: wanted.kind === 'stay' ? wanted.pending : unmade,
  };
}

type Step = Pick<Decision, 'ledger' | 'findings' | 'held' | 'hold'>;

/** One thing at a time: turn round; else mark what is proven; else grant; else leave the stage. */
function rotate(facts: Facts, given: Rotating, wanted: Wanted, epoch: number, now: number, story: Story): Step {
  const { wish } = facts;
  if (wanted.kind === 'reverse' && isUntouched(given.rotation))
    return { ledger: abandon(given, wish, epoch, now, story), findings: new Map(), held: new Map(), hold: null };
  const rotating = wanted.kind === 'reverse' ? reverse(given, wish.approval, epoch, now, story) : given;
  const findings = findProofs(facts, rotating, now);
  const step: Step = { ledger: rotating, findings, held: new Map(), hold: null };
  if (rotating !== given || wanted.kind === 'unavailable' || wish.deleting) return step;

  const proven = proveGrants(rotating, findings, epoch, story);
  if (proven !== rotating) return { ...step, ledger: proven };

  const granting = chooseGrants(facts, rotating, findings, now);
  const { held } = granting;
  if (granting.members.length > 0) {
    if (wish.paused) return { ...step, held, hold: { kind: 'pause' } };
    return { ...step, held, ledger: openGrants(rotating, granting, epoch, story) };
  }
  return { ...step, held, ...advance(facts, rotating, findings, epoch, now, story) };
}

function isRotating(ledger: Ledger): ledger is Rotating {
  return ledger.rotation !== null;
}

function nothing(ledger: Ledger): Omit<Decision, 'step'> {
  return { story: [], ledger, findings: new Map(), held: new Map(), hold: null, stalled: null, pending: null };
}
