/** Somebody who looks after members that nobody can probe, and says what they use. */
import { API_VERSION } from '../../src/api/names.ts';
import type { Scene } from '../controllers/scene.ts';

/** What is acknowledged of a member: which revision of its Secret it uses, in which stage of which rotation. */
export type Claim = Readonly<Record<'revision' | 'stage', string>> & { readonly generation: number };

/** What there is to acknowledge now of a member that uses what its Secret holds; null: nothing. */
export function claimOf(here: Scene, certificate: string): Claim | null {
  const { rotation } = here.ledger('mesh');
  const revision = here.certificates.get(certificate)?.status?.revision;
  return rotation === null || revision === undefined
    ? null
    : { revision, generation: rotation.to, stage: rotation.stage };
}

/** ReplicationPeer mesh of these members, with what is claimed of them. */
export const vouchedPeer = (
  members: readonly { readonly name: string; readonly claim: Claim | null }[],
  endpoint?: { readonly host: string; readonly port: number },
) => ({
  apiVersion: API_VERSION,
  kind: 'ReplicationPeer',
  metadata: { name: 'mesh' },
  spec: {
    members: members.map(({ name, claim }) => ({
      name,
      ...(endpoint === undefined ? {} : { endpoints: [endpoint] }),
      ...(claim === null
        ? {}
        : { acknowledged: { ...claim, by: 'jane', reason: 'seen', expires: '2099-01-01T00:00:00Z' } }),
    })),
  },
});
