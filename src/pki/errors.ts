/**
 * Why an operation on keys or certificates was refused. The first five are about input that was read,
 * the others about what was asked to be issued.
 */
export type PkiReason =
  | 'Malformed'
  | 'TooLarge'
  | 'Unsupported'
  | 'PassphraseRequired'
  | 'WrongPassphrase'
  | 'InvalidPassphrase'
  | 'InvalidSubject'
  | 'InvalidAlternativeName'
  | 'InvalidValidity'
  | 'InvalidSerial'
  | 'InvalidAuthority'
  | 'InvalidLeaf';

/**
 * A refusal. The message names the rule and the remedy, and never carries key material or a passphrase:
 * it is written here, from constants and public values, and has no `cause`.
 */
export class PkiError extends Error {
  override readonly name = 'PkiError';
  readonly reason: PkiReason;

  constructor(reason: PkiReason, message: string) {
    super(message);
    this.reason = reason;
  }
}
