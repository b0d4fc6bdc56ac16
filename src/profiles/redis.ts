import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

const LOADED = 'CONFIG SET has read its files since they changed';

/** Redis and Valkey, from replica to primary (`tls-replication`) and between the nodes of a cluster (`tls-cluster`). Names are not checked. */
export const redis: Profile = {
  ...generic,
  name: 'redis',
  port: 6_379,
  acknowledgedWhen: { Append: LOADED, Roll: LOADED, Drop: LOADED, Prepare: LOADED, Swap: LOADED },
};
