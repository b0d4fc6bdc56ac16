/** PEM under other names and in other encodings, and DER. */
import type { KeyObject } from 'node:crypto';
import { encodeBundle } from '../pki/bundle.ts';
import { type Certificate, signedBy } from '../pki/certificate.ts';
import { encodePrivateKey, exportPrivateKey, type KeyEncoding } from '../pki/keys.ts';
import { encodePem } from '../pki/pem.ts';
import type { Certificates, Material } from './output.ts';
import type { Password } from './password.ts';
import { encryptPkcs8 } from './pbes2.ts';

const text = (pem: string): Buffer => Buffer.from(pem, 'latin1');

const chainPem = (chain: readonly Certificate[]): string => chain.map(({ pem }) => pem).join('');

/** What `tls.crt` holds. */
export const certificatePem = ({ chain }: Certificates): Buffer => text(chainPem(chain));

/** What `ca.crt` holds. */
export const bundlePem = ({ bundle }: Certificates): Buffer => text(encodeBundle(bundle));

/** The chain and the root that it ends at: what servers show that complete their chain from their trust store. */
export const rootedChainPem = ({ chain, bundle }: Certificates): Buffer => {
  const last = chain.at(-1);
  const root = bundle.find((ca) => last !== undefined && signedBy(last, ca));
  return text(chainPem(root === undefined ? chain : [...chain, root]));
};

/** Key, then chain, in one file: cert-manager's `tls-combined.pem`. */
export const combinedPem = ({ chain, key, keyEncoding }: Material): Buffer =>
  text(encodePrivateKey(key, keyEncoding) + chainPem(chain));

/**
 * The private key in an encoding of its own.
 * @throws PkiError `Unsupported` where the encoding is not made for this kind of key
 */
export const privateKeyPem =
  (encoding: KeyEncoding) =>
  ({ key }: Material): Buffer =>
    text(encodePrivateKey(key, encoding));

/** The private key in the encoding of `tls.key`, without PEM: cert-manager's `key.der`. */
export const privateKeyDer = ({ key, keyEncoding }: Material): Buffer => exportPrivateKey(key, keyEncoding);

/** The private key as encrypted PKCS #8 (PBES2: AES-256-CBC, PBKDF2 with HMAC-SHA256). */
export const encryptedKeyPem =
  (password: Password) =>
  ({ key }: { readonly key: KeyObject }): Buffer =>
    text(encodePem('ENCRYPTED PRIVATE KEY', encryptPkcs8(key, password)));
