import type { GenerationRecord } from '../../api/ledger.ts';
import { CA_SECRET_TYPE, PASSPHRASE_KEY, SECRET_KEYS } from '../../api/names.ts';
import { type Certificate, parseCertificate } from '../../pki/certificate.ts';
import { PkiError } from '../../pki/errors.ts';
import type { Authority } from '../../pki/issue.ts';
import { decodePrivateKey, keyMatches } from '../../pki/keys.ts';
import { type Client, isNotFound, type KubeObject, type ObjectRef } from '../../runtime/client.ts';
import { Refusal } from './refusal.ts';
import { FOREIGN_RETRY, SECRETS } from './resources.ts';
import type { Meta } from './view.ts';

/** Reads the text under one key of a Secret; null when Secret or key are not there. */
async function readKey(client: Client, ref: ObjectRef, key: string, signal: AbortSignal): Promise<string | null> {
  let secret: KubeObject;
  try {
    secret = await client.get(SECRETS, ref, { signal });
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
  return textOf(secret, key);
}

/** The text under one key of a Secret; null when it is not there. */
export function textOf(secret: KubeObject, key: string): string | null {
  const data = secret['data'];
  const entries: [string, unknown][] = typeof data === 'object' && data !== null ? Object.entries(data) : [];
  const value = entries.find(([name]) => name === key)?.[1];
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : null;
}

/**
 * The passphrase that a reference names.
 * @throws Refusal when it is not there or empty
 */
export async function readPassphrase(
  client: Client,
  namespace: string,
  ref: { readonly name: string; readonly key?: string | undefined },
  signal: AbortSignal,
): Promise<string> {
  const key = ref.key ?? PASSPHRASE_KEY;
  const passphrase = await readKey(client, { namespace, name: ref.name }, key, signal);
  if (passphrase === null || passphrase === '') {
    throw new Refusal(
      'PassphraseUnavailable',
      `Secret ${namespace}/${ref.name} has no passphrase under key ${key}. Create it: kubectl -n ${namespace} create secret generic ${ref.name} --from-file=${key}=...`,
      FOREIGN_RETRY,
    );
  }
  // A file made by an editor or `echo` ends with a line break, which nobody means as part of the passphrase.
  return passphrase.replace(/\r?\n$/, '');
}

/**
 * The generations, with their keys where those are here, read from the Secrets that the ledger names and from nothing else.
 * What was read is kept in memory by namespace, name and UID: whoever writes a ledger elsewhere must not be given this key.
 */
export class Authorities {
  readonly #client: Client;
  readonly #known = new Map<string, Promise<Authority>>();

  constructor(client: Client) {
    this.#client = client;
  }

  /**
   * @param ca namespace of the CA, and its name for messages
   * @throws Refusal naming the Secret, the rule and the remedy when it is not what the ledger says
   */
  async get(ca: ObjectRef, number: number, record: GenerationRecord, signal: AbortSignal): Promise<Authority> {
    const key = keyOfSecret(ca.namespace, record.secretName, record.secretUid);
    const known = this.#known.get(key);
    if (known !== undefined) {
      const authority = await known;
      if (authority.certificate.fingerprint === record.fingerprint) return authority;
    }
    const loading = this.#load(ca, number, record, signal);
    this.#known.set(key, loading);
    loading.catch(() => this.#known.delete(key));
    return loading;
  }

  /** Takes over a generation that was just minted. */
  remember({ namespace, name, uid }: Meta, authority: Authority): void {
    this.#known.set(keyOfSecret(namespace, name, uid), Promise.resolve(authority));
  }

  /** The Secret with this UID is gone or changed: its key is not kept. */
  forget({ namespace, name, uid }: Meta): void {
    this.#known.delete(keyOfSecret(namespace, name, uid));
  }

  async #load(ca: ObjectRef, number: number, record: GenerationRecord, signal: AbortSignal): Promise<Authority> {
    const { namespace = '' } = ca;
    const name = `${namespace}/${record.secretName}`;
    let secret: KubeObject;
    try {
      secret = await this.#client.get(SECRETS, { namespace, name: record.secretName }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new Refusal('GenerationSecretMissing', missingGeneration(ca, number, record));
    }
    const invalid = (what: string): Refusal =>
      new Refusal(
        'GenerationSecretInvalid',
        `Secret ${name} is not generation ${number} of ReplicationCA ${ca.name}: ${what}. Restore it from a backup.`,
      );
    if (secret['type'] !== CA_SECRET_TYPE) throw invalid(`its type is not ${CA_SECRET_TYPE}`);
    if (secret.metadata.uid !== record.secretUid) throw invalid('it was made anew since the ledger named it');
    const certificatePem = textOf(secret, SECRET_KEYS.certificate);
    const keyPem = textOf(secret, SECRET_KEYS.privateKey);
    if (certificatePem === null || (keyPem === null && !record.withoutKey))
      throw invalid(`it lacks ${SECRET_KEYS.certificate} or ${SECRET_KEYS.privateKey}`);
    const passphrase =
      record.passphraseRef === null
        ? undefined
        : await readPassphrase(this.#client, namespace, record.passphraseRef, signal);
    let certificate: Certificate;
    try {
      certificate = parseCertificate(certificatePem);
      if (certificate.fingerprint !== record.fingerprint)
        throw invalid('its certificate has another fingerprint than the ledger says');
      if (keyPem === null || record.withoutKey) return { certificate, key: null };
      const key = decodePrivateKey(keyPem, passphrase);
      if (!keyMatches(certificate, key)) throw invalid('its key does not belong to its certificate');
      return { certificate, key };
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      if (error.reason === 'WrongPassphrase' || error.reason === 'PassphraseRequired') {
        const where =
          record.passphraseRef === null ? 'none is named' : `Secret ${namespace}/${record.passphraseRef.name}`;
        throw new Refusal(
          'PassphraseUnavailable',
          `The passphrase (${where}) does not open the key in Secret ${name}. Put back the passphrase that it was encrypted with.`,
          FOREIGN_RETRY,
        );
      }
      throw invalid(error.message);
    }
  }
}

function keyOfSecret(namespace: string | undefined, name: string, uid: string): string {
  return `${namespace}/${name}/${uid}`;
}

export function missingGeneration(ca: ObjectRef, number: number, record: GenerationRecord): string {
  return `Secret ${ca.namespace}/${record.secretName} with generation ${number} of ReplicationCA ${ca.name} is missing. Restore it from a backup; a generation is never minted again. If it is lost, delete the ReplicationCA and its Secrets and start anew.`;
}
