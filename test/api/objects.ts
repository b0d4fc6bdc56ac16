/**
 * Good and bad objects of each kind. objects.test.ts feeds them to zod, objects.cluster.test.ts to a real API server: both must agree
 * on every row, and both must say it in words.
 */
import type { Kind } from '../../src/api/names.ts';

export interface Row {
  readonly kind: Kind;
  readonly what: string;
  /** Default: an ordinary name. */
  readonly name?: string;
  /** The spec; in an update, the one after it. */
  readonly spec: unknown;
  /** Present: an update from this spec. */
  readonly before?: unknown;
  /** Null: accepted. */
  readonly refused: Refusal | null;
}

export interface Refusal {
  /** The field that both must name. */
  readonly at: string;
  /** What zod must say; the API server too where `server` is absent. */
  readonly says: string;
  /** What the API server says by itself, for rules that OpenAPI has. */
  readonly server?: string;
}

/** What is wrong about a verdict on a row; null: it is as it should be. `words` are those that it must use. */
export function objection({ refused }: Row, said: string | null, words: (refusal: Refusal) => string): string | null {
  if (refused === null) return said === null ? null : `refused, though it is good: ${said}`;
  if (said === null) return 'accepted, though it is bad';
  const missing = [refused.at, words(refused)].filter((phrase) => !said.includes(phrase));
  return missing.length === 0 ? null : `refused without saying "${missing.join('" and "')}": ${said}`;
}

const ENUM = 'Unsupported value';
const REQUIRED = { says: 'is required', server: 'Required value' };
const duplicates = (says: string) => ({ says, server: 'Duplicate value' });

// ---------------------------------------------------------------------------------------------------- ReplicationCA

const ca = (what: string, spec: unknown, refused: Refusal | null = null): Row => ({
  kind: 'ReplicationCA',
  what,
  spec,
  refused,
});

const KEY_SIZE = { at: 'spec.privateKey.size', says: 'must be 2048, 3072 or 4096 with RSA, 256 or 384 with ECDSA' };
const DURATION = 'must be a duration with units h, m, s or ms in this order, such as 8760h or 1h30m';

