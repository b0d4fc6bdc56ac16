import type { Machine } from './machine.ts';
import type { Result } from './run.ts';

export interface Report {
  readonly at: string;
  readonly bundled: boolean;
  /** Of Node, for the operator. */
  readonly flags: readonly string[];
  readonly machine: Machine;
  readonly results: readonly Result[];
}

/** What is wanted, where something is (of the bundled operator, on two cores that everybody shares), and whether that was reached. */
const atLeast = (wanted: number, measured: number) => verdict(`at least ${wanted}`, measured >= wanted);
/** As exactly as the wanted number is given. */
const atMost = (wanted: number, measured: number) =>
  verdict(`at most ${wanted}`, Math.round(measured * 10) / 10 <= wanted);
const none = (counts: Readonly<Record<string, number>>) => verdict('none', Object.keys(counts).length === 0);

function verdict(wanted: string, reached: boolean): string {
  return reached ? wanted : `${wanted}: MISSED`;
}

/** The report for people: a table per count, and the machine. */
export function reportOf({ at, bundled, flags, machine, results }: Report): string {
  const { cpu, cores, memoryGiB, system, node, loadBefore, fsyncMs } = machine;
  const lines = [
    `Replicert benchmark, ${at}`,
    `${cores} cores of ${cpu}, ${memoryGiB} GiB, ${system}, Node ${node}`,
    `2 KiB written and flushed in ${fsyncMs} ms; load before the run ${loadBefore}; operator ${bundled ? 'bundled' : 'from its sources'}, node ${flags.join(' ')}`,
  ];
  for (const result of results) lines.push('', ...tableOf(result, cores));
  return `${lines.join('\n')}\n`;
}

type Row = readonly [what: string, measured: string, wanted?: string];

function tableOf(
  { count, secretCreatesPerSecond, burst, memoryMB, idle, restart, paced, complaints }: Result,
  cores: number,
): string[] {
  const { latencyMs } = burst;
  const rows: Row[] = [
    [`${count} ECDSA P-256 certificates under one CA`, 'measured', 'wanted'],
    ['Ready per second, first create to last Ready', `${burst.perSecond}`, atLeast(150, burst.perSecond)],
    [
      '  seconds: creates answered / all Ready / all written',
      `${burst.createSeconds} / ${burst.seconds} / ${burst.settledSeconds}`,
    ],
    ['  plain Secret creates per second (no operator)', `${secretCreatesPerSecond}`],
    [
      'object writes per certificate',
      `${burst.objectWritesPerCertificate}`,
      atMost(2, burst.objectWritesPerCertificate),
    ],
    ['events per certificate', `${burst.eventsPerCertificate}`, atMost(1, burst.eventsPerCertificate)],
    ['reads per certificate', `${burst.readsPerCertificate}`],
    ['create answered to Ready, in the burst: p50 / p99 / max ms', latency(latencyMs)],
    [`  single ones, ${paced.perSecond} per second: p50 / p99 / max ms`, latency(paced.latencyMs)],
    [
      `operator resident MB${memoryMB.limitMiB === null ? '' : ` of ${memoryMB.limitMiB} MiB allowed`}: before / after burst / peak`,
      `${memoryMB.beforeBurst} / ${memoryMB.afterBurst} / ${memoryMB.peak}`,
      atMost(150, memoryMB.peak),
    ],
    [
      '  after the idle minute / after restart / its peak',
      `${memoryMB.afterIdle} / ${memoryMB.afterRestart} / ${memoryMB.peakAfterRestart}`,
    ],
    ['restart: seconds from start to idle', `${restart.idleSeconds}`, atMost(3, restart.idleSeconds)],
    ['  seconds to end / from start to lead', `${restart.stopSeconds} / ${restart.leadingSeconds}`],
    ['  writes but the Lease', list(restart.writes), none(restart.writes)],
    ['  reads but watches', `${Object.values(restart.reads).reduce((sum, times) => sum + times, 0)}`],
    [`idle, ${idle.seconds} s: requests but watches and Lease`, list(idle.requests), none(idle.requests)],
    ['  watches and Lease', list(idle.upkeep)],
    ['  operator CPU seconds', `${idle.cpuSeconds}`],
    ["warnings in the operator's log", `${complaints.count}`],
  ];
  const table = format(rows);
  const cpu = Object.entries(burst.cpuSeconds);
  const used = cpu.reduce((sum, [, seconds]) => sum + seconds, 0);
  return [
    ...table,
    '',
    `CPU from first create to last Ready: ${used.toFixed(1)} of ${(cores * burst.seconds).toFixed(1)} core seconds`,
    ...format(
      cpu.map(
        ([name, seconds]): Row => [
          `  ${name}`,
          `${seconds.toFixed(2)} s`,
          `${((seconds * 1_000) / count).toFixed(2)} ms per certificate`,
        ],
      ),
    ),
    '',
    'All requests of the operator in the burst, Lease and watches left out:',
    ...lineEach(burst.requests),
    'All reads after the restart, watches left out:',
    ...lineEach(restart.reads),
  ];
}

function lineEach(counts: Readonly<Record<string, number>>): string[] {
  return Object.entries(counts).map(([what, times]) => `  ${String(times).padStart(6)}  ${what}`);
}

function latency({ p50, p99, max }: Result['paced']['latencyMs']): string {
  return `${p50} / ${p99} / ${max}`;
}

function list(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts);
  return entries.length === 0 ? 'none' : entries.map(([what, times]) => `${times} ${what}`).join(', ');
}

function format(rows: readonly Row[]): string[] {
  const width = (column: number): number => Math.max(...rows.map((row) => (row[column] ?? '').length));
  const [first, second] = [width(0), width(1)];
  return rows.map(([what, measured, wanted = '']) =>
    `${what.padEnd(first)}  ${measured.padEnd(second)}  ${wanted}`.trimEnd(),
  );
}
