import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CONDITION_REASONS } from '../../src/api/vocabulary.ts';
import { codeOfReasons, reasonsIn } from '../support/reasons.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** Reasons of conditions with which nothing is to be done. */
const WELL = ['Serving', 'Issued', 'Resolved', 'UpToDate', 'Stable', 'Presented', 'AllEdgesVerified'];
/** The words in the first column of the tables of reasons. */
async function reasonsInTables(): Promise<Set<string>> {
  const text = await readFile(join(ROOT, 'docs', 'rotate-a-ca.md'), 'utf8');
  const rows = text.split('\n').flatMap((line) => /^\| (`[A-Z][A-Za-z`, ]+`) \|/.exec(line)?.[1] ?? []);
  return new Set(rows.flatMap((cell) => [...cell.matchAll(/`([A-Za-z]+)`/g)].map(([, word]) => word ?? '')));
}

describe('docs/rotate-a-ca.md', () => {
  test('explains every reason for which a rotation can wait', async () => {
    const reasons = reasonsIn(await codeOfReasons());
    const tables = await reasonsInTables();
    expect(reasons.size).toBeGreaterThan(15);
    expect([...reasons].filter((reason) => !tables.has(reason))).toEqual([]);
  });

  test('says of every reason of a condition what to do, but where all is well', async () => {
    const tables = await reasonsInTables();
    const without = Object.keys(CONDITION_REASONS).filter((reason) => !tables.has(reason));
    expect(without.toSorted()).toEqual(WELL.toSorted());
  });

  test('explains none that does not exist', async () => {
    const code = await codeOfReasons();
    const vocabulary = await readFile(join(ROOT, 'src', 'api', 'vocabulary.ts'), 'utf8');
    const exists = (word: string): boolean => code.includes(`'${word}'`) || vocabulary.includes(`\n  ${word}:`);
    expect([...(await reasonsInTables())].filter((word) => !exists(word))).toEqual([]);
  });
});
