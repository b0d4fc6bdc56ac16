import { type EdgeView, STAGES, type Stage } from './view.ts';
import { bytes, count } from './view.ts';

/** How an endpoint answered one real handshake of the demo's own. */
export type Answer =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly how: string }
  /** It could not be reached, or did not answer: proof of nothing. */
  | { readonly kind: 'unclear'; readonly why: string };

/** What one member answered to the leaf that was saved before the rotation, and to one of now. */
export interface OldCaTrial {
  readonly member: string;
  /** The saved leaf, before the rotation: it is one that works. */
  readonly before: Answer;
  /** A leaf of now, before and after the saved one is tried: the member is there and lets in whom it should. */
  readonly control: Answer;
  /** The saved leaf, now. */
  readonly after: Answer;
  /** Whether the process says that it has loaded the new generation alone: what it dials is judged by it. */
  readonly loadedOnlyNew: boolean;
}

export interface EdgeOutcome extends EdgeView {
  readonly from: string;
  /** What was sent until the rotation was complete, and had to arrive. */
  readonly dueBytes: number;
  /** Fresh handshakes that succeeded in each stage. */
  readonly inStage: Readonly<Record<Stage, number>>;
}

export interface Outcome {
  readonly from: number;
  readonly to: number;
  /** Stable, and the wanted generation signs. */
  readonly completed: boolean;
  readonly seconds: number;
  readonly edges: readonly EdgeOutcome[];
  readonly lost: readonly { readonly member: string; readonly blocks: number }[];
  /** One for each member. */
  readonly trials: readonly OldCaTrial[];
  /** What the operator asked of the API server under its own account. */
  readonly requests: { readonly total: number; readonly forbidden: readonly string[] };
}

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What was found, one thing per line. */
  readonly findings: readonly string[];
}

/** Judges a run. Nothing seen is never good: a mesh that idles passes no check. */
export function judge(outcome: Outcome): Check[] {
  return [rotation(outcome), handshakes(outcome), replication(outcome), oldCa(outcome), permissions(outcome)];
}

export const exitCodeOf = (checks: readonly Check[]): number => (checks.every(({ ok }) => ok) ? 0 : 1);

function rotation({ completed, from, to, seconds }: Outcome): Check {
  const text = `G${from} to G${to} ${completed ? `complete after ${seconds.toFixed(0)} s` : 'is not complete'}`;
  return { name: 'rotation', ok: completed, findings: [text] };
}

function handshakes({ edges }: Outcome): Check {
  const problems = edges.flatMap(({ from, to, handshakes: { failed }, errors, inStage }) => [
    ...(failed > 0 ? [`${from} -> ${to}: ${count(failed)} failed (${describe(errors)})`] : []),
    ...STAGES.filter((stage) => inStage[stage] === 0).map((stage) => `${from} -> ${to}: none in stage ${stage}`),
  ]);
  const sum = (of: (edge: EdgeOutcome) => number): number => edges.reduce((total, edge) => total + of(edge), 0);
  const done = sum((edge) => edge.handshakes.ok);
  const failed = sum((edge) => edge.handshakes.failed);
  const text = `${count(done)} fresh mutual handshakes over ${edges.length} edges, ${count(failed)} failed`;
  return { name: 'handshakes', ok: edges.length > 0 && problems.length === 0, findings: [text, ...problems] };
}

function replication({ edges, lost }: Outcome): Check {
  const problems = [
    ...edges.flatMap(({ from, to, dueBytes, ackedBytes, broken, errors }) => [
      ...(dueBytes === 0 ? [`${from} -> ${to}: nothing was replicated`] : []),
      ...(ackedBytes < dueBytes ? [`${from} -> ${to}: ${bytes(dueBytes - ackedBytes)} did not arrive`] : []),
      ...(broken > 0 ? [`${from} -> ${to}: the connection broke ${broken} times (${describe(errors)})`] : []),
    ]),
    ...lost.filter(({ blocks }) => blocks > 0).map(({ member, blocks }) => `${member} lost ${blocks} blocks`),
  ];
  const arrived = edges.reduce((total, edge) => total + edge.ackedBytes, 0);
  const text = `${bytes(arrived)} acknowledged, ${problems.length === 0 ? 'no byte lost, no connection broken' : 'with losses'}`;
  return { name: 'replication', ok: edges.length > 0 && problems.length === 0, findings: [text, ...problems] };
}

function oldCa({ trials, lost, from, to }: Outcome): Check {
  const untried = lost.filter(({ member }) => !trials.some((trial) => trial.member === member));
  const problems = trials.flatMap(({ member, before, control, after, loadedOnlyNew }) => [
    ...(before.kind === 'accepted' ? [] : [`${member}: the saved leaf was not accepted before: ${words(before)}`]),
    ...(control.kind === 'accepted'
      ? []
      : [`${member}: the control, a leaf of G${to}, is not accepted: ${words(control)}`]),
    ...(after.kind === 'refused' ? [] : [`${member}: a leaf of G${from} is not refused: ${words(after)}`]),
    ...(loadedOnlyNew ? [] : [`${member}: its process still has G${from} loaded`]),
  ]);
  problems.push(...untried.map(({ member }) => `${member}: not tried`));
  const members = trials.map(({ member }) => member).join(', ');
  const text =
    problems.length === 0
      ? `a leaf of G${from}, accepted before, is refused by ${members}; one of G${to} is accepted`
      : `G${from} is not surely refused everywhere`;
  return { name: 'old CA', ok: trials.length > 0 && problems.length === 0, findings: [text, ...problems] };
}

function permissions({ requests: { total, forbidden } }: Outcome): Check {
  const text = `${count(total)} requests of the operator under the RBAC of deploy/, ${count(forbidden.length)} forbidden`;
  return { name: 'RBAC', ok: total > 0 && forbidden.length === 0, findings: [text, ...new Set(forbidden)] };
}

function words(answer: Answer): string {
  switch (answer.kind) {
    case 'accepted':
      return 'accepted';
    case 'refused':
      return `refused (${answer.how})`;
    case 'unclear':
      return answer.why;
  }
}

const describe = (errors: Readonly<Record<string, number>>): string =>
  Object.entries(errors)
    .map(([error, times]) => `${times} x ${error}`)
    .join(', ');
