import { describe, expect, test } from 'vitest';
import { Screen } from './screen.ts';
import { span } from './text.ts';

/** What a screen wrote. */
function written(isTTY: boolean, env: NodeJS.ProcessEnv, draw: (screen: Screen) => void): string {
  let text = '';
  const write = (piece: string): void => void (text += piece);
  draw(new Screen({ isTTY, columns: 80, write }, env));
  return text;
}

const ESC = '\u001B[';
const TABLE = [[span('one', 'good')], [span('two')]];
const draw = (screen: Screen): void => {
  screen.table(TABLE);
  screen.line([span('news', 'bold')]);
  screen.table(TABLE);
};

describe('a screen', () => {
  test('on a terminal draws the table anew below what stays', () => {
    expect(written(true, {}, draw)).toBe(
      `${ESC}32mone${ESC}0m\ntwo\n` +
        `${ESC}2A${ESC}J${ESC}1mnews${ESC}0m\n${ESC}32mone${ESC}0m\ntwo\n` +
        `${ESC}2A${ESC}J${ESC}32mone${ESC}0m\ntwo\n`,
    );
  });

  test('keeps the table where it is, or takes it away, when asked to', () => {
    expect(written(true, {}, (screen) => (screen.table(TABLE), screen.keepTable(), screen.line('x')))).toMatch(
      /two\nx\n$/,
    );
    const dropped = written(true, {}, (screen) => (screen.table(TABLE), screen.dropTable(), screen.line('x')));
    expect(dropped.endsWith(`${ESC}2A${ESC}Jx\n`)).toBe(true);
  });

  test('respects NO_COLOR, which does not mean the table', () => {
    const text = written(true, { NO_COLOR: '1' }, draw);
    expect(text).toContain(`${ESC}2A${ESC}J`);
    expect(text).not.toContain('m');
  });

  test.each([
    ['what is no terminal', false, {}],
    ['a dumb terminal', true, { TERM: 'dumb' }],
  ])('writes nothing but plain lines to %s', (_, isTTY, env) => {
    expect(written(isTTY, env, (screen) => (draw(screen), screen.dropTable(), screen.keepTable()))).toBe('news\n');
  });
});
