/**
 * Good and bad objects of each kind. objects.test.ts feeds them to zod, objects.cluster.test.ts to a real API server: both must agree
 * on every row, and both must say it in words.
 */
import { clusterCertificates } from './objects/cluster-certificate.ts';
import { replicationCas } from './objects/replication-ca.ts';
import { replicationPeers } from './objects/replication-peer.ts';
import type { Refusal, Row } from './objects/row.ts';

/** What is wrong about a verdict on a row; null: it is as it should be. `words` are those that it must use. */
export function objection({ refused }: Row, said: string | null, words: (refusal: Refusal) => string): string | null {
  if (refused === null) return said === null ? null : `refused, though it is good: ${said}`;
  if (said === null) return 'accepted, though it is bad';
  const missing = [refused.at, words(refused)].filter((phrase) => !said.includes(phrase));
  return missing.length === 0 ? null : `refused without saying "${missing.join('" and "')}": ${said}`;
}

export const ROWS: readonly Row[] = [...replicationCas, ...clusterCertificates, ...replicationPeers];