const replicationCas: readonly Row[] = [
  ca('nothing but an empty spec', {}),
  ca('no spec at all', undefined, { at: 'spec', ...REQUIRED }),
  ca('a list for a spec', [], { at: 'spec', says: 'must be an object', server: 'must be of type object' }),
  ca('everything', {
    profile: 'generic',
    commonName: 'Replication-Root-CA',
    subject: { organizations: ['Müller & Söhne AG'], organizationalUnits: ['Storage', 'Berlin'], countries: ['DE'] },
    privateKey: { algorithm: 'RSA', size: 4096 },
    duration: '87600h',
    renewBefore: '8760h',
    passphraseSecretRef: { name: 'ca-pass', key: 'passphrase' },
    allowedNamespaces: ['storage-a', 'storage-b'],
    deletionPolicy: 'Delete',
    rotation: {
      generation: 2,
      maxConcurrent: '25%',
      soak: '10m',
      paused: true,
      approval: { required: ['Roll', 'Drop'], upTo: { generation: 2, stage: 'Roll' } },
      departed: ['storage-a/vast3'],
    },
  }),
  ca('null where nothing is wanted', { commonName: null, rotation: null }),
  ca('an unknown profile', { profile: 'vast' }, { at: 'spec.profile', says: 'must be generic', server: ENUM }),
  ca('an empty common name', { commonName: '' }, { at: 'spec.commonName', says: 'must not be empty' }),
  ca('a common name of 56 characters', { commonName: 'c'.repeat(56) }),
  ca('a common name of 56 characters beyond 16 bits', { commonName: '𝄞'.repeat(56) }),
  ca(
    'a common name of 57 characters',
    { commonName: 'c'.repeat(57) },
    { at: 'spec.commonName', says: 'at most 56 characters', server: 'may not be more than 56' },
  ),
  ca('a common name with a line feed', { commonName: 'a\nb' }, { at: 'spec.commonName', says: 'control characters' }),
  ca(
    'a common name with a space at its end',
    { commonName: 'a ' },
    { at: 'spec.commonName', says: 'end with a space' },
  ),
  ca(
    'a number for a common name',
    { commonName: 7 },
    { at: 'spec.commonName', says: 'must be a text (got 7)', server: 'must be of type string' },
  ),
  ca(
    'a country in words',
    { subject: { countries: ['Germany'] } },
    { at: 'spec.subject.countries[0]', says: 'at most 2 characters', server: 'may not be more than 2' },
  ),
  ca(
    'a country in small letters',
    { subject: { countries: ['DE', 'ch'] } },
    { at: 'spec.subject.countries[1]', says: 'two capital letters' },
  ),
  ca(
    'nine organizations',
    { subject: { organizations: 'ABCDEFGHI'.split('') } },
    { at: 'spec.subject.organizations', says: 'at most 8 items', server: 'must have at most 8 items' },
  ),
  ca('ECDSA without a size', { privateKey: { algorithm: 'ECDSA' } }),
  ca('Ed25519', { privateKey: { algorithm: 'Ed25519' } }),
  ca(
    'a key size without an algorithm',
    { privateKey: { size: 2048 } },
    { at: 'spec.privateKey.algorithm', ...REQUIRED },
  ),
  ca(
    'an algorithm in small letters',
    { privateKey: { algorithm: 'rsa' } },
    { at: 'spec.privateKey.algorithm', says: 'must be one of RSA, ECDSA, Ed25519 (got "rsa")', server: ENUM },
  ),
  ca('RSA of 256 bits', { privateKey: { algorithm: 'RSA', size: 256 } }, KEY_SIZE),
  ca('ECDSA of 4096 bits', { privateKey: { algorithm: 'ECDSA', size: 4096 } }, KEY_SIZE),
  ca('Ed25519 with a size', { privateKey: { algorithm: 'Ed25519', size: 256 } }, KEY_SIZE),
  ca(
    'RSA of 1024 bits',
    { privateKey: { algorithm: 'RSA', size: 1024 } },
    { at: 'spec.privateKey.size', says: 'must be one of 256, 384, 2048, 3072, 4096 (got 1024)', server: ENUM },
  ),
  ca('a duration in several units', { duration: '1h30m0.5s' }),
  ca('the longest duration', { duration: '999999h' }),
  ca('a duration in days', { duration: '3650d' }, { at: 'spec.duration', says: DURATION }),
  ca('a duration without a unit', { duration: '3600' }, { at: 'spec.duration', says: DURATION }),
  ca('a negative duration', { duration: '-1h' }, { at: 'spec.duration', says: DURATION }),
  ca('a duration of seven digits of hours', { duration: '1000000h' }, { at: 'spec.duration', says: DURATION }),
  ca('a duration of half a minute', { duration: '30s' }, { at: 'spec.duration', says: 'at least 1m' }),
  ca(
    'an empty duration',
    { duration: '' },
    { at: 'spec.duration', says: 'must not be empty', server: 'at least 1 chars' },
  ),
  ca('renewBefore below duration', { duration: '24h', renewBefore: '8h' }),
  ca('renewBefore alone, above the default', { renewBefore: '99999h' }),
  ca(
    'renewBefore equal to duration',
    { duration: '24h', renewBefore: '1440m' },
    { at: 'spec.renewBefore', says: 'must be shorter than duration' },
  ),
  ca('a passphrase without a key', { passphraseSecretRef: { name: 'p' } }),
  ca(
    'a passphrase without a name',
    { passphraseSecretRef: { key: 'p' } },
    { at: 'spec.passphraseSecretRef.name', ...REQUIRED },
  ),
  ca(
    'a passphrase key with a slash',
    { passphraseSecretRef: { name: 'p', key: 'a/b' } },
    { at: 'spec.passphraseSecretRef.key', says: 'must be a key of a Secret' },
  ),
  ca('all namespaces', { allowedNamespaces: ['*'] }),
  ca('no namespaces', { allowedNamespaces: [] }),
  ca(
    'all namespaces and one',
    { allowedNamespaces: ['a', '*'] },
    { at: 'spec.allowedNamespaces', says: 'must hold * alone, or names only' },
  ),
  ca(
    'a namespace twice',
    { allowedNamespaces: ['a', 'a'] },
    { at: 'spec.allowedNamespaces', ...duplicates('must not name anything twice') },
  ),
  ca(
    'a namespace by a pattern',
    { allowedNamespaces: ['team-*'] },
    { at: 'spec.allowedNamespaces[0]', says: 'must be the name of a namespace, or * for all' },
  ),
  ca(
    'an unknown deletion policy',
    { deletionPolicy: 'Keep' },
    { at: 'spec.deletionPolicy', says: 'must be one of Retain, Delete', server: ENUM },
  ),
  ca(
    'generation 0',
    { rotation: { generation: 0 } },
    { at: 'spec.rotation.generation', says: 'must be 1 or more (got 0)', server: 'greater than or equal to 1' },
  ),
  ca(
    'generation 1000000',
    { rotation: { generation: 1_000_000 } },
    { at: 'spec.rotation.generation', says: 'must be 999999 or less', server: 'less than or equal to 999999' },
  ),
  ca(
    'half a generation',
    { rotation: { generation: 1.5 } },
    { at: 'spec.rotation.generation', says: 'must be a whole number (got 1.5)', server: 'must be of type integer' },
  ),
  ca(
    'a generation as text',
    { rotation: { generation: '2' } },
    { at: 'spec.rotation.generation', says: 'must be a whole number', server: 'must be of type integer' },
  ),
  ca('maxConcurrent as a number', { rotation: { maxConcurrent: 3 } }),
  ca('maxConcurrent of all', { rotation: { maxConcurrent: '100%' } }),
  ...[0, '0%', '101%', '5', '5 %', 1_001].map((maxConcurrent) =>
    ca(
      `maxConcurrent ${JSON.stringify(maxConcurrent)}`,
      { rotation: { maxConcurrent } },
      {
        at: 'spec.rotation.maxConcurrent',
        says: 'must be a number from 1 to 1000 or a percentage from 1% to 100%',
      },
    ),
  ),
  ca(
    'maxConcurrent as a fraction',
    { rotation: { maxConcurrent: 0.5 } },
    { at: 'spec.rotation.maxConcurrent', says: 'must be a number or a percentage', server: 'must be of type' },
  ),
  ca('no soak', { rotation: { soak: '0s' } }),
  ca('a soak of 31 days', { rotation: { soak: '744h' } }, { at: 'spec.rotation.soak', says: 'from 0s to 720h' }),
  ca(
    'a pause in words',
    { rotation: { paused: 'yes' } },
    { at: 'spec.rotation.paused', says: 'must be true or false', server: 'must be of type boolean' },
  ),
  ca('an approval of nothing yet', { rotation: { approval: { required: ['Drop'] } } }),
  ca(
    'an approval that does not say what it is for',
    { rotation: { approval: { upTo: { generation: 2, stage: 'Roll' } } } },
    { at: 'spec.rotation.approval.required', ...REQUIRED },
  ),
  ca(
    'an approval that requires nothing',
    { rotation: { approval: { required: [] } } },
    { at: 'spec.rotation.approval.required', says: 'at least 1', server: 'should have at least 1 items' },
  ),
  ca(
    'an approval of Append',
    { rotation: { approval: { required: ['Append'] } } },
    { at: 'spec.rotation.approval.required[0]', says: 'must be one of Roll, Drop (got "Append")', server: ENUM },
  ),
  ca(
    'an approval for whatever generation',
    { rotation: { approval: { required: ['Drop'], upTo: { stage: 'Drop' } } } },
    { at: 'spec.rotation.approval.upTo.generation', ...REQUIRED },
  ),
  ca(
    'an approval up to no stage',
    { rotation: { approval: { required: ['Drop'], upTo: { generation: 2 } } } },
    { at: 'spec.rotation.approval.upTo.stage', ...REQUIRED },
  ),
  ca(
    'someone departed without a namespace',
    { rotation: { departed: ['vast3'] } },
    { at: 'spec.rotation.departed[0]', says: 'must be namespace/name of a ClusterCertificate' },
  ),
  { ...ca('a name of 52 characters', {}), name: 'n'.repeat(52) },
  {
    ...ca(
      'a name of 53 characters',
      {},
      { at: 'metadata.name', says: 'must have at most 52 characters: the names of its' },
    ),
    name: 'n'.repeat(53),
  },
  {
    ...ca('a change of everything', { commonName: 'b', profile: 'generic', duration: '2h' }),
    before: { commonName: 'a' },
  },
];

