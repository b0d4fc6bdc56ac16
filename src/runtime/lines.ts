import { MalformedEventError } from './errors.ts';

const NEWLINE = 0x0a;

/**
 * Cuts a byte stream into lines. Each byte is looked at once: what is left of a line waits as it came until its end arrives,
 * so a line in thousands of pieces costs no more than one in a single piece.
 */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #maxBytes: number;
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(onLine: (line: string) => void, maxBytes = 64 << 20) {
    this.#onLine = onLine;
    this.#maxBytes = maxBytes;
  }

  /** Hands on every line that this piece completes. A line that grows past the limit is a MalformedEventError. */
  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line =
        this.#restBytes === 0 ? chunk.toString('utf8', start, end) : this.#complete(chunk.subarray(start, end));
      start = end + 1;
      if (line !== '') this.#onLine(line);
    }
    if (start === chunk.length) return;
    this.#rest.push(start === 0 ? chunk : chunk.subarray(start));
    this.#restBytes += chunk.length - start;
    if (this.#restBytes > this.#maxBytes)
      throw new MalformedEventError(`a line is longer than ${this.#maxBytes} bytes`);
  }

  #complete(tail: Buffer): string {
    this.#rest.push(tail);
    const line = Buffer.concat(this.#rest, this.#restBytes + tail.length).toString('utf8');
    this.#rest = [];
    this.#restBytes = 0;
    return line;
  }
}
