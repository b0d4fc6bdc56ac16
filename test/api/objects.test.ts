import { expect, test } from 'vitest';
import { KINDS } from '../../src/api/names.ts';
import { parseObject, updateProblems } from '../../src/api/parse.ts';
import { objection, ROWS } from './objects.ts';
import type { Row } from './objects/row.ts';

/** What zod has against a row. */
function problems({ kind, name = 'an-ordinary-name', spec, before }: Row): readonly string[] {
  const parsed = parseObject(kind, { metadata: { name, namespace: 'storage' }, spec });
  if (!parsed.ok) return parsed.problems;
  if (before === undefined) return [];
  const old = parseObject(kind, { metadata: { name }, spec: before });
  if (!old.ok) throw new Error(`the row starts from a spec that is refused: ${old.problems.join('; ')}`);
  return updateProblems(kind, old.object.spec, parsed.object.spec);
}

test.each(ROWS.map((row): [string, string, Row] => [row.kind, row.what, row]))('%s, %s', (_kind, _what, row) => {
  const found = problems(row);
  // Path and rule in one sentence.
  const said = found.find((problem) => row.refused !== null && problem.startsWith(row.refused.at)) ?? found.join('; ');
  expect(objection(row, said === '' ? null : said, ({ says }) => says)).toBeNull();
});

test('the table speaks of every kind, well and badly, and of updates', () => {
  expect(ROWS.length).toBeGreaterThan(80);
  for (const kind of KINDS) {
    const rows = ROWS.filter((row) => row.kind === kind);
    expect(rows.some(({ refused }) => refused === null)).toBe(true);
    expect(rows.some(({ refused }) => refused !== null)).toBe(true);
    expect(rows.some(({ before }) => before !== undefined)).toBe(true);
  }
});
