/** What stores keep of the Secrets and ConfigMaps that Replicert writes: certificates, digests and the ledger, never a private key. */
import { decodeLedger, type Ledger } from '../../api/ledger.ts';
import {
  ANNOTATIONS,
  CA_SECRET_TYPE,
  LABELS,
  leafKeys,
  LEDGER_KEY,
  LEDGER_SECRET_TYPE,
  ledgerSecretName,
  type MemberKey,
  memberKey,
  ROLES,
  SECRET_KEYS,
} from '../../api/names.ts';
import type { ClusterCertificate } from '../../api/objects.ts';
import { type Certificate, parseCertificate, parseCertificates } from '../../pki/certificate.ts';
import { decodePrivateKey, keyMatches, type KeySpec, keySpecOf } from '../../pki/keys.ts';
import { leavesOf } from '../../profiles/index.ts';
import type { KubeObject } from '../../runtime/client.ts';
import { base64, sha256 } from './digest.ts';
import { secretNameOf } from './effective.ts';
import { memberKeys, type MemberFiles } from './manifests.ts';
import { type OutputDigests, readOutputs } from './output-digests.ts';
import { type HasMeta, metaOf } from './view.ts';

/** A leaf with all that is kept of its key. */
export interface LeafContent {
  readonly name: string;
  readonly leaf: Certificate;
  readonly key: KeySpec | null;
  readonly keyPem: 'PKCS8' | 'PKCS1' | 'SEC1' | 'other';
  readonly keyMatches: boolean;
}

/** What a member's Secret holds; everything but the keys themselves. */
export interface MemberContent extends LeafContent {
  /** Hash of content and epoch: a metadata edit does not change it. */
  readonly revision: string;
  /** The leaves besides the first. */
  readonly further: readonly LeafContent[];
  /** Fingerprints of the bundle, in the Secret's order. */
  readonly bundle: readonly string[];
  readonly bundleSha256: string;
}

interface OfMember extends HasMeta {
  /** `namespace/name` of the ReplicationCA that it was issued under. */
  readonly ca: string;
  readonly certificate: MemberKey;
  readonly epoch: number;
  /** Under which its leaf was signed; 0: it was brought, or nobody knows. */
  readonly leafEpoch: number;
  /** Ours, and those that the ClusterCertificate asks for. */
  readonly annotations: Readonly<Record<string, string>>;
}

export interface MemberSecret extends OfMember {
  readonly kind: 'member';
  readonly type: string;
  /** Ours, and those that the ClusterCertificate asks for. */
  readonly labels: Readonly<Record<string, string>>;
  /** What its outputs hold, by key. */
  readonly outputs: OutputDigests;
  /** A problem when the content cannot be read. */
  readonly content: MemberContent | { readonly problem: string };
}

/**
 * It says that it is a member's, but there is no ClusterCertificate that asks for it. Who may write Secrets may make any number of these,
 * so nothing of them is read.
 */
export interface UnclaimedSecret extends OfMember {
  readonly kind: 'unclaimed';
}

/** A further object of a member, with outputs. */
export interface OutputObject extends OfMember {
  readonly kind: 'output';
  readonly object: 'Secret' | 'ConfigMap';
  readonly labels: Readonly<Record<string, string>>;
  /** Nothing where no ClusterCertificate asks for it. */
  readonly outputs: OutputDigests;
}

export interface GenerationSecret extends HasMeta {
  readonly kind: 'generation';
  readonly ca: string;
  readonly number: number;
  readonly certificate: Certificate | { readonly problem: string };
}

export interface LedgerSecret extends HasMeta {
  readonly kind: 'ledger';
  readonly ca: string;
  readonly ledger: Ledger | { readonly problem: string };
}

/** The same of a ledger: there is no ReplicationCA whose it could be. It may have been kept when that was deleted. */
export interface UnclaimedLedger extends HasMeta {
  readonly kind: 'unclaimedLedger';
  readonly ca: string;
}

/** It carries our label, but nothing that we would have written. */
interface StraySecret extends HasMeta {
  readonly kind: 'stray';
  readonly ca: string;
}

