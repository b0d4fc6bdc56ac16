import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CONDITION_REASONS, CONDITIONS, EVENT_REASONS } from '../../src/api/vocabulary.ts';
import { codeOfReasons, reasonsIn } from '../support/reasons.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** The words with which no string and no pattern in these tests begins. Named is not tested, but whoever adds a word needs a test with it. */
async function unnamed(words: Iterable<string>, tests: string): Promise<readonly string[]> {
  const texts: string[] = [];
  for await (const file of glob(tests, { cwd: ROOT })) texts.push(await readFile(join(ROOT, file), 'utf8'));
  const text = texts.join('\n');
  return [...words].filter((word) => !new RegExp(`['\`^(|]${word}\\b`).test(text));
}

test.each([
  ['condition', CONDITIONS],
  ['reason of a condition', CONDITION_REASONS],
  ['event', EVENT_REASONS],
])('every %s is looked for in a test on a real API server', async (_, words) => {
  expect(await unnamed(Object.keys(words), 'test/**/*.cluster.test.ts')).toEqual([]);
});

test('every reason for which a rotation can wait is looked for in a test', async () => {
  expect(await unnamed(reasonsIn(await codeOfReasons()), 'test/**/*.test.ts')).toEqual([]);
});
