/** Outputs: what is in a Secret belongs together in every version that it ever had, and none is written without a change. */
import { expect, test } from 'vitest';
import { parseCertificates } from '../../src/pki/certificate.ts';
import { decodePrivateKey } from '../../src/pki/keys.ts';
import { judges, publicOf } from '../outputs/support.ts';
import { lacking } from '../support/packages.ts';
import type { KubeObject } from '../../src/runtime/client.ts';
import { testBed } from './bed.ts';
import { Follow } from './follow.ts';
import { disorders, lapses, Mesh } from './rotating.ts';
import { ca, certificate, CONFIG_MAPS, type LiveSecret, type Scene, textOf } from './scene.ts';

const bed = testBed(0);
const noJudge = await lacking('openssl', 'keytool');
const judge = judges();
const FIRST = 'first password';
const SECOND = 'second password';
bed.operators.conceal(FIRST);
bed.operators.conceal(SECOND);

const REF = { passwordSecretRef: { name: 'stores' } };
const OUTPUTS = [
  { type: 'CombinedPEM' },
  { type: 'DER' },
  { type: 'PKCS1' },
  { type: 'Bundle', key: 'root.crt' },
  { type: 'EncryptedPKCS8', ...REF },
  { type: 'PKCS12KeyStore', ...REF },
  { type: 'PKCS12TrustStore', ...REF },
  { type: 'JKSKeyStore', ...REF },
  { type: 'JKSTrustStore', ...REF },
] as const;
const RSA = { algorithm: 'RSA', size: 2048 } as const;
const ALL = { privateKey: RSA, outputs: OUTPUTS };
const KEYS = [
  'ca.crt',
  'key.der',
  'keystore.jks',
  'keystore.p12',
  'root.crt',
  'tls-combined.pem',
  'tls-encrypted.key',
].concat(['tls-pkcs1.key', 'tls.crt', 'tls.key', 'truststore.jks', 'truststore.p12']);

const octets = ({ data }: LiveSecret, key: string): Buffer => Buffer.from(data?.[key] ?? '', 'base64');

/** Everything in this version says the same as its PEM files; `password` opens it. */
async function expectAgreement(secret: LiveSecret, password: string): Promise<void> {
  expect(Object.keys(secret.data ?? {}).toSorted()).toEqual(KEYS);
  const chain = parseCertificates(textOf(secret, 'tls.crt')).map(({ fingerprint }) => fingerprint);
  const bundle = parseCertificates(textOf(secret, 'ca.crt')).map(({ fingerprint }) => fingerprint);
  const key = publicOf(decodePrivateKey(textOf(secret, 'tls.key')));
  expect(textOf(secret, 'tls-combined.pem')).toBe(textOf(secret, 'tls.key') + textOf(secret, 'tls.crt'));
  expect(textOf(secret, 'root.crt')).toBe(textOf(secret, 'ca.crt'));
  expect(publicOf(decodePrivateKey(textOf(secret, 'tls-pkcs1.key')))).toBe(key);
  expect(publicOf(decodePrivateKey(textOf(secret, 'tls-encrypted.key'), password))).toBe(key);
  const keys = { certificates: chain, key };
  const trust = { certificates: bundle.toSorted(), key: null };
  expect(await judge.opensslReads(octets(secret, 'keystore.p12'), password)).toEqual(keys);
  expect(await judge.opensslReads(octets(secret, 'truststore.p12'), password)).toEqual(trust);
  expect(await judge.javaReads('JKS', octets(secret, 'keystore.jks'), password)).toEqual(keys);
  expect(await judge.javaReads('JKS', octets(secret, 'truststore.jks'), password)).toEqual(trust);
}

const writes = (here: Scene, name: string): number => here.secrets.historyOf(name).length;

