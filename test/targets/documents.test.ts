/** docs/targets is whole, and says of its tests what they say themselves. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PROFILES } from '../../src/api/fields.ts';
import { claimsBelow } from './claims.ts';
import { TABLE, tableOf } from './table.ts';

const ROOT = join(import.meta.dirname, '..', '..');

test('its table names the tests that prove each cell, and no other; `make targets` writes it', () => {
  const page = readFileSync(join(ROOT, TABLE), 'utf8');
  expect(page.split('\n').filter((line) => /^\| (system|---|\[)/.test(line))).toEqual(
    tableOf(claimsBelow(ROOT)).trimEnd().split('\n'),
  );
});

test.each(PROFILES)('there is a page for %s, with manifests, each of which a test gives to the API server', (name) => {
  const file = join(ROOT, 'docs', 'targets', `${name}.md`);
  expect(existsSync(file)).toBe(true);
  const fences = readFileSync(file, 'utf8').match(/^```ya?ml.*$/gm) ?? [];
  expect(fences).toContain('```yaml apply');
  // What the page only shows is tried with the API server, and not kept.
  expect(fences.filter((fence) => fence !== '```yaml apply' && fence !== '```yaml check')).toEqual([]);
});
