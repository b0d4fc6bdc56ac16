import { z } from 'zod';
import type { Definition } from './definition.ts';
import {
  atomic,
  conditions,
  type DeepReadonly,
  DELETION_POLICIES,
  display,
  dnsName,
  duration,
  instant,
  ipAddress,
  keyFields,
  keySizeRule,
  mapBy,
  mapOf,
  label,
  objectName,
  observedGeneration,
  PROFILES,
  printable,
  rsaRule,
  type Rule,
  setOf,
  sha256,
  shorterThan,
  subject,
  text,
  uri,
  whole,
  withRules,
} from './fields.ts';
import { profileParameters, profileRules } from './profile-parameters.ts';
import { outputObjects, outputRules, outputs } from './outputs.ts';
import { CLUSTER_CERTIFICATE, GROUP, LABELS, MAX_CA_NAME, MAX_GENERATION, MAX_NAME } from './names.ts';

/** The encodings in which a target system may want its private key. */
const KEY_ENCODINGS = ['PKCS8', 'PKCS1', 'SEC1'] as const;

const caRef = z.object({
  name: objectName(MAX_CA_NAME).describe('Name of the ReplicationCA. Required. Example: vast'),
  namespace: label()
    .optional()
    .describe(
      'Its namespace; the CA must list the namespace of this certificate in allowedNamespaces. ' +
        "Default: this certificate's own. Example: replication",
    ),
});

const privateKey = withRules(
  z.object({
    ...keyFields(3072),
    encoding: z
      .enum(KEY_ENCODINGS)
      .optional()
      .describe('Encoding of tls.key: PKCS8, PKCS1 (RSA only) or SEC1 (ECDSA only). Default: PKCS8. Example: PKCS1'),
  }),
  keySizeRule,
  {
    cel:
      "!has(self.encoding) || self.encoding == 'PKCS8' || (self.encoding == 'PKCS1' && self.algorithm == 'RSA') || " +
      "(self.encoding == 'SEC1' && self.algorithm == 'ECDSA')",
    says: 'must be PKCS8, or PKCS1 with RSA, or SEC1 with ECDSA',
    at: 'encoding',
    holds: ({ encoding, algorithm }) =>
      encoding === undefined ||
      encoding === 'PKCS8' ||
      (encoding === 'PKCS1' ? algorithm === 'RSA' : algorithm === 'ECDSA'),
  },
);

const MAX_KEYS = 16;
const KEY_PATTERN = /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = {
  pattern: /^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$/,
  says: 'must be a label value: letters, digits, hyphens, underscores and dots, beginning and ending with a letter or digit',
};

/** Keys of a label or annotation map: well-formed, and none that we write ourselves. */
const keyRules: readonly Rule<Record<string, string>>[] = [
  {
    cel: `self.all(k, k.size() <= 317 && k.matches(r'${KEY_PATTERN.source}'))`,
    says: 'must have keys such as team or example.com/team',
    holds: (map) => Object.keys(map).every((key) => key.length <= 317 && KEY_PATTERN.test(key)),
  },
  {
    cel: `self.all(k, !k.startsWith('${GROUP}/') && k != '${LABELS.managedBy}')`,
    says: `must not have keys under ${GROUP}/ or ${LABELS.managedBy}: Replicert writes those itself`,
    holds: (map) => Object.keys(map).every((key) => !key.startsWith(`${GROUP}/`) && key !== LABELS.managedBy),
  },
];

const keyMap = (value: z.ZodString) => withRules(mapOf(value, MAX_KEYS), ...keyRules);

const secretTemplate = z.object({
  labels: keyMap(text(63, LABEL_VALUE))
    .optional()
    .describe('Labels to put on the Secret, at most 16. Default: none. Example: {team: storage}'),
  annotations: keyMap(z.string().max(4_096))
    .optional()
    .describe(
      'Annotations to put on the Secret, at most 16. Default: none. Example: {reloader.stakater.com/match: "true"}',
    ),
});

const MAX_PROVIDED = 8;