/** A pass of the operator over a certificate has certainly ended: it has put a label on. */
async function passed(here: Scene, name: string, spec: object, mark: string): Promise<LiveSecret> {
  await here.apply(certificate(name, 'mesh', { ...spec, secretTemplate: { labels: { mark } } }));
  const secret = await here.secretUntil(name, `label ${mark}`, ({ metadata }) => metadata.labels?.['mark'] === mark);
  await here.ready({ ClusterCertificate: [name] });
  return secret;
}

test.skipIf(noJudge)(
  `stores follow a rotation and a new password, in the write that changes what they follow ${noJudge ?? ''}`,
  { timeout: 240_000 },
  async () => {
    const {
      installation,
      scenes: [here],
    } = await bed.install();
    const operator = await installation.start();
    await here.createSecret('stores', { password: `${FIRST}\n` });
    await using mesh = await Mesh.start(here, ['a', 'b'], { certificates: { a: ALL } });
    expect(writes(here, 'a')).toBe(1);
    await mesh.want({ generation: 2 });
    await here.stable('mesh', 2, 120_000);
    // One for each stage.
    expect(writes(here, 'a')).toBe(4);
    expect(writes(here, 'b')).toBe(4);
    const versions = here.secrets.historyOf('a');
    for (const version of versions) await expectAgreement(version, FIRST);
    expect(versions.map((each) => parseCertificates(textOf(each, 'ca.crt')).length)).toEqual([1, 2, 2, 1]);
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    expect(lapses(here)).toEqual([]);

    // Another process knows nothing of what was made before, and finds that it is right.
    expect(await operator.stop()).toBe(0);
    await installation.start();
    const before = here.secret('a');
    const labelled = await passed(here, 'a', ALL, 'restarted');
    expect(labelled.data).toEqual(before.data);
    expect(writes(here, 'a')).toBe(5);

    await here.patchSecret('stores', { stringData: { password: SECOND } });
    const after = await here.secretUntil(
      'a',
      'a new password',
      ({ data }) => data?.['keystore.p12'] !== before.data?.['keystore.p12'],
    );
    await expectAgreement(after, SECOND);
    expect(textOf(after, 'tls.crt')).toBe(textOf(before, 'tls.crt'));
    expect(await judge.opensslReads(octets(after, 'keystore.p12'), FIRST)).toBeNull();
    await here.eventUntil(
      'ClusterCertificate',
      'a',
      'OutputsWritten',
      /^Secret a holds .*keystore\.p12.* are not what is asked for\)$/,
    );
    await passed(here, 'a', ALL, 'end');
    expect(writes(here, 'a')).toBe(7);
  },
);

test('a password that cannot be used is said, with the next step; nothing is written meanwhile', {
  timeout: 120_000,
}, async () => {
  const {
    installation,
    scenes: [here],
  } = await bed.install();
  await installation.start();
  const outputs = [{ type: 'PKCS12KeyStore', passwordSecretRef: { name: 'stores', key: 'p12' } }] as const;
  await here.apply(ca('mesh'), certificate('a', 'mesh', { outputs }));
  const missing =
    /^Secret \S+\/stores with the password of an output does not exist\. Create it: kubectl -n \S+ create secret generic stores --from-file=p12=\.\.\.$/;
  await here.stalled('ClusterCertificate', 'a', 'PasswordUnavailable', missing);
  await here.eventUntil('ClusterCertificate', 'a', 'Stalled', missing);
  expect(here.secrets.get('a')).toBeUndefined();

  await here.createSecret('stores', { password: FIRST });
  await here.stalled(
    'ClusterCertificate',
    'a',
    'PasswordUnavailable',
    /^Secret \S+\/stores has no key p12, which an output names/,
  );
  await here.patchSecret('stores', { stringData: { p12: 'zwei\nZeilen' } });
  await here.stalled(
    'ClusterCertificate',
    'a',
    'PasswordUnavailable',
    /has no usable password under key p12: .* printable ASCII/,
  );
  expect(here.secrets.get('a')).toBeUndefined();
  await here.patchSecret('stores', { stringData: { p12: FIRST } });
  await here.ready({ ClusterCertificate: ['a'] });
  const first = here.secret('a');

  // What is served stays as it is, and is neither renewed nor written; the same password again is no change.
  await here.deleteSecret('stores');
  await here.stalled('ClusterCertificate', 'a', 'PasswordUnavailable', missing);
  await here.createSecret('stores', { p12: FIRST });
  await here.ready({ ClusterCertificate: ['a'] });
  expect(here.secret('a').metadata.resourceVersion).toBe(first.metadata.resourceVersion);
});

