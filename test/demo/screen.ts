import { type Line, paint, span } from './text.ts';

/** What a screen needs of standard output. */
interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Where the demo shows itself: lines that stay, and below them, on a terminal only, a table that is drawn anew. */
export class Screen {
  readonly #out: Output;
  readonly #live: boolean;
  readonly #colours: boolean;
  #table: readonly Line[] = [];
  #drawn = 0;

  constructor(out: Output, env: NodeJS.ProcessEnv) {
    this.#out = out;
    this.#live = out.isTTY === true && env['TERM'] !== 'dumb';
    this.#colours = this.#live && (env['NO_COLOR'] ?? '') === '';
  }

  get width(): number {
    return this.#live ? Math.max(20, (this.#out.columns ?? 80) - 1) : 120;
  }

  /** Adds a line that stays. */
  line(line: Line | string = ''): void {
    this.#write([typeof line === 'string' ? [span(line)] : line]);
  }

  /** Replaces the table; nothing on what is no terminal. */
  table(lines: readonly Line[]): void {
    if (!this.#live) return;
    this.#table = lines;
    this.#write([]);
  }

  /** Leaves the table as it is, above everything that follows. */
  keepTable(): void {
    this.#table = [];
    this.#drawn = 0;
  }

  /** Takes the table away. */
  dropTable(): void {
    this.#table = [];
    if (this.#live) this.#write([]);
  }

  #write(lines: readonly Line[]): void {
    const back = this.#drawn === 0 ? '' : `\u001B[${this.#drawn}A\u001B[J`;
    const text = [...lines, ...this.#table].map((line) => `${paint(line, this.#colours)}\n`).join('');
    this.#drawn = this.#table.length;
    if (back !== '' || text !== '') this.#out.write(back + text);
  }
}
