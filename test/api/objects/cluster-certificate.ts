import { ENUM, REQUIRED, duplicates, type Refusal, type Row } from './row.ts';

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
const STORE = { name: 'stores' };
const EVERY = [
  { type: 'CombinedPEM' },
  { type: 'DER' },
  { type: 'PKCS8' },
  { type: 'PKCS1' },
  { type: 'EncryptedPKCS8', passwordSecretRef: STORE },
  { type: 'PKCS12KeyStore', passwordSecretRef: { ...STORE, key: 'p12' }, alias: 'vast1' },
  { type: 'PKCS12TrustStore', passwordSecretRef: STORE },
  { type: 'JKSKeyStore', passwordSecretRef: STORE, key: '.keystore' },
  { type: 'JKSTrustStore', passwordSecretRef: STORE },
  { type: 'Certificate', key: 'server.crt' },
  { type: 'Bundle', key: 'root.crt' },
];
const PASSWORD = 'must be given with EncryptedPKCS8, PKCS12KeyStore, PKCS12TrustStore, JKSKeyStore, JKSTrustStore';
const TAKEN = 'must not use the keys tls.crt, tls.key, ca.crt: Replicert writes those itself';
const OURS = 'must not have keys under replicert.io/ or app.kubernetes.io/managed-by';

function longest(count: number): object[] {
  return Array.from({ length: count }, (_, n) => ({
    type: 'JKSKeyStore',
    key: `${n}`.padEnd(63, 'k'),
    alias: 'a'.repeat(63),
    passwordSecretRef: { name: 'p'.repeat(253), key: 'k'.repeat(63) },
  }));
}

const inConfigMap = (type: string, fields: object): Row =>
  certificate(
    `${type} in a ConfigMap`,
    { outputObjects: [{ kind: 'ConfigMap', name: 'a', outputs: [{ type, ...fields }] }] },
    {
      at: 'spec.outputObjects[0].outputs',
      says: 'must not put a private key into a ConfigMap: only Certificate, Bundle,',
    },
  );