export type KeptSecret =
  | MemberSecret
  | UnclaimedSecret
  | OutputObject
  | GenerationSecret
  | LedgerSecret
  | UnclaimedLedger
  | StraySecret;

/** Who may ask for a Secret. */
export interface Claims {
  /** The ClusterCertificate of this key (`namespace/name`); null: there is none. */
  certificate(key: MemberKey): ClusterCertificate | null;
  /** Whether there is a ReplicationCA of this key (`namespace/name`). */
  hasCa(key: string): boolean;
}

export const NO_CLAIMS: Claims = { certificate: () => null, hasCa: () => false };

/**
 * Reads one of our Secrets into what the store keeps of it. Never throws: what cannot be read is kept as a problem.
 * @param claims who asks for it, by what is known now. Of what nobody asks for only its place is kept: see `World.takeUp`
 */
export function keepSecret(raw: KubeObject, claims: Claims): KeptSecret {
  const meta = metaOf(raw);
  const labels = raw.metadata.labels ?? {};
  const annotations = raw.metadata.annotations ?? {};
  const caName = labels[LABELS.ca] ?? '';
  // What a CA is made of lives beside it, whatever a label says; only members may be elsewhere.
  const ca = `${meta.namespace}/${caName}`;
  const data = dataOf(raw);
  const type = typeof raw['type'] === 'string' ? raw['type'] : '';
  switch (labels[LABELS.role]) {
    case ROLES.member: {
      if (labels[LABELS.certificate] === undefined || labels[LABELS.certificate] === '')
        return { kind: 'stray', meta, ca };
      const asking = claims.certificate(memberKey(meta.namespace, labels[LABELS.certificate] ?? ''));
      const claimant = asking !== null && secretNameOf(asking) === meta.name ? asking : null;
      const common = ofMember(raw, claimant?.spec.secretTemplate?.annotations);
      if (claimant === null) return { kind: 'unclaimed', ...common };
      const leaves = leavesOf(claimant.spec);
      const outputs = readOutputs((key) => data[key], annotations[ANNOTATIONS.outputs], memberKeys(leaves));
      return {
        kind: 'member',
        ...common,
        // A copy: a slice would keep the whole text in memory.
        type: Buffer.from(type.slice(0, MAX_TYPE)).toString(),
        labels: only(labels, [...OUR_LABELS, ...keysOf(claimant.spec.secretTemplate?.labels)]),
        outputs,
        content: attempt(() => readContent(data, leaves, outputs, annotations[ANNOTATIONS.epoch] ?? '')),
      };
    }
    case ROLES.output:
      return keepOutput('Secret', raw, claims);
    case ROLES.generation:
      if (type !== CA_SECRET_TYPE) return { kind: 'stray', meta, ca };
      return {
        kind: 'generation',
        meta,
        ca,
        number: Number.parseInt(labels[LABELS.generation] ?? '', 10) || 0,
        certificate: attempt(() => parseCertificate(text(data, SECRET_KEYS.certificate))),
      };
    case ROLES.ledger:
      if (type !== LEDGER_SECRET_TYPE || meta.name !== ledgerSecretName(caName)) return { kind: 'stray', meta, ca };
      if (!claims.hasCa(ca)) return { kind: 'unclaimedLedger', meta, ca };
      return { kind: 'ledger', meta, ca, ledger: attempt(() => decodeLedger(text(data, LEDGER_KEY))) };
    default:
      return { kind: 'stray', meta, ca };
  }
}

/** @param asked annotations that the ClusterCertificate wants on it */
function ofMember(raw: KubeObject, asked: Readonly<Record<string, string>> | undefined): OfMember {
  const meta = metaOf(raw);
  const { labels = {}, annotations = {} } = raw.metadata;
  return {
    meta,
    ca: `${labels[LABELS.caNamespace] ?? meta.namespace}/${labels[LABELS.ca] ?? ''}`,
    certificate: memberKey(meta.namespace, labels[LABELS.certificate] ?? ''),
    epoch: epochIn(annotations[ANNOTATIONS.epoch]),
    leafEpoch: epochIn(annotations[ANNOTATIONS.leafEpoch]),
    annotations: { ...only(annotations, keysOf(asked)), ...short(only(annotations, OUR_ANNOTATIONS)) },
  };
}

