/** What follows from the ledger and is not a decision: the published bundle, leftovers, and the guard on what must not vanish. */
import type { GenerationRecord, Ledger } from '../../api/ledger.ts';
import { CA_SECRET_TYPE, FINALIZER, trustConfigMapName } from '../../api/names.ts';
import { encodeBundle } from '../../pki/bundle.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { type Client, isAlreadyExists, isInvalid, isNotFound, type ObjectRef } from '../../runtime/client.ts';
import { finalizerStep } from '../../runtime/finalizers.ts';
import { isDenied } from '../shared/denials.ts';
import { Refusal } from '../shared/refusal.ts';
import { CONFIG_MAPS, SECRETS } from '../shared/resources.ts';
import { generationLabels, relabel, trustConfigMap } from '../shared/manifests.ts';
import type { KeptSecret } from '../shared/kept-secrets.ts';
import { sha256 } from '../shared/digest.ts';
import type { View } from '../shared/view.ts';
import type { World } from '../shared/world.ts';

export interface Bundle {
  readonly pem: string;
  readonly sha256: string;
}

/** The bundle as members are to trust it; null while a generation of it is missing. */
export function bundleOf(ledger: Ledger, generations: ReadonlyMap<number, Certificate>): Bundle | null {
  const certificates = ledger.bundle.map((number) => generations.get(number));
  const found = certificates.filter((certificate) => certificate !== undefined);
  if (found.length !== certificates.length || found.length === 0) return null;
  const pem = encodeBundle(found);
  return { pem, sha256: sha256(pem) };
}

/** What is known of the bundles that are published. */
type PublishedBundles = Pick<World, 'trust'> & { readonly configMaps: Pick<World['configMaps'], 'remember'> };

/** Publishes the bundle in a ConfigMap, when it differs from what is there. */
export async function publish(
  client: Pick<Client, 'create' | 'patch'>,
  world: PublishedBundles,
  ca: ObjectRef,
  bundle: Bundle,
  signal: AbortSignal,
): Promise<void> {
  const ref = { namespace: ca.namespace, name: trustConfigMapName(ca.name) };
  const kept = world.trust(ca);
  if (kept?.bundleSha256 === bundle.sha256) return;
  const object = trustConfigMap(ca, bundle.pem);
  if (kept !== null) {
    const { resourceVersion } = kept.meta;
    const body = { metadata: { resourceVersion }, data: object['data'] };
    try {
      world.configMaps.remember(await client.patch(CONFIG_MAPS, ref, { type: 'merge', body }, { signal }));
    } catch (error) {
      if (!isInvalid(error) || isDenied(error)) throw error;
      throw new Refusal(
        'TrustConflict',
        `ConfigMap ${ref.namespace}/${ref.name}, in which the bundle is published, cannot be changed (immutable?). Delete it; it is made anew.`,
        30_000,
      );
    }
    return;
  }
  try {
    world.configMaps.remember(await client.create(CONFIG_MAPS, object, { signal }));
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    throw new Refusal(
      'TrustConflict',
      `ConfigMap ${ref.namespace}/${ref.name}, in which the bundle is published, exists and was not made by Replicert. Delete or rename it; members' Secrets are not affected.`,
      30_000,
    );
  }
}

/** Whether the Secret of a generation is there all the same; if it lost its labels they are put back, so that it is seen again. */
export async function isThere(
  client: Client,
  ca: ObjectRef,
  number: number,
  { secretName }: GenerationRecord,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const secret = await client.get(SECRETS, { namespace: ca.namespace, name: secretName }, { signal });
    // What it holds is judged when it is seen; a type cannot be changed.
    if (secret['type'] !== CA_SECRET_TYPE) return false;
    await relabel(client, secret, generationLabels(ca, number), { signal });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Puts our finalizer on a Secret that lost it, e.g. one that was retained when its CA was deleted. */
export async function guard(
  client: Client,
  secrets: View<KeptSecret>,
  kept: KeptSecret,
  signal: AbortSignal,
): Promise<void> {
  if (kept.meta.deleting || kept.meta.finalizers.own !== null) return;
  const step = finalizerStep(kept.meta, FINALIZER);
  if (step.case !== 'add') return;
  secrets.remember(await client.patch(SECRETS, kept.meta, { type: 'json', operations: step.patch }, { signal }));
}

/** Lets a Secret go: with `remove` it is deleted, else it stays without our finalizer. */
export async function release(
  client: Pick<Client, 'delete' | 'patch'>,
  kept: KeptSecret,
  remove: boolean,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (remove && !kept.meta.deleting) await client.delete(SECRETS, kept.meta, { uid: kept.meta.uid, signal });
    if (kept.meta.finalizers.own === null) return;
    const step = finalizerStep({ ...kept.meta, deleting: true }, FINALIZER);
    if (step.case === 'cleanUp')
      await client.patch(SECRETS, kept.meta, { type: 'json', operations: step.patch }, { signal });
  } catch (error) {
    // Gone, or another object by now: both are what was wanted.
    if (isDenied(error) || (!isNotFound(error) && !isInvalid(error))) throw error;
  }
}
