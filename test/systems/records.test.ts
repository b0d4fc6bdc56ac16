import { expect, test } from 'vitest';
import { Records } from './records.ts';

const arrivalOf = (...numbers: readonly number[]) => {
  const records = new Records();
  const take = records.arriving('b');
  for (const number of numbers) take(`${number} ${Date.now() - 1000}`);
  return records.arrivals[0];
};

test('records that arrive one after the other', () => {
  const arrival = arrivalOf(1, 2, 3);
  expect(arrival).toMatchObject({ count: 3, repeated: 0, disorders: [] });
  expect(arrival?.longestMs).toBeGreaterThanOrEqual(1000);
});

test('what comes again is counted, and no disorder', () => {
  expect(arrivalOf(1, 2, 1, 2, 3)).toMatchObject({ count: 3, repeated: 2, disorders: [] });
});

test.each([
  ['is lost', [1, 3], 'b: 3 after 1'],
  ['comes later', [1, 3, 2, 4], 'b: 3 after 1'],
  ['is lost at the start', [2], 'b: 2 after 0'],
])('one that %s', (_, numbers, disorder) => {
  expect(arrivalOf(...numbers)?.disorders).toEqual([disorder]);
});

test('what is no record', () => {
  expect(() => new Records().arriving('b')('{"error":1}')).toThrow('b: no record is "{\\"error\\":1}"');
});

test('writes until it is aborted, each when the last one has been written', async () => {
  const records = new Records();
  const end = new AbortController();
  const written: string[] = [];
  await records.write(
    async (record) => {
      written.push(record);
      if (written.length === 3) end.abort();
    },
    1,
    end.signal,
  );
  expect(written.map((record) => record.split(' ')[0])).toEqual(['1', '2', '3']);
  expect(records.written).toBe(3);
});
