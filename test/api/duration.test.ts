import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../src/api/duration.ts';

const LARGEST = 1_000_000 * 3_600_000 - 1;

describe('parseDuration', () => {
  test.each([
    ['0s', 0],
    ['30s', 30_000],
    ['1.5h', 5_400_000],
    ['0.001h', 3_600],
    ['1h30m0.5s', 5_400_500],
    ['1m1ms', 60_001],
    ['87600h', 315_360_000_000],
    ['999999h', 3_599_996_400_000],
  ])('%s', (text, milliseconds) => expect(parseDuration(text)).toBe(milliseconds));

  test.each([
    '',
    '1',
    'h',
    '1d',
    '-1h',
    '+1h',
    '1H',
    ' 1h',
    '1h ',
    '1m1h',
    '1h1h',
    '1.2345h',
    '.5h',
    '1.h',
    '1us',
    '1ns',
    '1e3s',
    '1,5h',
    '1000000h',
    '1h\n',
    `${'0'.repeat(32)}s`,
  ])('refuses %j', (text) => expect(parseDuration(text)).toBeNull());

  test('never throws, and gives whole milliseconds or null', () => {
    const nearly = fc.stringMatching(/^([0-9]{1,7}(\.[0-9]{1,4})?(h|m|s|ms|d)){0,4}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string(), nearly), (text) => {
        const milliseconds = parseDuration(text);
        expect(milliseconds === null || (Number.isSafeInteger(milliseconds) && milliseconds >= 0)).toBe(true);
      }),
    );
  });
});

describe('formatDuration', () => {
  test('is read back exactly, in the shortest form that Go would write too', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: LARGEST }), (milliseconds) => {
        const text = formatDuration(milliseconds);
        expect(parseDuration(text)).toBe(milliseconds);
        expect(text).toMatch(/^([1-9][0-9]*h)?([1-5]?[0-9]m)?([1-5]?[0-9]s)?([1-9][0-9]{0,2}ms)?$/);
      }),
    );
    expect(formatDuration(5_400_000)).toBe('1h30m');
    expect(formatDuration(0)).toBe('0s');
  });

  test.each([-1, 0.5, Number.NaN, Infinity, LARGEST + 1])('refuses %d', (milliseconds) => {
    expect(() => formatDuration(milliseconds)).toThrow(RangeError);
  });
});
