/** What Replicert writes besides its own kinds. */
import { LABELS, MANAGED_BY } from '../../api/names.ts';
import type { Resource } from '../../runtime/client.ts';

export const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' };
export const CONFIG_MAPS: Resource = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' };
/** How often a Secret of the user's is looked at again, in milliseconds: it carries none of our labels, so nobody tells us of a change. */
export const FOREIGN_RETRY = 15_000;
/** Selects what we wrote. */
export const OURS = `${LABELS.managedBy}=${MANAGED_BY}`;
