import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { ANNOTATIONS, LABELS, MANAGED_BY, MEMBER_SECRET_TYPE, ROLES } from '../../api/names.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { encodeBundle } from '../../pki/bundle.ts';
import { PkiError } from '../../pki/errors.ts';
import { issueLeaf, newSerial } from '../../pki/issue.ts';
import { encodePrivateKey, generatePrivateKey, keySpecOf } from '../../pki/keys.ts';
import { type Client, isAlreadyExists, isInvalid, keyOf, type ObjectRef, refOf } from '../../runtime/client.ts';
import { WaitingError } from '../../runtime/runner.ts';
import type { Authorities } from '../shared/authorities.ts';
import { type Denials, isDenied } from '../shared/denials.ts';
import { BACKDATE, type LeafWish } from '../shared/effective.ts';
import type { ProvidedLeaf } from '../../pki/provided.ts';
import type { ProvidedLeaves } from '../shared/provided.ts';
import { Refusal } from '../shared/refusal.ts';
import { bundleData, memberData, relabel } from '../shared/manifests.ts';
import {
  expectPair,
  keepSecret,
  NO_CLAIMS,
  type KeptSecret,
  type MemberSecret,
  type UnclaimedSecret,
} from '../shared/kept-secrets.ts';
import { SECRETS } from '../shared/resources.ts';
import type { View } from '../shared/view.ts';
import type { CertificateFacts, Issuing } from './facts.ts';
import { hasOutputs, type MadeOutputs, materialOf, type NamedPair, NOTHING_MADE, type Outputs } from './outputs.ts';
import { metadataOf } from './metadata.ts';
import type { Work } from './plan.ts';

export interface Tools {
  readonly client: Client;
  readonly secrets: View<KeptSecret>;
  readonly authorities: Authorities;
  readonly provided: Pick<ProvidedLeaves, 'take'>;
  readonly denials: Denials;
  readonly outputs: Outputs;
}

/** A foreign Secret tells nobody when it goes: its label is not ours. */
const CONFLICT_RETRY = 30_000;

/**
 * Carries out what was planned, in one write of the member's Secret.
 * @returns the Secret as it is now
 * @throws Refusal when only the user can help, ApiError Conflict when somebody else wrote first
 */
export async function perform(
  tools: Tools,
  work: Exclude<Work, { kind: 'none' | 'wait' }>,
  facts: CertificateFacts,
  issuing: Issuing,
  now: number,
  signal: AbortSignal,
): Promise<MemberSecret> {
  const name = `Secret ${facts.certificate.metadata.namespace}/${issuing.wish.secretName}`;
  return tools.denials.attempt(name, async () => {
    const files = await filesFor(tools, work, facts, issuing, now, signal);
    return write(tools, facts, issuing, files, signal);
  });
}

/** What is to be written; null: labels and annotations only. */
async function filesFor(
  tools: Tools,
  work: Exclude<Work, { kind: 'none' | 'wait' }>,
  facts: CertificateFacts,
  issuing: Issuing,
  now: number,
  signal: AbortSignal,
): Promise<Files | null> {
  switch (work.kind) {
    case 'issue':
      return issueFiles(tools, work, facts, issuing, now, signal);
    case 'rebundle':
    case 'outputs':
      return rebundle(tools, work.bundle, facts, issuing, signal);
    case 'label':
      return null;
  }
}

/** What is written into a member's Secret. */
interface Files {
  readonly data: Record<string, string>;
  readonly outputs: MadeOutputs;
  /** Under which a new leaf was signed, 0 for one that was brought; null: the leaf stays. */
  readonly leafEpoch: number | null;
}

/** The bundle, and what follows from it and from the key and leaf that stay. */
async function rebundle(
  { outputs }: Tools,
  numbers: readonly number[],
  facts: CertificateFacts,
  { wish, ...issuing }: Issuing,
  signal: AbortSignal,
): Promise<Files> {
  const bundle = bundleOf(numbers, facts, issuing);
  const data = bundleData(encodeBundle(bundle));
  const { secret, certificate } = facts;
  // Without outputs nobody need read the key.
  if (secret === null || !hasOutputs(wish)) return { data, outputs: NOTHING_MADE, leafEpoch: null };
  const material = { ...(await outputs.materialOf(wish, secret, signal)), bundle };
  const made = await outputs.make(certificate.metadata.namespace, wish, material, signal);
  return { data, outputs: made, leafEpoch: null };
}

