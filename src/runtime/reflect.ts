/**
 * What an informer does next: a total function, so that every fault has its answer in one place (the shape of kube-rs' watcher).
 *
 *   list ──page──> list ──last page──> watch ──end / cut──> watch from the last version seen
 *    ^                                   │
 *    └── expired (410), malformed line ──┘
 */
export type Phase =
  /** Read the page at this token; null: the first. */
  | { readonly at: 'list'; readonly continue: string | null }
  /** Follow changes after this version. */
  | { readonly at: 'watch'; readonly resourceVersion: string };

export type Outcome =
  | { readonly got: 'page'; readonly continue: string | null; readonly resourceVersion: string }
  /** The server ended the stream in good order. `healthy`: it told something or lasted a while. */
  | { readonly got: 'end'; readonly resourceVersion: string; readonly healthy: boolean }
  /** Cut, silent, refused, overloaded. `resourceVersion`: the last seen, for a watch. */
  | { readonly got: 'failure'; readonly resourceVersion: string | null; readonly healthy: boolean }
  /** What was missed can no longer be told (410), or is not known (a malformed line): only a list helps. */
  | { readonly got: 'gap' };

export interface Progress {
  readonly phase: Phase;
  /** Failures since the last healthy watch. */
  readonly failures: number;
  /** Wait before the phase begins, by the number of failures. */
  readonly pause: boolean;
}

export const START: Progress = { phase: { at: 'list', continue: null }, failures: 0, pause: false };

export function advance({ phase, failures }: Progress, outcome: Outcome): Progress {
  switch (outcome.got) {
    case 'page':
      return { phase: afterPage(outcome.continue, outcome.resourceVersion), failures, pause: false };
    case 'end':
      return {
        phase: { at: 'watch', resourceVersion: outcome.resourceVersion },
        failures: outcome.healthy ? 0 : failures + 1,
        pause: !outcome.healthy,
      };
    case 'failure':
      return {
        phase:
          phase.at === 'watch' && outcome.resourceVersion !== null
            ? { ...phase, resourceVersion: outcome.resourceVersion }
            : phase,
        failures: outcome.healthy ? 1 : failures + 1,
        pause: true,
      };
    case 'gap':
      return { phase: START.phase, failures: failures + 1, pause: true };
  }
}

function afterPage(token: string | null, resourceVersion: string): Phase {
  return token === null ? { at: 'watch', resourceVersion } : { at: 'list', continue: token };
}
