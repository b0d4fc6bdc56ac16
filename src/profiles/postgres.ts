import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

/** PostgreSQL in streaming replication: one set of files for the server and for its WAL receiver. */
export const postgres: Profile = {
  ...generic,
  name: 'postgres',
  protocol: 'PostgreSQL',
  port: 5_432,
  reload: 'make the member reload its files: SELECT pg_reload_conf()',
  // be-secure-openssl.c: neither session tickets nor a session cache.
  longestResumption: 0,
};
