import { PkiError } from '../pki/errors.ts';

declare const checked: unique symbol;
/** A password that every reader of key stores takes. */
export type Password = string & { readonly [checked]: true };

const MAX_PASSWORD = 1024;

/**
 * Reads a password as it stands in a Secret. Only printable ASCII: readers disagree about how others are encoded, and Java refuses them.
 * One line break at the end is left out: a file made by an editor or `echo` has one, which nobody means.
 * @throws PkiError `InvalidPassphrase`
 */
export function readPassword(octets: Buffer): Password {
  const text = octets.toString('latin1').replace(/\r?\n$/, '');
  if (!isPassword(text)) {
    throw new PkiError(
      'InvalidPassphrase',
      `a password of a store must have 1 to ${MAX_PASSWORD} printable ASCII characters and no line break`,
    );
  }
  return text;
}

function isPassword(text: string): text is Password {
  return text.length > 0 && text.length <= MAX_PASSWORD && /^[ -~]+$/.test(text);
}

/** As Java and PKCS #12 hash it: two octets a character, the high one first. */
export function utf16(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16();
}
