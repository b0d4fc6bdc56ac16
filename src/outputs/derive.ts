import { createHmac, type KeyObject } from 'node:crypto';

/**
 * Octets in place of random ones: salts and initialization vectors, at most 32 of them. They depend on all of what is encrypted under
 * them, so two different contents never share one, and equal contents give equal files. Nobody who lacks `secret` can tell them from
 * random ones or try a password on them, as the password is no part of them.
 * @param secret what is known to nobody who may only see the file; null where all of its content is public
 * @param purpose keeps uses apart
 */
export function derive(secret: KeyObject | null, purpose: string, content: Uint8Array, length: number): Buffer {
  const key = secret === null ? Buffer.alloc(0) : secret.export({ type: 'pkcs8', format: 'der' });
  return createHmac('sha256', key).update(`replicert ${purpose}\0`).update(content).digest().subarray(0, length);
}
