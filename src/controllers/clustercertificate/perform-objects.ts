import { ANNOTATIONS, LABELS, MANAGED_BY, OUTPUT_SECRET_TYPE, ROLES } from '../../api/names.ts';
import {
  isAlreadyExists,
  isInvalid,
  isNotFound,
  type Client,
  type KubeObject,
  type ObjectRef,
  type Resource,
} from '../../runtime/client.ts';
import { WaitingError } from '../../runtime/runner.ts';
import { type Denials, isDenied } from '../shared/denials.ts';
import type { LeafWish } from '../shared/effective.ts';
import { Refusal } from '../shared/refusal.ts';
import { CONFIG_MAPS, SECRETS } from '../shared/resources.ts';
import { keepOutput, NO_CLAIMS, type OutputObject } from '../shared/kept-secrets.ts';
import { relabel } from '../shared/manifests.ts';
import type { World } from '../shared/world.ts';
import type { CertificateFacts, Issuing } from './facts.ts';
import { objectKey, type MadeOutputs, type OutputData, type Outputs } from './outputs.ts';
import { metadataOf } from './metadata.ts';
import type { ObjectWork } from './plan-objects.ts';

export interface ObjectTools {
  readonly client: Client;
  readonly world: Pick<World, 'secrets' | 'configMaps'>;
  readonly denials: Denials;
  readonly outputs: Outputs;
}

/** A foreign object tells nobody when it goes: its label is not ours. */
const CONFLICT_RETRY = 30_000;

const resourceOf = (kind: OutputObject['object']): Resource => (kind === 'Secret' ? SECRETS : CONFIG_MAPS);

/**
 * Writes and deletes further objects, one after the other. What they hold is made of the Secret as it is now.
 * @returns those that hold something else than before, e.g. `ConfigMap vast1-trust`, and why another could not be written
 * @throws Refusal when they cannot be made, ApiError Conflict when somebody else wrote first
 */
export async function performObjects(
  tools: ObjectTools,
  works: readonly ObjectWork[],
  facts: CertificateFacts,
  { wish }: Issuing,
  signal: AbortSignal,
): Promise<{ readonly changed: readonly string[]; readonly refusal: Refusal | null }> {
  const { certificate, secret } = facts;
  const { namespace } = certificate.metadata;
  if (secret === null) return { changed: [], refusal: null };
  const changes = works.some((work) => work.kind === 'write' && work.content);
  const made: MadeOutputs | null = changes
    ? await tools.outputs.make(namespace, wish, await tools.outputs.materialOf(wish, secret, signal), signal)
    : null;
  const changed: string[] = [];
  const refusals: Refusal[] = [];
  for (const work of works) {
    try {
      if (work.kind === 'delete') await deleteObject(tools, work.present, signal);
      else {
        const name = `${work.wish.kind} ${namespace}/${work.wish.name}`;
        await tools.denials.attempt(name, () => write(tools, work, made, facts, wish, secret.epoch, signal));
      }
      if (work.kind === 'write' && work.content) changed.push(`${work.wish.kind} ${work.wish.name}`);
    } catch (error) {
      // One that somebody else has does not keep the others from following.
      if (!(error instanceof Refusal)) throw error;
      refusals.push(error);
    }
  }
  return { changed, refusal: refusals[0] ?? null };
}

async function write(
  tools: ObjectTools,
  { wish: object, present, content }: Extract<ObjectWork, { kind: 'write' }>,
  made: MadeOutputs | null,
  { certificate, ca }: CertificateFacts,
  wish: LeafWish,
  epoch: number,
  signal: AbortSignal,
): Promise<void> {
  const { namespace } = certificate.metadata;
  const { labels, annotations } = metadataOf(certificate, ca, wish, object, epoch, ROLES.output);
  const data = content ? (made?.objects.get(objectKey(object)) ?? null) : null;
  const listed = data === null ? {} : { [ANNOTATIONS.outputs]: [...data.keys()].join(',') };
  const metadata = { labels, annotations: { ...annotations, ...listed } };
  const ref = { namespace, name: object.name };
  const body = data === null ? {} : contentOf(object.kind, data, present);
  const raw =
    present === null
      ? await create(
          tools,
          object.kind,
          ref,
          { metadata: { ...ref, ...metadata }, ...body },
          certificate.metadata.name,
          signal,
        )
      : await change(tools, present, { metadata: { ...versionOf(present), ...metadata }, ...body }, signal);
  // It may have been there all the time, and been kept for nobody.
  if (object.kind === 'Secret') tools.world.secrets.remember(raw, { anew: true });
  else tools.world.configMaps.remember(raw, { anew: true });
}

