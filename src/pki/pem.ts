/** Textual encoding of keys and certificates: RFC 7468, read laxly outside of the blocks and strictly inside. */
import { PkiError } from './errors.ts';

export interface PemBlock {
  readonly label: string;
  readonly der: Buffer;
}

const BEGIN = '-----BEGIN ';
const DASHES = '-----';

/** PEM text of one block: lines of 64 characters, ending with a newline. */
export function encodePem(label: string, der: Buffer): string {
  const body = der.toString('base64');
  let lines = '';
  for (let at = 0; at < body.length; at += 64) lines += `${body.slice(at, at + 64)}\n`;
  return `${BEGIN}${label}${DASHES}\n${lines}-----END ${label}${DASHES}\n`;
}

/**
 * All blocks of a text, in order; what stands between them (comments, `openssl x509 -text`) is skipped.
 * @param what the object, for messages
 * @param cap  greatest length of the text in characters
 * @throws PkiError `TooLarge`, `Malformed`; `Unsupported` for the legacy encryption by Proc-Type and DEK-Info headers
 */
export function decodePem(text: string, what: string, cap: number): PemBlock[] {
  if (text.length > cap) {
    throw new PkiError('TooLarge', `${what} has ${text.length} characters; at most ${cap} are read`);
  }
  const blocks: PemBlock[] = [];
  for (let begin = text.indexOf(BEGIN); begin !== -1; ) {
    const labelEnd = text.indexOf(DASHES, begin + BEGIN.length);
    const label = labelEnd === -1 ? '' : text.slice(begin + BEGIN.length, labelEnd);
    if (!/^[A-Z0-9][A-Z0-9 ]{0,62}$/.test(label)) throw malformed(what, 'a BEGIN line is broken');
    const end = text.indexOf(DASHES, labelEnd + DASHES.length);
    const endLine = `-----END ${label}${DASHES}`;
    if (end === -1 || !text.startsWith(endLine, end)) throw malformed(what, 'a block has no matching END line');
    blocks.push({ label, der: decodeBody(text.slice(labelEnd + DASHES.length, end), what) });
    begin = text.indexOf(BEGIN, end + endLine.length);
  }
  if (blocks.length === 0) throw malformed(what, 'there is no BEGIN line');
  return blocks;
}

function decodeBody(body: string, what: string): Buffer {
  if (body.includes('Proc-Type:') || body.includes('DEK-Info:')) {
    throw new PkiError(
      'Unsupported',
      `${what} is encrypted in the legacy way (Proc-Type, DEK-Info), which is weak; ` +
        'convert it with "openssl pkcs8 -topk8 -v2 aes-256-cbc"',
    );
  }
  const base64 = body.replace(/[ \t\r\n]+/g, '');
  if (base64.length === 0 || base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    throw malformed(what, 'a block is not base64');
  }
  // Not from Buffer's shared pool: a small certificate that lives long would keep a whole slab alive.
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  const der = Buffer.allocUnsafeSlow((base64.length / 4) * 3 - padding);
  der.write(base64, 'base64');
  return der;
}

function malformed(what: string, why: string): PkiError {
  return new PkiError('Malformed', `${what} is not valid PEM: ${why}`);
}
