/**
 * Outputs: what they are to be. An output is a function of key, leaf, bundle and password, so once it was made it is known by digest what
 * it is to be, until one of those changes. No key, password or file is kept.
 */
import { setImmediate as othersFirst } from 'node:timers/promises';
import { leafKeys, SECRET_KEYS } from '../../api/names.ts';
import { DEFAULT_ALIAS, outputKey, type OutputSpec } from '../../api/outputs.ts';
import { type Material, outputOf, type Pair, publicOutputOf } from '../../outputs/index.ts';
import type { Password } from '../../outputs/password.ts';
import { type Certificate, parseCertificates } from '../../pki/certificate.ts';
import { PkiError } from '../../pki/errors.ts';
import { Slots } from '../../probe/pacing.ts';
import { decodePrivateKey } from '../../pki/keys.ts';
import { type Client, keyOf } from '../../runtime/client.ts';
import { WaitingError } from '../../runtime/runner.ts';
import { type LeafWish, type ObjectWish, passwordSecretsOf } from '../shared/effective.ts';
import { type PasswordSecret, readPasswordSecret } from '../shared/passwords.ts';
import { Refusal } from '../shared/refusal.ts';
import { sha256 } from '../shared/digest.ts';
import { memberKeys } from '../shared/manifests.ts';
import type { OutputDigests } from '../shared/output-digests.ts';
import { allLeaves, isProblem, type MemberSecret, textIn } from '../shared/kept-secrets.ts';
import { SECRETS } from '../shared/resources.ts';
import type { UserSecrets } from '../shared/user-secrets.ts';
import type { CertificateFacts } from './facts.ts';

/** What keys of a Secret or ConfigMap are to hold: base64, by key. */
export type OutputData = ReadonlyMap<string, string>;

/** Outputs as they were made. */
export interface MadeOutputs {
  readonly secret: OutputData;
  /** By kind and name. */
  readonly objects: ReadonlyMap<string, OutputData>;
  /** Version of each password Secret that was read for them, by name. */
  readonly passwords: Versions;
}

type Versions = ReadonlyMap<string, string | null>;

/** What outputs are to be, by digest. */
export interface ExpectedOutputs {
  readonly secret: OutputDigests;
  /** By kind and name. */
  readonly objects: ReadonlyMap<string, OutputDigests>;
}

export const NOTHING_MADE: MadeOutputs = { secret: new Map(), objects: new Map(), passwords: new Map() };

const NONE: ExpectedOutputs = { secret: new Map(), objects: new Map() };

export class Outputs {
  readonly #client: Pick<Client, 'get'>;
  readonly #userSecrets: Pick<UserSecrets, 'version'>;
  /** By certificate: what its outputs are to be, and everything that this follows from. */
  readonly #known = new Map<string, { readonly from: string; readonly expected: ExpectedOutputs }>();
  /** Who makes outputs: all at one time would all be late. Namespaces take turns. */
  readonly #turns = new Slots(1);

  constructor(client: Pick<Client, 'get'>, userSecrets: Pick<UserSecrets, 'version'>) {
    this.#client = client;
    this.#userSecrets = userSecrets;
  }

  /**
   * What the outputs are to be of what is in the Secret now. Made once, and again when something has changed that it follows from.
   * @returns a Refusal when they cannot be made; null when the Secret holds nothing that they could be made of
   */
  async expect(
    { certificate, issuing, secret }: Pick<CertificateFacts, 'certificate' | 'issuing' | 'secret'>,
    signal: AbortSignal,
  ): Promise<ExpectedOutputs | Refusal | null> {
    if (
      issuing === null ||
      secret === null ||
      isProblem(secret.content) ||
      !allLeaves(secret.content).every(({ keyMatches }) => keyMatches)
    )
      return null;
    const { wish } = issuing;
    if (!hasOutputs(wish)) return NONE;
    const { namespace } = certificate.metadata;
    const watched = new Map(
      passwordSecretsOf(wish.outputs, wish.objects).map((name) => [
        name,
        this.#userSecrets.version(`${namespace}/${name}`),
      ]),
    );
    const known = this.#known.get(keyOf(certificate.metadata));
    if (known !== undefined && known.from === originOf(wish, secret, watched)) return known.expected;
    try {
      const made = await this.make(namespace, wish, await this.materialOf(wish, secret, signal), signal);
      return this.remember(keyOf(certificate.metadata), wish, secret, made);
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    }
  }

  /** Takes over what was made of what a Secret holds. */
  remember(certificate: string, wish: LeafWish, secret: MemberSecret, made: MadeOutputs): ExpectedOutputs {
    const expected: ExpectedOutputs = {
      secret: digestsOf(made.secret),
      objects: new Map([...made.objects].map(([object, data]) => [object, digestsOf(data)])),
    };
    this.#known.set(certificate, { from: originOf(wish, secret, made.passwords), expected });
    return expected;
  }

  forget(certificate: string): void {
    this.#known.delete(certificate);
  }

  /**
   * Key, leaf and bundle of the Secret, read live.
   * @throws WaitingError when it is not the Secret that is known any more
   */
  async materialOf(wish: LeafWish, { meta, content }: MemberSecret, signal: AbortSignal): Promise<Material> {
    const raw = await this.#client.get(SECRETS, meta, { signal });
    if (isProblem(content) || raw.metadata.resourceVersion !== meta.resourceVersion)
      throw new WaitingError(`Secret ${keyOf(meta)} has just changed`, 200);
    const pairs = allLeaves(content).map(({ name, leaf }, i): NamedPair => {
      const key = decodePrivateKey(textIn(raw, leafKeys(name, i).privateKey));
      return { name, chain: [leaf], key };
    });
    return materialOf(wish, pairs, parseCertificates(textIn(raw, SECRET_KEYS.bundle)));
  }

