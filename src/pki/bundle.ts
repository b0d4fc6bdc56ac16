/** Trust bundles: several CA certificates that verifiers load together, and what verifiers make of them. */
import { type Certificate, signatureVerifies } from './certificate.ts';
import { canonicalName } from './name.ts';

/** PEM of the certificates in the order given (oldest first), each once, ending with a newline; empty for none. */
export function encodeBundle(certificates: readonly Certificate[]): string {
  return distinct(certificates)
    .map(({ pem }) => pem)
    .join('');
}

function distinct(certificates: readonly Certificate[]): Certificate[] {
  return [...new Map(certificates.map((certificate) => [certificate.fingerprint, certificate])).values()];
}

export interface BundleProblem {
  readonly reason: 'NotCa' | 'NotSelfSigned' | 'MissingSubjectKeyId' | 'SameKey' | 'SameSubject' | 'SameSubjectKeyId';
  /** Names the certificates, the rule and the remedy. */
  readonly message: string;
}

/**
 * Whether every verifier can tell the CAs of a bundle apart and trust each of them. The same certificate twice counts
 * once. OpenSSL, Node and GnuTLS try one CA per name and key identifier only, and dropping a CA whose key another one
 * shares has no effect: such bundles break links, or keep links that should break.
 * @returns the first problem, null when there is none
 */
export function checkBundle(certificates: readonly Certificate[]): BundleProblem | null {
  const checked: Certificate[] = [];
  for (const certificate of distinct(certificates)) {
    const problem = checkAlone(certificate) ?? checkAgainst(checked, certificate);
    if (problem !== null) return problem;
    checked.push(certificate);
  }
  return null;
}

function checkAlone(ca: Certificate): BundleProblem | null {
  if (!maySign(ca)) return problem('NotCa', `${label(ca)} is not a CA certificate (CA:TRUE, keyCertSign)`);
  if (ca.subjectKeyId === null) {
    return problem(
      'MissingSubjectKeyId',
      `${label(ca)} has no subject key identifier, by which verifiers tell CAs apart`,
    );
  }
  if (ca.rawIssuer !== ca.rawSubject || !signatureVerifies(ca, ca)) {
    return problem('NotSelfSigned', `${label(ca)} is not self-signed; most verifiers do not accept it as a root`);
  }
  return null;
}

function checkAgainst(others: readonly Certificate[], ca: Certificate): BundleProblem | null {
  const rule = (shared: string): string =>
    `${shared}; every CA of a bundle needs a key, a subject and a subject key identifier of its own`;
  for (const other of others) {
    const pair = `${label(other)} and ${label(ca)}`;
    if (other.publicKeyDigest === ca.publicKeyDigest) return problem('SameKey', rule(`${pair} have the same key`));
    if (canonicalSubject(other) === canonicalSubject(ca)) {
      return problem('SameSubject', rule(`${pair} have the same subject`));
    }
    if (other.subjectKeyId === ca.subjectKeyId) {
      return problem('SameSubjectKeyId', rule(`${pair} have the same subject key identifier but different keys`));
    }
  }
  return null;
}

function problem(reason: BundleProblem['reason'], message: string): BundleProblem {
  return { reason, message };
}

function label({ subject, fingerprint }: Certificate): string {
  return `"${subject}" (${fingerprint.slice(0, 8)})`;
}

function canonicalSubject({ rawSubject }: Certificate): string {
  return canonicalName(Buffer.from(rawSubject, 'hex'));
}

/**
 * How a verifier picks the issuer of a leaf among CAs that could be it by subject and key identifiers:
 * `first` (OpenSSL, Node) and `last` (GnuTLS) settle on one and never try another, `any` (Go, Java, NSS) tries all.
 */
export type VerifierStyle = 'first' | 'last' | 'any';

/**
 * Whether a leaf verifies under a bundle of roots with a verifier of this style, as measured with real ones. Strict
 * where they differ in detail: a CA competes when its subject is the same to the most lenient comparison, and is
 * accepted when it is the same to the strictest. Dates, purposes and host names are not looked at.
 */
export function verifiesUnder(leaf: Certificate, bundle: readonly Certificate[], style: VerifierStyle): boolean {
  const issuer = canonicalName(Buffer.from(leaf.rawIssuer, 'hex'));
  const candidates = distinct(bundle).filter(
    (ca) => canonicalSubject(ca) === issuer && couldBeIssuer(leaf, ca, { bySerial: style !== 'last' }),
  );
  const accepted = (ca: Certificate | undefined): boolean =>
    ca !== undefined && maySign(ca) && ca.rawSubject === leaf.rawIssuer && signatureVerifies(leaf, ca);
  switch (style) {
    case 'first':
      return accepted(candidates[0]);
    case 'last':
      return accepted(candidates.at(-1));
    case 'any':
      return candidates.some(accepted);
  }
}

/** Key identifiers exclude a CA where both sides have them, and so does the authority's serial number, which GnuTLS does not look at. */
function couldBeIssuer(leaf: Certificate, ca: Certificate, { bySerial }: { readonly bySerial: boolean }): boolean {
  const sameKeyId = leaf.authorityKeyId === null || ca.subjectKeyId === null || leaf.authorityKeyId === ca.subjectKeyId;
  const sameSerial = !bySerial || leaf.authoritySerialNumber === null || leaf.authoritySerialNumber === ca.serialNumber;
  return sameKeyId && sameSerial;
}

function maySign({ isCa, keyUsage }: Certificate): boolean {
  return isCa && (keyUsage === null || keyUsage.includes('keyCertSign'));
}
