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
import { advance } from './stages.ts';
import { type Chapter, Story } from './story.ts';
import { readWish } from './wanted.ts';

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
  readonly soakUntil: number | null;
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

  if (wanted.kind === 'start') {
    return {
      ...nothing(ledger),
      step: { kind: 'mint', generation: wanted.generation, because: wanted.because },
    };
  }

  let next: Ledger = ledger;
  const roster = updateRoster(facts, epoch, story);
  if (roster !== ledger.roster) next = { ...next, roster };

  let findings: Findings = new Map();
  let held: Granting['held'] = new Map();
  let soakUntil: number | null = null;
  const stalled = wanted.kind === 'unavailable' ? wanted.blocker : null;
  if (isRotating(next)) {
    findings = findProofs(facts, next, now);
    if (stalled === null && !wish.deleting) {
      let rotating = proveGrants(next, findings, epoch, story);
      if (rotating === next) {
        const granting = chooseGrants(facts, rotating, findings, now);
        held = granting.held;
        rotating = openGrants(rotating, granting.members, epoch, story);
      }
      next = rotating;
      if (rotating.roster === roster) {
        const advanced = advance(rotating, findings, wish, epoch, now, story);
        next = advanced.ledger;
        soakUntil = advanced.soakUntil;
      }
    }
  }

  const committed = next === ledger ? ledger : { ...next, epoch };
  return {
    step: next === ledger ? { kind: 'rest' } : { kind: 'commit', ledger: committed },
    story: story.chapters(),
    ledger: committed,
    findings,
    held,
    soakUntil,
    stalled,
    pending: wanted.kind === 'stay' ? wanted.pending : null,
  };
}

function isRotating(ledger: Ledger): ledger is Rotating {
  return ledger.rotation !== null;
}

function nothing(ledger: Ledger): Omit<Decision, 'step'> {
  return { story: [], ledger, findings: new Map(), held: new Map(), soakUntil: null, stalled: null, pending: null };
}