const provided = z.object({
  secretRef: z
    .object({
      name: objectName().describe(
        "Name of the Secret, in the certificate's own namespace. Required. Example: vast1-g2",
      ),
    })
    .describe(
      'Secret of yours with a leaf, alone, under tls.crt and its key, not encrypted, under tls.key, PEM; a9s with MariaDB or MySQL: the leaf ' +
        'client there, and the leaf server, which must be another one, under server.crt and server.key. Required. ' +
        'Example: {name: vast1-g2}',
    ),
});

const spec = withRules(
  z.object({
    caRef: caRef.describe('The ReplicationCA whose mesh this member belongs to. Immutable. Required.'),
    profile: z
      .enum(PROFILES)
      .optional()
      .describe(
        "Target system of this member. One of profile vast has a CA of profile vast, and that has no others. Immutable. Default: the CA's " +
          'profile. Example: generic',
      ),
    ...profileParameters,
    commonName: printable(64)
      .optional()
      .describe(
        'Common name of the leaf, up to 64 characters. Default: by the profile; generic, drbd: metadata.name; a9s: *.node.dc1.<consulDomain>; vast: Replication-<metadata.name>. ' +
          'Example: vast1',
      ),
    subject: subject().optional().describe('Further parts of the name of the leaf. Default: none.'),
    dnsNames: setOf(dnsName(), 64)
      .optional()
      .describe(
        'DNS names of the member, at most 64, besides those of the profile; drbd: the common name; a9s: those that the vendor demands. Default: none. ' +
          'Example: [vast1.example.com]',
      ),
    ipAddresses: setOf(ipAddress(), 64)
      .optional()
      .describe('IP addresses of the member, at most 64. Default: none. Example: [172.31.1.1]'),
    uris: setOf(uri(), 16)
      .optional()
      .describe('URIs of the member, at most 16. Default: none. Example: ["spiffe://example.com/vast1"]'),
    privateKey: privateKey
      .optional()
      .describe(
        'Key of the leaf; a new one is made at every issue. Default: by the profile; generic, drbd: ECDSA 256, PKCS8; a9s: RSA 2048, PKCS1; vast: RSA 2048, PKCS8.',
      ),
    duration: duration({ least: '1m' })
      .optional()
      .describe(
        "Life of the leaf, at least 1m, cut to the CA's. Go duration. Default: 26280h (3 years). Example: 8760h",
      ),
    renewBefore: duration({ least: '1s' })
      .optional()
      .describe(
        'The leaf is renewed when less than this is left; never more than a third of its life. Go duration, at least 1s, shorter ' +
          'than duration. Default: 720h (30 days). Example: 1440h',
      ),
    reissueBefore: instant()
      .optional()
      .describe(
        'A leaf issued before this instant (RFC 3339) is replaced. Default: none. Example: 2026-10-05T00:00:00Z',
      ),
    provided: atomic(provided, 1, MAX_PROVIDED)
      .optional()
      .describe(
        `Leaves that you bring, at most ${MAX_PROVIDED}, for generations that were imported: they are judged and never altered, and the ` +
          'newest of the right generation is delivered; several may lie ready for generations to come. What the profile asks for, commonName ' +
          'and privateKey, where they are set, and all dnsNames, ipAddresses and uris are demanded of each; subject, duration and reissueBefore are for ' +
          'generations that are minted, whose leaves are issued as ever. Default: every leaf is issued. ' +
          'Example: [{secretRef: {name: vast1-g1}}, {secretRef: {name: vast1-g2}}]',
      ),
    secretName: objectName()
      .optional()
      .describe(
        'Secret to keep key, leaf and bundle in; one that is not ours is never overwritten. Immutable. ' +
          'Default: metadata.name. Example: vast1-tls',
      ),
    secretTemplate: secretTemplate.optional().describe('What else the Secret is to carry. Default: nothing.'),
    outputs: outputs()
      .optional()
      .describe(
        'Further keys of the Secret, at most 16: other encodings of the same key, certificate and bundle, always written together with ' +
          'them. Default: none. Example: [{type: PKCS12KeyStore, passwordSecretRef: {name: stores}}]',
      ),
    outputObjects: outputObjects(secretTemplate)
      .optional()
      .describe(
        'Further Secrets and ConfigMaps, at most 8, that follow the Secret. Default: none. ' +
          'Example: [{kind: ConfigMap, name: vast1-trust, outputs: [{type: Bundle}]}]',
      ),
    deletionPolicy: z
      .enum(DELETION_POLICIES)
      .optional()
      .describe(
        'What becomes of the Secret, and of outputObjects, when this object is deleted: Retain or Delete. They stay all the same if no ' +
          'operator runs then. ' +
          'Default: Retain. Example: Delete',
      ),
  }),
  shorterThan('renewBefore', 'duration'),
  ...profileRules,
  rsaRule,
  ...outputRules,
);

