import { LABELS, MANAGED_BY, PASSWORD_KEY } from '../../api/names.ts';
import { type Password, readPassword } from '../../outputs/password.ts';
import { PkiError } from '../../pki/errors.ts';
import { type Client, isNotFound, type KubeObject } from '../../runtime/client.ts';
import { Informer } from '../../runtime/informer.ts';
import type { Log } from './log.ts';
import { Refusal } from './refusal.ts';
import { SECRETS } from './resources.ts';

/**
 * The Secrets in which users keep passwords: they carry none of our labels. In each namespace where one is asked for, the metadata of all
 * Secrets that are not ours is watched, for a watch of its own for each would need a thousand streams. No password is kept.
 */
export class Passwords {
  readonly #client: Pick<Client, 'listPage' | 'watch'>;
  readonly #onChange: (secret: string) => void;
  readonly #log: Log;
  readonly #informers = new Map<string, Informer<string>>();

  /** @param onChange called with `namespace/name` of any Secret that changes in a namespace that is looked into */
  constructor(client: Pick<Client, 'listPage' | 'watch'>, onChange: (secret: string) => void, log: Log) {
    this.#client = client;
    this.#onChange = onChange;
    this.#log = log;
  }

  /** Begins to look into this namespace. */
  watch(namespace: string): void {
    if (this.#informers.has(namespace)) return;
    const informer = new Informer<string>({
      client: this.#client,
      resource: SECRETS,
      namespace,
      labelSelector: `${LABELS.managedBy}!=${MANAGED_BY}`,
      metadataOnly: true,
      keep: versionOf,
      onChange: ({ key }) => this.#onChange(key),
      log: this.#log,
    });
    this.#informers.set(namespace, informer);
    informer.start();
  }

  /** Says which version of a Secret (`namespace/name`) there is, as the watch shows it; null: it is not known, or there is none. */
  version(secret: string): string | null {
    return this.#informers.get(secret.slice(0, secret.indexOf('/')))?.get(secret) ?? null;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.stop()));
  }
}

const versionOf = ({ metadata }: KubeObject): string => `${metadata.uid}/${metadata.resourceVersion}`;

/** A password Secret as it is now, or why it cannot be used. */
export interface PasswordSecret {
  readonly version: string | null;
  /** @throws Refusal `PasswordUnavailable`, naming the Secret, the rule and the next step */
  password(key: string | undefined): Password;
}

/** Reads a password Secret live. */
export async function readPasswordSecret(
  client: Pick<Client, 'get'>,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<PasswordSecret> {
  // The watch tells when it changes.
  const refused = (what: string): Refusal => new Refusal('PasswordUnavailable', `Secret ${namespace}/${name} ${what}`);
  const create = (key: string): string =>
    `kubectl -n ${namespace} create secret generic ${name} --from-file=${key}=...`;
  let secret: KubeObject;
  try {
    secret = await client.get(SECRETS, { namespace, name }, { signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return {
      version: null,
      password: (key = PASSWORD_KEY) => {
        throw refused(`with the password of an output does not exist. Create it: ${create(key)}`);
      },
    };
  }
  const data = new Map(Object.entries(secret['data'] ?? {}));
  return {
    version: versionOf(secret),
    password: (key = PASSWORD_KEY) => {
      const value: unknown = data.get(key);
      if (typeof value !== 'string')
        throw refused(
          `has no key ${key}, which an output names as its password. Add it, or name the right one in passwordSecretRef.key.`,
        );
      try {
        return readPassword(Buffer.from(value, 'base64'));
      } catch (error) {
        if (!(error instanceof PkiError)) throw error;
        throw refused(
          `has no usable password under key ${key}: ${error.message}. Put one there that every reader takes.`,
        );
      }
    },
  };
}
