import { randomBytes } from 'node:crypto';
import { adoptGeneration } from '../../rotation/stages.ts';
import type { GenerationRecord, Ledger } from '../../api/ledger.ts';
import { generationName, PASSPHRASE_KEY } from '../../api/names.ts';
import type { ReplicationCA } from '../../api/objects.ts';
import { checkBundle } from '../../pki/bundle.ts';
import { PkiError } from '../../pki/errors.ts';
import { type Authority, issueCa, newSerial } from '../../pki/issue.ts';
import { encodePrivateKey, encryptPrivateKey, generatePrivateKey } from '../../pki/keys.ts';
import { type Client, refOf, keyOf } from '../../runtime/client.ts';
import { type Authorities, readPassphrase } from '../shared/authorities.ts';
import { authorityWish, BACKDATE } from '../shared/effective.ts';
import { Refusal } from '../shared/refusal.ts';
import { generationSecret, type KeptSecret, SECRETS } from '../shared/secrets.ts';
import type { View } from '../shared/view.ts';
import { refusedBy } from './rehearsal.ts';

/**
 * Makes key and certificate of a generation and stores them, and only then names them in the ledger that comes back:
 * a crash in between leaves an unnamed Secret, which is never used and is cleaned up later.
 */
export async function mint(
  { client, secrets, authorities }: { client: Client; secrets: View<KeptSecret>; authorities: Authorities },
  ca: ReplicationCA,
  ledger: Ledger,
  trusted: readonly Authority[],
  number: number,
  now: number,
  signal: AbortSignal,
): Promise<Ledger> {
  const wish = authorityWish(ca);
  const ref = refOf(keyOf(ca.metadata));
  const { passphraseSecretRef } = ca.spec;
  const passphrase =
    passphraseSecretRef === undefined
      ? null
      : await readPassphrase(client, ca.metadata.namespace, passphraseSecretRef, signal);
  const { certificate, key, keyPem } = await makeAuthority(wish, number, passphrase, now);
  rehearse([...trusted, { certificate, key }], number, now);
  const kept = secrets.remember(
    await client.create(SECRETS, generationSecret(ref, number, certificate, keyPem), { signal }),
  );
  authorities.remember(kept.meta, { certificate, key });
  const record: GenerationRecord = {
    secretName: kept.meta.name,
    fingerprint: certificate.fingerprint,
    secretUid: kept.meta.uid,
    passphraseRef:
      passphraseSecretRef === undefined
        ? null
        : { name: passphraseSecretRef.name, key: passphraseSecretRef.key ?? PASSPHRASE_KEY },
  };
  return adoptGeneration(ledger, number, record, now);
}

/**
 * Tries the coming states before anything changes (design rule 6): leaves of every generation must verify under the bundle that is to be
 * and under each of its ends alone, by verifiers that take the first, the last or any CA that could be the issuer.
 */
function rehearse(authorities: readonly Authority[], number: number, now: number): void {
  const bundle = authorities.map(({ certificate }) => certificate);
  const problem = checkBundle(bundle);
  if (problem !== null) {
    throw new Refusal('BundleUnsafe', `Generation ${number} cannot be trusted beside the others: ${problem.message}`);
  }
  for (const authority of authorities) {
    const style = refusedBy(authority, bundle, now) ?? refusedBy(authority, [authority.certificate], now);
    if (style === null) continue;
    throw new Refusal(
      'BundleUnsafe',
      `With generation ${number} in the bundle, verifiers that take the ${style} CA would refuse leaves of ${authority.certificate.subject}. Nothing was changed.`,
    );
  }
}

async function makeAuthority(
  wish: ReturnType<typeof authorityWish>,
  number: number,
  passphrase: string | null,
  now: number,
) {
  try {
    const key = await generatePrivateKey(wish.key);
    const certificate = issueCa({
      key,
      subject: { commonName: `${wish.commonName} ${generationName(number)}`, ...wish.subject },
      notBefore: now - BACKDATE,
      notAfter: now + wish.duration,
      serial: newSerial(randomBytes),
    });
    const keyPem = passphrase === null ? encodePrivateKey(key, 'PKCS8') : encryptPrivateKey(key, passphrase);
    return { certificate, key, keyPem };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    if (error.reason === 'InvalidPassphrase')
      throw new Refusal('PassphraseUnavailable', `The passphrase cannot be used: ${error.message}`, 15_000);
    throw new Refusal('InvalidSpec', `Generation ${number} cannot be made: ${error.message}`);
  }
}
