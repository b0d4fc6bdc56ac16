import type { StagedStage } from '../api/ledger.ts';
import type { ProfileParameters } from '../api/profile-parameters.ts';
import type { ProtocolName } from '../api/replication-peer.ts';
import type { Output } from '../outputs/output.ts';
import type { Subject } from '../pki/issue.ts';
import type { KeyEncoding, KeySpec } from '../pki/keys.ts';

/** What the files of one member follow from besides its key, leaf and bundle: data, so that it can be compared. */
export interface MemberRequest {
  /** `namespace/name` of its ReplicationCA. */
  readonly mesh: string;
  /** metadata.name of its ClusterCertificate. */
  readonly name: string;
  /** Of its leaf. */
  readonly subject: Subject;
  /** What its ClusterCertificate says for this profile alone. */
  readonly parameters: ProfileParameters;
}

/**
 * What a leaf must have that its user brings, besides what every such leaf must have (see `readProvided`) and what its ClusterCertificate says: a
 * key of `keyAlgorithms` and the `dnsNames` of the profile always, and what stands here.
 */
export interface ProvidedRules {
  /** Whether its common name must be that of a leaf that is issued. */
  readonly commonName: 'AsIssued' | 'Any';
  /** Where the system looks for the host that it dials, and so where the leaf must have one; null: nowhere, or its user has chosen. */
  readonly hostIn: 'AlternativeNames' | 'AlternativeNamesOrCommonName' | null;
  /** Why names are asked for, as a clause, for the refusals; null: none are. */
  readonly because: string | null;
}

/** What a target system asks of its certificates and of whoever watches them: data, one file per system. */
export interface Profile {
  readonly name: string;
  /** Key of a generation when the ReplicationCA names none. */
  readonly authorityKey: KeySpec;
  /** Kinds of keys that it takes, of the CA and of leaves. */
  readonly keyAlgorithms: readonly KeySpec['algorithm'][];
  /**
   * Whether its CA must sign for members of this profile and for nothing else: then members of others have no part in its mesh, and who
   * imports a CA must say that it is `dedicated`. Nothing in a certificate tells.
   */
  readonly demandsDedicatedAuthority: boolean;
  /** Key of a leaf when the ClusterCertificate names none. */
  readonly leafKey: KeySpec;
  readonly leafEncoding: KeyEncoding;
  /** Whether its leaves have the Netscape certificate type as well, client and server. */
  readonly netscapeCertType: boolean;
  /** The subject CN of a member that names none. */
  readonly commonName: (member: string, parameters: ProfileParameters) => string;
  /** DNS names that its leaf has in any case. */
  readonly dnsNames: (member: MemberRequest) => readonly string[];
  readonly provided: ProvidedRules;
  /** Files that the target system wants besides: further keys of the Secret. The same request has the same ones, always. */
  readonly outputs: (member: MemberRequest) => readonly Output[];
  /** Order of the CAs in `ca.crt`, for what takes the first one only: by age, or the issuer of the member's own leaf before the others. */
  readonly bundleOrder: 'OldestFirst' | 'IssuerFirst';
  /**
   * Whether it honours every CA of a bundle. Unknown: a user who has tried it must say so (`rotation.strategy`) before a
   * bundle of two is made.
   */
  readonly bundle: 'honoured' | 'unknown';
  /** What is spoken where it listens, unless the endpoint says otherwise. Null: nobody from outside can look, so it is acknowledged. */
  readonly protocol: ProtocolName | null;
  /** Where it listens, unless the endpoint says otherwise; null: wherever its user has chosen. */
  readonly port: number | null;
  /** What must be so before somebody acknowledges that a member uses its Secret, as a clause. Prepare asks as Roll does, Swap as Drop. */
  readonly acknowledgedWhen: Readonly<Record<StagedStage, string>>;
  /** Whether what a listening socket trusts also says what the member trusts when it dials. */
  readonly trustStores: 'shared';
  /** What to do so that it uses what its Secret holds, as a clause: "make the member ...". */
  readonly reload: string;
  /** Pause between looks at the presented chain while no gate waits, milliseconds. */
  readonly quietInterval: number;
  /** Longest time for which it may take up a TLS session that it gave, milliseconds: what is believed where it does not say less. */
  readonly longestResumption: number;
  /** Most probes of one member in an hour. */
  readonly maxProbesPerHour: number;
}
