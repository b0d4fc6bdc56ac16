import type { OutputSpec, OutputType } from '../api/outputs.ts';
import { keyStoreJks, trustStoreJks } from './jks.ts';
import type { Certificates, Material, Output, Pair, PublicOutput } from './output.ts';
import type { Password } from './password.ts';
import { bundlePem, certificatePem, combinedPem, encryptedKeyPem, privateKeyDer, privateKeyPem } from './pem.ts';
import { keyStorePkcs12, trustStorePkcs12 } from './pkcs12.ts';

export type { Certificates, Material, Output, Pair, PublicOutput };

/** What a type needs besides the material. */
interface Choice {
  readonly alias: string;
  /** Null where the type has none. */
  readonly password: Password | null;
}

const protectedBy = ({ password }: Choice): Password => {
  if (password === null) throw new Error('an output that has a password was given none');
  return password;
};

/** Formats that hold no private key. */
const PUBLIC = {
  Certificate: () => certificatePem,
  Bundle: () => bundlePem,
  PKCS12TrustStore: (choice) => trustStorePkcs12(protectedBy(choice)),
  JKSTrustStore: (choice) => trustStoreJks(protectedBy(choice)),
} as const satisfies Partial<Record<OutputType, (choice: Choice) => PublicOutput['encode']>>;

const ALL = {
  ...PUBLIC,
  CombinedPEM: () => combinedPem,
  DER: () => privateKeyDer,
  PKCS8: () => privateKeyPem('PKCS8'),
  PKCS1: () => privateKeyPem('PKCS1'),
  SEC1: () => privateKeyPem('SEC1'),
  EncryptedPKCS8: (choice) => encryptedKeyPem(protectedBy(choice)),
  PKCS12KeyStore: (choice) => keyStorePkcs12(protectedBy(choice), choice.alias),
  JKSKeyStore: (choice) => keyStoreJks(protectedBy(choice), choice.alias),
} as const satisfies Record<OutputType, (choice: Choice) => Output['encode']>;

type PublicType = keyof typeof PUBLIC;

/** One key of a Secret, as a user asked for it. */
export const outputOf = (key: string, { type }: Pick<OutputSpec, 'type'>, choice: Choice): Output => ({
  key,
  encode: ALL[type](choice),
});

/** One key of a ConfigMap; null: this type holds a private key. */
export const publicOutputOf = (key: string, { type }: Pick<OutputSpec, 'type'>, choice: Choice): PublicOutput | null =>
  isPublic(type) ? { key, encode: PUBLIC[type](choice) } : null;

const isPublic = (type: OutputType): type is PublicType => type in PUBLIC;
