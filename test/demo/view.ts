/** What the demo knows of the mesh at one moment; all that is shown and judged is made from these. */

export type Stage = 'Append' | 'Roll' | 'Drop';
export const STAGES: readonly Stage[] = ['Append', 'Roll', 'Drop'];

/** One direction of replication, counted by the end that dials. */
export interface EdgeView {
  readonly to: string;
  readonly handshakes: { readonly ok: number; readonly failed: number };
  /** Connections that broke after they had worked. */
  readonly broken: number;
  readonly sentBytes: number;
  readonly ackedBytes: number;
  /** Each kind of failure and how often it came. */
  readonly errors: Readonly<Record<string, number>>;
}

export interface MemberView {
  readonly name: string;
  /** Generations in the bundle that its process has loaded; null: nothing loaded yet. */
  readonly trusts: readonly number[] | null;
  /** Generation that signed the leaf that its process has loaded; null: nothing loaded, or not known yet. */
  readonly presents: number | null;
  readonly edges: readonly EdgeView[];
  /** Blocks that arrived altered or never. */
  readonly lost: number;
}

export interface View {
  /** Milliseconds since the rotation was asked for, or since the demo began. */
  readonly at: number;
  /** As `kubectl get rca` shows it; empty before the first pass of the operator. */
  readonly phase: string;
  readonly signer: number | null;
  readonly rotation: {
    readonly from: number;
    readonly to: number;
    readonly stage: Stage;
    readonly back: boolean;
  } | null;
  /** How many members are through with the stage, as `kubectl get rca` shows it. */
  readonly progress: string;
  /** What the operator says that it waits for: a hand before members. */
  readonly waitingFor: string;
  readonly members: readonly MemberView[];
}

export interface Tally {
  readonly handshakes: number;
  readonly failed: number;
  readonly broken: number;
  readonly ackedBytes: number;
}

export function tallyOf(edges: readonly EdgeView[]): Tally {
  const sum = (of: (edge: EdgeView) => number): number => edges.reduce((total, edge) => total + of(edge), 0);
  return {
    handshakes: sum(({ handshakes }) => handshakes.ok),
    failed: sum(({ handshakes }) => handshakes.failed),
    broken: sum(({ broken }) => broken),
    ackedBytes: sum(({ ackedBytes }) => ackedBytes),
  };
}

export const allEdges = (view: View): EdgeView[] => view.members.flatMap(({ edges }) => edges);

// ---------------------------------------------------------------------------------------------------- words

export const generations = (numbers: readonly number[] | null): string =>
  numbers === null || numbers.length === 0 ? '-' : numbers.map((n) => `G${n}`).join(' + ');

export const generation = (number: number | null): string => (number === null ? '-' : `G${number}`);

/** 1234567 -> `1,234,567`, the same in every locale. */
export const count = (value: number): string => String(value).replaceAll(/\B(?=(\d{3})+$)/g, ',');

export function bytes(value: number): string {
  const MIB = 1024 * 1024;
  return value < MIB ? `${Math.round(value / 1024)} KiB` : `${(value / MIB).toFixed(1)} MiB`;
}

/** 83000 -> `01:23` */
export function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`;
}
