/** Certificates that we would never issue: with any set of extensions, by a general library (@peculiar/x509). */
import 'reflect-metadata';
import { createPublicKey, type KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type Certificate, parseCertificate } from '../../src/pki/certificate.ts';
import { contextTag, element, sequence, unsignedInteger } from '../../src/pki/der.ts';
import { generatePrivateKey } from '../../src/pki/keys.ts';
import { DAY, NOW, P256 } from './support.ts';

x509.cryptoProvider.set(webcrypto);

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface FlawedCa {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  readonly name: x509.Name;
}

export interface FlawedCaOptions {
  /** Hex, null for none. */
  readonly subjectKeyId: string | null;
  readonly serial: string;
  readonly key?: KeyObject;
  readonly ca?: boolean;
  /** Whether the key usage of a CA allows to sign certificates, not only CRLs. */
  readonly signs?: boolean;
  readonly printable?: boolean;
  /** Self-signed without. */
  readonly issuer?: FlawedCa;
}

export async function flawedCa(
  subject: string,
  { subjectKeyId, serial, key, ca = true, signs = true, printable = true, issuer }: FlawedCaOptions,
): Promise<FlawedCa> {
  const own = key ?? (await generatePrivateKey(P256));
  const name = new x509.Name([{ CN: [printable ? { printableString: subject } : { utf8String: subject }] }]);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: name,
    issuer: issuer?.name ?? name,
    notBefore: new Date(NOW - DAY),
    notAfter: new Date(NOW + DAY),
    publicKey: keyPair(own).publicKey,
    signingKey: keyPair(issuer?.key ?? own).privateKey,
    signingAlgorithm: ECDSA,
    extensions: [
      new x509.BasicConstraintsExtension(ca, undefined, true),
      ...(ca
        ? [new x509.KeyUsagesExtension(signs ? x509.KeyUsageFlags.keyCertSign : x509.KeyUsageFlags.cRLSign, true)]
        : []),
      ...(subjectKeyId === null ? [] : [new x509.SubjectKeyIdentifierExtension(subjectKeyId)]),
    ],
  });
  return { certificate: parseCertificate(certificate.toString('pem')), key: own, name: certificate.subjectName };
}

export type AuthorityReference = { readonly keyId?: string | null; readonly certificate?: Certificate };

/** A leaf whose authority key identifier holds what is given: a key id, issuer and serial of a certificate, or nothing. */
export async function flawedLeaf(
  ca: FlawedCa,
  { keyId, certificate }: AuthorityReference,
): Promise<{ certificate: Certificate; key: KeyObject }> {
  const key = await generatePrivateKey(P256);
  const { publicKey } = keyPair(key);
  const { privateKey: signingKey } = keyPair(ca.key);
  const fields = [
    ...(keyId ? [element(contextTag(0, 'primitive'), Buffer.from(keyId, 'hex'))] : []),
    ...(certificate
      ? [
          element(
            contextTag(1, 'constructed'),
            element(contextTag(4, 'constructed'), Buffer.from(certificate.rawIssuer, 'hex')),
          ),
          element(
            contextTag(2, 'primitive'),
            unsignedInteger(Buffer.from(certificate.serialNumber, 'hex')).subarray(2),
          ),
        ]
      : []),
  ];
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: '4242',
    subject: 'CN=member',
    issuer: ca.name,
    notBefore: new Date(NOW - DAY),
    notAfter: new Date(NOW + DAY),
    publicKey,
    signingKey,
    signingAlgorithm: ECDSA,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'member.example' }]),
      ...(fields.length === 0 ? [] : [new x509.Extension('2.5.29.35', false, sequence(...fields))]),
    ],
  });
  return { certificate: parseCertificate(leaf.toString('pem')), key };
}

function keyPair(key: KeyObject): webcrypto.CryptoKeyPair {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  return {
    privateKey: key.toCryptoKey(algorithm, true, ['sign']),
    publicKey: createPublicKey(key).toCryptoKey(algorithm, true, ['verify']),
  };
}
