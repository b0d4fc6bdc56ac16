import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

const LOADED = 'socket.ssl_reload=1 was set since its files changed';
const RESTARTED = 'it was restarted since its ca.crt changed';

/** Galera 4, where the group talks: each node listens and dials with one set of files. */
export const galera: Profile = {
  ...generic,
  name: 'galera',
  port: 4_567,
  reload:
    "make the member reload its files: SET GLOBAL wsrep_provider_options = 'socket.ssl_reload=1' (a CA that has left the bundle it forgets only when it is restarted)",
  acknowledgedWhen: { Append: LOADED, Roll: LOADED, Drop: RESTARTED },
  // What OpenSSL gives where nobody says otherwise.
  longestResumption: 2 * 3_600_000,
};
