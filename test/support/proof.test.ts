import { expect, test } from 'vitest';
import { PROOF, proofIn } from './proof.ts';

test('what says how much was proven is found among whatever else is said', () => {
  const output = `stdout | a test\n${PROOF}2 states, 1 transition\nproof? no\n  ${PROOF}neither\n${PROOF}3 bugs found`;
  expect(proofIn(output)).toEqual(['2 states, 1 transition', '3 bugs found']);
});
