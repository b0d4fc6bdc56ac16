import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { type VerifierStyle, verifiesUnder } from '../../pki/bundle.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { type Authority, issueLeaf, newSerial, rehearseLeaf } from '../../pki/issue.ts';
import { BACKDATE } from '../shared/effective.ts';

const STYLES: readonly VerifierStyle[] = ['first', 'last', 'any'];

/** One leaf per generation, made to be judged and never given to anybody: verifiers see no more of a real one. */
const leaves = new WeakMap<Certificate, Certificate>();
/** What was found of a leaf and a bundle, by their fingerprints. */
const found = new Map<string, VerifierStyle | null>();
const FOUND_AT_MOST = 1_024;

/** The first kind of verifier that would refuse a leaf of this CA with this bundle; null when all accept it. */
export function refusedBy(authority: Authority, bundle: readonly Certificate[], now: number): VerifierStyle | null {
  const key = [authority.certificate, ...bundle].map(({ fingerprint }) => fingerprint).join(' ');
  const known = found.get(key);
  if (known !== undefined) return known;
  const leaf = leaves.get(authority.certificate) ?? rehearsalLeaf(authority, now);
  leaves.set(authority.certificate, leaf);
  const style = STYLES.find((each) => !verifiesUnder(leaf, bundle, each)) ?? null;
  if (found.size >= FOUND_AT_MOST) found.clear();
  found.set(key, style);
  return style;
}

function rehearsalLeaf({ certificate, key }: Authority, now: number): Certificate {
  const { notBefore, notAfter } = certificate;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const request = {
    publicKey,
    subject: { commonName: 'rehearsal' },
    dnsNames: [],
    ipAddresses: [],
    uris: [],
    notBefore,
    // Nobody looks at its dates, but it must be issuable by a CA that is near its end, too.
    notAfter: Math.min(notAfter, Math.max(now, notBefore) + BACKDATE),
    serial: newSerial(randomBytes),
  };
  return key === null
    ? rehearseLeaf(certificate, privateKey, request)
    : issueLeaf({ ...request, authority: { certificate, key } });
}
