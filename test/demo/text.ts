/** Text with a meaning, which a terminal may show by colours: made without them, painted at the very end. */

export type Tone = 'plain' | 'dim' | 'bold' | 'old' | 'new' | 'good' | 'bad';
export interface Span {
  readonly text: string;
  readonly tone: Tone;
}
export type Line = readonly Span[];

const CODES: Readonly<Record<Tone, string>> = {
  plain: '',
  dim: '2',
  bold: '1',
  old: '33',
  new: '36',
  good: '32',
  bad: '1;31',
};

export const span = (text: string, tone: Tone = 'plain'): Span => ({ text, tone });
export const lengthOf = (line: Line): number => line.reduce((sum, { text }) => sum + text.length, 0);

/** Pads a cell; one that is too long is left as it is. */
export function pad(line: Line, width: number, side: 'left' | 'right'): Line {
  const space = span(' '.repeat(Math.max(0, width - lengthOf(line))));
  return side === 'left' ? [...line, space] : [space, ...line];
}

/** Cuts a line so that it never takes a second row of a narrow terminal. */
export function cut(line: Line, width: number): Line {
  if (lengthOf(line) <= width) return line;
  const kept: Span[] = [];
  let left = width - 1;
  for (const { text, tone } of line) {
    kept.push(span(text.slice(0, left), tone));
    left -= text.length;
    if (left <= 0) break;
  }
  return [...kept, span('…', 'dim')];
}

export function paint(line: Line, colours: boolean): string {
  return line
    .map(({ text, tone }) => (colours && CODES[tone] !== '' ? `\u001B[${CODES[tone]}m${text}\u001B[0m` : text))
    .join('')
    .trimEnd();
}
