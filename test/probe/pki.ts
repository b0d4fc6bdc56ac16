/** Certificates for the tests of probing, and the canaries that go with them. */
import { randomBytes } from 'node:crypto';
import type { Certificate } from '../../src/pki/certificate.ts';
import { type SigningAuthority, issueCa, issueLeaf, newSerial } from '../../src/pki/issue.ts';
import { type KeySpec, encodePrivateKey, generatePrivateKey } from '../../src/pki/keys.ts';
import { createPublicKey } from 'node:crypto';

const HOUR = 3_600_000;

const P256: KeySpec = { algorithm: 'ECDSA', size: 256 };

export async function makeAuthority(name: string, kind: KeySpec = P256): Promise<SigningAuthority> {
  const key = await generatePrivateKey(kind);
  const now = Date.now();
  const certificate = issueCa({
    key,
    subject: { commonName: name },
    notBefore: now - HOUR,
    notAfter: now + 240 * HOUR,
    serial: newSerial(randomBytes),
  });
  return { certificate, key };
}

export interface Identity {
  readonly leaf: Certificate;
  readonly certificate: string;
  readonly key: string;
}

export async function makeLeaf(authority: SigningAuthority, name: string, kind: KeySpec = P256): Promise<Identity> {
  const key = await generatePrivateKey(kind);
  const now = Date.now();
  const leaf = issueLeaf({
    authority,
    publicKey: createPublicKey(key),
    subject: { commonName: name },
    dnsNames: [name],
    ipAddresses: ['127.0.0.1'],
    uris: [],
    notBefore: now - HOUR,
    notAfter: now + 100 * HOUR,
    serial: newSerial(randomBytes),
  });
  return { leaf, certificate: leaf.pem, key: encodePrivateKey(key, 'PKCS8') };
}
