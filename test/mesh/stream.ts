/** Numbered blocks over a byte stream, acknowledged one by one: a lost, doubled or altered byte is seen. */

export const PAYLOAD = 4096;
const HEADER = 8;
const WINDOW = 64;

function payloadOf(sequence: number): Buffer {
  return Buffer.alloc(PAYLOAD, sequence & 0xff);
}

export function encodeBlock(sequence: number): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32BE(PAYLOAD, 0);
  header.writeUInt32BE(sequence, 4);
  return Buffer.concat([header, payloadOf(sequence)]);
}

/** Cuts what arrives into pieces of a length that the piece's own beginning tells. */
class Pieces {
  #rest: Buffer = Buffer.alloc(0);
  readonly #lengthOf: (start: Buffer) => number | null;

  constructor(lengthOf: (start: Buffer) => number | null) {
    this.#lengthOf = lengthOf;
  }

  *add(chunk: Buffer): Generator<Buffer> {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const length = this.#lengthOf(this.#rest);
      if (length === null || this.#rest.length < length) return;
      yield this.#rest.subarray(0, length);
      this.#rest = this.#rest.subarray(length);
    }
  }
}

/** The sending end of one edge. It outlives connections: what was not acknowledged is sent again over the next one. */
export class BlockSender {
  #next = 0;
  #acknowledged = 0;
  #acks = acks();

  get sentBytes(): number {
    return this.#next * PAYLOAD;
  }

  get ackedBytes(): number {
    return this.#acknowledged * PAYLOAD;
  }

  /** A new connection: the blocks to send again. */
  resume(): Buffer[] {
    this.#acks = acks();
    return Array.from({ length: this.#next - this.#acknowledged }, (_, i) => encodeBlock(this.#acknowledged + i));
  }

  /** The next new block; null while too many wait for their acknowledgement. */
  next(): Buffer | null {
    if (this.#next - this.#acknowledged >= WINDOW) return null;
    this.#next += 1;
    return encodeBlock(this.#next - 1);
  }

  /** @throws when an acknowledgement is out of order: a block was lost */
  receive(chunk: Buffer): void {
    for (const ack of this.#acks.add(chunk)) {
      const sequence = ack.readUInt32BE(0);
      if (sequence > this.#acknowledged)
        throw new Error(`block ${this.#acknowledged} was not acknowledged before ${sequence}`);
      if (sequence === this.#acknowledged) this.#acknowledged += 1;
    }
  }
}

function acks(): Pieces {
  return new Pieces(() => 4);
}

/** What a listening end has received from one sender, over all its connections. */
export class BlockReceiver {
  /** Null: nothing yet, any number may be the first. */
  #expected: number | null = null;
  #pieces = blocks();
  receivedBytes = 0;
  /** Sent again after a broken connection: harmless. */
  repeated = 0;
  /** Missing or altered: never harmless. */
  lost = 0;

  resume(): void {
    this.#pieces = blocks();
  }

  /** @returns the acknowledgements to send back */
  receive(chunk: Buffer): Buffer[] {
    const answers: Buffer[] = [];
    for (const block of this.#pieces.add(chunk)) {
      const sequence = block.readUInt32BE(4);
      const expected = this.#expected ?? sequence;
      if (!block.subarray(HEADER).equals(payloadOf(sequence))) this.lost += 1;
      if (sequence < expected) this.repeated += 1;
      else {
        this.lost += sequence - expected;
        this.#expected = sequence + 1;
        this.receivedBytes += block.length - HEADER;
      }
      answers.push(Buffer.from(block.subarray(4, 8)));
    }
    return answers;
  }
}

function blocks(): Pieces {
  return new Pieces((start) => (start.length < HEADER ? null : HEADER + start.readUInt32BE(0)));
}
