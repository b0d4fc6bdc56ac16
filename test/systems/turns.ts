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
