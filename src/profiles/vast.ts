import { rootedChainPem } from '../outputs/pem.ts';
import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

const UPLOADED = 'the upload of its certificate, key and root has succeeded since they changed';

/**
 * Secure replication of VAST clusters, by the vendor's "Configuring Secure Replication Certificates". Whoever presents a certificate of the
 * CA is let in, so the CA must sign for nothing else. Names are not checked.
 */
export const vast: Profile = {
  ...generic,
  name: 'vast',
  // The recipe's keys. No other algorithm is documented.
  authorityKey: { algorithm: 'RSA', size: 4096 },
  keyAlgorithms: ['RSA'],
  demandsDedicatedAuthority: true,
  leafKey: { algorithm: 'RSA', size: 2048 },
  netscapeCertType: true,
  commonName: (member) => `Replication-${member}`,
  // What a cluster shows at its port: it adds the root itself, so that what is uploaded as its certificate is the leaf alone.
  outputs: () => [{ key: 'tls-chain.crt', encode: rootedChainPem }],
  // There is one field for the root. That it may hold two is documented nowhere.
  bundle: 'unknown',
  port: 49_002,
  acknowledgedWhen: {
    Append: UPLOADED,
    Roll: UPLOADED,
    Drop: UPLOADED,
  },
  reload: 'upload its certificate, key and root to the cluster',
};
