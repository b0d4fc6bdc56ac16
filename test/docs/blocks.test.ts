import { describe, expect, test } from 'vitest';
import { blocksOf } from './blocks.ts';

describe('the blocks of a document', () => {
  test('are those that are marked, in order, with where they begin', () => {
    const text = [
      '# x',
      '```sh',
      'not me',
      '```',
      '```sh run',
      'echo 1',
      '',
      'echo 2',
      '```',
      '```yaml check',
      'a: 1',
      '```',
      '```yaml apply',
      'b: 2',
      '```',
      '',
    ];
    expect(blocksOf(text.join('\n'))).toEqual([
      { use: 'run', text: 'echo 1\n\necho 2\n', line: 5 },
      { use: 'check', text: 'a: 1\n', line: 10 },
      { use: 'apply', text: 'b: 2\n', line: 13 },
    ]);
  });

  test('may hold shorter fences', () => {
    expect(blocksOf('````sh run\n```\n````\n')).toEqual([{ use: 'run', text: '```\n', line: 1 }]);
  });

  test.each([
    ['```sh tun\n```\n', 'line 1: "sh tun" is no mark'],
    ['\n```yaml run\n```\n', 'line 2'],
    ['```sh run now\n```\n', 'line 1'],
    ['```sh run\n', 'the block of line 1 does not end'],
  ])('%j is refused', (text, message) => {
    expect(() => blocksOf(text)).toThrow(message);
  });
});
