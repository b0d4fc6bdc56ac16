/** A generation that the user brings: `spec.imported`, read from a Secret of the user's and from nothing else. */
import { LABELS, MANAGED_BY, SECRET_KEYS } from '../../api/names.ts';
import type { ReplicationCA } from '../../api/objects.ts';
import { PkiError } from '../../pki/errors.ts';
import { readImported, readImportedCertificate } from '../../pki/imported.ts';
import type { Authority } from '../../pki/issue.ts';
import { keySpecOf } from '../../pki/keys.ts';
import type { Profile } from '../../profiles/index.ts';
import { profileOf } from '../../profiles/index.ts';
import type { Chapter } from '../../rotation/story.ts';
import { type Client, isNotFound, type KubeObject } from '../../runtime/client.ts';
import { secondTime } from '../../runtime/clock.ts';
import { readPassphrase, textOf } from '../shared/authorities.ts';
import { Refusal } from '../shared/refusal.ts';
import { FOREIGN_RETRY, SECRETS } from '../shared/resources.ts';
import type { NewGeneration } from './mint.ts';

export type Import = NonNullable<ReplicationCA['spec']['imported']>[number];

/**
 * Reads and judges the CA that an entry of `spec.imported` names. Its Secret carries none of our labels, so nobody tells us when it is put
 * right: it is looked for again and again.
 * @throws Refusal that names Secret, rule and remedy
 */
export async function importAuthority(
  client: Client,
  ca: ReplicationCA,
  entry: Import,
  now: number,
  signal: AbortSignal,
): Promise<NewGeneration> {
  const { generation, secretRef } = entry;
  const { namespace } = ca.metadata;
  const name = `${namespace}/${secretRef.name}`;
  const profile = profileOf(ca.spec.profile);
  const undedicated = dedication(entry, name, profile);
  if (undedicated instanceof Refusal) throw undedicated;

  const authority = await readAuthority(client, entry, namespace, now, signal);
  const kind = keySpecOf(authority.certificate.publicKey);
  if (kind === null || !profile.keyAlgorithms.includes(kind.algorithm)) {
    const why = `its key is ${kind?.algorithm ?? 'of another kind'}, but profile ${profile.name} takes ${profile.keyAlgorithms.join(', ')} only; import another CA, or have one minted`;
    throw refuse(entry, name, why);
  }
  const { subject, notAfter } = authority.certificate;
  return {
    authority,
    remedy: `Put another CA into Secret ${name}, or take generation ${generation} out of spec.imported to have one minted.`,
    imported: true,
    story: (secretName) => [
      {
        type: 'Normal',
        reason: 'GenerationImported',
        note: `Generation ${generation} is "${subject}" of Secret ${name}, valid until ${secondTime(notAfter)}; it was copied to Secret ${secretName}${authority.key === null ? ' without a key: its leaves are brought' : ''}, and ${secretRef.name} is not needed any more`,
      },
      ...(undedicated === null ? [] : [undedicated]),
    ],
  };
}

/**
 * Whether the user says that this CA is for this mesh alone. Nothing in a certificate tells.
 * @returns a refusal where the profile demands it, a warning where not; null when it was said
 */
export function dedication(entry: Import, name: string, profile: Profile): Refusal | Chapter | null {
  if (entry.dedicated === true) return null;
  const why = 'Every member lets in whoever has a certificate of it, also those that were issued for something else.';
  if (profile.demandsDedicatedAuthority) {
    return refuse(
      entry,
      name,
      `profile ${profile.name} demands a CA that signs for this mesh and for nothing else. ${why} If it is one, set dedicated: true in this entry; if not, have one minted`,
    );
  }
  const note = `Generation ${entry.generation} (Secret ${name}) is not said to be dedicated to this mesh. ${why} If there are such, rotate to a minted generation; if not, set dedicated: true in spec.imported`;
  return { type: 'Warning', reason: 'NotDedicated', note };
}

