/** What a spec means where it says nothing. Pure; lengths of time in milliseconds. */
import type { ClusterCertificate, ReplicationCA, ReplicationPeer } from './objects.ts';
import { type MemberKey, memberKey, PASSPHRASE_KEY } from './names.ts';
import { parseDuration } from './duration.ts';
import { parseInstant } from './instant.ts';
import type { PeerMember } from './replication-peer.ts';
import type { ProfileName } from './fields.ts';

/** A key that can be made. */
export type KeySpec =
  | { readonly algorithm: 'RSA'; readonly size: 2048 | 3072 | 4096 }
  | { readonly algorithm: 'ECDSA'; readonly size: 256 | 384 }
  | { readonly algorithm: 'Ed25519' };

/** The key of a spec that has passed parseObject; `byProfile` where it names none, `rsaSize` where it says RSA and no size. */
export function keySpec(
  wanted: ReplicationCA['spec']['privateKey'] | ClusterCertificate['spec']['privateKey'],
  byProfile: KeySpec,
  rsaSize: 2048 | 3072 | 4096,
): KeySpec {
  switch (wanted?.algorithm) {
    case 'RSA':
      return {
        algorithm: 'RSA',
        size: wanted.size === 256 || wanted.size === 384 ? rsaSize : (wanted.size ?? rsaSize),
      };
    case 'ECDSA':
      return { algorithm: 'ECDSA', size: wanted.size === 384 ? 384 : 256 };
    case 'Ed25519':
      return { algorithm: 'Ed25519' };
    case undefined:
      return byProfile;
  }
}

const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

/** Milliseconds of a duration that has passed parseObject. */
const milliseconds = (value: string | undefined, byDefault: number): number =>
  value === undefined ? byDefault : (parseDuration(value) ?? byDefault);

export interface Lifetime {
  readonly durationMs: number;
  /** As wanted; how much counts depends on the actual life: see renewalTime. */
  readonly renewBeforeMs: number;
}

export interface EffectiveCa {
  readonly profile: ProfileName;
  readonly commonName: string;
  readonly key: KeySpec;
  readonly lifetime: Lifetime;
  readonly passphrase: { readonly name: string; readonly key: string } | null;
  readonly deletionPolicy: 'Retain' | 'Delete';
  readonly soakMs: number;
}

/** A ReplicationCA with its defaults filled in; `key` is what its profile gives where the spec names none. */
export function effectiveCa({ metadata, spec }: ReplicationCA, key: KeySpec): EffectiveCa {
  const passphrase = spec.passphraseSecretRef;
  return {
    profile: spec.profile ?? 'generic',
    commonName: spec.commonName ?? metadata.name,
    key: keySpec(spec.privateKey, key, 4096),
    lifetime: {
      durationMs: milliseconds(spec.duration, 10 * YEAR),
      renewBeforeMs: milliseconds(spec.renewBefore, YEAR),
    },
    passphrase: passphrase === undefined ? null : { name: passphrase.name, key: passphrase.key ?? PASSPHRASE_KEY },
    deletionPolicy: spec.deletionPolicy ?? 'Retain',
    soakMs: milliseconds(spec.rotation?.soak, 0),
  };
}

export interface EffectiveLeaf {
  readonly commonName: string;
  readonly key: KeySpec;
  readonly encoding: 'PKCS8' | 'PKCS1' | 'SEC1';
  readonly lifetime: Lifetime;
  /** Epoch milliseconds: a leaf issued earlier is replaced. Null: none is. */
  readonly reissueBefore: number | null;
  readonly secretName: string;
  readonly deletionPolicy: 'Retain' | 'Delete';
}

/** A ClusterCertificate with its defaults filled in; `key` is what its profile gives where the spec names none. */
export function effectiveLeaf({ metadata, spec }: ClusterCertificate, key: KeySpec): EffectiveLeaf {
  return {
    commonName: spec.commonName ?? metadata.name,
    key: keySpec(spec.privateKey, key, 3072),
    encoding: spec.privateKey?.encoding ?? 'PKCS8',
    lifetime: {
      durationMs: milliseconds(spec.duration, 3 * YEAR),
      renewBeforeMs: milliseconds(spec.renewBefore, 30 * 24 * HOUR),
    },
    reissueBefore: spec.reissueBefore === undefined ? null : parseInstant(spec.reissueBefore),
    secretName: spec.secretName ?? metadata.name,
    deletionPolicy: spec.deletionPolicy ?? 'Retain',
  };
}

/**
 * When a certificate is to be renewed: `renewBefore` ahead of its end, but never more than a third of its actual life ahead
 * (design rule 9). All in epoch milliseconds.
 */
export function renewalTime(notBefore: number, notAfter: number, renewBeforeMs: number): number {
  return notAfter - Math.min(renewBeforeMs, Math.floor((notAfter - notBefore) / 3));
}

/** How many members may change at one time, of `members`: at least 1; percentages are rounded up. */
export function maxConcurrent(wanted: number | string | undefined, members: number): number {
  if (wanted === undefined) return 1;
  if (typeof wanted === 'number') return Math.max(1, wanted);
  return Math.max(1, Math.ceil((Number.parseInt(wanted, 10) * members) / 100));
}

/** Whether certificates of a namespace may use the CA. */
export function allowsNamespace({ metadata, spec }: ReplicationCA, namespace: string): boolean {
  const allowed = spec.allowedNamespaces ?? [];
  return namespace === metadata.namespace || allowed.includes(namespace) || allowed.includes('*');
}

/** `namespace/name` of the ReplicationCA that a certificate uses. */
export const caOf = ({ metadata, spec }: ClusterCertificate): MemberKey =>
  memberKey(spec.caRef.namespace ?? metadata.namespace, spec.caRef.name);

/** `namespace/name` of the ClusterCertificate of a member. */
export const certificateOf = ({ metadata }: ReplicationPeer, member: PeerMember): MemberKey =>
  memberKey(member.certificateRef?.namespace ?? metadata.namespace, member.certificateRef?.name ?? member.name);

export interface EffectiveProbe {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** How a peer is to be probed. */
export function effectiveProbe({ spec }: ReplicationPeer): EffectiveProbe {
  return {
    intervalMs: milliseconds(spec.probe?.interval, 30_000),
    timeoutMs: milliseconds(spec.probe?.timeout, 5_000),
  };
}

/** Ordered pairs (from, to) of members that dial and listen: Mesh has every pair both ways, Star those with the center. */
export function edgesOf({ spec }: ReplicationPeer): readonly { readonly from: string; readonly to: string }[] {
  const names = spec.members.map(({ name }) => name);
  const pairs = names.flatMap((from) => names.filter((to) => to !== from).map((to) => ({ from, to })));
  return spec.center === undefined ? pairs : pairs.filter(({ from, to }) => from === spec.center || to === spec.center);
}
