import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseInstant } from '../../src/api/instant.ts';

test('reads what Date writes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) }), (at) => {
      expect(parseInstant(new Date(at).toISOString())).toBe(at);
    }),
  );
});

test.each([
  ['2026-10-05T02:00:00+02:00', Date.UTC(2026, 9, 5)],
  ['2026-10-04T22:00:00.5-02:00', Date.UTC(2026, 9, 5, 0, 0, 0, 500)],
  ['2026-10-05T00:00:00,123456789Z', Date.UTC(2026, 9, 5, 0, 0, 0, 123)],
  ['2024-02-29T23:59:59+24:60', Date.UTC(2024, 1, 28, 22, 59, 59)],
])('%s', (text, at) => expect(parseInstant(text)).toBe(at));

test.each([
  '',
  '2026-10-05',
  '2026-02-29T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2026-10-05T24:00:00Z',
  '2026-10-05T00:00:60Z',
  '2026-10-05T00:00:00',
  '2026-10-05t00:00:00z',
  '1969-12-31T23:59:59Z',
  `2026-10-05T00:00:00.${'0'.repeat(40)}Z`,
])('refuses %j', (text) => expect(parseInstant(text)).toBeNull());
