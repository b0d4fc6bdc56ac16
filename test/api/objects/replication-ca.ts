import { ENUM, REQUIRED, duplicates, DURATION, type Refusal, type Row } from './row.ts';

const ca = (what: string, spec: unknown, refused: Refusal | null = null): Row => ({
  kind: 'ReplicationCA',
  what,
  spec,
  refused,
});

const PASSPHRASE = { name: 'ca-pass' };
const PROFILE = { at: 'spec.profile', says: 'cannot be changed: create' };
const KEY_SIZE = { at: 'spec.privateKey.size', says: 'must be 2048, 3072 or 4096 with RSA, 256 or 384 with ECDSA' };

export const replicationCas: readonly Row[] = [
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
    imported: [
      { generation: 1, secretRef: { name: 'corp-ca' }, passphraseSecretRef: { name: 'p', key: 'k' }, dedicated: true },
      { generation: 7, secretRef: { name: 'other-ca' } },
    ],
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
  ca(
    'a CA of service instances with an elliptic curve',
    { profile: 'a9s', privateKey: { algorithm: 'ECDSA' } },
    { at: 'spec.privateKey', says: 'must be RSA with profile a9s' },
  ),
  ca(
    'an unknown profile',
    { profile: 'unheard-of' },
    { at: 'spec.profile', says: 'must be one of generic', server: ENUM },
  ),
  ca('vast', { profile: 'vast', passphraseSecretRef: PASSPHRASE }),
  ca('vast with the smallest RSA key', {
    profile: 'vast',
    passphraseSecretRef: PASSPHRASE,
    privateKey: { algorithm: 'RSA', size: 2048 },
  }),
  ca(
    'vast without a passphrase',
    { profile: 'vast' },
    { at: 'spec.passphraseSecretRef', says: 'must be given with profile vast' },
  ),
  ca(
    'vast with an ECDSA key',
    { profile: 'vast', passphraseSecretRef: PASSPHRASE, privateKey: { algorithm: 'ECDSA' } },
    { at: 'spec.privateKey', says: 'must be RSA with profile vast' },
  ),
  ca('that the members honour every CA', { rotation: { strategy: 'Staged' } }),
  ca('that the members honour one CA only', {
    rotation: {
      strategy: 'Lockstep',
      approval: { required: ['Swap'], upTo: { generation: 2, stage: 'Swap' } },
    },
  }),
  ca(
    'an unknown strategy',
    { rotation: { strategy: 'AllAtOnce' } },
    { at: 'spec.rotation.strategy', says: 'must be one of Staged, Lockstep', server: ENUM },
  ),
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
  ca('nothing imported', { imported: [] }),
  ca('a CA without its key', { imported: [{ generation: 2, secretRef: { name: 'a' }, withoutKey: true }] }),
  ca('a CA with its key, and a passphrase', {
    imported: [{ generation: 2, secretRef: { name: 'a' }, withoutKey: false, passphraseSecretRef: { name: 'b' } }],
  }),
  ca(
    'a CA without its key, and a passphrase for it',
    { imported: [{ generation: 2, secretRef: { name: 'a' }, withoutKey: true, passphraseSecretRef: { name: 'b' } }] },
    { at: 'spec.imported[0].passphraseSecretRef', says: 'must be absent with withoutKey: the key is not read' },
  ),
  ca('an import that is not said to be dedicated', {
    imported: [{ generation: 2, secretRef: { name: 'a.b' }, dedicated: false }],
  }),
  ca(
    'an import without a number',
    { imported: [{ secretRef: { name: 'corp-ca' } }] },
    { at: 'spec.imported[0].generation', ...REQUIRED },
  ),
  ca('an import from nowhere', { imported: [{ generation: 1 }] }, { at: 'spec.imported[0].secretRef', ...REQUIRED }),
  ca(
    'an import from a Secret without a name',
    { imported: [{ generation: 1, secretRef: {} }] },
    { at: 'spec.imported[0].secretRef.name', ...REQUIRED },
  ),
  ca(
    'an import from a Secret of another namespace',
    { imported: [{ generation: 1, secretRef: { name: 'other/corp-ca' } }] },
    { at: 'spec.imported[0].secretRef.name', says: 'must be the name of an object' },
  ),
  ca(
    'an import as generation 0',
    { imported: [{ generation: 0, secretRef: { name: 'corp-ca' } }] },
    { at: 'spec.imported[0].generation', says: 'must be 1 or more (got 0)', server: 'greater than or equal to 1' },
  ),
  ca(
    'two imports as one generation',
    {
      imported: [
        { generation: 1, secretRef: { name: 'a' } },
        { generation: 1, secretRef: { name: 'b' } },
      ],
    },
    { at: 'spec.imported', ...duplicates('must not have two entries of the same generation') },
  ),
  ca(
    'seventeen imports',
    { imported: Array.from({ length: 17 }, (_, i) => ({ generation: i + 1, secretRef: { name: 'a' } })) },
    { at: 'spec.imported', says: 'at most 16 items', server: 'must have at most 16 items' },
  ),
  ca(
    'an import that is dedicated in words',
    { imported: [{ generation: 1, secretRef: { name: 'a' }, dedicated: 'yes' }] },
    { at: 'spec.imported[0].dedicated', says: 'must be true or false', server: 'must be of type boolean' },
  ),
  {
    ...ca('a change of what is imported', { imported: [{ generation: 1, secretRef: { name: 'b' } }] }),
    before: { imported: [{ generation: 1, secretRef: { name: 'a' } }] },
  },
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
    { at: 'spec.rotation.approval.required[0]', says: 'must be one of Roll, Drop, Swap (got "Append")', server: ENUM },
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
    ...ca('a change of everything', { commonName: 'b', duration: '2h', rotation: { strategy: 'Staged' } }),
    before: { commonName: 'a' },
  },
  {
    ...ca('another profile', { profile: 'vast', passphraseSecretRef: PASSPHRASE }, PROFILE),
    before: { profile: 'generic' },
  },
  {
    ...ca('a profile that is added', { profile: 'vast', passphraseSecretRef: PASSPHRASE }, PROFILE),
    before: { commonName: 'a' },
  },
  { ...ca('a profile that is removed', {}, PROFILE), before: { profile: 'vast', passphraseSecretRef: PASSPHRASE } },
];
