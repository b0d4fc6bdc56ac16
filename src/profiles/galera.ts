import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

/** Galera 4, where the group talks: each node listens and dials with one set of files. */
export const galera: Profile = {
  ...generic,
  name: 'galera',
  port: 4_567,
  reload: "make the member reload its files: SET GLOBAL wsrep_provider_options = 'socket.ssl_reload=1'",
  // What OpenSSL gives where nobody says otherwise.
  longestResumption: 2 * 3_600_000,
};
