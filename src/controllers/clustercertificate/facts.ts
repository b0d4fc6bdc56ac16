import type { Ledger, RosterEntry } from '../../api/ledger.ts';
import type { ClusterCertificate } from '../../api/objects.ts';
import type { Certificate } from '../../pki/certificate.ts';
import type { LeafDemands } from '../../pki/provided.ts';
import type { ExpectedOutputs } from './outputs.ts';
import type { LeafWish } from '../shared/effective.ts';
import type { Brought } from '../shared/provided.ts';
import type { Refusal } from '../shared/refusal.ts';
import type { MemberSecret, OutputObject } from '../shared/kept-secrets.ts';

/** What was seen of the member behind a certificate, by one peer. */
export interface Sighting {
  readonly peer: string;
  readonly revision: string | null;
  readonly presented: string | null;
  readonly reason: string;
  readonly message: string;
  /** What to do so that it uses what its Secret holds, as a clause. */
  readonly reload: string;
}

/** Everything that decides over one ClusterCertificate. */
export interface CertificateFacts {
  readonly certificate: ClusterCertificate;
  /** `namespace/name` of its CA. */
  readonly ca: string;
  /** What keeps it from being looked at further; null: nothing. */
  readonly refusal: Refusal | null;
  /** What is asked of a leaf that its user brings; null: that cannot be said, see the refusal. */
  readonly demands: readonly LeafDemands[] | null;
  /** Null when there is a refusal, or the CA is new. */
  readonly issuing: Issuing | null;
  /** The Secret of its name, when it is ours and this certificate's. */
  readonly secret: MemberSecret | null;
  /** The further objects that are there for it, asked for or not. */
  readonly objects: readonly OutputObject[];
  /** What its outputs are to be; a Refusal: that cannot be said; null: there is nothing to say it of. */
  readonly outputs: ExpectedOutputs | Refusal | null;
  readonly sightings: readonly Sighting[];
  /** What lies in the Secrets in which its user brings leaves; null: leaves are issued. */
  readonly brought: readonly Brought[] | null;
}

export interface Issuing {
  readonly wish: LeafWish;
  readonly ledger: Ledger;
  /** Null: not in the roster (yet). */
  readonly entry: RosterEntry | null;
  readonly generations: ReadonlyMap<number, Certificate>;
}
