import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

const LOADED = 'it was reloaded (SIGHUP) since its files changed';

/** Routes and gateways of NATS servers. Leaf nodes say INFO before TLS: their endpoints have the protocol NATS. */
export const nats: Profile = {
  ...generic,
  name: 'nats',
  // Of routes. Gateways are configured at any; clients and leaf nodes speak NATS, at others.
  port: 6_222,
  provided: {
    commonName: 'Any',
    hostIn: 'AlternativeNames',
    because: 'a server looks for the host that it dials there and nowhere else',
  },
  reload: 'make the member reload its files: nats-server --signal reload',
  acknowledgedWhen: { Append: LOADED, Roll: LOADED, Drop: LOADED },
};