test('outputs come, go and are put right, and the leaf stays', { timeout: 120_000 }, async () => {
  const {
    installation,
    scenes: [here],
  } = await bed.install();
  await installation.start();
  await here.createSecret('stores', { password: FIRST });
  await here.apply(ca('mesh'), certificate('a', 'mesh'));
  await here.ready({ ClusterCertificate: ['a'] });
  const bare = here.secret('a');
  const revision = (): string | undefined => here.certificates.get('a')?.status?.revision;
  const bareRevision = revision();
  const has =
    (...keys: readonly string[]) =>
    (secret: LiveSecret) =>
      Object.keys(secret.data ?? {})
        .toSorted()
        .join() === [...keys, 'ca.crt', 'tls.crt', 'tls.key'].toSorted().join();

  const outputs = [{ type: 'DER' }, { type: 'JKSKeyStore', alias: 'a', ...REF }] as const;
  await here.apply(certificate('a', 'mesh', { outputs }));
  const both = await here.secretUntil('a', 'two outputs', has('key.der', 'keystore.jks'));
  await here.ready({ ClusterCertificate: ['a'] });
  expect(textOf(both, 'tls.crt')).toBe(textOf(bare, 'tls.crt'));
  expect(revision()).not.toBe(bareRevision);

  await here.patchSecret('a', { data: { 'keystore.jks': 'AAAA', 'key.der': null } });
  const repaired = await here.secretUntil(
    'a',
    'put right',
    ({ data }) => data?.['keystore.jks'] === both.data?.['keystore.jks'],
  );
  expect(repaired.data).toEqual(both.data);

  // Whoever takes the list away by hand takes nothing away.
  const unlisted = await here.patchSecret('a', { metadata: { annotations: { 'replicert.io/outputs': null } } });
  await here.secretUntil('a', 'its list', ({ metadata: { resourceVersion, annotations } }) => {
    const later = BigInt(resourceVersion) > BigInt(unlisted.metadata.resourceVersion);
    return later && annotations?.['replicert.io/outputs'] === 'key.der,keystore.jks';
  });

  await here.apply(certificate('a', 'mesh', { outputs: [{ type: 'DER' }] }));
  await here.secretUntil('a', 'one output', has('key.der'));
  await here.apply(certificate('a', 'mesh'));
  const gone = await here.secretUntil('a', 'no output', has());
  expect(gone.data).toEqual(bare.data);
  const count = writes(here, 'a');
  await passed(here, 'a', {}, 'end');
  expect(writes(here, 'a')).toBe(count + 1);

  await here.apply(certificate('b', 'mesh', { outputs: [{ type: 'PKCS1' }] }));
  await here.stalled(
    'ClusterCertificate',
    'b',
    'InvalidSpec',
    /An output cannot be made: PKCS#1 can hold RSA keys only/,
  );
});

const OBJECTS = [
  {
    kind: 'Secret',
    name: 'a-java',
    template: { labels: { team: 'java' }, annotations: { 'example.com/note': 'x' } },
    outputs: [{ type: 'PKCS12KeyStore', ...REF }, { type: 'Certificate' }, { type: 'PKCS8', key: 'tls.key' }],
  },
  { kind: 'ConfigMap', name: 'a-trust', outputs: [{ type: 'Bundle' }, { type: 'PKCS12TrustStore', ...REF }] },
] as const;

