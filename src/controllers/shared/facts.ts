/** From what the stores keep to what the planners ask. */
import type { Ledger } from '../../api/ledger.ts';
import { type Certificate } from '../../pki/certificate.ts';
import { signedBy } from '../../pki/certificate.ts';
import type { SecretFact } from '../../rotation/facts.ts';
import { allLeaves, isProblem, type KeptSecret, type MemberSecret, type OutputObject } from './kept-secrets.ts';
import type { View } from './view.ts';

/** The certificates of the generations that a ledger names, as far as their Secrets are there. */
export function generationsOf(
  secrets: View<KeptSecret>,
  namespace: string,
  ledger: Ledger,
): ReadonlyMap<number, Certificate> {
  const found = new Map<number, Certificate>();
  for (const [number, record] of Object.entries(ledger.generations)) {
    const kept = secrets.get(`${namespace}/${record.secretName}`);
    if (kept?.kind !== 'generation' || kept.meta.uid !== record.secretUid || isProblem(kept.certificate)) continue;
    if (kept.certificate.fingerprint === record.fingerprint) found.set(Number(number), kept.certificate);
  }
  return found;
}

const issuers = new WeakMap<Certificate, Map<string, boolean>>();

/** The generation that signed a leaf: by signature, never by name. What was verified once is remembered with the leaf. */
export function issuerOf(leaf: Certificate, generations: ReadonlyMap<number, Certificate>): number | null {
  let verified = issuers.get(leaf);
  if (verified === undefined) {
    verified = new Map();
    issuers.set(leaf, verified);
  }
  for (const [number, ca] of generations) {
    let signed = verified.get(ca.fingerprint);
    if (signed === undefined) {
      signed = signedBy(leaf, ca);
      verified.set(ca.fingerprint, signed);
    }
    if (signed) return number;
  }
  return null;
}

/**
 * What a member's Secret holds, in the ledger's words; null when it cannot be used as a certificate at all.
 * @param objects the further objects that its certificate asks for, null where one is missing: a change has been written when it was
 *   written to all of them, for the member may have its files from any
 */
export function secretFact(
  kept: MemberSecret,
  objects: readonly (OutputObject | null)[],
  ledger: Ledger,
  generations: ReadonlyMap<number, Certificate>,
): SecretFact | null {
  const { content } = kept;
  if (isProblem(content)) return null;
  const leaves = allLeaves(content);
  if (!leaves.every(({ keyMatches }) => keyMatches)) return null;
  const [issuer = null, ...others] = new Set(leaves.map(({ leaf }) => issuerOf(leaf, generations)));
  return {
    epoch: Math.min(kept.epoch, ...objects.map((object) => object?.epoch ?? 0)),
    revision: content.revision,
    leafFingerprint: content.leaf.fingerprint,
    leafEpoch: kept.leafEpoch,
    leafNotAfter: Math.min(...leaves.map(({ leaf }) => leaf.notAfter)),
    leaf: others.length === 0 ? issuer : null,
    bundle: numbersOf(content.bundle, ledger)?.toSorted((a, b) => a - b) ?? null,
  };
}

function numbersOf(fingerprints: readonly string[], ledger: Ledger): readonly number[] | null {
  const numbers: number[] = [];
  for (const fingerprint of fingerprints) {
    const entry = Object.entries(ledger.generations).find(([, record]) => record.fingerprint === fingerprint);
    if (entry === undefined) return null;
    numbers.push(Number(entry[0]));
  }
  return numbers;
}