  /**
   * Makes all outputs of a certificate.
   * @throws Refusal when a password cannot be used, or the key has no such encoding
   */
  async make(namespace: string, wish: LeafWish, material: Material, signal: AbortSignal): Promise<MadeOutputs> {
    const secrets = new Map<string, PasswordSecret>();
    for (const name of passwordSecretsOf(wish.outputs, wish.objects))
      secrets.set(name, await readPasswordSecret(this.#client, namespace, name, signal));
    const make = async (): Promise<MadeOutputs> => {
      const secret = await secretData(wish, material, secrets, signal);
      const objects = new Map<string, OutputData>();
      for (const object of wish.objects)
        objects.set(objectKey(object), await objectData(object, material, secrets, signal));
      return { secret, objects, passwords: new Map([...secrets].map(([name, { version }]) => [name, version])) };
    };
    try {
      return await this.#turns.run(namespace, make, signal);
    } catch (error) {
      if (error instanceof PkiError) throw new Refusal('InvalidSpec', `An output cannot be made: ${error.message}.`);
      throw error;
    }
  }
}

/** A leaf with its key, by the name that it has among those of its member. */
export type NamedPair = Pair & { readonly name: string };

/** What outputs are made of. @param pairs all leaves, in the order of the profile's */
export function materialOf(
  { encoding }: LeafWish,
  [first, ...others]: readonly NamedPair[],
  bundle: readonly Certificate[],
): Material {
  if (first === undefined) throw new Error('a member has a leaf');
  const further = new Map(others.map(({ name, chain, key }) => [name, { chain, key }]));
  return { chain: first.chain, key: first.key, further, keyEncoding: encoding, bundle };
}

/** How an object is named beside others. */
export const objectKey = ({ kind, name }: Pick<ObjectWish, 'kind' | 'name'>): string => `${kind}/${name}`;

/** Whether a certificate asks for any. */
export const hasOutputs = ({ outputs, objects, profile, member }: LeafWish): boolean =>
  outputs.length + objects.length + profile.outputs(member).length > 0;

/** Everything that outputs follow from, as a text to compare. */
function originOf(
  { outputs, objects, profile, member, encoding }: LeafWish,
  { content }: MemberSecret,
  passwords: Versions,
): string {
  const leaves = isProblem(content) ? [] : allLeaves(content).map(({ leaf }) => leaf.fingerprint);
  const bundle = isProblem(content) ? [] : content.bundle;
  const asked = objects.map((object) => [objectKey(object), object.outputs]);
  return JSON.stringify([profile.name, member, outputs, asked, encoding, leaves, bundle, [...passwords]]);
}

const digestsOf = (data: OutputData): OutputDigests => new Map([...data].map(([key, base64]) => [key, sha256(base64)]));

type Secrets = ReadonlyMap<string, PasswordSecret>;

function choiceOf({ alias = DEFAULT_ALIAS, passwordSecretRef: ref }: OutputSpec, secrets: Secrets) {
  const password: Password | null = ref === undefined ? null : (secrets.get(ref.name)?.password(ref.key) ?? null);
  return { alias, password };
}

/**
 * A store takes some twentieth of a second, for that is what keeps its password from being guessed, and a certificate may ask for more than a
 * hundred. In between everybody else has a turn: the Lease is not renewed by a process that only computes.
 */
async function encoded(
  outputs: readonly (readonly [key: string, encode: () => Buffer])[],
  signal: AbortSignal,
): Promise<OutputData> {
  const data = new Map<string, string>();
  for (const [key, encode] of outputs) {
    await othersFirst();
    signal.throwIfAborted();
    data.set(key, encode().toString('base64'));
  }
  return data;
}

async function secretData(
  { outputs, profile, member, leaves }: LeafWish,
  material: Material,
  secrets: Secrets,
  signal: AbortSignal,
): Promise<OutputData> {
  const own = profile.outputs(member);
  const theirs = new Set<string>([...memberKeys(leaves), ...own.map(({ key }) => key)]);
  const asked = outputs.map((spec) => outputOf(outputKey(spec), spec, choiceOf(spec, secrets)));
  const taken = asked.find(({ key }) => theirs.has(key));
  if (taken !== undefined)
    throw new Refusal(
      'InvalidSpec',
      `Key ${taken.key} of an output is one that profile ${profile.name} writes itself. Set another key in spec.outputs.`,
    );
  const all = [...own, ...asked].map(({ key, encode }) => [key, () => encode(material)] as const);
  return encoded(all, signal);
}

async function objectData(
  { kind, name, outputs }: ObjectWish,
  material: Material,
  secrets: Secrets,
  signal: AbortSignal,
): Promise<OutputData> {
  const all = outputs.map((spec): readonly [string, () => Buffer] => {
    const [key, choice] = [outputKey(spec), choiceOf(spec, secrets)];
    if (kind === 'Secret') return [key, () => outputOf(key, spec, choice).encode(material)];
    const output = publicOutputOf(key, spec, choice);
    if (output === null)
      throw new Refusal('InvalidSpec', `${spec.type} holds a private key: ConfigMap ${name} may not have it.`);
    const { chain, bundle } = material;
    return [key, () => output.encode({ chain, bundle })];
  });
  return encoded(all, signal);
}