const epochIn = (text = ''): number => (/^\d{1,15}$/.test(text) ? Number(text) : 0);

/** Reads a further object of a member. One that nobody asks for any more is known by its place, so that it can go. */
export function keepOutput(object: 'Secret' | 'ConfigMap', raw: KubeObject, claims: Claims): OutputObject {
  const { metadata } = raw;
  const certificate = memberKey(metadata.namespace ?? '', metadata.labels?.[LABELS.certificate] ?? '');
  const asked = claims
    .certificate(certificate)
    ?.spec.outputObjects?.find(({ kind, name }) => kind === object && name === metadata.name);
  const common = { kind: 'output', object, ...ofMember(raw, asked?.template?.annotations) } as const;
  if (asked === undefined) return { ...common, labels: {}, outputs: new Map() };
  return {
    ...common,
    labels: only(metadata.labels ?? {}, [...OUR_LABELS, ...keysOf(asked.template?.labels)]),
    outputs: readOutputs(
      object === 'Secret' ? secretValue(raw) : mapValue(raw),
      metadata.annotations?.[ANNOTATIONS.outputs],
    ),
  };
}

const secretValue = (raw: KubeObject) => {
  const data = dataOf(raw);
  return (key: string): unknown => data[key];
};

/** What a ConfigMap holds, base64 like a Secret: text in `data`, other octets in `binaryData`. */
const mapValue = (raw: KubeObject) => {
  const [data, binary] = [dataOf(raw), dataOf(raw, 'binaryData')];
  return (key: string): unknown => {
    const text = data[key];
    return typeof text === 'string' ? base64(text) : binary[key];
  };
};

const OUR_LABELS = Object.values(LABELS);
// What outputs there are is kept as such.
const OUR_ANNOTATIONS = Object.values(ANNOTATIONS).filter((name) => name !== ANNOTATIONS.outputs);
/** Longer than any type that a profile has, to be compared and shown. */
const MAX_TYPE = 253;

/** None of ours is longer: what is, somebody else has written, and it says nothing. */
const MAX_OURS = 256;

function short(map: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value.length <= MAX_OURS));
}

const keysOf = (map: Readonly<Record<string, string>> = {}): readonly string[] => Object.keys(map);

function only(map: Readonly<Record<string, string>>, keys: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = map[key];
      return value === undefined ? [] : [[key, value] as const];
    }),
  );
}

