import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advance, type Outcome, type Progress, START } from '../../src/runtime/reflect.ts';

const version = fc.stringMatching(/^[1-9][0-9]{0,3}$/);
const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  fc.record({
    got: fc.constant('page' as const),
    continue: fc.option(fc.string({ minLength: 1 })),
    resourceVersion: version,
  }),
  fc.record({ got: fc.constant('end' as const), resourceVersion: version, healthy: fc.boolean() }),
  fc.record({ got: fc.constant('failure' as const), resourceVersion: fc.option(version), healthy: fc.boolean() }),
  fc.constant({ got: 'gap' as const }),
);

/** Only what can follow a phase. */
function possible({ phase }: Progress, { got }: Outcome): boolean {
  return phase.at === 'list' ? got !== 'end' : got !== 'page';
}

/** The law holds at every step of every history. */
function always(law: (before: Progress, outcome: Outcome, after: Progress) => void): void {
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 30 }), (history) => {
      let progress = START;
      for (const each of history) {
        if (!possible(progress, each)) continue;
        const after = advance(progress, each);
        law(progress, each, after);
        progress = after;
      }
    }),
  );
}

describe('the steps of an informer', () => {
  it('list from the beginning after a gap, and after nothing else', () => {
    always((before, { got }, { phase }) => {
      const listsAnew = phase.at === 'list' && phase.continue === null;
      expect(listsAnew || got !== 'gap').toBe(true);
      expect(phase.at === 'watch' || before.phase.at === 'list' || got === 'gap').toBe(true);
    });
  });

  it('never go on without a pause after something went wrong', () => {
    always((_, each, { pause, failures }) => {
      const wrong = each.got === 'gap' || each.got === 'failure' || (each.got === 'end' && !each.healthy);
      expect(pause).toBe(wrong);
      expect(failures > 0 || !pause).toBe(true);
    });
  });

  it('forget failures only after a healthy watch: a list that works does not prove that the watch will', () => {
    always((before, each, { failures }) => {
      const healthy = 'healthy' in each && each.healthy;
      expect(healthy || failures >= before.failures).toBe(true);
    });
  });

  it('never go back behind a version that was seen', () => {
    always((before, each, { phase }) => {
      if (before.phase.at !== 'watch' || phase.at !== 'watch') return;
      const seen = 'resourceVersion' in each ? each.resourceVersion : null;
      expect(phase.resourceVersion).toBe(seen ?? before.phase.resourceVersion);
    });
  });
});
