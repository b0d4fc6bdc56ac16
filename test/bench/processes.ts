/** Processor time and memory of processes, from /proc. */
import { readFileSync } from 'node:fs';

/** Ticks per second of /proc; 100 on every Linux that Node runs on. */
const TICKS = 100;

/** Processor time used so far, seconds, by name of the process; `all`: everything on this machine. */
export interface CpuSample {
  readonly at: number;
  readonly seconds: ReadonlyMap<string, number>;
  readonly all: number;
}

export function sampleCpu(processes: ReadonlyMap<string, number>): CpuSample {
  const seconds = new Map([...processes].map(([name, pid]) => [name, cpuSeconds(pid)]));
  return { at: performance.now(), seconds, all: busySeconds() };
}

/** Processor seconds between two samples; `others` is what runs on this machine besides. */
export function cpuBetween(before: CpuSample, after: CpuSample): ReadonlyMap<string, number> {
  const used = new Map([...after.seconds].map(([name, seconds]) => [name, seconds - (before.seconds.get(name) ?? 0)]));
  const known = [...used.values()].reduce((sum, seconds) => sum + seconds, 0);
  return used.set('others', Math.max(0, after.all - before.all - known));
}

/** User and system time of all threads of a process; 0 when it is gone. */
export function cpuSeconds(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // The name in parentheses may hold anything; what follows it is numbers.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS;
}

/** Time in which any processor was busy, for anybody. */
function busySeconds(): number {
  const [line = ''] = read('/proc/stat').split('\n');
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS;
}

/** Resident memory in bytes: now, and the most so far. */
export function residentMemory(pid: number): { readonly now: number; readonly peak: number } {
  const status = read(`/proc/${pid}/status`);
  const of = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return { now: of('VmRSS'), peak: of('VmHWM') };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
