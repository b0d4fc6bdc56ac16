import { PASSWORD_KEY } from '../../api/names.ts';
import { type Password, readPassword } from '../../outputs/password.ts';
import { PkiError } from '../../pki/errors.ts';
import { type Client, isNotFound, type KubeObject } from '../../runtime/client.ts';
import { Refusal } from './refusal.ts';
import { SECRETS } from './resources.ts';
import { versionOf } from './user-secrets.ts';

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