/** A ConfigMap as it is stored. */
type LiveMap = KubeObject & { data?: Record<string, string>; binaryData?: Record<string, string> };

const followMaps = (here: Scene) =>
  Follow.start<LiveMap>({ client: here.client, namespace: here.namespace, resource: CONFIG_MAPS });

test.skipIf(noJudge)(
  `further objects follow the Secret through a rotation, one write of each for one of it, and no key leaves Secrets ${noJudge ?? ''}`,
  { timeout: 240_000 },
  async () => {
    const {
      installation,
      scenes: [here],
    } = await bed.install();
    const operator = await installation.start();
    const maps = await followMaps(here);
    await here.createSecret('stores', { password: FIRST });
    const spec = { outputObjects: OBJECTS, deletionPolicy: 'Delete' } as const;
    await using mesh = await Mesh.start(here, ['a', 'b'], { certificates: { a: spec } });
    await mesh.want({ generation: 2 });
    await here.stable('mesh', 2, 120_000);
    const epochOf = ({ metadata }: KubeObject): string | undefined => metadata.annotations?.['replicert.io/epoch'];
    const last = here.secret('a');
    await here.secretUntil('a-java', 'the last epoch', (secret) => epochOf(secret) === epochOf(last));
    await maps.until(
      'the last epoch',
      () => epochOf(maps.get('a-trust') ?? last) === epochOf(last) && maps.get('a-trust'),
    );
    const [secrets, java, trust] = [
      here.secrets.historyOf('a'),
      here.secrets.historyOf('a-java'),
      maps.historyOf('a-trust'),
    ];
    expect([secrets.length, java.length, trust.length]).toEqual([4, 4, 4]);
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    for (const [i, secret] of secrets.entries()) {
      const [store, map] = [java[i], trust[i]];
      if (store === undefined || map === undefined) throw new Error(`no version ${i}`);
      expect([epochOf(store), epochOf(map)]).toEqual([epochOf(secret), epochOf(secret)]);
      const [chain] = parseCertificates(textOf(secret, 'tls.crt'));
      const bundle = parseCertificates(textOf(secret, 'ca.crt')).map(({ fingerprint }) => fingerprint);
      const key = publicOf(decodePrivateKey(textOf(secret, 'tls.key')));
      expect(Object.keys(store.data ?? {}).toSorted()).toEqual(['keystore.p12', 'tls.crt', 'tls.key']);
      expect(textOf(store, 'tls.crt')).toBe(textOf(secret, 'tls.crt'));
      expect(publicOf(decodePrivateKey(textOf(store, 'tls.key')))).toBe(key);
      const keys = { certificates: [chain?.fingerprint], key };
      expect(await judge.opensslReads(octets(store, 'keystore.p12'), FIRST)).toEqual(keys);
      expect(Object.keys(map.data ?? {}).concat(Object.keys(map.binaryData ?? {}))).toEqual([
        'ca.crt',
        'truststore.p12',
      ]);
      expect(map.data?.['ca.crt']).toBe(textOf(secret, 'ca.crt'));
      const found = await judge.opensslReads(Buffer.from(map.binaryData?.['truststore.p12'] ?? '', 'base64'), FIRST);
      expect(found).toEqual({ certificates: bundle.toSorted(), key: null });
    }
    expect(here.secret('a-java')).toMatchObject({
      type: 'Opaque',
      metadata: {
        labels: { team: 'java', 'replicert.io/role': 'output', 'replicert.io/certificate': 'a' },
        annotations: { 'example.com/note': 'x', 'replicert.io/deletion-policy': 'Delete' },
      },
    });
    expect(here.secret('a-java').metadata.ownerReferences).toBeUndefined();

    // A new process writes nothing; what is changed by hand is put right; what is not asked for any more goes.
    expect(await operator.stop()).toBe(0);
    await installation.start();
    await passed(here, 'a', spec, 'restarted');
    const settled = [here.secret('a-java'), maps.get('a-trust')].map((each) => each?.metadata.resourceVersion);
    expect(settled).toEqual([java.at(-1), trust.at(-1)].map((each) => each?.metadata.resourceVersion));
    const ref = { namespace: here.namespace, name: 'a-trust' };
    await here.client.patch(CONFIG_MAPS, ref, {
      type: 'merge',
      body: { data: { 'ca.crt': 'none', 'truststore.p12': 'x' }, binaryData: null },
    });
    await maps.until('put right', () => maps.get('a-trust')?.data?.['ca.crt'] === textOf(last, 'ca.crt'));
    expect(maps.get('a-trust')).toMatchObject({ data: trust.at(-1)?.data, binaryData: trust.at(-1)?.binaryData });
    await here.deleteSecret('a-java');
    await here.secretUntil('a-java', 'made again', ({ metadata }) => metadata.uid !== java[0]?.metadata.uid);
    expect(here.secret('a-java').data).toEqual(java.at(-1)?.data);

    await here.apply(certificate('a', 'mesh', { ...spec, outputObjects: OBJECTS.slice(1) }));
    await here.secrets.until('a-java is gone', () => here.secrets.get('a-java') === undefined);
    await here.delete('ClusterCertificate', 'a');
    await maps.until('a-trust is gone', () => maps.get('a-trust') === undefined);
    await here.secrets.until('a is gone', () => here.secrets.get('a') === undefined);
    maps.stop();
  },
);

