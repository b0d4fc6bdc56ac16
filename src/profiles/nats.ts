import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

/** Routes and gateways of NATS servers. Leaf nodes say INFO before TLS: their endpoints have the protocol NATS. */
export const nats: Profile = {
  ...generic,
  name: 'nats',
};