const versionOf = ({ meta: { uid, resourceVersion } }: OutputObject) => ({ uid, resourceVersion });

type Field = Record<string, string | null>;

/** A ConfigMap has text in `data`, where people and programs look for it, and other octets in `binaryData`. Null takes away. */
function contentOf(kind: OutputObject['object'], data: OutputData, present: OutputObject | null): object {
  const gone = [...(present?.outputs.keys() ?? [])].map((key): [string, null] => [key, null]);
  const before = Object.fromEntries(gone);
  if (kind === 'Secret')
    return {
      ...(present === null ? { type: OUTPUT_SECRET_TYPE } : {}),
      data: { ...before, ...Object.fromEntries(data) },
    };
  const [text, binary]: [Field, Field] = [{ ...before }, { ...before }];
  for (const [key, base64] of data) {
    const octets = Buffer.from(base64, 'base64');
    if (octets.toString('latin1', 0, PEM.length) === PEM) text[key] = octets.toString('latin1');
    else binary[key] = base64;
  }
  return { data: text, binaryData: binary };
}

const PEM = '-----BEGIN ';

async function create(
  { client }: ObjectTools,
  kind: OutputObject['object'],
  ref: Required<ObjectRef>,
  object: KubeObject,
  certificate: string,
  signal: AbortSignal,
): Promise<KubeObject> {
  try {
    return await client.create(resourceOf(kind), object, { signal });
  } catch (error) {
    if (isAlreadyExists(error)) return standingInTheWay(client, kind, ref, certificate, signal);
    throw error;
  }
}

async function change(
  { client }: ObjectTools,
  { object, meta }: OutputObject,
  body: object,
  signal: AbortSignal,
): Promise<KubeObject> {
  try {
    return await client.patch(resourceOf(object), meta, { type: 'merge', body }, { signal });
  } catch (error) {
    if (!isInvalid(error) || isDenied(error)) throw error;
    throw new Refusal(
      'OutputConflict',
      `${object} ${meta.namespace}/${meta.name} cannot be changed: ${error instanceof Error ? error.message : ''}. If it is immutable, delete it; it is made anew.`,
      CONFLICT_RETRY,
    );
  }
}

/** Somebody has an object of that name. Either the watch has not shown it (yet), or it is not this certificate's. */
async function standingInTheWay(
  client: Client,
  kind: OutputObject['object'],
  ref: Required<ObjectRef>,
  certificate: string,
  signal: AbortSignal,
): Promise<never> {
  const resource = resourceOf(kind);
  const name = `${kind} ${ref.namespace}/${ref.name}`;
  const raw = await client.getMetadata(resource, ref, { signal });
  const found = keepOutput(kind, raw, NO_CLAIMS);
  const { [LABELS.role]: role } = raw.metadata.labels ?? {};
  if (role === ROLES.output && found.certificate === `${ref.namespace}/${certificate}`) {
    await relabel(client, raw, { [LABELS.managedBy]: MANAGED_BY }, { resource, signal });
    throw new WaitingError(`${name} is there, but not seen yet`, 200);
  }
  throw new Refusal(
    'OutputConflict',
    `${name} exists and was not made by Replicert for an output of this certificate. It is never overwritten: delete or rename it, or name another in spec.outputObjects.`,
    CONFLICT_RETRY,
  );
}

/** Deletes an object if it is still what it was when that was decided. */
export async function deleteObject(
  { client }: Pick<ObjectTools, 'client'>,
  { object, meta }: OutputObject,
  signal: AbortSignal,
): Promise<void> {
  const { uid, resourceVersion } = meta;
  try {
    await client.delete(resourceOf(object), meta, { uid, resourceVersion, signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
