import { describe, expect, test } from 'vitest';
import { claimsIn, proves } from './claims.ts';
import { provenIn } from './reporter.ts';
import { claimsOf, tableOf, withTable } from './table.ts';

const CODE = `
test('plain', () => {});
test('looks', { timeout: 5, ...proves('generic', 'probe', 'rollback') }, async () => {});
describe.skipIf(why)('suite', () => {
  test.each([1])('each', proves('generic', 'material'), () => {});
});`;

const CLAIMS = [
  { system: 'generic', aspect: 'probe', file: 'x.test.ts', test: 'looks' },
  { system: 'generic', aspect: 'rollback', file: 'x.test.ts', test: 'looks' },
  { system: 'generic', aspect: 'material', file: 'x.test.ts', test: 'each' },
];

test('claims are read from the source of a test', () => {
  expect(claimsIn(CODE, 'x.test.ts')).toEqual(CLAIMS);
});

test.each([
  ["test('a', { timeout: 5 }, () => proves('generic', 'probe'))", []],
  ["const options = { ...proves('generic', 'probe') };", []],
])('what is no option of a test claims nothing: %s', (code, claims) => {
  expect(claimsIn(code, 'x.test.ts')).toEqual(claims);
});

test.each([
  "test(`a ${name}`, { ...proves('generic', 'probe') }, () => {})",
  "test.each(all)('a %s', proves('generic', 'probe'), () => {})",
])('a claim that cannot be read is refused: %s', (code) => {
  expect(() => claimsIn(code, 'x.test.ts')).toThrow('x.test.ts: a test that proves');
});

describe('the table', () => {
  test('says what it was made of', () => {
    const twice = [...CLAIMS, { system: 'generic', aspect: 'probe', file: 'test/y.test.ts', test: 'looks (again)' }];
    const sorted = (claims: typeof twice) => claims.map((claim) => JSON.stringify(claim)).toSorted();
    expect(sorted([...claimsOf(tableOf(twice))])).toEqual(sorted(twice));
  });

  test('is exchanged within its page, and nothing else is', () => {
    const page = `# x\n\n${tableOf([])}\n| other | table |\n|---|---|\n`;
    expect(withTable(page, CLAIMS)).toBe(page.replace(tableOf([]), tableOf(CLAIMS)));
  });
});

test('only what passed is proven, and by none of that name that failed', () => {
  const told = (name: string, state: string) => ({
    name,
    meta: () => proves('generic', 'probe').meta,
    result: () => ({ state }),
  });
  const tests = [told('a', 'passed'), told('b', 'skipped'), told('c', 'passed'), told('c', 'failed')];
  const more = [told('d', 'skipped'), told('d', 'passed')];
  expect(provenIn('x.test.ts', [...tests, ...more]).map((claim) => claim.test)).toEqual(['a', 'd']);
});