export const clusterCertificates: readonly Row[] = [
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
  certificate('a folder on a node of DRBD', { profile: 'drbd', drbd: { directory: '/etc/drbd.d/tls-1_a' } }),
  certificate("a folder, where the profile is the CA's", { drbd: { directory: '/etc' } }),
  certificate(
    'a folder with another profile',
    { profile: 'generic', drbd: { directory: '/etc' } },
    { at: 'spec.drbd', says: 'must be absent with another profile than drbd' },
  ),
  certificate('nothing of the folder', { drbd: {} }, { at: 'spec.drbd.directory', ...REQUIRED }),
  ...['etc/tls', '/etc/tls/', '/etc//tls', '/', '/etc/a b', '/etc/a\n'].map((directory) =>
    certificate(
      `the folder ${JSON.stringify(directory)}`,
      { drbd: { directory } },
      { at: 'spec.drbd.directory', says: 'must be an absolute path' },
    ),
  ),
  certificate('a service instance', {
    profile: 'a9s',
    a9s: { service: 'PostgreSQL', consulDomain: 'consul.example.com' },
  }),
  certificate('one with a dashboard', {
    a9s: { service: 'LogMe2', consulDomain: 'consul', systemDomain: 'sys.example.com' },
  }),
  certificate(
    'profile a9s without an instance',
    { profile: 'a9s' },
    { at: 'spec.a9s', says: 'must be given with profile a9s' },
  ),
  certificate(
    'an instance with another profile',
    { profile: 'drbd', a9s: { service: 'Redis', consulDomain: 'consul' } },
    { at: 'spec.a9s', says: 'must be absent with another profile than a9s' },
  ),
  certificate('an instance of nothing', { a9s: { consulDomain: 'consul' } }, { at: 'spec.a9s.service', ...REQUIRED }),
  certificate('an instance nowhere', { a9s: { service: 'Redis' } }, { at: 'spec.a9s.consulDomain', ...REQUIRED }),
  certificate(
    'an unknown data service',
    { a9s: { service: 'Postgres', consulDomain: 'consul' } },
    { at: 'spec.a9s.service', says: 'must be one of KeyValue, ', server: ENUM },
  ),
  ...[
    { service: 'Messaging', consulDomain: 'consul' },
    { service: 'Search', consulDomain: 'consul', systemDomain: 'sys' },
  ].map((a9s) =>
    certificate(
      `a system domain that ${a9s.service} ${a9s.systemDomain === undefined ? 'lacks' : 'has'}`,
      { a9s },
      {
        at: 'spec.a9s.systemDomain',
        says: 'must be given with LogMe2 and Messaging, which have a dashboard, and with no other service',
      },
    ),
  ),
  ...['*.consul', 'Consul', 'consul.', '', 'a b'].map((consulDomain) =>
    certificate(
      `the domain ${JSON.stringify(consulDomain)}`,
      { a9s: { service: 'Redis', consulDomain } },
      { at: 'spec.a9s.consulDomain', says: 'must be a domain in lower case' },
    ),
  ),
  certificate('a domain of 53 characters', { a9s: { service: 'Redis', consulDomain: 'd'.repeat(53) } }),
  certificate(
    'a domain that makes the common name too long',
    { a9s: { service: 'Redis', consulDomain: 'd'.repeat(54) } },
    { at: 'spec.a9s.consulDomain', says: 'must have at most 53 characters', server: 'Too long' },
  ),
  certificate(
    'an instance with a name of its own',
    { a9s: { service: 'Redis', consulDomain: 'consul' }, commonName: 'redis' },
    { at: 'spec.commonName', says: 'must be absent with a9s' },
  ),
  certificate('an instance with leaves that are brought', {
    a9s: { service: 'Redis', consulDomain: 'consul' },
    provided: [{ secretRef: { name: 'mine' } }],
  }),
  certificate(
    'an instance with an elliptic curve',
    { a9s: { service: 'Redis', consulDomain: 'consul' }, privateKey: { algorithm: 'ECDSA' } },
    { at: 'spec.privateKey', says: 'must be RSA with a9s' },
  ),
  change(
    'another instance',
    { a9s: { service: 'Redis', consulDomain: 'consul' } },
    { a9s: { service: 'KeyValue', consulDomain: 'consul' } },
    {
      at: 'spec.a9s',
      says: 'cannot be changed: create a ClusterCertificate of another name for another service instance',
    },
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
  certificate('every output, in the Secret and in an object of its own', {
    privateKey: { algorithm: 'RSA' },
    outputs: EVERY,
    outputObjects: [{ kind: 'Secret', name: 'vast1-more', template: { labels: { a: 'b' } }, outputs: EVERY }],
  }),
  certificate('leaves that are brought', { provided: [{ secretRef: { name: 'a' } }, { secretRef: { name: 'b' } }] }),
  certificate(
    'a leaf that is brought from nowhere',
    { provided: [{}] },
    { at: 'spec.provided[0].secretRef', ...REQUIRED },
  ),
  certificate(
    'no leaf that is brought',
    { provided: [] },
    { at: 'spec.provided', says: 'at least 1 item', server: 'should have at least 1 items' },
  ),
  certificate(
    'more leaves than can be brought',
    { provided: Array.from({ length: 9 }, (_, n) => ({ secretRef: { name: `a${n}` } })) },
    { at: 'spec.provided', says: 'at most 8 items', server: 'must have at most 8 items' },
  ),
  certificate('the most and longest outputs that can be', {
    outputs: longest(16),
    outputObjects: Array.from({ length: 8 }, (_, n) => ({
      kind: 'Secret',
      name: `${n}`.padEnd(253, 'n'),
      outputs: longest(16),
    })),
  }),
  certificate('SEC1 of an ECDSA key', {
    privateKey: { algorithm: 'ECDSA' },
    outputs: [{ type: 'SEC1' }],
  }),
  certificate('PKCS1 of a key that the profile chooses', { outputs: [{ type: 'PKCS1' }] }),
  certificate(
    'PKCS1 of an ECDSA key',
    { privateKey: { algorithm: 'ECDSA' }, outputs: [{ type: 'PKCS1' }] },
    { at: 'spec.outputs', says: 'must not ask for PKCS1 but of an RSA key' },
  ),
  certificate(
    'SEC1 of an Ed25519 key in an object',
    {
      privateKey: { algorithm: 'Ed25519' },
      outputObjects: [{ kind: 'Secret', name: 'a', outputs: [{ type: 'SEC1' }] }],
    },
    { at: 'spec.outputObjects', says: 'or for SEC1 but of an ECDSA key' },
  ),
  certificate(
    'an unknown output',
    { outputs: [{ type: 'PFX' }] },
    { at: 'spec.outputs[0].type', says: 'PKCS12KeyStore', server: ENUM },
  ),
  certificate('an output without a type', { outputs: [{ key: 'a' }] }, { at: 'spec.outputs[0].type', ...REQUIRED }),
  ...['PKCS12KeyStore', 'PKCS12TrustStore', 'JKSKeyStore', 'JKSTrustStore', 'EncryptedPKCS8'].map((type) =>
    certificate(
      `${type} without a password`,
      { outputs: [{ type }] },
      { at: 'spec.outputs[0].passwordSecretRef', says: PASSWORD },
    ),
  ),
  certificate(
    'a password that protects nothing',
    { outputs: [{ type: 'CombinedPEM', passwordSecretRef: STORE }] },
    { at: 'spec.outputs[0].passwordSecretRef', says: PASSWORD },
  ),
  certificate(
    'a password without the name of its Secret',
    { outputs: [{ type: 'PKCS12KeyStore', passwordSecretRef: { key: 'a' } }] },
    { at: 'spec.outputs[0].passwordSecretRef.name', ...REQUIRED },
  ),
  certificate(
    'an alias without a key store',
    { outputs: [{ type: 'PKCS12TrustStore', passwordSecretRef: STORE, alias: 'a' }] },
    { at: 'spec.outputs[0].alias', says: 'must be absent but with PKCS12KeyStore, JKSKeyStore' },
  ),
  certificate(
    'an alias in capitals',
    { outputs: [{ type: 'JKSKeyStore', passwordSecretRef: STORE, alias: 'Vast1' }] },
    { at: 'spec.outputs[0].alias', says: 'must be an alias: lower-case letters' },
  ),
  ...['..data', '..', '.', 'a/b', 'a b', ''].map((key) =>
    certificate(
      `output under ${JSON.stringify(key)}`,
      { outputs: [{ type: 'DER', key }] },
      { at: 'spec.outputs[0].key', says: 'must be a key of a Secret: letters, digits' },
    ),
  ),
  certificate(
    'two outputs under one key',
    { outputs: [{ type: 'DER' }, { type: 'CombinedPEM', key: 'key.der' }] },
    { at: 'spec.outputs', says: 'must not have two outputs under the same key; set key' },
  ),
  ...['tls.crt', 'tls.key', 'ca.crt'].map((key) =>
    certificate(`output under ${key}`, { outputs: [{ type: 'DER', key }] }, { at: 'spec.outputs', says: TAKEN }),
  ),
  certificate(
    'a copy of the bundle under its own name',
    { outputs: [{ type: 'Bundle' }] },
    { at: 'spec.outputs', says: TAKEN },
  ),
  certificate(
    'seventeen outputs',
    { outputs: longest(17) },
    { at: 'spec.outputs', says: 'at most 16 items', server: 'must have at most 16 items' },
  ),
  certificate('a ConfigMap with all that is public', {
    outputObjects: [
      {
        kind: 'ConfigMap',
        name: 'trust',
        outputs: [
          { type: 'Bundle' },
          { type: 'Certificate' },
          { type: 'PKCS12TrustStore', passwordSecretRef: STORE },
          { type: 'JKSTrustStore', passwordSecretRef: STORE },
        ],
      },
      { kind: 'Secret', name: 'trust', outputs: [{ type: 'Bundle' }] },
    ],
  }),
  ...['CombinedPEM', 'DER', 'PKCS8', 'PKCS1', 'SEC1'].map((type) => inConfigMap(type, {})),
  ...['EncryptedPKCS8', 'PKCS12KeyStore', 'JKSKeyStore'].map((type) => inConfigMap(type, { passwordSecretRef: STORE })),
  certificate(
    'an object twice',
    { outputObjects: ['a', 'b', 'a'].map((name) => ({ kind: 'Secret', name, outputs: [{ type: 'DER' }] })) },
    { at: 'spec.outputObjects', says: 'must not name the same object twice' },
  ),
  certificate(
    'an object with nothing in it',
    { outputObjects: [{ kind: 'Secret', name: 'a', outputs: [] }] },
    { at: 'spec.outputObjects[0].outputs', says: 'at least 1 item', server: 'should have at least 1 items' },
  ),
  certificate(
    'an object of another kind',
    { outputObjects: [{ kind: 'Pod', name: 'a', outputs: [{ type: 'Bundle' }] }] },
    { at: 'spec.outputObjects[0].kind', says: 'ConfigMap', server: ENUM },
  ),
  certificate(
    'an object with one key twice',
    { outputObjects: [{ kind: 'Secret', name: 'a', outputs: [{ type: 'Bundle' }, { type: 'DER', key: 'ca.crt' }] }] },
    { at: 'spec.outputObjects[0].outputs', says: 'must not have two outputs under the same key' },
  ),
  certificate(
    'the Secret of the certificate as a further object',
    { secretName: 's', outputObjects: [{ kind: 'Secret', name: 's', outputs: [{ type: 'DER' }] }] },
    { at: 'spec.outputObjects', says: 'must not name the Secret of the certificate itself' },
  ),
  certificate('a ConfigMap of the same name as the Secret', {
    secretName: 's',
    outputObjects: [{ kind: 'ConfigMap', name: 's', outputs: [{ type: 'Bundle' }] }],
  }),
  certificate(
    'our label on an object',
    {
      outputObjects: [
        {
          kind: 'ConfigMap',
          name: 's',
          template: { labels: { 'replicert.io/role': 'x' } },
          outputs: [{ type: 'Bundle' }],
        },
      ],
    },
    { at: 'spec.outputObjects[0].template.labels', says: OURS },
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
  certificate('vast', { profile: 'vast', privateKey: { algorithm: 'RSA', size: 4096, encoding: 'PKCS1' } }),
  certificate(
    'vast with a key of Ed25519',
    { profile: 'vast', privateKey: { algorithm: 'Ed25519' } },
    { at: 'spec.privateKey', says: 'must be RSA with profile vast' },
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