/** @throws Refusal that names Secret, rule and remedy */
async function readAuthority(
  client: Client,
  entry: Import,
  namespace: string,
  now: number,
  signal: AbortSignal,
): Promise<Authority> {
  const { secretRef, passphraseSecretRef, withoutKey = false } = entry;
  const secret = await readSecret(client, entry, namespace, signal);
  const text = (key: string): string => {
    const found = textOf(secret, key);
    if (found !== null) return found;
    const kept = key === SECRET_KEYS.privateKey ? '; or, where its key stays elsewhere, set withoutKey: true' : '';
    const what = `it has no key ${key}. ${creation(namespace, entry)}${kept}`;
    throw refuse(entry, `${namespace}/${secretRef.name}`, what);
  };
  const certificate = text(SECRET_KEYS.certificate);
  try {
    // Who keeps the key back does not want it to be read either.
    if (withoutKey) return { certificate: readImportedCertificate(certificate, now), key: null };
    const privateKey = text(SECRET_KEYS.privateKey);
    const passphrase =
      passphraseSecretRef === undefined ? null : await readPassphrase(client, namespace, passphraseSecretRef, signal);
    return readImported({ certificate, privateKey, passphrase }, now);
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    throw refusalOf(entry, namespace, error);
  }
}

async function readSecret(client: Client, entry: Import, namespace: string, signal: AbortSignal): Promise<KubeObject> {
  const { name } = entry.secretRef;
  let secret: KubeObject;
  try {
    secret = await client.get(SECRETS, { namespace, name }, { signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw refuse(entry, `${namespace}/${name}`, `it does not exist. ${creation(namespace, entry)}`);
  }
  if (secret.metadata.labels?.[LABELS.managedBy] !== MANAGED_BY) return secret;
  throw refuse(
    entry,
    `${namespace}/${name}`,
    'it is kept by Replicert itself, and two meshes never share a CA. Copy its tls.crt and tls.key into a Secret of your own if the other one is no more',
  );
}

function creation(namespace: string, { secretRef, withoutKey = false }: Import): string {
  const key = withoutKey ? '' : ` --from-file=${SECRET_KEYS.privateKey}=ca.key`;
  return `Create it: kubectl -n ${namespace} create secret generic ${secretRef.name} --from-file=${SECRET_KEYS.certificate}=ca.crt${key}`;
}

function refusalOf(entry: Import, namespace: string, { reason, message }: PkiError): Refusal {
  const { generation, secretRef, passphraseSecretRef } = entry;
  const name = `${namespace}/${secretRef.name}`;
  switch (reason) {
    case 'PassphraseRequired':
      return new Refusal(
        'PassphraseUnavailable',
        `The key in Secret ${name}, to be imported as generation ${generation}, is encrypted. Put its passphrase into a Secret and name that in passphraseSecretRef of this entry of spec.imported.`,
        FOREIGN_RETRY,
      );
    case 'WrongPassphrase':
    case 'InvalidPassphrase':
      return new Refusal(
        'PassphraseUnavailable',
        `The passphrase (Secret ${namespace}/${passphraseSecretRef?.name}) does not open the key in Secret ${name}, to be imported as generation ${generation}. Put the right one there.`,
        FOREIGN_RETRY,
      );
    case 'Malformed':
    case 'Unsupported':
    case 'TooLarge': {
      const { certificate, privateKey } = SECRET_KEYS;
      const rule = `Both must be PEM, the certificate of the root alone under ${certificate} and its key alone under ${privateKey}`;
      return refuse(entry, name, `${message}. ${rule}`);
    }
    default:
      return refuse(entry, name, message);
  }
}

function refuse({ generation }: Import, name: string, why: string): Refusal {
  return new Refusal(
    'ImportRefused',
    `Secret ${name} cannot be imported as generation ${generation}: ${why}. Nothing is minted in its place.`,
    FOREIGN_RETRY,
  );
}
