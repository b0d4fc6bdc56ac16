/** Connections of the systems' own clients during a rotation, and what must hold of the operator's side afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { disorders, lapses } from '../controllers/rotating.ts';
import type { Scene } from '../controllers/scene.ts';
import type { SyncedFiles } from './synced.ts';

/** No step out of order, no certificate that was not Ready, and every load of every member done. */
export function expectOrderly(here: Scene, files: readonly SyncedFiles[]): void {
  expect(files.flatMap(({ failures }) => failures)).toEqual([]);
  expect(disorders(here, 'mesh', 1)).toEqual([]);
  expect(lapses(here)).toEqual([]);
}

interface Dialled {
  ok: number;
  readonly failures: string[];
}

/** What was written during rotations at one end and seen of it at the other. */
interface Told {
  readonly system: string;
  readonly rows: number | undefined;
  /** The largest number that a row has; they are numbered from 1. */
  readonly newest: number | undefined;
  readonly longestMs: number;
  readonly looks: number;
  /** How often rows went away. */
  readonly backwards: number | undefined;
  readonly edges: readonly Dialled[];
  readonly files: readonly SyncedFiles[];
}

/** No row is lost, none is out of order, no dial has failed, and the other end was never far behind. */
export function expectWhole(here: Scene, told: Told): void {
  const { system, rows, newest, longestMs, looks, backwards, edges, files } = told;
  const handshakes = edges.reduce((sum, { ok }) => sum + ok, 0);
  const loads = files.map((each) => each.loads).join(' and ');
  console.log(
    `${system}: ${rows} rows, ${handshakes} handshakes, loaded ${loads} times, longest lag ${longestMs} ms in ${looks} looks`,
  );
  expect(rows).toBe(newest);
  expect(rows).toBeGreaterThan(500);
  expect(backwards).toBe(0);
  expect(looks).toBeGreaterThan(500);
  expect(longestMs).toBeLessThan(5_000);
  expect(edges.flatMap(({ failures }) => failures)).toEqual([]);
  for (const { ok } of edges) expect(ok).toBeGreaterThan(20);
  expectOrderly(here, files);
}

/** Fresh connections from the member of these files to another, all the time: each proves both ends. */
export async function dial(files: SyncedFiles, connect: () => Promise<unknown>, signal: AbortSignal): Promise<Dialled> {
  const seen: Dialled = { ok: 0, failures: [] };
  while (!signal.aborted) {
    try {
      await files.turns.take(connect);
      seen.ok += 1;
    } catch (error) {
      seen.failures.push(String(error));
    }
    await sleep(100, undefined, { signal }).catch(() => undefined);
  }
  return seen;
}
