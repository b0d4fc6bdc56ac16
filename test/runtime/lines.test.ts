import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineSplitter } from '../../src/runtime/lines.ts';

describe('lines', () => {
  it('come out whole, whatever the cuts, also within a character', () => {
    const line = fc
      .string({ unit: 'binary', minLength: 1 })
      .filter((text) => text.isWellFormed() && !text.includes('\n'));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat({ max: 20 })), (lines, cuts) => {
        const got: string[] = [];
        const splitter = new LineSplitter((each) => got.push(each));
        let rest = Buffer.from(lines.map((each) => `${each}\n`).join(''));
        for (const cut of cuts) {
          splitter.push(rest.subarray(0, cut));
          rest = rest.subarray(cut);
        }
        splitter.push(rest);
        expect(got).toEqual(lines);
      }),
    );
  });

  it('that are not ended are not told', () => {
    const got: string[] = [];
    const splitter = new LineSplitter((each) => got.push(each));
    splitter.push(Buffer.from('a\n\nb'));
    expect(got).toEqual(['a']);
  });

  it('without an end do not fill the memory', () => {
    const splitter = new LineSplitter(() => {}, 10);
    splitter.push(Buffer.from('12345678\n'));
    splitter.push(Buffer.from('12345'));
    expect(() => splitter.push(Buffer.from('678901'))).toThrow('longer than 10 bytes');
  });
});
