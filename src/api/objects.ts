/** The three kinds as TypeScript sees them. */
import {
  type ClusterCertificateSpec,
  type ClusterCertificateStatus,
  clusterCertificateDefinition,
} from './cluster-certificate.ts';
import type { Definition } from './definition.ts';
import type { Kind } from './names.ts';
import { type ReplicationCASpec, type ReplicationCAStatus, replicationCaDefinition } from './replication-ca.ts';
import { type ReplicationPeerSpec, type ReplicationPeerStatus, replicationPeerDefinition } from './replication-peer.ts';

/** What is used of metadata, and no more: a tenant may fill the rest. Always complete: what the API server did not send is empty. */
export interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** 0 where the API server sent none. */
  readonly generation: number;
  readonly creationTimestamp: string | null;
  /** Set: the object is being deleted. */
  readonly deletionTimestamp: string | null;
}

interface ApiObject<K extends Kind, Spec, Status> {
  readonly kind: K;
  readonly metadata: Metadata;
  readonly spec: Spec;
  /** Null: none was written yet, or it is not one that this version understands. */
  readonly status: Status | null;
}

/** What each kind's spec and status are. */
interface Specs {
  ReplicationCA: ReplicationCASpec;
  ClusterCertificate: ClusterCertificateSpec;
  ReplicationPeer: ReplicationPeerSpec;
}
interface Statuses {
  ReplicationCA: ReplicationCAStatus;
  ClusterCertificate: ClusterCertificateStatus;
  ReplicationPeer: ReplicationPeerStatus;
}

export type ObjectOf<K extends Kind> = ApiObject<K, Specs[K], Statuses[K]>;
export type ReplicationCA = ObjectOf<'ReplicationCA'>;
export type ClusterCertificate = ObjectOf<'ClusterCertificate'>;
export type ReplicationPeer = ObjectOf<'ReplicationPeer'>;

export const DEFINITIONS: { readonly [K in Kind]: Definition<K, Specs[K], Statuses[K]> } = {
  ReplicationCA: replicationCaDefinition,
  ClusterCertificate: clusterCertificateDefinition,
  ReplicationPeer: replicationPeerDefinition,
};
