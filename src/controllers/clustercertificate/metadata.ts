/** Labels and annotations of what is written for a member. */
import type { ROLES } from '../../api/names.ts';
import { refOf } from '../../runtime/client.ts';
import type { LeafWish } from '../shared/effective.ts';
import { memberMetadata } from '../shared/manifests.ts';
import type { CertificateFacts } from './facts.ts';

interface Metadata {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** All but the list of outputs: the user's (`asked`), then ours. */
export function metadataOf(
  { metadata }: CertificateFacts['certificate'],
  ca: string,
  { deletionPolicy }: LeafWish,
  asked: Metadata,
  epoch: number,
  role: typeof ROLES.member | typeof ROLES.output,
): Metadata {
  const ours = memberMetadata(refOf(ca), metadata.name, metadata.uid, deletionPolicy, epoch, role);
  return { labels: { ...asked.labels, ...ours.labels }, annotations: { ...asked.annotations, ...ours.annotations } };
}

/** Whether all that is wanted is there; what others have added stays. */
export function carries(present: Metadata, wanted: Metadata): boolean {
  const has = (these: Metadata['labels'], those: Metadata['labels']): boolean =>
    Object.entries(those).every(([key, value]) => these[key] === value);
  return has(present.labels, wanted.labels) && has(present.annotations, wanted.annotations);
}
