/** A member of a profile, and what it is given. */
import { createPublicKey, randomBytes } from 'node:crypto';
import { parseObject } from '../../src/api/parse.ts';
import { materialOf, type NamedPair } from '../../src/controllers/clustercertificate/outputs.ts';
import { leafWish, type LeafWish } from '../../src/controllers/shared/effective.ts';
import type { Material } from '../../src/outputs/output.ts';
import { issueLeaf, newSerial, type SigningAuthority } from '../../src/pki/issue.ts';
import { generatePrivateKey } from '../../src/pki/keys.ts';
import type { ProfileName } from '../../src/profiles/index.ts';

function parsed<K extends 'ClusterCertificate' | 'ReplicationCA'>(kind: K, name: string, spec: object) {
  const object = parseObject(kind, { metadata: { name, namespace: 'storage', uid: 'u' }, spec });
  if (!object.ok) throw new Error(object.problems.join());
  return object.object;
}

/** A ClusterCertificate and its CA storage/mesh of this profile. */
export const objectsOf = (profile: ProfileName, name: string, spec: object = {}) => ({
  certificate: parsed('ClusterCertificate', name, { caRef: { name: 'mesh' }, ...spec }),
  ca: parsed('ReplicationCA', 'mesh', {
    profile,
    ...(profile === 'vast' ? { passphraseSecretRef: { name: 'passphrase' } } : {}),
  }),
});

/** What a ClusterCertificate comes to, under the CA storage/mesh of this profile. */
export function wishOf(profile: ProfileName, name: string, spec: object = {}): LeafWish {
  const { certificate, ca } = objectsOf(profile, name, spec);
  return leafWish(certificate, ca);
}

export async function materialFor(
  wish: LeafWish,
  signer: SigningAuthority,
  bundle: readonly SigningAuthority[],
): Promise<Material> {
  const pairs = await Promise.all(
    wish.leaves.map(async (name): Promise<NamedPair> => {
      const key = await generatePrivateKey(wish.key);
      const leaf = issueLeaf({
        authority: signer,
        publicKey: createPublicKey(key),
        subject: wish.subject,
        dnsNames: wish.dnsNames,
        ipAddresses: wish.ipAddresses,
        uris: wish.uris,
        notBefore: Date.now() - 60_000,
        notAfter: Date.now() + 3_600_000,
        serial: newSerial(randomBytes),
      });
      return { name, chain: [leaf], key };
    }),
  );
  return materialOf(
    wish,
    pairs,
    bundle.map(({ certificate }) => certificate),
  );
}

/** The outputs of the profile, by key. */
export const outputsOf = ({ profile, member }: LeafWish, material: Material): Readonly<Record<string, string>> =>
  Object.fromEntries(profile.outputs(member).map(({ key, encode }) => [key, encode(material).toString()]));