// ---------------------------------------------------------------------------------------------------- ClusterCertificate

const certificate = (what: string, fields: object, refused: Refusal | null = null): Row => ({
  kind: 'ClusterCertificate',
  what,
  spec: { caRef: { name: 'vast' }, ...fields },
  refused,
});
const change = (what: string, before: object, after: object, refused: Refusal | null = null): Row => ({
  ...certificate(what, after, refused),
  before: { caRef: { name: 'vast' }, ...before },
});

const ENCODING = { at: 'spec.privateKey.encoding', says: 'must be PKCS8, or PKCS1 with RSA, or SEC1 with ECDSA' };
const IP = 'must be an IPv4 or IPv6 address without a prefix length';
const OURS = 'must not have keys under replicert.io/ or app.kubernetes.io/managed-by';

const clusterCertificates: readonly Row[] = [
  certificate('nothing but a CA', {}),
  { kind: 'ClusterCertificate', what: 'no CA', spec: {}, refused: { at: 'spec.caRef', ...REQUIRED } },
  certificate('a CA without a name', { caRef: { namespace: 'a' } }, { at: 'spec.caRef.name', ...REQUIRED }),
  certificate('a CA elsewhere', { caRef: { name: 'vast', namespace: 'replication' } }),
  certificate(
    'a CA name in capitals',
    { caRef: { name: 'VAST' } },
    { at: 'spec.caRef.name', says: 'lower-case letters, digits, hyphens and dots' },
  ),
  certificate(
    'a CA namespace with a dot',
    { caRef: { name: 'vast', namespace: 'a.b' } },
    { at: 'spec.caRef.namespace', says: 'must be a DNS label' },
  ),
  certificate('everything', {
    profile: 'generic',
    commonName: 'Replication-vast1',
    subject: { organizations: ['Example AG'] },
    dnsNames: ['vast1.example.com', '*.example.com', 'vast1'],
    ipAddresses: ['172.31.1.1', '2001:db8::1'],
    uris: ['spiffe://example.com/vast1'],
    privateKey: { algorithm: 'ECDSA', size: 384, encoding: 'SEC1' },
    duration: '26280h',
    renewBefore: '720h',
    reissueBefore: '2026-10-05T00:00:00Z',
    secretName: 'vast1.tls',
    secretTemplate: { labels: { team: 'storage', 'example.com/tier': '' }, annotations: { 'a.b/c': 'any thing: {}' } },
    deletionPolicy: 'Retain',
  }),
  certificate('a common name of 64 characters', { commonName: 'c'.repeat(64) }),
  certificate(
    'a DNS name in capitals',
    { dnsNames: ['Vast1.example.com'] },
    { at: 'spec.dnsNames[0]', says: 'must be a DNS name in lower case' },
  ),
  certificate(
    'a wildcard in the middle',
    { dnsNames: ['a', 'a.*.example.com'] },
    { at: 'spec.dnsNames[1]', says: 'must be a DNS name in lower case' },
  ),
  certificate('a bare wildcard', { dnsNames: ['*'] }, { at: 'spec.dnsNames[0]', says: 'must be a DNS name' }),
  certificate(
    'a DNS name twice',
    { dnsNames: ['a', 'a'] },
    { at: 'spec.dnsNames', ...duplicates('must not name anything twice') },
  ),
  certificate(
    'sixty-five DNS names',
    { dnsNames: Array.from({ length: 65 }, (_, n) => `n${n}`) },
    { at: 'spec.dnsNames', says: 'at most 64 items', server: 'must have at most 64 items' },
  ),
  certificate('sixty-four DNS names, as long as can be', {
    dnsNames: Array.from(
      { length: 64 },
      (_, n) => `${String(n).padStart(59, 'n')}.${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}`,
    ),
  }),
  certificate('addresses of all shapes', {
    ipAddresses: [
      '0.0.0.0',
      '255.255.255.255',
      '::',
      '::1',
      '1::',
      '1:2:3:4:5:6:7:8',
      '1:2:3:4:5:6:7::',
      '::2:3:4:5:6:7:8',
      'fe80::a:B',
    ],
  }),
  ...[
    '256.1.1.1',
    '1.2.3',
    '01.2.3.4',
    '10.0.0.0/8',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    ':1',
    '1:',
    ':::',
    'fe80::1%eth0',
    '::ffff:192.0.2.1',
    'vast1',
  ].map((address) =>
    certificate(`address ${address}`, { ipAddresses: [address] }, { at: 'spec.ipAddresses[0]', says: IP }),
  ),
  certificate('a URI without a scheme', { uris: ['//a/b'] }, { at: 'spec.uris[0]', says: 'must be an absolute URI' }),
  certificate('a URI with a space', { uris: ['http://a b'] }, { at: 'spec.uris[0]', says: 'must be an absolute URI' }),
  certificate('PKCS1 with RSA', { privateKey: { algorithm: 'RSA', encoding: 'PKCS1' } }),
  certificate('PKCS8 with Ed25519', { privateKey: { algorithm: 'Ed25519', encoding: 'PKCS8' } }),
  certificate('PKCS1 with ECDSA', { privateKey: { algorithm: 'ECDSA', encoding: 'PKCS1' } }, ENCODING),
  certificate('SEC1 with RSA', { privateKey: { algorithm: 'RSA', encoding: 'SEC1' } }, ENCODING),
  certificate('SEC1 with Ed25519', { privateKey: { algorithm: 'Ed25519', encoding: 'SEC1' } }, ENCODING),
  certificate(
    'an encoding without an algorithm',
    { privateKey: { encoding: 'PKCS8' } },
    { at: 'spec.privateKey.algorithm', ...REQUIRED },
  ),
  certificate(
    'renewBefore above duration',
    { duration: '1h', renewBefore: '2h' },
    { at: 'spec.renewBefore', says: 'must be shorter than duration' },
  ),
  ...['2026-10-05T00:00:00.5+02:00', '2026-10-05T00:00:00,123456789Z', '2024-02-29T23:59:59-24:00'].map(
    (reissueBefore) => certificate(`reissueBefore ${reissueBefore}`, { reissueBefore }),
  ),
  ...['2026-10-05t00:00:00z', '2026-10-05T00:00:00+99:00', '1969-12-31T23:59:59Z'].map((reissueBefore) =>
    certificate(
      `reissueBefore ${reissueBefore}`,
      { reissueBefore },
      {
        at: 'spec.reissueBefore',
        says: 'must be an instant in RFC 3339, 1970 or later, such as 2026-10-05T00:00:00Z',
      },
    ),
  ),
  ...['2026-10-05', '2026-02-29T00:00:00Z', '2026-10-05T24:00:00Z', '2026-10-05T00:00Z', 'tomorrow'].map(
    (reissueBefore) =>
      certificate(
        `reissueBefore ${reissueBefore}`,
        { reissueBefore },
        {
          at: 'spec.reissueBefore',
          says: 'must be an instant in RFC 3339',
          server: 'must be of type date-time',
        },
      ),
  ),
  certificate(
    'a Secret name with an underscore',
    { secretName: 'a_b' },
    { at: 'spec.secretName', says: 'must be the name of an object' },
  ),
  certificate(
    'our label',
    { secretTemplate: { labels: { 'replicert.io/role': 'x' } } },
    { at: 'spec.secretTemplate.labels', says: OURS },
  ),
  certificate(
    'the label of the manager',
    { secretTemplate: { labels: { 'app.kubernetes.io/managed-by': 'x' } } },
    { at: 'spec.secretTemplate.labels', says: OURS },
  ),
  certificate(
    'our annotation',
    { secretTemplate: { annotations: { 'replicert.io/epoch': '9' } } },
    { at: 'spec.secretTemplate.annotations', says: OURS },
  ),
  certificate(
    'a label key with a space',
    { secretTemplate: { labels: { 'a b': 'x' } } },
    { at: 'spec.secretTemplate.labels', says: 'must have keys such as team or example.com/team' },
  ),
  certificate(
    'a label value with a space',
    { secretTemplate: { labels: { a: 'x y' } } },
    { at: 'spec.secretTemplate.labels', says: 'must be a label value' },
  ),
  certificate(
    'seventeen labels',
    { secretTemplate: { labels: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`l${n}`, 'x'])) } },
    { at: 'spec.secretTemplate.labels', says: 'at most 16 entries', server: 'must have at most 16 items' },
  ),
  { ...certificate('a name of 63 characters', {}), name: 'n'.repeat(63) },
  {
    ...certificate('a name of 64 characters', {}, { at: 'metadata.name', says: 'must have at most 63 characters' }),
    name: 'n'.repeat(64),
  },

  change(
    'updates of what may change',
    { duration: '3h' },
    { duration: '4h', dnsNames: ['a'], reissueBefore: '2026-10-05T00:00:00Z' },
  ),
  change(
    'an update that keeps what is immutable',
    { profile: 'generic', secretName: 's' },
    { profile: 'generic', secretName: 's' },
  ),
  change(
    'a move to another CA',
    {},
    { caRef: { name: 'drbd' } },
    {
      at: 'spec.caRef',
      says: 'cannot be changed: to move a member to another ReplicationCA, create a ClusterCertificate of another name',
    },
  ),
  change(
    'a CA namespace that is added',
    {},
    { caRef: { name: 'vast', namespace: 'a' } },
    { at: 'spec.caRef', says: 'cannot be changed' },
  ),
  change(
    'a profile that is added',
    {},
    { profile: 'generic' },
    { at: 'spec.profile', says: 'cannot be changed: create' },
  ),
  change(
    'a profile that is removed',
    { profile: 'generic' },
    {},
    { at: 'spec.profile', says: 'cannot be changed: create' },
  ),
  change(
    'a Secret name that is added',
    {},
    { secretName: 's' },
    { at: 'spec.secretName', says: 'cannot be changed: create' },
  ),
  change(
    'a Secret name that is removed',
    { secretName: 's' },
    {},
    { at: 'spec.secretName', says: 'cannot be changed: create' },
  ),
  change(
    'another Secret name',
    { secretName: 's' },
    { secretName: 't' },
    { at: 'spec.secretName', says: 'create a ClusterCertificate of another name with the secretName you want' },
  ),
];