/** New leaves, each with its key: signed here, or the one that its user brings. */
async function issueFiles(
  tools: Tools,
  work: Extract<Work, { kind: 'issue' }>,
  facts: CertificateFacts,
  issuing: Issuing,
  now: number,
  signal: AbortSignal,
): Promise<Files> {
  const { wish } = issuing;
  const issued =
    work.from === null
      ? await Promise.all(
          wish.leaves.map(async (name) => pairOf(name, await signLeaf(tools, work.leaf, facts, issuing, now, signal))),
        )
      : (await tools.provided.take(facts.certificate, work.from, now, signal)).map(({ name, ...pair }) =>
          pairOf(name, pair),
        );
  const bundle = bundleOf(work.bundle, facts, issuing);
  const pairs = issued.map(({ name, chain: [leaf], key }) => {
    const pair = { name, leafPem: leaf.pem, keyPem: encodedKey(key, wish) };
    expectPair(pair, leaf, keySpecOf(key));
    return pair;
  });
  const material = materialOf(wish, issued, bundle);
  const made = await tools.outputs.make(facts.certificate.metadata.namespace, wish, material, signal);
  const leafEpoch = work.from === null ? issuing.ledger.epoch : 0;
  return { data: memberData({ pairs, bundlePem: encodeBundle(bundle) }), outputs: made, leafEpoch };
}

const pairOf = (name: string, { certificate, key }: ProvidedLeaf): NamedPair => ({ name, chain: [certificate], key });

function encodedKey(key: KeyObject, { encoding }: LeafWish): string {
  try {
    return encodePrivateKey(key, encoding);
  } catch (error) {
    if (error instanceof PkiError) throw new Refusal('InvalidSpec', `The key cannot be written: ${error.message}`);
    throw error;
  }
}

async function signLeaf(
  { authorities }: Tools,
  generation: number,
  facts: CertificateFacts,
  { wish, ledger }: Issuing,
  now: number,
  signal: AbortSignal,
): Promise<ProvidedLeaf> {
  const record = ledger.generations[generation];
  if (record === undefined) throw new Error(`the ledger of ${facts.ca} does not name generation ${generation}`);
  const { certificate: ca, key: caKey } = await authorities.get(refOf(facts.ca), generation, record, signal);
  if (caKey === null)
    throw new Refusal(
      'LeafUnavailable',
      `Generation ${generation} of ReplicationCA ${facts.ca} has no key here, so nothing is signed with it. Name a leaf of it in spec.provided.`,
    );
  if (now < ca.notBefore || now >= ca.notAfter) {
    const when = now < ca.notBefore ? 'is not valid yet' : 'has expired';
    throw new Refusal(
      'Expired',
      `Generation ${generation} of ReplicationCA ${facts.ca} ${when} by the operator's clock (${new Date(now).toISOString()}), so nothing is signed with it. Check the clock, or rotate the CA.`,
      CONFLICT_RETRY,
    );
  }
  try {
    const key = await generatePrivateKey(wish.key);
    const certificate = issueLeaf({
      authority: { certificate: ca, key: caKey },
      publicKey: createPublicKey(key),
      subject: wish.subject,
      dnsNames: wish.dnsNames,
      ipAddresses: wish.ipAddresses,
      uris: wish.uris,
      netscapeCertType: wish.profile.netscapeCertType,
      notBefore: now - BACKDATE,
      notAfter: now + wish.duration,
      serial: newSerial(randomBytes),
    });
    return { certificate, key };
  } catch (error) {
    if (error instanceof PkiError) throw new Refusal('InvalidSpec', `The leaf cannot be issued: ${error.message}`);
    throw error;
  }
}

/** The CA certificates of a bundle, from the generation Secrets that the ledger names. */
function bundleOf(
  numbers: readonly number[],
  { ca }: CertificateFacts,
  { generations, ledger }: Omit<Issuing, 'wish'>,
): readonly Certificate[] {
  return numbers.map((number) => {
    const certificate = generations.get(number);
    if (certificate === undefined) {
      const { namespace = '' } = refOf(ca);
      throw new Refusal(
        'CANotReady',
        `Secret ${namespace}/${ledger.generations[number]?.secretName} of generation ${number} is not there; see ReplicationCA ${ca}.`,
      );
    }
    return certificate;
  });
}

/**
 * One write: create when there is none, else a patch that carries the resourceVersion of what was decided on.
 * Content is written under the ledger's epoch; labels alone change neither epoch nor revision.
 */
