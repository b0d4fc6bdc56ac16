import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

const LOADED = 'FLUSH LOCAL SSL (MySQL: ALTER INSTANCE RELOAD TLS) has succeeded since its files changed';

/** MariaDB and MySQL, a primary and its replicas: one set of files for the server and for its replication threads. */
export const mysql: Profile = {
  ...generic,
  name: 'mysql',
  protocol: 'MySQL',
  port: 3_306,
  reload: 'make the member reload its files: FLUSH LOCAL SSL (MariaDB), ALTER INSTANCE RELOAD TLS (MySQL)',
  acknowledgedWhen: { Append: LOADED, Roll: LOADED, Drop: LOADED },
  // Ssl_default_timeout of both.
  longestResumption: 2 * 3_600_000,
};
