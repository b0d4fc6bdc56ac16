import type { Profile } from './profile.ts';

const USES = 'it uses its Secret';

/** Any program that reads PEM files, honours every CA of a bundle, and uses one trust store and one leaf for both roles. */
export const generic: Profile = {
  name: 'generic',
  authorityKey: { algorithm: 'ECDSA', size: 256 },
  keyAlgorithms: ['RSA', 'ECDSA', 'Ed25519'],
  demandsDedicatedAuthority: false,
  leafKey: { algorithm: 'ECDSA', size: 256 },
  leafEncoding: 'PKCS8',
  netscapeCertType: false,
  commonName: (member) => member,
  dnsNames: () => [],
  provided: { commonName: 'Any', hostIn: null, because: null },
  outputs: () => [],
  bundleOrder: 'OldestFirst',
  bundle: 'honoured',
  protocol: 'TLS',
  port: null,
  acknowledgedWhen: { Append: USES, Roll: USES, Drop: USES },
  trustStores: 'shared',
  reload: 'make the member reload its files',
  quietInterval: 600_000,
  // RFC 8446 section 4.6.1: seven days at most. Go uses all of them, Java a day, GnuTLS six hours, OpenSSL and Node two.
  longestResumption: 7 * 24 * 3_600_000,
  maxProbesPerHour: 3_600,
};
