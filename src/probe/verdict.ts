/** What the outcomes of a control and of a candidate say together. Pure. */
import { type Outcome, alertName } from './handshake.ts';

export type Answer = 'yes' | 'no' | 'unknown';

export interface Trust {
  readonly answer: Answer;
  /** How it is known, or why it is not; for people. */
  readonly detail: string;
  /** Asked several times in a row, it gave different answers. */
  readonly mixed: boolean;
}

/**
 * One round. `weak` marks what a slow or busy server could also look like; it must be seen again before it counts.
 * `enforced` is null where the round does not tell whether client certificates are demanded.
 */
export interface Round extends Trust {
  readonly weak: boolean;
  readonly enforced: boolean | null;
}

/** How far a server let a certificate come. */
type Depth = 'refused' | 'closedAfter' | 'accepted';

const DEPTHS: readonly Depth[] = ['refused', 'closedAfter', 'accepted'];

function depthOf(outcome: Exclude<Outcome, { kind: 'failed' }>): Depth {
  if (outcome.kind === 'rejected') return 'refused';
  return outcome.proof === 'closedAfter' ? 'closedAfter' : 'accepted';
}

/** Judges a candidate by the control that went before it (toolchain measurements: never by the candidate alone). */
export function judge(control: Outcome, candidate: Outcome): Round {
  if (control.kind === 'failed') return unknown(`the control handshake failed: ${control.message}`, null);
  if (candidate.kind === 'failed') return unknown(`the handshake failed: ${candidate.message}`, null);
  const untrusted = depthOf(control);
  const shown = depthOf(candidate);
  const gain = DEPTHS.indexOf(shown) - DEPTHS.indexOf(untrusted);
  if (gain < 0) {
    return unknown(
      `a certificate of nobody's CA came further than this one (${describe(candidate)}): compare the clocks and what the server allows`,
      null,
    );
  }
  if (gain > 0) {
    const weak = shown === 'closedAfter' || untrusted === 'closedAfter' || isOpen(candidate);
    return {
      answer: 'yes',
      weak,
      enforced: true,
      mixed: false,
      detail: `${describe(candidate)}, a foreign CA was ${describe(control)}`,
    };
  }
  switch (shown) {
    case 'accepted':
      return bothAccepted(control);
    case 'closedAfter':
      return unknown('the server closes every connection right after the handshake, so nothing can be told', null);
    case 'refused':
      return bothRefused(control, candidate);
  }
}

function bothAccepted(control: Outcome): Round {
  if (isOpen(control)) {
    const unsure =
      'nothing was refused in time: client certificates are not enforced, or the server answers too slowly';
    return unknown(unsure, null);
  }
  return unknown("client certificates are not enforced: a certificate of nobody's CA was accepted as well", false);
}

/** Verifiers look for the issuer first, so another reason than the control's means that the issuer was found. */
function bothRefused(control: Outcome, candidate: Outcome): Round {
  const [foreign, own] = [alertOf(control), alertOf(candidate)];
  if (foreign !== null && own !== null && foreign !== own) {
    return unknown(
      `refused with ${alertName(own)}, a foreign CA with ${alertName(foreign)}: the CA may be known, yet the certificate is refused for another reason; compare the clocks and what the server allows`,
      true,
    );
  }
  return {
    answer: 'no',
    weak: true,
    enforced: true,
    mixed: false,
    detail: `${describe(candidate)}, like a foreign CA`,
  };
}

function alertOf(outcome: Outcome): number | null {
  return outcome.kind === 'rejected' ? outcome.alert : null;
}

function isOpen(outcome: Outcome): boolean {
  return outcome.kind === 'accepted' && outcome.proof === 'open';
}

function unknown(detail: string, enforced: boolean | null): Round {
  return { answer: 'unknown', weak: false, enforced, detail, mixed: false };
}

function describe(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'failed':
      return outcome.message;
    case 'rejected':
      return outcome.alert === null ? 'refused by a close' : `refused with ${alertName(outcome.alert)}`;
    case 'accepted':
      if (outcome.proof === 'open') return 'not refused';
      return outcome.proof === 'closedAfter' ? 'accepted, then closed' : 'accepted';
  }
}

/**
 * Rounds that must agree before an answer counts. Behind one address there may be several processes, each with files of its own, and
 * one of them that has loaded the new ones must not speak for all: a yes is asked for four times on connections of their own. Three
 * is what a weak one needs in any case, a no needs two.
 */
export function roundsNeeded({ answer }: Round): number {
  switch (answer) {
    case 'yes':
      return 4;
    case 'no':
      return 2;
    case 'unknown':
      return 1;
  }
}