const status = z.object({
  observedGeneration: observedGeneration(),
  conditions: conditions().optional(),
  certificates: mapBy(
    'name',
    z.object({
      name: text(63).describe(
        'Which leaf of the profile; most have one, tls; a9s with MariaDB or MySQL: client, server. Example: tls',
      ),
      serialNumber: text(40).describe('Serial number, lower-case hex.'),
      fingerprint: sha256().describe('SHA-256 of the certificate (DER), lower-case hex.'),
      generation: whole(1, MAX_GENERATION).describe('Generation that signed it. Example: 2'),
      notBefore: instant().describe('Valid from, RFC 3339. Example: 2026-10-05T00:00:00Z'),
      notAfter: instant().describe('Valid until, RFC 3339. Example: 2029-10-04T00:00:00Z'),
      renewalTime: instant().describe('When it is to be renewed, RFC 3339. Example: 2029-09-04T00:00:00Z'),
    }),
    0,
    8,
  )
    .optional()
    .describe('The leaves in the Secret, by name. Default: none yet.'),
  bundleSha256: sha256().optional().describe('SHA-256 of ca.crt in the Secret, lower-case hex. Default: none yet.'),
  secretName: objectName()
    .optional()
    .describe('Secret that holds key, leaf and bundle. Default: none yet. Example: vast1'),
  revision: text(64)
    .optional()
    .describe(
      'Hash of the content of the Secret and the epoch in which it was decided. Default: none yet. Example: 3f2a9c1b',
    ),
  issuer: display().optional().describe('Generation that signed the leaf, for display. Default: none yet. Example: G2'),
  expires: display()
    .optional()
    .describe('Day on which the first leaf expires, for display. Default: none yet. Example: 2029-10-04'),
});

export type ClusterCertificateSpec = DeepReadonly<z.infer<typeof spec>>;
export type ClusterCertificateStatus = DeepReadonly<z.infer<typeof status>>;

export const clusterCertificateDefinition: Definition<
  'ClusterCertificate',
  ClusterCertificateSpec,
  ClusterCertificateStatus
> = {
  resource: CLUSTER_CERTIFICATE,
  shortName: 'ccert',
  description:
    'One member of a replication mesh: its leaf certificate, its key and the bundle it is to trust, in one Secret that is kept ' +
    'current. The leaf is for client and server at once.',
  name: { most: MAX_NAME, because: 'it is a label of its Secret and the default common name' },
  spec,
  status,
  immutable: {
    caRef: 'to move a member to another ReplicationCA, create a ClusterCertificate of another name for it',
    profile: 'create a ClusterCertificate of another name with the profile you want',
    a9s: 'create a ClusterCertificate of another name for another service instance',
    secretName: 'create a ClusterCertificate of another name with the secretName you want',
  },
  selectable: ['.spec.caRef.name', '.spec.caRef.namespace'],
  columns: [
    {
      name: 'Ready',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: 'Whether the Secret holds a valid leaf and the current bundle.',
    },
    { name: 'CA', type: 'string', jsonPath: '.spec.caRef.name', description: 'The ReplicationCA.' },
    { name: 'Issuer', type: 'string', jsonPath: '.status.issuer', description: 'The generation that signed the leaf.' },
    {
      name: 'Delivered',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Delivered")].status',
      description: 'Whether this revision was seen at the member.',
    },
    { name: 'Expires', type: 'string', jsonPath: '.status.expires', description: 'Day on which the leaf expires.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since creation.' },
  ],
};
