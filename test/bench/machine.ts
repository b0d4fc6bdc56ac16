/** The machine, as far as it explains the numbers. */
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem, type } from 'node:os';
import { join } from 'node:path';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  /** One-minute average before the run: above zero, somebody else was at work. */
  readonly loadBefore: number;
  /** Median of writing 2 KiB and flushing it to the disk that etcd will use, milliseconds. */
  readonly fsyncMs: number;
}

export async function describeMachine(): Promise<Machine> {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: round(totalmem() / 2 ** 30, 1),
    system: `${await distribution()}, ${type()} ${release()}`,
    node: process.version,
    loadBefore: round(loadavg()[0] ?? 0, 2),
    fsyncMs: round(measureFsync(), 2),
  };
}

async function distribution(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? 'unknown distribution';
}

function measureFsync(): number {
  const dir = mkdtempSync(join(tmpdir(), 'replicert-fsync-'));
  try {
    const file = openSync(join(dir, 'file'), 'w');
    const block = Buffer.alloc(2048, 1);
    const times = Array.from({ length: 101 }, () => {
      const began = performance.now();
      writeSync(file, block);
      fsyncSync(file);
      return performance.now() - began;
    });
    closeSync(file);
    return times.toSorted((a, b) => a - b)[50] ?? Number.NaN;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
