import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

/** Peers of an etcd cluster. A changed bundle is loaded by a restart only. */
export const etcd: Profile = {
  ...generic,
  name: 'etcd',
};
