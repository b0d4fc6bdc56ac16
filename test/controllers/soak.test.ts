import { expect, test } from 'vitest';
import { planOf } from './soak.ts';

test('twenty rotations go back from every stage in both manners, and forth again in the middle', () => {
  const plans = Array.from({ length: 20 }, (_, index) => planOf(index));
  const back = plans.filter(({ turn, twice }) => turn !== null && !twice);
  expect(back.map(({ turn, maxConcurrent }) => `${turn} ${maxConcurrent}`).toSorted()).toEqual([
    'Append 1',
    'Append 100%',
    'Drop 1',
    'Drop 100%',
    'Roll 1',
    'Roll 100%',
  ]);
  expect(plans.filter(({ twice }) => twice)).toHaveLength(2);
  expect(plans.filter(({ maxConcurrent }) => maxConcurrent === 1)).toHaveLength(5);
});
