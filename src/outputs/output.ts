import type { KeyObject } from 'node:crypto';
import type { Certificate } from '../pki/certificate.ts';
import type { KeyEncoding } from '../pki/keys.ts';

/** What a member serves and trusts: all that may leave a Secret. */
export interface Certificates {
  /** What `tls.crt` holds, the leaf first. */
  readonly chain: readonly [Certificate, ...Certificate[]];
  /** What `ca.crt` holds, oldest first. */
  readonly bundle: readonly Certificate[];
}

/** A leaf with its key. */
export interface Pair {
  /** The leaf first. */
  readonly chain: readonly [Certificate, ...Certificate[]];
  readonly key: KeyObject;
}

/** What a member's Secret holds, as its outputs are made of it. */
export interface Material extends Certificates, Pair {
  /** The leaves besides that of `tls.crt`, by name. */
  readonly further: ReadonlyMap<string, Pair>;
  /** Encoding of `tls.key`. */
  readonly keyEncoding: KeyEncoding;
}

/**
 * One more key of a Secret, as a function of what its member has: the same material gives the same octets, always. So what is there
 * can be held against what should be there, without a record of what was written that whoever edits a Secret could edit as well.
 */
export interface Output {
  /** Name of the key in the Secret. */
  readonly key: string;
  readonly encode: (material: Material) => Buffer;
}

/** One that cannot hold a private key, because it is given none: it may be in a ConfigMap. */
export interface PublicOutput extends Output {
  readonly encode: (certificates: Certificates) => Buffer;
}
