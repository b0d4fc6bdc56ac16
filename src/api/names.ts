/** What the API calls things: group, kinds, labels, annotations, Secret types, and the names derived from a name. */

export const GROUP = 'replicert.io';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;
/** `kubectl get replicert` lists all kinds of this group. */
export const CATEGORY = 'replicert';

export type Kind = 'ReplicationCA' | 'ClusterCertificate' | 'ReplicationPeer';
export const KINDS: readonly Kind[] = ['ReplicationCA', 'ClusterCertificate', 'ReplicationPeer'];

/** How the API server addresses a kind; has the shape of the client's Resource. */
export interface KindResource<K extends Kind = Kind> {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: K;
}

export const REPLICATION_CA = {
  group: GROUP,
  version: VERSION,
  plural: 'replicationcas',
  kind: 'ReplicationCA',
} as const satisfies KindResource;
export const CLUSTER_CERTIFICATE = {
  group: GROUP,
  version: VERSION,
  plural: 'clustercertificates',
  kind: 'ClusterCertificate',
} as const satisfies KindResource;
export const REPLICATION_PEER = {
  group: GROUP,
  version: VERSION,
  plural: 'replicationpeers',
  kind: 'ReplicationPeer',
} as const satisfies KindResource;

/** Secret type of one CA generation: `tls.crt`, `tls.key`; immutable. */
export const CA_SECRET_TYPE = 'replicert.io/ca';
/** Secret type of the ledger of one ReplicationCA: `ledger.json`. */
export const LEDGER_SECRET_TYPE = 'replicert.io/ledger';
/** Of a member's Secret. */
export const MEMBER_SECRET_TYPE = 'kubernetes.io/tls';
/** Of what follows a member's Secret. */
export const OUTPUT_SECRET_TYPE = 'Opaque';
/** The key inside the ledger Secret. */
export const LEDGER_KEY = 'ledger.json';

/** Kept on a ReplicationCA, on its ledger and on its generation Secrets, until no member needs them. */
export const FINALIZER = 'replicert.io/protect';

/** Labels on what we write. Label values have at most 63 characters, hence the limits on object names. */
export const LABELS = {
  /** Always `replicert`: told apart from everything that others write. */
  managedBy: 'app.kubernetes.io/managed-by',
  /** What the object is for: one of ROLES. */
  role: 'replicert.io/role',
  /** metadata.name of the ReplicationCA that it belongs to. */
  ca: 'replicert.io/ca',
  /** metadata.namespace of that ReplicationCA. */
  caNamespace: 'replicert.io/ca-namespace',
  /** metadata.name of the ClusterCertificate whose Secret it is. */
  certificate: 'replicert.io/certificate',
  /** Number of the CA generation that a generation Secret holds. */
  generation: 'replicert.io/generation',
} as const;
export const MANAGED_BY = 'replicert';

/** Values of the role label. */
export const ROLES = {
  generation: 'ca-generation',
  ledger: 'ca-ledger',
  trust: 'ca-trust',
  member: 'member',
  output: 'output',
} as const;

/** Annotations on the Secrets that we write. */
export const ANNOTATIONS = {
  /** Ledger epoch under which the content was written; never goes back. */
  epoch: 'replicert.io/epoch',
  /** Ledger epoch under which the leaf was signed; 0: it was not signed here, but brought. */
  leafEpoch: 'replicert.io/leaf-epoch',
  /** UID of the ClusterCertificate that owns the Secret. */
  certificateUid: 'replicert.io/certificate-uid',
  /** What becomes of the Secret when its ClusterCertificate is deleted: Retain or Delete. */
  deletionPolicy: 'replicert.io/deletion-policy',
  /** Keys that are outputs, with commas between them: those that are no more asked for are taken out. */
  outputs: 'replicert.io/outputs',
  /** Lower-case hex SHA-256 of the certificate in a generation Secret. */
  fingerprint: 'replicert.io/fingerprint',
} as const;

/** Keys of the Secret of a member, whatever its profile, and of a generation; the names that cert-manager and kubernetes.io/tls use. */
export const SECRET_KEYS = { certificate: 'tls.crt', privateKey: 'tls.key', bundle: 'ca.crt' } as const;
/** Where a leaf of a member is: the first of them under the usual keys, each other under its own name. */
export const leafKeys = (name: string, index: number) =>
  index === 0
    ? { certificate: SECRET_KEYS.certificate, privateKey: SECRET_KEYS.privateKey }
    : { certificate: `${name}.crt`, privateKey: `${name}.key` };
/** Key of a passphrase Secret where the reference names none. */
export const PASSPHRASE_KEY = 'passphrase';
/** Key of a password Secret where the reference names none. */
export const PASSWORD_KEY = 'password';

/** Longest metadata.name of a ReplicationCA: `<name> G<n>` fits a common name, derived names fit labels. */
export const MAX_CA_NAME = 52;
/** Longest metadata.name of the other kinds: it is a label value. */
export const MAX_NAME = 63;
/** Highest generation number: ` G999999` still fits behind a common name of 56 characters. */
export const MAX_GENERATION = 999_999;

/** `G2`: what columns, messages and subjects call generation 2. */
export const generationName = (number: number): string => `G${number}`;
/** Secret that holds the ledger of a ReplicationCA. */
export const ledgerSecretName = (ca: string): string => `${ca}-ledger`;
/** ConfigMap (`ca.crt`) in which the bundle is published; output only. */
export const trustConfigMapName = (ca: string): string => `${ca}-trust`;
/** Secret of one generation; the fingerprint keeps a crash or a lost race from blocking the name. */
export const generationSecretName = (ca: string, number: number, fingerprint: string): string =>
  `${ca}-g${number}-${fingerprint.slice(0, 8)}`;

/** `namespace/name` of a ClusterCertificate: how ledger, evidence and `departed` name a member. */
export type MemberKey = `${string}/${string}`;
export const memberKey = (namespace: string, name: string): MemberKey => `${namespace}/${name}`;
