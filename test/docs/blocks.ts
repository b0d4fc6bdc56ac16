/** Fenced blocks of Markdown that are marked to be tried: what documentation says works is run by a test. */

export type Use =
  /** A shell script that must end with 0. */
  | 'run'
  /** A shell script that goes on in the background, e.g. the operator. */
  | 'background'
  /** Objects that are applied. */
  | 'apply'
  /** Objects that the API server must accept. */
  | 'check';

export interface Block {
  readonly use: Use;
  readonly text: string;
  /** Where it begins, from 1. */
  readonly line: number;
}

const USES: readonly Use[] = ['run', 'background', 'apply', 'check'];
const LANGUAGES: Readonly<Record<Use, string>> = { run: 'sh', background: 'sh', apply: 'yaml', check: 'yaml' };

const isUse = (word: string): word is Use => USES.some((use) => use === word);

/** The marked blocks of a document, in order; throws on a mark that is no use, or on a block that does not end. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; use: Use | null; line: number; text: string[] } | null = null;
  for (const [i, line] of markdown.split('\n').entries()) {
    if (open !== null) {
      if (line.trimEnd() !== open.fence) open.text.push(line);
      else {
        if (open.use !== null) blocks.push({ use: open.use, text: `${open.text.join('\n')}\n`, line: open.line });
        open = null;
      }
      continue;
    }
    const [, fence, info] = /^(`{3,})(.*)$/.exec(line) ?? [];
    if (fence === undefined || info === undefined) continue;
    open = { fence, use: useOf(info, i + 1), line: i + 1, text: [] };
  }
  if (open !== null) throw new Error(`the block of line ${open.line} does not end`);
  return blocks;
}

function useOf(info: string, line: number): Use | null {
  const [language, mark, ...rest] = info.trim().split(/\s+/);
  if (mark === undefined) return null;
  if (!isUse(mark) || rest.length > 0 || LANGUAGES[mark] !== language) {
    throw new Error(
      `line ${line}: "${info}" is no mark: ${USES.map((use) => `"${LANGUAGES[use]} ${use}"`).join(', ')} are`,
    );
  }
  return mark;
}
