import { type KeyObject, randomBytes } from 'node:crypto';
import type { GenerationRecord, Ledger, Strategy } from '../../api/ledger.ts';
import { generationName, PASSPHRASE_KEY } from '../../api/names.ts';
import type { ReplicationCA } from '../../api/objects.ts';
import { checkBundle } from '../../pki/bundle.ts';
import { PkiError } from '../../pki/errors.ts';
import { type Authority, issueCa, newSerial } from '../../pki/issue.ts';
import { encodePrivateKey, encryptPrivateKey, generatePrivateKey } from '../../pki/keys.ts';
import { profileOf } from '../../profiles/index.ts';
import { adoptGeneration } from '../../rotation/stages.ts';
import type { Chapter } from '../../rotation/story.ts';
import { type Client, refOf, keyOf } from '../../runtime/client.ts';
import { type Authorities, readPassphrase } from '../shared/authorities.ts';
import { authorityWish, BACKDATE } from '../shared/effective.ts';
import { Refusal } from '../shared/refusal.ts';
import { FOREIGN_RETRY, SECRETS } from '../shared/resources.ts';
import { generationSecret } from '../shared/manifests.ts';
import type { KeptSecret } from '../shared/kept-secrets.ts';
import type { View } from '../shared/view.ts';
import { importAuthority } from './import.ts';
import { refusedBy } from './rehearsal.ts';

/** A generation that was made or copied, before it is stored. */
export interface NewGeneration {
  readonly authority: Authority;
  /** How one that does not go with the others is replaced by one that does. */
  readonly remedy: string;
  readonly imported: boolean;
  /** What is to be told once the Secret of this name holds it. */
  readonly story: (secretName: string) => readonly Chapter[];
}

/** The ledger that names a new generation, and what is to be told of it once that is written. */
export interface Minted {
  readonly ledger: Ledger;
  readonly story: readonly Chapter[];
}

/**
 * Gets key and certificate of a generation, minted here or copied from what `spec.imported` names, stores them, and only then names them
 * in the ledger that comes back: a crash in between leaves an unnamed Secret, which is never used and is cleaned up later.
 * @throws Refusal when there is none that could be used; then nothing was written
 */
export async function mint(
  { client, secrets, authorities }: { client: Client; secrets: View<KeptSecret>; authorities: Authorities },
  ca: ReplicationCA,
  ledger: Ledger,
  trusted: ReadonlyMap<number, Authority>,
  number: number,
  now: number,
  signal: AbortSignal,
): Promise<Minted> {
  // The first one is a rotation from nowhere.
  const strategy = ledger.signer === null ? 'Staged' : strategyOf(ca, number);
  const ref = refOf(keyOf(ca.metadata));
  const { passphraseSecretRef, imported = [] } = ca.spec;
  const passphrase =
    passphraseSecretRef === undefined
      ? null
      : await readPassphrase(client, ca.metadata.namespace, passphraseSecretRef, signal);
  const entry = imported.find(({ generation }) => generation === number);
  const made =
    entry === undefined ? await makeAuthority(ca, number, now) : await importAuthority(client, ca, entry, now, signal);
  const { authority, remedy, story } = made;
  const { certificate, key } = authority;
  const keyPem = key === null ? null : storedKey(key, passphrase);
  rehearse(new Map([...trusted, [number, authority]]), number, remedy, now);
  // Only a minted one has a fingerprint that no Secret was ever named after.
  const suffix = made.imported ? `-${randomBytes(2).toString('hex')}` : '';
  const kept = secrets.remember(
    await client.create(SECRETS, generationSecret(ref, number, certificate, keyPem, suffix), { signal }),
  );
  authorities.remember(kept.meta, { certificate, key });
  const record: GenerationRecord = {
    secretName: kept.meta.name,
    fingerprint: certificate.fingerprint,
    secretUid: kept.meta.uid,
    passphraseRef:
      passphraseSecretRef === undefined || key === null
        ? null
        : { name: passphraseSecretRef.name, key: passphraseSecretRef.key ?? PASSPHRASE_KEY },
    imported: made.imported,
    withoutKey: key === null,
  };
  return { ledger: adoptGeneration(ledger, number, record, now, strategy), story: story(kept.meta.name) };
}

