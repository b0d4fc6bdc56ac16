/** What stores keep of the objects of our own kinds. */
import type { Kind, MemberKey } from '../../api/names.ts';
import type { ObjectOf, ReplicationPeer } from '../../api/objects.ts';
import { type Parsed, parseObject } from '../../api/parse.ts';
import type { KubeObject } from '../../runtime/client.ts';
import { acknowledgersOf } from './managers.ts';
import { type HasMeta, metaOf } from './view.ts';

/** An object of ours as it is kept: what the schema makes of it, and the status as it came, to compare with. */
export interface Kept<K extends Kind> extends HasMeta {
  readonly parsed: Parsed<K>;
  readonly status: unknown;
  /** Of a peer: the field managers that wrote what is acknowledged in it, by member name. */
  readonly acknowledgers: ReadonlyMap<string, string>;
}

export function keepObject<K extends Kind>(kind: K): (raw: KubeObject, known: Kept<K> | undefined) => Kept<K> {
  return (raw, known) => ({
    meta: metaOf(raw),
    parsed: parseObject(kind, raw, objectOf(known)),
    status: raw['status'],
    acknowledgers: kind === 'ReplicationPeer' ? acknowledgersOf(raw) : NOBODY,
  });
}

const NOBODY: ReadonlyMap<string, string> = new Map();

/** Null when the schema refuses it. */
export function objectOf<K extends Kind>(kept: Kept<K> | undefined): ObjectOf<K> | null {
  return kept !== undefined && kept.parsed.ok ? kept.parsed.object : null;
}

/** A version that our own write has made may show more than that: somebody else's change before it, if the watch was broken meanwhile. */
export function onlyStatusChanged<K extends Kind>(before: Kept<K> | undefined, after: Kept<K> | undefined): boolean {
  return (
    before !== undefined &&
    after !== undefined &&
    before.meta.uid === after.meta.uid &&
    before.meta.generation === after.meta.generation &&
    before.meta.deleting === after.meta.deleting &&
    before.meta.finalizers.count === after.meta.finalizers.count
  );
}

/** The ClusterCertificate behind a member of a peer. */
export function memberKeyOf(peer: ReplicationPeer, member: ReplicationPeer['spec']['members'][number]): MemberKey {
  const { name = member.name, namespace = peer.metadata.namespace } = member.certificateRef ?? {};
  return `${namespace}/${name}`;
}

export function memberKeys(peer: ReplicationPeer | null): readonly MemberKey[] {
  return peer === null ? [] : peer.spec.members.map((member) => memberKeyOf(peer, member));
}
