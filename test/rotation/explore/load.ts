/** Loads the shipped planner with a bug put into its text. Nothing in src knows of this. */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Planner } from './planner.ts';

/** Text to be replaced in one file of src/rotation. */
export interface Patch {
  /** Name of the file under src/rotation. */
  readonly file: string;
  readonly old: string;
  readonly new: string;
}

/** Where the planner is. */
export const ROOM = new URL('../../../src/rotation/', import.meta.url);

/**
 * The text of a file with its patches in. Throws when an old text is not there exactly once: the planner was changed, and the bug has to be
 * put in anew.
 */
export function patched(file: string, patches: readonly Patch[]): string {
  let text = readFileSync(new URL(file, ROOM), 'utf8');
  for (const patch of patches) {
    if (patch.file !== file) continue;
    const found = text.split(patch.old).length - 1;
    if (found !== 1) throw new Error(`src/rotation/${file} holds this text ${found} times, not once:\n${patch.old}`);
    text = text.replace(patch.old, () => patch.new);
  }
  return text;
}

/** The planner with these patches in, beside the shipped one: its modules carry a mark that tells them apart. */
export async function loadPatched(mark: string, patches: readonly Patch[]): Promise<Planner> {
  for (const { file } of patches) patched(file, patches);
  const suffix = `?${mark}`;
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context);
      const ours = context.parentURL?.endsWith(suffix) === true && resolved.url.startsWith(ROOM.href);
      return ours ? { ...resolved, url: `${resolved.url}${suffix}` } : resolved;
    },
    load(url, context, next) {
      const loaded = next(url, context);
      if (!url.startsWith(ROOM.href) || !url.endsWith(suffix)) return loaded;
      const file = fileURLToPath(url.slice(0, -suffix.length)).slice(fileURLToPath(ROOM).length);
      return { ...loaded, source: patched(file, patches) };
    },
  });
  try {
    const [{ plan }, { adoptGeneration }] = (await Promise.all([
      import(`${new URL('plan.ts', ROOM).href}${suffix}`),
      import(`${new URL('stages.ts', ROOM).href}${suffix}`),
    ])) as [Pick<Planner, 'plan'>, Pick<Planner, 'adoptGeneration'>];
    return { plan, adoptGeneration };
  } finally {
    hooks.deregister();
  }
}
