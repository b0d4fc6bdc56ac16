/** Preloaded with `node --import`: the process that it is loaded into has the planner with the bugs of PLANNER_PATCHES (JSON) in its text. */
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { type Patch, patched, ROOM } from '../rotation/explore/load.ts';

// Written by operator.ts of this checkout, so its shape is known.
const patches = JSON.parse(process.env['PLANNER_PATCHES'] ?? '[]') as readonly Patch[];

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.startsWith(ROOM.href)) return loaded;
    return { ...loaded, source: patched(fileURLToPath(url).slice(fileURLToPath(ROOM).length), patches) };
  },
});