async function write(
  tools: Tools,
  facts: CertificateFacts,
  { wish, ledger }: Issuing,
  files: Files | null,
  signal: AbortSignal,
): Promise<MemberSecret> {
  const { certificate, secret } = facts;
  const epoch = files === null && secret !== null ? secret.epoch : ledger.epoch;
  const { labels, annotations } = metadataOf(certificate, facts.ca, wish, wish, epoch, ROLES.member);
  const metadata = {
    labels,
    annotations: {
      ...annotations,
      ...(files === null ? {} : { ...outputsAnnotation(files, secret), ...leafAnnotation(files) }),
    },
  };
  const data = files === null ? null : dataOf(files, secret);
  const ref: ObjectRef = { namespace: certificate.metadata.namespace, name: wish.secretName };
  const name = `${ref.namespace}/${ref.name}`;
  try {
    const raw =
      secret === null
        ? await tools.client.create(
            SECRETS,
            { metadata: { ...ref, ...metadata }, type: MEMBER_SECRET_TYPE, data: data ?? {} },
            { signal },
          )
        : await tools.client.patch(
            SECRETS,
            ref,
            {
              type: 'merge',
              body: {
                metadata: { uid: secret.meta.uid, resourceVersion: secret.meta.resourceVersion, ...metadata },
                ...(data === null ? {} : { data }),
              },
            },
            { signal },
          );
    // What it is to carry may have been there all the time, and been kept for nobody.
    const kept = tools.secrets.remember(raw, { anew: data === null });
    if (kept.kind === 'unclaimed')
      throw new WaitingError(`ClusterCertificate ${certificate.metadata.name} is gone`, 200);
    if (kept.kind !== 'member') throw new Error(`Secret ${name} did not come back as it was written`);
    if (files !== null) tools.outputs.remember(keyOf(certificate.metadata), wish, kept, files.outputs);
    return kept;
  } catch (error) {
    if (isAlreadyExists(error)) return standingInTheWay(tools, ref, name, certificate.metadata.name, signal);
    if (isInvalid(error) && !isDenied(error)) {
      throw new Refusal(
        'SecretConflict',
        `Secret ${name} cannot be changed: ${error instanceof Error ? error.message : ''}. If it is immutable, delete it; it is issued anew.`,
        CONFLICT_RETRY,
      );
    }
    throw error;
  }
}

/** All data of one write. Null takes a key away: outputs that are not asked for any more must not stay as they are for ever. */
function dataOf({ data, outputs }: Files, secret: MemberSecret | null): Record<string, string | null> {
  const gone = [...(secret?.outputs.keys() ?? [])].map((key): [string, null] => [key, null]);
  return { ...Object.fromEntries(gone), ...Object.fromEntries(outputs.secret), ...data };
}

function leafAnnotation({ leafEpoch }: Files): Record<string, string> {
  return leafEpoch === null ? {} : { [ANNOTATIONS.leafEpoch]: String(leafEpoch) };
}

function outputsAnnotation({ outputs }: Files, secret: MemberSecret | null): Record<string, string> {
  const none = outputs.secret.size === 0 && (secret === null || secret.outputs.size === 0);
  return none ? {} : { [ANNOTATIONS.outputs]: [...outputs.secret.keys()].join(',') };
}

/** Somebody has a Secret of that name. Either the watch has not shown it (yet), or it is not ours. */
async function standingInTheWay(
  { client }: Tools,
  ref: ObjectRef,
  name: string,
  certificate: string,
  signal: AbortSignal,
): Promise<never> {
  const raw = await client.getMetadata(SECRETS, ref, { signal });
  const found = keepSecret(raw, NO_CLAIMS);
  const ours = found.kind === 'unclaimed' && found.certificate === `${ref.namespace}/${certificate}`;
  if (ours) {
    await relabel(client, raw, { [LABELS.managedBy]: MANAGED_BY }, { signal });
    throw new WaitingError(`Secret ${name} is there, but not seen yet`, 200);
  }
  throw new Refusal(
    'SecretConflict',
    `Secret ${name} exists and was not made by Replicert for this certificate. It is never overwritten: delete or rename it, or use another spec.secretName.`,
    CONFLICT_RETRY,
  );
}

/** Deletes the Secret of a certificate that is gone, if it is still what it was when that was decided. */
export async function deleteLeftover(
  { client }: Pick<Tools, 'client'>,
  { meta }: MemberSecret | UnclaimedSecret,
  signal: AbortSignal,
): Promise<void> {
  const { uid, resourceVersion } = meta;
  await client.delete(SECRETS, meta, { uid, resourceVersion, signal });
}