/** `{problem}` instead of an exception: content that somebody broke is a fact to act on, not a failure. */
function attempt<T>(read: () => T): T | { readonly problem: string } {
  try {
    return read();
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

export function isProblem(value: object): value is { readonly problem: string } {
  return 'problem' in value;
}

type Data = Readonly<Record<string, unknown>>;

function dataOf(raw: KubeObject, field: 'data' | 'binaryData' = 'data'): Data {
  const data = raw[field];
  return typeof data === 'object' && data !== null ? { ...data } : {};
}

/** The text under one key of a Secret. Throws when there is none. */
export const textIn = (raw: KubeObject, key: string): string => text(dataOf(raw), key);

function text(data: Data, key: string): string {
  const value = data[key];
  if (typeof value !== 'string') throw new Error(`key ${key} is missing`);
  return Buffer.from(value, 'base64').toString('utf8');
}

function readContent(data: Data, leaves: readonly string[], outputs: OutputDigests, epoch: string): MemberContent {
  const files: MemberFiles = {
    pairs: leaves.map((name, i) => {
      const { certificate, privateKey } = leafKeys(name, i);
      return { name, leafPem: text(data, certificate), keyPem: text(data, privateKey) };
    }),
    bundlePem: text(data, SECRET_KEYS.bundle),
  };
  const [first, ...further] = files.pairs.map(({ name, leafPem, keyPem }) => ({
    name,
    ...readPair(leafPem, keyPem),
    keyPem: encodingOf(keyPem),
  }));
  if (first === undefined) throw new Error('a member has a leaf');
  return { revision: revisionOf(files, outputs, epoch), ...first, further, ...readBundle(files.bundlePem) };
}

/** All leaves of a member, the first among them. */
export const allLeaves = (content: MemberContent): readonly LeafContent[] => [content, ...content.further];

type Pair = Pick<LeafContent, 'leaf' | 'key' | 'keyMatches'>;

/** The last pairs that were made here, by digest of their text: they come back from the API server, and are the same then. */
const made = new Map<string, Pair>();
const MADE_AT_MOST = 256;

const pairDigest = (leafPem: string, keyPem: string): string => sha256(`${leafPem}\n${keyPem}`);

/** Says that this leaf and this key were just made for each other, so that nobody need find out. */
export function expectPair({ leafPem, keyPem }: MemberFiles['pairs'][number], leaf: Certificate, key: KeySpec | null) {
  const [oldest] = made.keys();
  if (oldest !== undefined && made.size >= MADE_AT_MOST) made.delete(oldest);
  made.set(pairDigest(leafPem, keyPem), { leaf, key, keyMatches: true });
}

function readPair(leafPem: string, keyPem: string): Pair {
  const known = made.get(pairDigest(leafPem, keyPem));
  if (known !== undefined) return known;
  const leaf = parseCertificate(leafPem);
  const key = decodePrivateKey(keyPem);
  return { leaf, key: keySpecOf(key), keyMatches: keyMatches(leaf, key) };
}

function encodingOf(pem: string): LeafContent['keyPem'] {
  if (pem.startsWith('-----BEGIN PRIVATE KEY-----')) return 'PKCS8';
  if (pem.startsWith('-----BEGIN RSA PRIVATE KEY-----')) return 'PKCS1';
  if (pem.startsWith('-----BEGIN EC PRIVATE KEY-----')) return 'SEC1';
  return 'other';
}

type BundleDigest = Pick<MemberContent, 'bundle' | 'bundleSha256'>;
/** All members of a mesh hold the same few bundles: the last ones read are remembered. */
const bundles = new Map<string, BundleDigest>();

function readBundle(pem: string): BundleDigest {
  const known = bundles.get(pem);
  if (known !== undefined) return known;
  const digest = { bundle: parseCertificates(pem).map((ca) => ca.fingerprint), bundleSha256: sha256(pem) };
  if (bundles.size >= 64) bundles.clear();
  bundles.set(pem, digest);
  return digest;
}

function revisionOf({ pairs, bundlePem }: MemberFiles, outputs: OutputDigests, epoch: string): string {
  const others = [...outputs].toSorted(([a], [b]) => (a < b ? -1 : 1)).flat();
  return sha256(
    [epoch, ...pairs.flatMap(({ leafPem, keyPem }) => [leafPem, keyPem]), bundlePem, ...others].join('\n'),
  ).slice(0, 8);
}

/** The published bundle of a CA. */
export interface TrustConfigMap extends HasMeta {
  readonly kind: 'trust';
  /** Of what is published there, to compare with: anybody may have written anything. Null: nothing. */
  readonly bundleSha256: string | null;
  /** Fingerprints of the certificates in it; none where it is no bundle. */
  readonly bundle: readonly string[];
}

/** It carries our label, but nothing that we would have written. */
interface StrayConfigMap extends HasMeta {
  readonly kind: 'stray';
}

export type KeptConfigMap = TrustConfigMap | OutputObject | StrayConfigMap;

/** Reads one of our ConfigMaps into what the store keeps of it; as {@link keepSecret}. */
export function keepConfigMap(raw: KubeObject, claims: Claims): KeptConfigMap {
  switch (raw.metadata.labels?.[LABELS.role]) {
    case ROLES.trust:
      return keepTrust(raw);
    case ROLES.output:
      return keepOutput('ConfigMap', raw, claims);
    default:
      return { kind: 'stray', meta: metaOf(raw) };
  }
}

export function keepTrust(raw: KubeObject): TrustConfigMap {
  const pem = dataOf(raw)[SECRET_KEYS.bundle];
  const common = { kind: 'trust', meta: metaOf(raw) } as const;
  if (typeof pem !== 'string') return { ...common, bundleSha256: null, bundle: [] };
  const read = attempt(() => readBundle(pem));
  return isProblem(read) ? { ...common, bundleSha256: sha256(pem), bundle: [] } : { ...common, ...read };
}
