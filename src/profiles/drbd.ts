/**
 * DRBD 9.2.6 and newer with in-kernel TLS. Handshakes are made by tlshd (ktls-utils): GnuTLS in TLS 1.3 only, which reads all its files for
 * each handshake. Facts: LINBIT, "Encrypted Replication With DRBD"; ktls-utils, tlshd.conf(5) and src/tlshd; Piraeus, internalTLS.
 */
import { generic } from './generic.ts';
import type { MemberRequest, Profile } from './profile.ts';

/** Where Piraeus mounts the Secret of a node into the container of tlshd. */
const DIRECTORY = '/etc/tlshd.d';

const SEEN =
  'the files of this Secret are on the node and a handshake after that has succeeded (drbdadm disconnect and adjust of a resource; tlshd ' +
  'logs "Handshake with ... was successful")';

export const drbd: Profile = {
  ...generic,
  name: 'drbd',
  // The connecting side looks for the name of whom it dials, as in `on <node>`, among the DNS names of its leaf.
  dnsNames: ({ subject }) => [subject.commonName],
  // LINBIT's own recipe has it in the common name only, where GnuTLS looks if there are no other names.
  provided: {
    commonName: 'Any',
    hostIn: 'AlternativeNamesOrCommonName',
    because: 'tlshd looks for the node that it dials there (in the common name of a leaf without any)',
  },
  outputs: (member) => [
    { key: 'tlshd.conf', encode: () => Buffer.from(tlshdConf(member)) },
    { key: 'drbd-tls.res', encode: () => Buffer.from(resourceSnippet(member)) },
  ],
  // tlshd takes them in any order. LINSTOR takes the first one, and its own leaf, when its pod starts: like this they fit each other.
  bundleOrder: 'IssuerFirst',
  // A connection begins with a packet of DRBD's own: nobody else can shake hands there.
  protocol: null,
  reload: 'bring its files to the node, where tlshd reads them for each handshake',
  acknowledgedWhen: { Append: SEEN, Roll: SEEN, Drop: SEEN },
};

function tlshdConf({ mesh, subject, parameters }: MemberRequest): string {
  const directory = parameters.drbd?.directory ?? DIRECTORY;
  const files = [
    `x509.truststore=${directory}/ca.crt`,
    `x509.certificate=${directory}/tls.crt`,
    `x509.private_key=${directory}/tls.key`,
  ];
  return lines(
    `# Of node ${subject.commonName}, ReplicationCA ${mesh}. Its place is /etc/tlshd/config (ktls-utils 1.3 and newer) or /etc/tlshd.conf, root:root 0644;`,
    '# restart tlshd when it has changed. The files that it names are read for each handshake: when those change nobody need be told.',
    `# Owner and mode: ${directory} root:root 0700, ca.crt and tls.crt root:root 0644, tls.key root:root 0600.`,
    `# Without ca.crt tlshd trusts the CAs of the system.`,
    '[authenticate.client]',
    ...files,
    '',
    '[authenticate.server]',
    ...files,
  );
}

const resourceSnippet = ({ mesh }: MemberRequest): string =>
  lines(
    `# ReplicationCA ${mesh}: a part of "resource <name> { ... }", alike on all of its nodes.`,
    'net {',
    '    tls yes;',
    '}',
  );

const lines = (...all: readonly string[]): string => `${all.join('\n')}\n`;
