/** A memory limit for one process, as its container would have: Node sizes its heap by it. Needs root and control groups. */
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface MemoryLimit {
  readonly mebibytes: number;
  /** Put before a command it starts that command under the limit, as the same process. */
  readonly prefix: readonly [command: string, ...args: string[]];
  /** Takes the limit away; what ran under it must have ended. */
  remove(): Promise<void>;
}

const ROOT = '/sys/fs/cgroup';

/** Null where this user or system cannot limit memory. */
export async function limitMemory(mebibytes: number): Promise<MemoryLimit | null> {
  const name = `replicert-bench-${process.pid}`;
  const bytes = String(mebibytes * 2 ** 20);
  return (
    (await make(join(ROOT, 'memory', name), 'memory.limit_in_bytes', bytes, mebibytes)) ??
    (await make(join(ROOT, name), 'memory.max', bytes, mebibytes))
  );
}

async function make(folder: string, file: string, bytes: string, mebibytes: number): Promise<MemoryLimit | null> {
  const remove = (): Promise<void> => rmdir(folder).catch(() => undefined);
  try {
    // A folder of another file system, or of a controller that is not there, would swallow the limit without a word.
    await readFile(join(folder, '..', 'cgroup.procs'));
    await mkdir(folder);
    await writeFile(join(folder, file), bytes, { flag: 'r+' });
  } catch {
    await remove();
    return null;
  }
  const enter = 'echo $$ > "$0" && exec "$@"';
  return { mebibytes, prefix: ['sh', '-c', enter, join(folder, 'cgroup.procs')], remove };
}
