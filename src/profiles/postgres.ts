import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

const LOADED =
  'it was reloaded (SELECT pg_reload_conf()) since its files changed, and its log says nothing against them';

/** PostgreSQL in streaming replication: one set of files for the server and for its WAL receiver. */
export const postgres: Profile = {
  ...generic,
  name: 'postgres',
  protocol: 'PostgreSQL',
  port: 5_432,
  reload: 'make the member reload its files: SELECT pg_reload_conf()',
  acknowledgedWhen: { Append: LOADED, Roll: LOADED, Drop: LOADED },
  // be-secure-openssl.c: neither session tickets nor a session cache.
  longestResumption: 0,
};
