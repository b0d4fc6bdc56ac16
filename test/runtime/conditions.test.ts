import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Condition, type ConditionUpdate, findCondition, setConditions } from '../../src/runtime/conditions.ts';

const OWNED = ['Ready', 'Rotating', 'Stalled'];
const NOW = Date.parse('2026-11-22T12:00:00.750Z');

const text = fc.constantFrom('A', 'B');
const status = fc.constantFrom('True' as const, 'False' as const, 'Unknown' as const);
const updates: fc.Arbitrary<ConditionUpdate[]> = fc.uniqueArray(
  fc.record({ type: fc.constantFrom(...OWNED), status, reason: text, message: text }),
  { selector: ({ type }) => type },
);
const existing: fc.Arbitrary<Condition[]> = fc.uniqueArray(
  fc.record({
    type: fc.constantFrom(...OWNED, 'Foreign', 'Other'),
    status,
    reason: text,
    message: text,
    lastTransitionTime: fc.constant('2020-01-01T00:00:00Z'),
    observedGeneration: fc.constantFrom(1, 2),
  }),
  { selector: ({ type }) => type },
);
const context = { observedGeneration: 2, now: NOW, owned: OWNED };

function law(check: (before: Condition[], wanted: ConditionUpdate[], after: readonly Condition[]) => void): void {
  fc.assert(
    fc.property(existing, updates, (before, wanted) => check(before, wanted, setConditions(before, wanted, context))),
  );
}

describe('conditions', () => {
  it('move their transition time with the status, and only then', () => {
    law((before, wanted, after) => {
      for (const { type, status } of wanted) {
        const was = findCondition(before, type);
        const time = was?.status === status ? was.lastTransitionTime : '2026-11-22T12:00:00Z';
        expect(findCondition(after, type)?.lastTransitionTime).toBe(time);
      }
    });
  });

  it('are what was said, about the generation that was looked at', () => {
    law((_, wanted, after) => {
      for (const update of wanted)
        expect(findCondition(after, update.type)).toMatchObject({ ...update, observedGeneration: 2 });
    });
  });

  it('come in their fixed order, those of others after them and untouched', () => {
    law((before, wanted, after) => {
      const foreign = before.filter(({ type }) => !OWNED.includes(type));
      const mine = OWNED.filter((type) => wanted.some((each) => each.type === type));
      expect(after.map(({ type }) => type)).toEqual([...mine, ...foreign.map(({ type }) => type)]);
      expect(after.slice(mine.length)).toEqual(foreign);
    });
  });

  it('said twice are the very same array: nothing to write', () => {
    law((_, wanted, after) => {
      expect(setConditions(after, wanted, { ...context, now: NOW + 5_000 })).toBe(after);
    });
  });

  it('of a new generation are written without a new transition time', () => {
    const ready: ConditionUpdate = { type: 'Ready', status: 'True', reason: 'Ok', message: 'fine' };
    const first = setConditions(undefined, [ready], { ...context, observedGeneration: 1 });
    const second = setConditions(first, [ready], { ...context, now: NOW + 5_000 });
    expect(second).not.toBe(first);
    expect(second).toEqual([{ ...ready, lastTransitionTime: '2026-11-22T12:00:00Z', observedGeneration: 2 }]);
  });

  it('that nobody owns are a mistake in the program', () => {
    const stray: ConditionUpdate = { type: 'Stray', status: 'True', reason: 'A', message: '' };
    expect(() => setConditions([], [stray], context)).toThrow('condition Stray is not among the owned ones');
  });
});
