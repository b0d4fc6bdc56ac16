import { randomBytes } from 'node:crypto';
import { adoptGeneration } from '../../rotation/stages.ts';
import type { GenerationRecord, Ledger } from '../../api/ledger.ts';
import { generationName, PASSPHRASE_KEY } from '../../api/names.ts';
import type { ReplicationCA } from '../../api/objects.ts';
import { checkBundle } from '../../pki/bundle.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { PkiError } from '../../pki/errors.ts';
import { issueCa, newSerial } from '../../pki/issue.ts';
import { encodePrivateKey, encryptPrivateKey, generatePrivateKey } from '../../pki/keys.ts';
import { type Client, refOf, keyOf } from '../../runtime/client.ts';
import { type Authorities, readPassphrase } from '../shared/authorities.ts';
import { authorityWish, BACKDATE } from '../shared/effective.ts';
import { Refusal } from '../shared/refusal.ts';
import { generationSecret, type KeptSecret, SECRETS } from '../shared/secrets.ts';
import type { View } from '../shared/view.ts';

/**
 * Makes key and certificate of a generation and stores them, and only then names them in the ledger that comes back:
 * a crash in between leaves an unnamed Secret, which is never used and is cleaned up later.
 */
export async function mint(
  { client, secrets, authorities }: { client: Client; secrets: View<KeptSecret>; authorities: Authorities },
  ca: ReplicationCA,
  ledger: Ledger,
  trusted: readonly Certificate[],
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
  const problem = checkBundle([...trusted, certificate]);
  if (problem !== null) {
    throw new Refusal('BundleUnsafe', `Generation ${number} cannot be trusted beside the others: ${problem.message}`);
  }
  const kept = secrets.remember(
    await client.create(SECRETS, generationSecret(ref, number, certificate, keyPem), { signal }),
  );
  authorities.remember(kept.meta.uid, { certificate, key });
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
