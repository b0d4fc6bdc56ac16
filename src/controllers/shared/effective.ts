/** What specs come to when profile and defaults are filled in. */
import type { ClusterCertificate, ReplicationCA } from '../../api/objects.ts';
import { parseDuration } from '../../api/duration.ts';
import { parseInstant } from '../../api/instant.ts';
import type { MemberKey } from '../../api/names.ts';
import { parameterProblem, parametersOf } from '../../api/profile-parameters.ts';
import type { OutputSpec } from '../../api/outputs.ts';
import { encodeAlternativeNames } from '../../pki/alternative-names.ts';
import { PkiError } from '../../pki/errors.ts';
import type { Subject } from '../../pki/issue.ts';
import { KEY_SPECS, type KeyEncoding, type KeySpec } from '../../pki/keys.ts';
import { encodeSubject } from '../../pki/name.ts';
import type { LeafDemands } from '../../pki/provided.ts';
import { leavesOf, type MemberRequest, type Profile, profileOf } from '../../profiles/index.ts';

/** notBefore is set back by this, for members whose clock is behind (design section 5). */
export const BACKDATE = 300_000;

const HOUR = 3_600_000;
const DEFAULTS = {
  authorityDuration: 87_600 * HOUR,
  authorityRenewBefore: 8_760 * HOUR,
  leafDuration: 26_280 * HOUR,
  leafRenewBefore: 720 * HOUR,
};

export interface AuthorityWish {
  /** The common name without the generation's suffix. */
  readonly commonName: string;
  readonly subject: Omit<Subject, 'commonName'>;
  readonly key: KeySpec;
  /** Milliseconds. */
  readonly duration: number;
  readonly renewBefore: number;
}

export function authorityWish({ metadata, spec }: ReplicationCA): AuthorityWish {
  const profile = profileOf(spec.profile);
  return {
    commonName: spec.commonName ?? metadata.name,
    subject: subjectParts(spec.subject),
    key: spec.privateKey === undefined ? profile.authorityKey : keySpec(spec.privateKey, 4096),
    duration: durationOf(spec.duration, DEFAULTS.authorityDuration),
    renewBefore: durationOf(spec.renewBefore, DEFAULTS.authorityRenewBefore),
  };
}

export interface LeafWish {
  readonly profile: Profile;
  readonly member: MemberRequest;
  /** Names of its leaves, all of one subject and of the same names. */
  readonly leaves: readonly [string, ...string[]];
  readonly subject: Subject;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly uris: readonly string[];
  readonly key: KeySpec;
  readonly encoding: KeyEncoding;
  /** Milliseconds. */
  readonly duration: number;
  readonly renewBefore: number;
  /** A leaf issued before this instant is replaced. */
  readonly reissueBefore: number | null;
  readonly secretName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly deletionPolicy: 'Retain' | 'Delete';
  /** Further keys of the Secret, besides the profile's own. */
  readonly outputs: readonly OutputSpec[];
  /** Further Secrets and ConfigMaps. */
  readonly objects: readonly ObjectWish[];
}

/** A further object that follows the Secret. */
export interface ObjectWish {
  readonly kind: 'Secret' | 'ConfigMap';
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly outputs: readonly OutputSpec[];
}

/** The profile of a member: its own, or else that of its CA, as far as that is known. */
export function memberProfile(certificate: ClusterCertificate | null, ca: ReplicationCA | null): Profile {
  return profileOf(certificate?.spec.profile ?? ca?.spec.profile);
}

export function leafWish({ metadata, spec }: ClusterCertificate, ca: ReplicationCA): LeafWish {
  const profile = profileOf(spec.profile ?? ca.spec.profile);
  const subject = {
    commonName: spec.commonName ?? profile.commonName(metadata.name, spec),
    ...subjectParts(spec.subject),
  };
  const member: MemberRequest = {
    mesh: caKeyOf({ metadata, spec }),
    name: metadata.name,
    subject,
    parameters: parametersOf(spec),
  };
  return {
    profile,
    member,
    leaves: leavesOf(spec),
    subject,
    dnsNames: [...new Set([...profile.dnsNames(member), ...(spec.dnsNames ?? [])])],
    ipAddresses: spec.ipAddresses ?? [],
    uris: spec.uris ?? [],
    key: spec.privateKey === undefined ? profile.leafKey : keySpec(spec.privateKey, 3072),
    encoding: spec.privateKey?.encoding ?? profile.leafEncoding,
    duration: durationOf(spec.duration, DEFAULTS.leafDuration),
    renewBefore: durationOf(spec.renewBefore, DEFAULTS.leafRenewBefore),
    reissueBefore: spec.reissueBefore === undefined ? null : parseInstant(spec.reissueBefore),
    secretName: secretNameOf({ metadata, spec }),
    labels: spec.secretTemplate?.labels ?? {},
    annotations: spec.secretTemplate?.annotations ?? {},
    deletionPolicy: spec.deletionPolicy ?? 'Retain',
    outputs: spec.outputs ?? [],
    objects: (spec.outputObjects ?? []).map(({ kind, name, template, outputs }) => ({
      kind,
      name,
      labels: template?.labels ?? {},
      annotations: template?.annotations ?? {},
      outputs,
    })),
  };
}

/**
 * Why a certificate cannot be a member of a mesh: rules of profiles that the API server cannot check, for it sees one object at a time.
 * @returns what is wrong and the next step; null: nothing
 */
