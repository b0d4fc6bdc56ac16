import type { Profile } from './profile.ts';

/** Any program that reads PEM files, honours every CA of a bundle, and uses one trust store and one leaf for both roles. */
export const generic: Profile = {
  name: 'generic',
  authorityKey: { algorithm: 'ECDSA', size: 256 },
  leafKey: { algorithm: 'ECDSA', size: 256 },
  leafEncoding: 'PKCS8',
  commonName: (member) => member,
  secret: { type: 'kubernetes.io/tls', bundle: 'ca.crt', certificate: 'tls.crt', privateKey: 'tls.key' },
  certificateName: 'tls',
  trustStores: 'shared',
  quietInterval: 600_000,
  maxProbesPerHour: 3_600,
};
