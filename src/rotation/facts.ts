import type { Ledger, Rotation } from '../api/ledger.ts';
import type { MemberKey } from '../api/names.ts';

export type { MemberKey };

/** What a member's Secret holds at this moment, as read from the API server. */
export interface SecretFact {
  /** Ledger epoch under which the Secret was written last. */
  readonly epoch: number;
  /** Hash of the content and its epoch: what evidence and acknowledgements refer to. */
  readonly revision: string;
  readonly leafFingerprint: string;
  /** Ledger epoch under which its leaf was signed; 0: it was brought, so the member may have had the same one before. */
  readonly leafEpoch: number;
  readonly leafNotAfter: number;
  /** The generation that signed the leaf; null when no generation of the ledger did. */
  readonly leaf: number | null;
  /** The generations in its bundle, oldest first; null when it holds a certificate that the ledger does not know. */
  readonly bundle: readonly number[] | null;
}

/** A ClusterCertificate that exists and names this CA. */
export interface CertificateFact {
  readonly uid: string;
  /** Null: it may be served. Otherwise why it is not taken into the roster, and gets no grant. */
  readonly barred: Blocker | null;
  readonly secret: SecretFact | null;
  /** Generations of which its leaf is the user's to bring: null where it is there, else why it is not. Of all others leaves are signed. */
  readonly brought: ReadonlyMap<number, Blocker | null>;
}

/** The ends of edges that a member is in one peer: a role is asked for only when it is played. */
export interface Roles {
  readonly listens: boolean;
  readonly dials: boolean;
}

/** What one ReplicationPeer saw of one member. Listed generations were seen; what is not listed is unknown. */
export interface Evidence {
  /** Ledger epoch read live before the probe began. */
  readonly epoch: number;
  readonly revision: string;
  readonly observedAt: number;
  readonly presents: { readonly fingerprint: string; readonly generation: number | null } | null;
  readonly trusts: { readonly listening: readonly number[]; readonly dialling: readonly number[] };
  /** In new handshakes, and by sessions from before: whoever refuses the former may still take up the latter. */
  readonly refuses: { readonly fresh: readonly number[]; readonly resumed: readonly number[] };
  /** Generations of which it was seen to take up a session from before, though it refuses them. */
  readonly resumes: readonly number[];
  /** Why something is unknown; empty when nothing is. */
  readonly reason: string;
  readonly message: string;
}

/** Somebody's claim that a member uses exactly what its Secret holds in this revision. */
export interface Acknowledgement {
  readonly revision: string;
  /** The running rotation that it is made for: where it leads, and its stage. */
  readonly generation: number;
  readonly stage: Rotation['stage'];
  readonly expires: number;
  /** Who claims it; unchecked. */
  readonly by: string;
  /** The field manager that wrote it down; null where the API server does not say. */
  readonly manager: string | null;
  readonly reason: string;
}

/** One ReplicationPeer's view of one member. */
export interface Witness {
  readonly peer: string;
  readonly member: MemberKey;
  /** What the member is called in this peer. */
  readonly name: string;
  /** Not probed: only an acknowledgement can tell anything of it. */
  readonly probed: boolean;
  /** What must be so before it is acknowledged, as a clause. */
  readonly acknowledgedWhen: Readonly<Record<Rotation['stage'], string>>;
  readonly acknowledged: Acknowledgement | null;
  readonly roles: Roles;
  /** How long what it saw counts, in milliseconds. */
  readonly freshFor: number;
  readonly evidence: Evidence | null;
}

/** Something that somebody waits for: who, a word for it, and what to do about it. */
export interface Blocker {
  readonly reason: string;
  readonly message: string;
}

export interface GenerationFact {
  /** When it was issued; the certificate's own notBefore is set back from this. */
  readonly issuedAt: number;
  readonly notAfter: number;
}

/** A stage that can wait for approval before it is entered. */
export type Approvable = 'Roll' | 'Drop' | 'Swap';

/** `spec.rotation.approval`. */
export interface Approval {
  readonly required: readonly Approvable[];
  /** Approved: this stage and those before it, of the rotation to this generation only. */
  readonly upTo: { readonly generation: number; readonly stage: Approvable } | null;
}

/** What the user wants of the CA; durations in milliseconds. */
export interface Wish {
  /** `spec.rotation.generation`; null when Replicert is to decide by `renewBefore`. */
  readonly generation: number | null;
  readonly renewBefore: number;
  readonly soak: number;
  readonly maxConcurrent: number | `${number}%`;
  /** Nothing is granted, entered, started or turned round. */
  readonly paused: boolean;
  readonly approval: Approval;
  readonly departed: ReadonlySet<MemberKey>;
  /** The ReplicationCA is being deleted: nothing starts any more, members only leave. */
  readonly deleting: boolean;
}

/** Everything the planner may know, gathered once per pass. */
export interface Facts {
  readonly wish: Wish;
  readonly ledger: Ledger;
  /** Certificates of the generations that the ledger names. */
  readonly generations: ReadonlyMap<number, GenerationFact>;
  readonly certificates: ReadonlyMap<MemberKey, CertificateFact>;
  /** Every peer's view of a member, by member. */
  readonly witnesses: ReadonlyMap<MemberKey, readonly Witness[]>;
  /** Why no generation can be made at this moment, found by trying; null: nothing is known against it. */
  readonly obstacle: Blocker | null;
  /**
   * Whether a leaf of this generation is accepted by every kind of verifier (one that takes the first, the last, or any CA that could be
   * the issuer) that trusts these generations, in this order. Null: it is; else why not.
   */
  readonly verifies: (leaf: number, bundle: readonly number[]) => string | null;
  /** Whether the namespace of this member is read at all: absence counts only where somebody looked. */
  readonly watched: (namespace: string) => boolean;
}