export function profileObjection(certificate: ClusterCertificate, ca: ReplicationCA): string | null {
  const { metadata, spec } = certificate;
  const [own, shared] = [profileOf(spec.profile ?? ca.spec.profile), profileOf(ca.spec.profile)];
  const self = `ClusterCertificate ${metadata.namespace}/${metadata.name}`;
  const mesh = `ReplicationCA ${ca.metadata.namespace}/${ca.metadata.name}`;
  const strict = [own, shared].find(({ demandsDedicatedAuthority }) => demandsDedicatedAuthority);
  if (own !== shared && strict !== undefined) {
    return `${self} has profile ${own.name} and ${mesh} profile ${shared.name}, but a CA of profile ${strict.name} signs for members of that profile only: they let in whoever has a certificate of it. Create the certificate anew, under another name, with a caRef to a CA of profile ${own.name}.`;
  }
  const problem = parameterProblem(spec, own.name);
  if (problem !== null) return `${self}: ${problem}`;
  const unwritable = nameProblem(leafWish(certificate, ca));
  if (unwritable !== null)
    return `${self}: no leaf can have its names: ${unwritable}. Set spec.commonName, or correct that name.`;
  const { algorithm } = spec.privateKey ?? own.leafKey;
  if (own.keyAlgorithms.includes(algorithm)) return null;
  return `${self} asks for a key of ${algorithm}, but profile ${own.name} takes ${own.keyAlgorithms.join(', ')} only. Correct spec.privateKey.`;
}

/** What the API server has accepted may not fit together with what the profile makes of it. */
function nameProblem({ subject, ...names }: LeafWish): string | null {
  try {
    encodeSubject(subject);
    encodeAlternativeNames(names);
    return null;
  } catch (error) {
    if (error instanceof PkiError) return error.message;
    throw error;
  }
}

/** Names of the Secrets, in the certificate's own namespace, that hold the passwords of these, each once. */
export function passwordSecretsOf(
  outputs: readonly OutputSpec[] = [],
  objects: readonly { readonly outputs: readonly OutputSpec[] }[] = [],
): readonly string[] {
  const all = [...outputs, ...objects.flatMap((object) => object.outputs)];
  return [...new Set(all.flatMap(({ passwordSecretRef }) => passwordSecretRef?.name ?? []))];
}

/** Names of the Secrets, in the certificate's own namespace, in which its user brings leaves, each once. */
export function providedSecretsOf({ provided = [] }: ClusterCertificate['spec']): readonly string[] {
  return [...new Set(provided.map(({ secretRef }) => secretRef.name))];
}

/** What is demanded of a leaf that its user brings: by the spec, and by the profile. */
export function leafDemands(certificate: ClusterCertificate, ca: ReplicationCA): readonly LeafDemands[] {
  const { spec } = certificate;
  const { profile, subject, member } = leafWish(certificate, ca);
  const { commonName, hostIn, because } = profile.provided;
  const takesAll = KEY_SPECS.every(({ algorithm }) => profile.keyAlgorithms.includes(algorithm));
  return [
    {
      by: 'the spec asks for',
      because: null,
      remedy: 'have it issued anew, or correct the spec',
      commonName: spec.commonName ?? null,
      keys: spec.privateKey === undefined ? null : [keySpec(spec.privateKey, 3072)],
      dnsNames: spec.dnsNames ?? [],
      ipAddresses: spec.ipAddresses ?? [],
      uris: spec.uris ?? [],
      hostIn: null,
    },
    {
      by: `profile ${profile.name} asks for`,
      because,
      remedy: 'have it issued anew',
      commonName: commonName === 'AsIssued' ? subject.commonName : null,
      keys: takesAll ? null : KEY_SPECS.filter(({ algorithm }) => profile.keyAlgorithms.includes(algorithm)),
      dnsNames: profile.dnsNames(member),
      ipAddresses: [],
      uris: [],
      hostIn,
    },
  ];
}

export function secretNameOf({ metadata, spec }: Pick<ClusterCertificate, 'metadata' | 'spec'>): string {
  return spec.secretName ?? metadata.name;
}

/** `namespace/name` of the ReplicationCA that a certificate names. */
export function caKeyOf({ metadata, spec }: Pick<ClusterCertificate, 'metadata' | 'spec'>): MemberKey {
  return `${spec.caRef.namespace ?? metadata.namespace}/${spec.caRef.name}`;
}

/** Milliseconds of a Go duration that the schema has accepted. */
export function durationOf(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : (parseDuration(text) ?? otherwise);
}

type KeyWish = NonNullable<ReplicationCA['spec']['privateKey'] | ClusterCertificate['spec']['privateKey']>;

/** The schema has accepted algorithm and size together; what it leaves open is filled in here. */
function keySpec({ algorithm, size }: KeyWish, rsaDefault: 3072 | 4096): KeySpec {
  switch (algorithm) {
    case 'RSA':
      return { algorithm, size: size === 2048 || size === 3072 || size === 4096 ? size : rsaDefault };
    case 'ECDSA':
      return { algorithm, size: size === 384 ? 384 : 256 };
    case 'Ed25519':
      return { algorithm };
  }
}

function subjectParts(subject: ReplicationCA['spec']['subject']): Omit<Subject, 'commonName'> {
  return {
    ...(subject?.organizations === undefined ? {} : { organizations: subject.organizations }),
    ...(subject?.organizationalUnits === undefined ? {} : { organizationalUnits: subject.organizationalUnits }),
    ...(subject?.countries === undefined ? {} : { countries: subject.countries }),
  };
}
