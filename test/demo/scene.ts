/** Views and outcomes as a good rotation has them, for tests to spoil. */
import type { EdgeOutcome, Outcome } from './verdict.ts';
import type { EdgeView, MemberView, View } from './view.ts';

const NAMES = ['east', 'west', 'north'] as const;
const MIB = 1024 * 1024;

const edgeTo = (to: string): EdgeView => ({
  to,
  handshakes: { ok: 617, failed: 0 },
  broken: 0,
  sentBytes: 8 * MIB,
  ackedBytes: 8 * MIB,
  errors: {},
});

export function memberOf(name: string, over: Partial<MemberView> = {}): MemberView {
  const others = NAMES.filter((other) => other !== name);
  return { name, trusts: [1, 2], presents: 1, edges: others.map(edgeTo), lost: 0, ...over };
}

/** In the middle of Roll: west has its new leaf. */
export function rolling(over: Partial<View> = {}): View {
  return {
    at: 23_400,
    phase: 'Rolling',
    signer: 2,
    rotation: { from: 1, to: 2, stage: 'Roll', back: false },
    progress: '1/3',
    waitingFor: '',
    members: [memberOf('east'), memberOf('west', { presents: 2 }), memberOf('north')],
    ...over,
  };
}

export function perfect(over: Partial<Outcome> = {}): Outcome {
  const edges = NAMES.flatMap((from) => memberOf(from).edges.map((edge) => edgeOutcome(from, edge)));
  return {
    from: 1,
    to: 2,
    completed: true,
    seconds: 44,
    edges,
    lost: NAMES.map((member) => ({ member, blocks: 0 })),
    trials: NAMES.map((member) => ({
      member,
      before: { kind: 'accepted' },
      control: { kind: 'accepted' },
      after: { kind: 'refused', how: 'ECONNRESET' },
      loadedOnlyNew: true,
    })),
    requests: { total: 404, forbidden: [] },
    ...over,
  };
}

function edgeOutcome(from: string, edge: EdgeView): EdgeOutcome {
  return { ...edge, from, dueBytes: edge.sentBytes, inStage: { Append: 200, Roll: 200, Drop: 200 } };
}

/** The same with one edge changed. */
export function withEdge(outcome: Outcome, over: Partial<EdgeOutcome>): Outcome {
  return { ...outcome, edges: outcome.edges.map((edge, i) => (i === 0 ? { ...edge, ...over } : edge)) };
}

/** The same with one trial changed. */
export function withTrial(outcome: Outcome, over: Partial<Outcome['trials'][number]>): Outcome {
  return { ...outcome, trials: outcome.trials.map((trial, i) => (i === 0 ? { ...trial, ...over } : trial)) };
}
