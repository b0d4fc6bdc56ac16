import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

const LOADED = 'CONFIG SET has read its files since they changed';

/** Redis and Valkey, from replica to primary (`tls-replication`) and between the nodes of a cluster (`tls-cluster`). Names are not checked. */
export const redis: Profile = {
  ...generic,
  name: 'redis',
  port: 6_379,
  reload:
    'make the member reload its files: CONFIG SET with tls-ca-cert-file, tls-cert-file and tls-key-file, each to what it is',
  acknowledgedWhen: { Append: LOADED, Roll: LOADED, Drop: LOADED },
};
