import { expect, test } from 'vitest';
import { KINDS } from '../../src/api/names.ts';
import { referenceText } from '../../src/cli/reference.ts';

const page = referenceText();

test.each(KINDS)('the reference has a section for %s', (kind) => {
  expect(page).toContain(`\n## ${kind}\n`);
});

test.each([
  ['a field', '| `spec.rotation.generation` | integer | The wanted signer.'],
  ['a required field', '| `spec.caRef.name` \\* | string |'],
  ['a field of a list', '| `spec.members[].endpoints[].host` \\* | string |'],
  ['a map', '| `spec.secretTemplate.labels` | map of string |'],
  ['a field that takes two types', '| `spec.rotation.maxConcurrent` | integer or string |'],
  ['a column', '| WAITING-FOR | What is waited for: a member and why, or your hand. |'],
  ['a condition', '| `Verified` | Every edge was seen to work'],
  ['an event', '| `GrantProven` | The change was seen at the member. |'],
  ['a label', '- `replicert.io/role`'],
])('it has %s', (_, line) => {
  expect(page).toContain(line);
});

test('every row of a table has its three or two cells, whatever the text holds', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| '));
  expect(rows.length).toBeGreaterThan(200);
  for (const row of rows) expect([3, 4]).toContain(row.replaceAll('\\|', '').split('|').length - 1);
});