test('an object that is not ours is left alone and said, and the Secret is served all the same', {
  timeout: 120_000,
}, async () => {
  const {
    installation,
    scenes: [here],
  } = await bed.install();
  await installation.start();
  const maps = await followMaps(here);
  const ref = { namespace: here.namespace, name: 'taken' };
  await here.client.create(CONFIG_MAPS, { metadata: ref, data: { 'ca.crt': 'theirs' } } as KubeObject);
  const object = { kind: 'ConfigMap', name: 'taken', outputs: [{ type: 'Bundle' }] } as const;
  await here.apply(ca('mesh'), certificate('a', 'mesh', { outputObjects: [object] }));
  await here.stalled(
    'ClusterCertificate',
    'a',
    'OutputConflict',
    /^ConfigMap \S+\/taken exists and was not made by Replicert .* never overwritten: delete or rename it/,
  );
  expect(maps.get('taken')?.data).toEqual({ 'ca.crt': 'theirs' });
  expect(textOf(here.secret('a'), 'tls.crt')).toContain('BEGIN CERTIFICATE');
  // Another certificate may not have it either.
  await here.client.delete(CONFIG_MAPS, ref);
  await here.condition('ClusterCertificate', 'a', 'Ready', { status: 'True' }, 60_000);
  expect(maps.get('taken')?.data).toEqual({ 'ca.crt': textOf(here.secret('a'), 'ca.crt') });
  await here.apply(certificate('b', 'mesh', { outputObjects: [object] }));
  await here.stalled('ClusterCertificate', 'b', 'OutputConflict', /^ConfigMap \S+\/taken exists/);
  expect(maps.get('taken')?.metadata.labels?.['replicert.io/certificate']).toBe('a');

  // It stays with the Secret when its certificate goes and nothing is said.
  await here.delete('ClusterCertificate', 'a');
  await here.apply(certificate('a', 'mesh', { outputObjects: [object], dnsNames: ['a.example'] }));
  await here.condition('ClusterCertificate', 'a', 'Ready', { status: 'True' }, 60_000);
  expect(
    maps.historyOf('taken').filter(({ metadata }) => metadata.labels?.['replicert.io/certificate'] === 'a').length,
  ).toBeGreaterThan(0);
  maps.stop();
});
