/** What else than PEM files under their usual names a member can have: further keys of its Secret, and further objects. */
import { z } from 'zod';
import { atomic, type DeepReadonly, objectName, type Rule, text, withRules } from './fields.ts';
import { PASSWORD_KEY, SECRET_KEYS } from './names.ts';

interface TypeOfOutput {
  /** Where it is when no key is named: cert-manager's name where that has one. */
  readonly key: string;
  readonly privateKey: boolean;
  readonly password: boolean;
  /** Whether the user may name the entry in it. */
  readonly alias: boolean;
}

const PLAIN = { privateKey: false, password: false, alias: false };

/** The formats, as users name them. */
const OUTPUT_TYPES = {
  Certificate: { ...PLAIN, key: 'tls.crt' },
  Bundle: { ...PLAIN, key: 'ca.crt' },
  CombinedPEM: { ...PLAIN, key: 'tls-combined.pem', privateKey: true },
  DER: { ...PLAIN, key: 'key.der', privateKey: true },
  PKCS8: { ...PLAIN, key: 'tls-pkcs8.key', privateKey: true },
  PKCS1: { ...PLAIN, key: 'tls-pkcs1.key', privateKey: true },
  SEC1: { ...PLAIN, key: 'tls-sec1.key', privateKey: true },
  EncryptedPKCS8: { ...PLAIN, key: 'tls-encrypted.key', privateKey: true, password: true },
  PKCS12KeyStore: { key: 'keystore.p12', privateKey: true, password: true, alias: true },
  PKCS12TrustStore: { ...PLAIN, key: 'truststore.p12', password: true },
  JKSKeyStore: { key: 'keystore.jks', privateKey: true, password: true, alias: true },
  JKSTrustStore: { ...PLAIN, key: 'truststore.jks', password: true },
} as const satisfies Record<string, TypeOfOutput>;

export type OutputType = keyof typeof OUTPUT_TYPES;
const TYPES = Object.keys(OUTPUT_TYPES).filter((name): name is OutputType => name in OUTPUT_TYPES);
const about = (type: OutputType): TypeOfOutput => OUTPUT_TYPES[type];
const those = (holds: (about: TypeOfOutput) => boolean): readonly OutputType[] =>
  TYPES.filter((type) => holds(about(type)));

/** Alias of the key in a key store that names none; cert-manager's. */
export const DEFAULT_ALIAS = 'certificate';

const passwordSecretRef = z.object({
  name: objectName().describe("Name of the Secret, in the certificate's namespace. Required. Example: stores"),
  key: dataKey().optional().describe(`Key inside the Secret. Default: ${PASSWORD_KEY}. Example: ${PASSWORD_KEY}`),
});

/** A key of a Secret or ConfigMap. A mounted one is a file; two dots at its beginning are the kubelet's. */
function dataKey(): z.ZodString {
  return text(63, {
    pattern: /^\.?[A-Za-z0-9_-][A-Za-z0-9._-]*$/,
    says: 'must be a key of a Secret: letters, digits, dots, hyphens and underscores, not beginning with two dots',
  });
}

const list = (types: readonly OutputType[]): string => types.join(', ');
const celIn = (types: readonly OutputType[]): string => `[${types.map((type) => `'${type}'`).join(', ')}]`;

const withPassword = those(({ password }) => password);
const withAlias = those(({ alias }) => alias);
const withoutKey = those(({ privateKey }) => !privateKey);

const output = withRules(
  z.object({
    type: z
      .enum(TYPES)
      .describe(
        'What it is. Certificate and Bundle: what tls.crt and ca.crt hold. CombinedPEM: key, then certificate. DER: the key without PEM. ' +
          'PKCS8, PKCS1 (RSA only), SEC1 (ECDSA only): the key in this encoding. EncryptedPKCS8: the key under a password. ' +
          'PKCS12KeyStore, JKSKeyStore: key and certificate. PKCS12TrustStore, JKSTrustStore: the bundle. Required. Example: PKCS12KeyStore',
      ),
    key: dataKey()
      .optional()
      .describe(
        `Key to put it under. Default: by the type: ${TYPES.map((type) => `${about(type).key} (${type})`).join(', ')}. ` +
          'Example: keystore.p12',
      ),
    alias: text(63, {
      pattern: /^[a-z0-9][a-z0-9._-]*$/,
      says: 'must be an alias: lower-case letters, digits, dots, hyphens and underscores',
    })
      .optional()
      .describe(`Alias of the key in a key store. Default: ${DEFAULT_ALIAS}. Example: vast1`),
    passwordSecretRef: passwordSecretRef
      .optional()
      .describe(
        `Password of a store or of an encrypted key: printable ASCII. Required with ${list(withPassword)}. ` +
          'When it changes, what it protects is written anew. Default: none.',
      ),
  }),
  {
    cel: `has(self.passwordSecretRef) == (self.type in ${celIn(withPassword)})`,
    says: `must be given with ${list(withPassword)}, and with no other type`,
    at: 'passwordSecretRef',
    holds: ({ type, passwordSecretRef }) => (passwordSecretRef !== undefined) === withPassword.includes(type),
  },
  {
    cel: `!has(self.alias) || self.type in ${celIn(withAlias)}`,
    says: `must be absent but with ${list(withAlias)}`,
    at: 'alias',
    holds: ({ type, alias }) => alias === undefined || withAlias.includes(type),
  },
);

