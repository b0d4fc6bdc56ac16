import type { Certificate } from '../pki/certificate.ts';

/** Alias of a CA in a trust store: the same in every bundle that it is part of. */
export const trustAlias = ({ fingerprint }: Certificate): string => `ca-${fingerprint.slice(0, 8)}`;