/**
 * Tries the coming states before anything changes (design rule 6): leaves of every generation must verify under the bundle that is to be
 * and under each of its ends alone, by verifiers that take the first, the last or any CA that could be the issuer.
 * @param authorities by number, the new one among them
 */
function rehearse(authorities: ReadonlyMap<number, Authority>, number: number, remedy: string, now: number): void {
  const unsafe = (what: string): Refusal =>
    new Refusal(
      'BundleUnsafe',
      `Generation ${number} cannot be trusted beside the others: ${what}. ${remedy}`,
      FOREIGN_RETRY,
    );
  const fingerprintOf = (each: number): string | undefined => authorities.get(each)?.certificate.fingerprint;
  for (const other of authorities.keys()) {
    if (other === number || fingerprintOf(other) !== fingerprintOf(number)) continue;
    throw unsafe(`it is the very certificate of generation ${other}, so that nothing would be dropped`);
  }
  const bundle = [...authorities.values()].map(({ certificate }) => certificate);
  const problem = checkBundle(bundle);
  if (problem !== null) throw unsafe(problem.message);
  for (const authority of authorities.values()) {
    const style = refusedBy(authority, bundle, now) ?? refusedBy(authority, [authority.certificate], now);
    if (style !== null)
      throw unsafe(`verifiers that take the ${style} CA would refuse leaves of ${authority.certificate.subject}`);
  }
}

/**
 * How the rotation to a generation goes: as its owner says, or else its profile. A second generation is a bundle of two for every member, or
 * an interruption; of some systems nobody knows whether they honour two but who has tried it.
 * @throws Refusal when neither says
 */
export function strategyOf({ spec }: Pick<ReplicationCA, 'spec'>, number: number): Strategy {
  const { name, bundle } = profileOf(spec.profile);
  const strategy = spec.rotation?.strategy ?? (bundle === 'honoured' ? 'Staged' : null);
  if (strategy !== null) return strategy;
  throw new Refusal(
    'BundleNotHonoured',
    `A rotation gives every member a bundle of two CAs, and it is not known whether systems of profile ${name} honour both: one that takes one of them breaks its links. Generation ${number} is not made. Try it as docs/targets/${name}.md says; where both are honoured, set spec.rotation.strategy: Staged, and Lockstep where they are not: all members change at one time then, with an interruption.`,
  );
}

async function makeAuthority(ca: ReplicationCA, number: number, now: number): Promise<NewGeneration> {
  const wish = authorityWish(ca);
  try {
    const key = await generatePrivateKey(wish.key);
    const certificate = issueCa({
      key,
      subject: { commonName: `${wish.commonName} ${generationName(number)}`, ...wish.subject },
      notBefore: now - BACKDATE,
      notAfter: now + wish.duration,
      serial: newSerial(randomBytes),
    });
    return {
      authority: { certificate, key },
      remedy: 'Set spec.commonName or spec.subject to something that no other generation has.',
      imported: false,
      story: (secretName) => [
        { type: 'Normal', reason: 'GenerationMinted', note: `Generation ${number} is in Secret ${secretName}` },
      ],
    };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    throw new Refusal('InvalidSpec', `Generation ${number} cannot be made: ${error.message}`);
  }
}

/** The key as it lies in the generation's Secret. */
function storedKey(key: KeyObject, passphrase: string | null): string {
  try {
    return passphrase === null ? encodePrivateKey(key, 'PKCS8') : encryptPrivateKey(key, passphrase);
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    throw new Refusal('PassphraseUnavailable', `The passphrase cannot be used: ${error.message}`, FOREIGN_RETRY);
  }
}
