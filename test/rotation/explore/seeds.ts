/**
 * Bugs as others have shipped them, and as we might: each is put into the text of the planner and must be found by the exploration. A bug
 * that does no harm is named with the reason; it is explored all the same, so that the reason stays true.
 */
import { EVIDENCE } from './seeds/evidence.ts';
import { CONTENT, GRANTING } from './seeds/grants.ts';
import { LOCKSTEP } from './seeds/lockstep.ts';
import { CUTTING } from './seeds/matrix.ts';
import { JOINING, PASSING } from './seeds/passes.ts';
import { STAGING, REVERSING } from './seeds/stages.ts';
import type { Seed } from './seeds/seed.ts';

export const SEEDS: readonly Seed[] = [
  ...EVIDENCE,
  ...CONTENT,
  ...GRANTING,
  ...STAGING,
  ...REVERSING,
  ...CUTTING,
  ...JOINING,
  ...PASSING,
  ...LOCKSTEP,
];
