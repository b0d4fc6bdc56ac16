/** The Secrets and ConfigMaps that Replicert writes, as the API server gets them. */
import { encodeLedger, type Ledger } from '../../api/ledger.ts';
import {
  ANNOTATIONS,
  CA_SECRET_TYPE,
  FINALIZER,
  generationSecretName,
  LABELS,
  leafKeys,
  LEDGER_KEY,
  LEDGER_SECRET_TYPE,
  ledgerSecretName,
  MANAGED_BY,
  ROLES,
  SECRET_KEYS,
  trustConfigMapName,
} from '../../api/names.ts';
import type { Certificate } from '../../pki/certificate.ts';
import type { Client, KubeObject, ObjectRef, Resource } from '../../runtime/client.ts';
import { base64 } from './digest.ts';
import { SECRETS } from './resources.ts';

/** What the files of a member are. */
export interface MemberFiles {
  /** Its leaves with their keys, in the order of the profile's. */
  readonly pairs: readonly { readonly name: string; readonly leafPem: string; readonly keyPem: string }[];
  readonly bundlePem: string;
}

function caLabels(ca: ObjectRef, role: string): Record<string, string> {
  return {
    [LABELS.managedBy]: MANAGED_BY,
    [LABELS.role]: role,
    [LABELS.ca]: ca.name,
    [LABELS.caNamespace]: ca.namespace ?? '',
  };
}

/** By these a generation is found; the ledger knows it by name, so that it is still known without them. */
export function generationLabels(ca: ObjectRef, number: number): Record<string, string> {
  return { ...caLabels(ca, ROLES.generation), [LABELS.generation]: String(number) };
}

/** By these the ledger is found; it has a fixed name, so that it is still known without them. */
export function ledgerLabels(ca: ObjectRef): Record<string, string> {
  return caLabels(ca, ROLES.ledger);
}

/**
 * Puts labels back on a Secret that lost them: watches select by them, so without them it reads as missing.
 * @returns the Secret as it is then; the same when it lacks none
 */
export async function relabel(
  client: Pick<Client, 'patch'>,
  secret: KubeObject,
  labels: Readonly<Record<string, string>>,
  { resource = SECRETS, ...options }: { readonly signal?: AbortSignal; readonly resource?: Resource } = {},
): Promise<KubeObject> {
  const { labels: present = {}, uid, resourceVersion } = secret.metadata;
  if (Object.entries(labels).every(([name, value]) => present[name] === value)) return secret;
  const metadata = { uid, resourceVersion, labels };
  return client.patch(resource, secret.metadata, { type: 'merge', body: { metadata } }, options);
}

/** The metadata that says whose Secret it is and under which decision it was written. */
export function memberMetadata(
  ca: ObjectRef,
  certificate: string,
  uid: string,
  deletionPolicy: DeletionPolicy,
  epoch: number,
  role: typeof ROLES.member | typeof ROLES.output = ROLES.member,
) {
  return {
    labels: { ...caLabels(ca, role), [LABELS.certificate]: certificate },
    annotations: {
      [ANNOTATIONS.epoch]: String(epoch),
      [ANNOTATIONS.certificateUid]: uid,
      [ANNOTATIONS.deletionPolicy]: deletionPolicy,
    },
  };
}

/** What becomes of a Secret when the object behind it is deleted; kept on the Secret, because the object is gone by then. */
export type DeletionPolicy = 'Retain' | 'Delete';

/** The data of a member's Secret, base64 as the API wants it. */
export function memberData({ pairs, bundlePem }: MemberFiles): Record<string, string> {
  const files = pairs.flatMap(({ name, leafPem, keyPem }, i): [string, string][] => {
    const { certificate, privateKey } = leafKeys(name, i);
    return [
      [certificate, base64(leafPem)],
      [privateKey, base64(keyPem)],
    ];
  });
  return { ...bundleData(bundlePem), ...Object.fromEntries(files) };
}

/** The keys of a member's Secret besides its outputs. @param leaves their names */
export const memberKeys = (leaves: readonly string[]): readonly string[] => [
  SECRET_KEYS.bundle,
  ...leaves.flatMap((name, i) => Object.values(leafKeys(name, i))),
];

export function bundleData(bundlePem: string): Record<string, string> {
  return { [SECRET_KEYS.bundle]: base64(bundlePem) };
}

/**
 * One generation: immutable, named after its fingerprint, so that a crash or a lost race never blocks a name.
 * @param keyPem null: its key is not here
 * @param suffix makes a name of its own for a certificate that may have been stored before
 */
export function generationSecret(
  ca: ObjectRef,
  number: number,
  certificate: Certificate,
  keyPem: string | null,
  suffix = '',
): KubeObject {
  return {
    metadata: {
      name: `${generationSecretName(ca.name, number, certificate.fingerprint)}${suffix}`,
      namespace: ca.namespace,
      labels: generationLabels(ca, number),
      annotations: { [ANNOTATIONS.fingerprint]: certificate.fingerprint },
      finalizers: [FINALIZER],
    },
    type: CA_SECRET_TYPE,
    immutable: true,
    data: {
      [SECRET_KEYS.certificate]: base64(certificate.pem),
      ...(keyPem === null ? {} : { [SECRET_KEYS.privateKey]: base64(keyPem) }),
    },
  };
}

export function ledgerSecret(ca: ObjectRef, ledger: Ledger, resourceVersion?: string): KubeObject {
  return {
    metadata: {
      name: ledgerSecretName(ca.name),
      namespace: ca.namespace,
      labels: ledgerLabels(ca),
      finalizers: [FINALIZER],
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    type: LEDGER_SECRET_TYPE,
    data: { [LEDGER_KEY]: base64(encodeLedger(ledger)) },
  };
}

/** The published bundle: output, and a witness against a ledger that has forgotten a generation; never more. */
export function trustConfigMap(ca: ObjectRef, bundlePem: string): KubeObject {
  return {
    metadata: { name: trustConfigMapName(ca.name), namespace: ca.namespace, labels: caLabels(ca, ROLES.trust) },
    data: { [SECRET_KEYS.bundle]: bundlePem },
  };
}
