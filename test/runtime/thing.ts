/** What the tests of the client ask for. */
import { expect } from 'vitest';

export const THING = { group: 'test', version: 'v1', plural: 'things', kind: 'Thing' };
export const REF = { namespace: 'ns', name: 'a' };

/** The error of a promise that must fail. */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.unreachable('it succeeded'),
    (error: unknown) => error,
  );
}
