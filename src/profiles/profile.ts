import type { ProtocolName } from '../api/replication-peer.ts';
import type { Output } from '../outputs/output.ts';
import type { KeyEncoding, KeySpec } from '../pki/keys.ts';

/** What a target system asks of its certificates and of whoever watches them: data, one file per system. */
export interface Profile {
  readonly name: string;
  /** Key of a generation when the ReplicationCA names none. */
  readonly authorityKey: KeySpec;
  /** Whether who imports a CA must say that it is `dedicated` to this mesh: true where a member lets in every certificate of it. */
  readonly demandsDedicatedAuthority: boolean;
  /** Key of a leaf when the ClusterCertificate names none. */
  readonly leafKey: KeySpec;
  readonly leafEncoding: KeyEncoding;
  /** The subject CN of a member that names none. */
  readonly commonName: (member: string) => string;
  readonly secret: {
    readonly type: string;
    /** Names of the Secret's keys. */
    readonly bundle: string;
    readonly certificate: string;
    readonly privateKey: string;
  };
  /** Files that the target system wants besides: further keys of the Secret. */
  readonly outputs: readonly Output[];
  /** The leaf's name in `status.certificates`. */
  readonly certificateName: string;
  /** What is spoken where it listens, unless the endpoint says otherwise. */
  readonly protocol: ProtocolName;
  /** Whether what a listening socket trusts also says what the member trusts when it dials. */
  readonly trustStores: 'shared';
  /** What to do when it has not loaded what its Secret holds, as a clause: "make the member ...". */
  readonly reload: string;
  /** Pause between looks at the presented chain while no gate waits, milliseconds. */
  readonly quietInterval: number;
  /** Longest time for which it may take up a TLS session that it gave, milliseconds: what is believed where it does not say less. */
  readonly longestResumption: number;
  /** Most probes of one member in an hour. */
  readonly maxProbesPerHour: number;
}
