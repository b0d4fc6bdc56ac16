import { ANNOTATIONS, ROLES } from '../../api/names.ts';
import type { ObjectWish } from '../shared/effective.ts';
import { Refusal } from '../shared/refusal.ts';
import type { OutputDigests } from '../shared/output-digests.ts';
import { carries, metadataOf } from './metadata.ts';
import type { OutputObject } from '../shared/kept-secrets.ts';
import type { CertificateFacts } from './facts.ts';
import { objectKey } from './outputs.ts';

/** What there is to do about one further object. */
export type ObjectWork =
  | {
      readonly kind: 'write';
      readonly wish: ObjectWish;
      /** Null: it is made. */
      readonly present: OutputObject | null;
      /** Whether it is to hold something else than it does; if not it is only marked. */
      readonly content: boolean;
    }
  | { readonly kind: 'delete'; readonly present: OutputObject };

/**
 * Decides what is to be done about the objects that follow a Secret which is as it is to be. Each is written once in every epoch of that
 * Secret, also where it holds the right things already: so that, like a late write of the Secret itself, one of an object fails by its
 * resourceVersion. What is not asked for any more goes, if it was made for this very certificate.
 */
export function planObjects({
  certificate,
  ca,
  issuing,
  secret,
  objects,
  outputs,
}: CertificateFacts): readonly ObjectWork[] {
  if (issuing === null || secret === null || outputs === null || outputs instanceof Refusal) return [];
  const { wish } = issuing;
  const work = wish.objects.flatMap((each): readonly ObjectWork[] => {
    const present = objects.find(({ object, meta }) => object === each.kind && meta.name === each.name) ?? null;
    const content = present === null || !sameDigests(present.outputs, outputs.objects.get(objectKey(each)));
    const marked =
      present !== null && carries(present, metadataOf(certificate, ca, wish, each, secret.epoch, ROLES.output));
    return content || !marked ? [{ kind: 'write', wish: each, present, content }] : [];
  });
  const asked = new Set(wish.objects.map(objectKey));
  const left = objects.filter(
    ({ object, meta, annotations }) =>
      !asked.has(objectKey({ kind: object, name: meta.name })) &&
      annotations[ANNOTATIONS.certificateUid] === certificate.metadata.uid &&
      !meta.deleting,
  );
  return [...work, ...left.map((present) => ({ kind: 'delete', present }) as const)];
}

function sameDigests(a: OutputDigests, b: OutputDigests | undefined): boolean {
  return a.size === b?.size && [...a].every(([key, digest]) => b.get(key) === digest);
}
