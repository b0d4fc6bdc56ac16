import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

const LOADED = 'its PEM cache was cleared since its files changed';

/** Brokers that take messages from each other by AMQP over TLS: federation, shovels. */
export const rabbitmq: Profile = {
  ...generic,
  name: 'rabbitmq',
  // Of AMQP over TLS.
  port: 5_671,
  reload: "make the member reload its files: rabbitmqctl eval 'ssl:clear_pem_cache().'",
  acknowledgedWhen: { Append: LOADED, Roll: LOADED, Drop: LOADED },
  // Of Erlang, in TLS 1.2 and where reuse_sessions is not false; it does not say so when it gives a session.
  longestResumption: 24 * 3_600_000,
};
