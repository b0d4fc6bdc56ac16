import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

const RESTARTED = 'it was restarted since its ca.crt changed';

/** Peers of an etcd cluster. A changed bundle is loaded by a restart only. */
export const etcd: Profile = {
  ...generic,
  name: 'etcd',
  // Of peers; clients are at 2379.
  port: 2_380,
  provided: {
    commonName: 'Any',
    hostIn: 'AlternativeNames',
    because: 'a peer looks for the host of a peer URL there and nowhere else',
  },
  reload: 'restart the member: it reads its CAs only when it starts (its leaf for each handshake, by itself)',
  // A leaf it reads for each handshake.
  acknowledgedWhen: {
    Append: RESTARTED,
    Roll: 'its files have changed',
    Drop: RESTARTED,
  },
};
