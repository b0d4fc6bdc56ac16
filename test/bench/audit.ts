/** What the operator asked of the API server, from the API server's own audit log. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';

/** One answered request. */
export interface Request {
  readonly verb: string;
  /** e.g. `clustercertificates/status` */
  readonly resource: string;
  readonly name: string;
  readonly code: number;
  /** Epoch milliseconds at which it was answered. */
  readonly at: number;
}

interface AuditLine {
  readonly verb: string;
  readonly stage: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly resource: string; readonly subresource?: string; readonly name?: string };
  readonly responseStatus?: { readonly code: number };
  readonly stageTimestamp: string;
}

/** Of the level Metadata: far more than any has. */
const LONGEST_LINE = 256 * 1024;

/** The audit log of one API server, as one user. */
export class Audit {
  readonly #file: string;
  readonly #user: string;

  constructor(file: string, user: string) {
    this.#file = file;
    this.#user = user;
  }

  /** A place in the log, between two lines: what is answered later comes after it. */
  async mark(): Promise<number> {
    const file = await open(this.#file);
    try {
      const { size } = await file.stat();
      // The last line may be still being written.
      const start = Math.max(0, size - LONGEST_LINE);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
      const newline = buffer.subarray(0, bytesRead).lastIndexOf('\n');
      if (newline === -1 && start > 0)
        throw new Error(`${this.#file} ends in a line of more than ${LONGEST_LINE} bytes`);
      return start + newline + 1;
    } finally {
      await file.close();
    }
  }

  /** What this user asked between two places; a watch counts when it begins. */
  async since(mark: number, until?: number): Promise<readonly Request[]> {
    const requests: Request[] = [];
    const end = until ?? (await this.mark());
    if (end <= mark) return requests;
    const input = createReadStream(this.#file, { start: mark, end: end - 1 });
    for await (const text of createInterface({ input })) {
      if (!text.includes(this.#user)) continue;
      const line = JSON.parse(text) as AuditLine;
      if (line.user.username !== this.#user) continue;
      if (line.stage !== (line.verb === 'watch' ? 'ResponseStarted' : 'ResponseComplete')) continue;
      const { resource = '', subresource, name = '' } = line.objectRef ?? {};
      requests.push({
        verb: line.verb,
        resource: subresource === undefined ? resource : `${resource}/${subresource}`,
        name,
        code: line.responseStatus?.code ?? 0,
        at: Date.parse(line.stageTimestamp),
      });
    }
    return requests;
  }
}

const READS = new Set(['get', 'list', 'watch']);

/** Whatever an operator does all the time: its watches and its Lease. */
export function isUpkeep({ verb, resource }: Request): boolean {
  return verb === 'watch' || resource === 'leases';
}

export function isWrite({ verb }: Request): boolean {
  return !READS.has(verb);
}

/** How often each `verb resource` was asked; refusals are told apart by their code. */
export function tally(requests: readonly Request[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const { verb, resource, code } of requests) {
    const what = `${verb} ${resource}${code >= 300 ? ` (${code})` : ''}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].toSorted(([, a], [, b]) => b - a));
}