// ---------------------------------------------------------------------------------------------------- ReplicationPeer

const at = (host: string) => [{ host, port: 8201 }];
const one = { name: 'vast1', endpoints: at('172.31.1.1') };
const two = { name: 'vast2', endpoints: at('172.31.2.1') };
const acknowledged = {
  revision: '3f2a9c1b',
  generation: 2,
  stage: 'Append',
  by: 'jane@example.com',
  reason: 'restarted by hand, log of 10:32',
  expires: '2026-12-01T00:00:00Z',
};
const peer = (what: string, spec: unknown, refused: Refusal | null = null): Row => ({
  kind: 'ReplicationPeer',
  what,
  spec,
  refused,
});
const HOST = {
  at: 'spec.members[0].endpoints[0].host',
  says: 'must be a DNS name in lower case or an IP address, without scheme, port or brackets',
};

const replicationPeers: readonly Row[] = [
  peer('two members', { members: [one, two] }),
  peer('everything', {
    topology: 'Star',
    center: 'vast1',
    members: [
      one,
      {
        name: 'eu',
        certificateRef: { name: 'secondary', namespace: 'eu' },
        endpoints: [
          { host: 'eu.example.com', port: 1, instances: 'One' },
          { host: '2001:db8::1', port: 65_535, instances: 'Many' },
        ],
        proof: 'Handshake',
        acknowledged,
      },
    ],
    probe: { interval: '1s', timeout: '100ms' },
  }),
  peer('no members', {}, { at: 'spec.members', ...REQUIRED }),
  peer(
    'an empty list of members',
    { members: [] },
    { at: 'spec.members', says: 'at least 1 item', server: 'at least 1 items' },
  ),
  peer('sixty-four members', {
    members: Array.from({ length: 64 }, (_, n) => ({ ...one, name: `m${n}` })),
  }),
  peer(
    'sixty-five members',
    { members: Array.from({ length: 65 }, (_, n) => ({ ...one, name: `m${n}` })) },
    { at: 'spec.members', says: 'at most 64 items', server: 'must have at most 64 items' },
  ),
  peer(
    'a member twice',
    { members: [one, { ...two, name: 'vast1' }] },
    { at: 'spec.members', ...duplicates('must not have two entries of the same name') },
  ),
  peer('a member without a name', { members: [{ endpoints: at('a') }] }, { at: 'spec.members[0].name', ...REQUIRED }),
  peer(
    'a member name with a dot',
    { members: [{ ...one, name: 'a.b' }] },
    { at: 'spec.members[0].name', says: 'must be a DNS label: lower-case letters, digits and hyphens' },
  ),
  peer('a member without endpoints, to be acknowledged', { members: [{ name: 'a' }] }),
  peer('a member that says so', { members: [{ name: 'a', proof: 'Acknowledge' }] }),
  peer('a member with endpoints that nobody can reach', { members: [{ ...one, proof: 'Acknowledge' }] }),
  peer(
    'a handshake with nowhere',
    { members: [{ name: 'a', proof: 'Handshake' }] },
    { at: 'spec.members[0].proof', says: 'must be Acknowledge without endpoints' },
  ),
  peer(
    'an unknown proof',
    { members: [{ ...one, proof: 'Trust' }] },
    { at: 'spec.members[0].proof', says: 'must be one of Handshake, Acknowledge (got "Trust")', server: ENUM },
  ),
  ...(['revision', 'generation', 'stage', 'by', 'reason', 'expires'] as const).map((field) => {
    const { [field]: _, ...rest } = acknowledged;
    return peer(
      `an acknowledgement without ${field}`,
      { members: [{ ...one, acknowledged: rest }] },
      { at: `spec.members[0].acknowledged.${field}`, ...REQUIRED },
    );
  }),
  peer(
    'an acknowledgement for no day',
    { members: [{ ...one, acknowledged: { ...acknowledged, expires: 'tomorrow' } }] },
    { at: 'spec.members[0].acknowledged.expires', says: 'must be an instant in RFC 3339', server: 'must be of type' },
  ),
  peer(
    'a member with an empty list of endpoints',
    { members: [{ name: 'a', endpoints: [] }] },
    { at: 'spec.members[0].endpoints', says: 'at least 1 item', server: 'at least 1 items' },
  ),
  peer(
    'seventeen endpoints',
    { members: [{ name: 'a', endpoints: Array.from({ length: 17 }, () => ({ host: 'a', port: 1 })) }] },
    { at: 'spec.members[0].endpoints', says: 'at most 16 items', server: 'must have at most 16 items' },
  ),
  peer(
    'an endpoint without a port',
    { members: [one, { name: 'a', endpoints: [{ host: 'a' }] }] },
    { at: 'spec.members[1].endpoints[0].port', ...REQUIRED },
  ),
  peer(
    'port 0',
    { members: [{ name: 'a', endpoints: [{ host: 'a', port: 0 }] }] },
    {
      at: 'spec.members[0].endpoints[0].port',
      says: 'must be 1 or more (got 0)',
      server: 'greater than or equal to 1',
    },
  ),
  peer(
    'port 65536',
    { members: [{ name: 'a', endpoints: [{ host: 'a', port: 65_536 }] }] },
    { at: 'spec.members[0].endpoints[0].port', says: 'must be 65535 or less', server: 'less than or equal to 65535' },
  ),
  peer(
    'a port as text',
    { members: [{ name: 'a', endpoints: [{ host: 'a', port: '80' }] }] },
    {
      at: 'spec.members[0].endpoints[0].port',
      says: 'must be a whole number (got "80")',
      server: 'must be of type integer',
    },
  ),
  ...['https://a', 'a:80', '[::1]', '300.1.1.1', '1.2.3', 'A', 'a_b', 'a..b', '-a', 'a.'].map((host) =>
    peer(`host ${host}`, { members: [{ name: 'a', endpoints: at(host) }] }, HOST),
  ),
  ...['a', '1a.example', '10.0.0.1', '::1', `${'a'.repeat(63)}.b`].map((host) =>
    peer(`host ${host}`, { members: [{ name: 'a', endpoints: at(host) }] }),
  ),
  peer(
    'an unknown kind of instances',
    { members: [{ name: 'a', endpoints: [{ host: 'a', port: 1, instances: 2 }] }] },
    { at: 'spec.members[0].endpoints[0].instances', says: 'must be one of One, Many (got 2)', server: ENUM },
  ),
  peer(
    'a certificate without a name',
    { members: [{ ...one, certificateRef: { namespace: 'a' } }] },
    { at: 'spec.members[0].certificateRef.name', ...REQUIRED },
  ),
  peer('a Mesh that says so', { topology: 'Mesh', members: [one] }),
  peer(
    'an unknown topology',
    { topology: 'Ring', members: [one] },
    { at: 'spec.topology', says: 'must be one of Mesh, Star', server: ENUM },
  ),
  peer(
    'a Star without a center',
    { topology: 'Star', members: [one, two] },
    { at: 'spec.center', says: 'must be given with topology Star, and only then' },
  ),
  peer(
    'a center without a topology',
    { center: 'vast1', members: [one, two] },
    { at: 'spec.center', says: 'must be given with topology Star, and only then' },
  ),
  peer(
    'a Mesh with a center',
    { topology: 'Mesh', center: 'vast1', members: [one, two] },
    { at: 'spec.center', says: 'must be given with topology Star, and only then' },
  ),
  peer(
    'a center that is no member',
    { topology: 'Star', center: 'vast3', members: [one, two] },
    { at: 'spec.center', says: 'must be the name of one of the members' },
  ),
  peer(
    'an interval below a second',
    { members: [one], probe: { interval: '999ms' } },
    { at: 'spec.probe.interval', says: 'from 1s to 24h' },
  ),
  peer(
    'a timeout of no time',
    { members: [one], probe: { timeout: '0s' } },
    { at: 'spec.probe.timeout', says: 'from 100ms to 1m' },
  ),
  {
    ...peer(
      'a name of 64 characters',
      { members: [one] },
      { at: 'metadata.name', says: 'must have at most 63 characters' },
    ),
    name: 'n'.repeat(64),
  },
  { ...peer('members that come and go', { members: [two] }), before: { members: [one] } },
];

export const ROWS: readonly Row[] = [...replicationCas, ...clusterCertificates, ...replicationPeers];