export type OutputSpec = DeepReadonly<z.infer<typeof output>>;

/** The key that an output is under. */
export const outputKey = ({ type, key }: Pick<OutputSpec, 'type' | 'key'>): string => key ?? about(type).key;

const CEL_DEFAULT_KEYS = `{${TYPES.map((type) => `'${type}': '${about(type).key}'`).join(', ')}}`;
const celKey = (target: string): string => `(has(${target}.key) ? ${target}.key : ${CEL_DEFAULT_KEYS}[${target}.type])`;

const oneEach: Rule<OutputSpec[]> = {
  cel: `self.all(a, self.exists_one(b, ${celKey('b')} == ${celKey('a')}))`,
  says: 'must not have two outputs under the same key; set key',
  holds: (outputs) => new Set(outputs.map(outputKey)).size === outputs.length,
};

const OURS: readonly string[] = Object.values(SECRET_KEYS);
const notOurs: Rule<OutputSpec[]> = {
  cel: `self.all(o, !(${celKey('o')} in [${OURS.map((key) => `'${key}'`).join(', ')}]))`,
  says: `must not use the keys ${OURS.join(', ')}: Replicert writes those itself; set another key`,
  holds: (outputs) => outputs.every((each) => !OURS.includes(outputKey(each))),
};

const MAX_OUTPUTS = 16;

/** Further keys of the member's Secret. */
export const outputs = (): z.ZodArray<typeof output> => withRules(atomic(output, 0, MAX_OUTPUTS), oneEach, notOurs);

const MAX_OBJECTS = 8;

/** Further objects, with a template for what else they carry. */
export const outputObjects = <T extends z.ZodType>(template: T) => {
  const object = withRules(
    z.object({
      kind: z
        .enum(['Secret', 'ConfigMap'])
        .describe('Kind of the object: Secret or ConfigMap. Required. Example: Secret'),
      name: objectName().describe('Its name; one that is not ours is never overwritten. Required. Example: vast1-java'),
      template: template.optional().describe('What else it is to carry. Default: nothing.'),
      outputs: withRules(atomic(output, 1, MAX_OUTPUTS), oneEach).describe(
        'What it holds, 1 to 16; in a ConfigMap only what has no private key. Required.',
      ),
    }),
    {
      cel: `self.kind == 'Secret' || self.outputs.all(o, o.type in ${celIn(withoutKey)})`,
      says: `must not put a private key into a ConfigMap: only ${list(withoutKey)} may be in one`,
      at: 'outputs',
      holds: ({ kind, outputs }) => kind === 'Secret' || outputs.every(({ type }) => withoutKey.includes(type)),
    },
  );
  return withRules(atomic(object, 0, MAX_OBJECTS), {
    cel: 'self.all(a, self.exists_one(b, b.kind == a.kind && b.name == a.name))',
    says: 'must not name the same object twice',
    holds: (objects) => new Set(objects.map(({ kind, name }) => `${kind}/${name}`)).size === objects.length,
  });
};

interface Asking {
  readonly privateKey?: { readonly algorithm: string } | undefined;
  readonly secretName?: string | undefined;
  readonly outputs?: readonly OutputSpec[] | undefined;
  readonly outputObjects?:
    | readonly { readonly kind: string; readonly name: string; readonly outputs: readonly OutputSpec[] }[]
    | undefined;
}

const fits = ({ privateKey }: Asking, outputs: readonly OutputSpec[]): boolean =>
  privateKey === undefined ||
  outputs.every(
    ({ type }) =>
      !(type === 'PKCS1' && privateKey.algorithm !== 'RSA') && !(type === 'SEC1' && privateKey.algorithm !== 'ECDSA'),
  );
const celFits = (outputs: string): string =>
  `${outputs}.all(o, !(o.type == 'PKCS1' && self.privateKey.algorithm != 'RSA') && ` +
  `!(o.type == 'SEC1' && self.privateKey.algorithm != 'ECDSA'))`;
const FITS = 'must not ask for PKCS1 but of an RSA key, or for SEC1 but of an ECDSA key';

/** Rules on a spec that has both. Of a key that is the profile's the controller says it. */
export const outputRules: readonly Rule<Asking>[] = [
  {
    cel: `!has(self.outputs) || !has(self.privateKey) || ${celFits('self.outputs')}`,
    says: FITS,
    at: 'outputs',
    holds: (spec) => fits(spec, spec.outputs ?? []),
  },
  {
    cel: `!has(self.outputObjects) || !has(self.privateKey) || self.outputObjects.all(x, ${celFits('x.outputs')})`,
    says: FITS,
    at: 'outputObjects',
    holds: (spec) => (spec.outputObjects ?? []).every(({ outputs }) => fits(spec, outputs)),
  },
  {
    cel:
      '!has(self.secretName) || !has(self.outputObjects) || ' +
      "self.outputObjects.all(x, x.kind != 'Secret' || x.name != self.secretName)",
    says: 'must not name the Secret of the certificate itself: put those outputs into spec.outputs',
    at: 'outputObjects',
    holds: ({ secretName, outputObjects = [] }) =>
      outputObjects.every(({ kind, name }) => kind !== 'Secret' || name !== secretName),
  },
];
