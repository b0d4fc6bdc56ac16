import { expect, test } from 'vitest';
import { ANNOTATIONS, LABELS } from '../../src/api/names.ts';
import { parseCertificate } from '../../src/pki/certificate.ts';
import { makeAuthority, makeLeaf } from '../probe/pki.ts';
import { testBed } from './bed.ts';
import { expectGoodMember } from './openssl.ts';
import { ca, certificate, type LiveSecret, type Scene, textOf } from './scene.ts';

const bed = testBed(6);

const leafOf = (secret: LiveSecret) => parseCertificate(textOf(secret, 'tls.crt'));
const other = (before: LiveSecret) => (now: LiveSecret) => textOf(now, 'tls.crt') !== textOf(before, 'tls.crt');
const base64 = (text: string): string => Buffer.from(text).toString('base64');

async function issued(
  here: Scene,
  ...[spec]: Parameters<typeof certificate> extends [string, string, (infer S)?] ? [S?] : never
) {
  await here.apply(ca('mesh'), certificate('a', 'mesh', spec));
  await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'] });
  return here.secret('a');
}

/** The leaf is still this one after a pass that certainly happened: one that put a label on. */
async function expectSameLeaf(here: Scene, before: LiveSecret, spec: object, mark: string): Promise<void> {
  await here.apply(certificate('a', 'mesh', { ...spec, secretTemplate: { labels: { mark } } }));
  const after = await here.secretUntil('a', `label ${mark}`, ({ metadata }) => metadata.labels?.['mark'] === mark);
  await here.ready({ ClusterCertificate: ['a'] });
  expect(leafOf(after).serialNumber).toBe(leafOf(before).serialNumber);
}

// Two thirds of a minute after it was issued: a third of its life is the most that counts.
test('a leaf is renewed before it expires: new key, same names, never a gap', { timeout: 120_000 }, async () => {
  const here = await bed.scene();
  const first = await issued(here, { duration: '1m', renewBefore: '58s', dnsNames: ['a.example.com'] });
  const second = await here.secretUntil('a', 'renewed', other(first), 60_000);
  const leaves = [first, second].map(leafOf);
  expect(new Set(leaves.map(({ publicKeyDigest }) => publicKeyDigest)).size).toBe(2);
  for (const leaf of leaves) {
    expect(leaf.dnsNames).toEqual(['a.example.com']);
    expect(leaf.subject).toBe(leaves[0]?.subject);
    expect(leaf.notAfter).toBeLessThanOrEqual(Date.now() + 60_000);
  }
  await expectGoodMember(second);
  await here.eventUntil('ClusterCertificate', 'a', 'Renewed', /of G1, valid until .* \(it is due\)$/);
  const certificates = here.certificates
    .historyOf('a')
    .map(({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.status);
  expect(certificates.slice(certificates.indexOf('True'))).not.toContain('False');
});

test('reissueBefore forces one renewal when its instant has come, and is safe to revert', async () => {
  const here = await bed.scene();
  const first = await issued(here);
  // It was issued after that: nothing to do.
  await expectSameLeaf(here, first, { reissueBefore: new Date(Date.now() - 60_000).toISOString() }, 'past');
  // An instant to come: the leaf is replaced then, not now.
  const instant = Math.ceil(Date.now() / 1000 + 2) * 1000;
  const reissueBefore = new Date(instant).toISOString();
  await expectSameLeaf(here, first, { reissueBefore }, 'future');
  const second = await here.secretUntil('a', 're-issued', other(first));
  expect(Date.now()).toBeGreaterThanOrEqual(instant);
  await here.eventUntil('ClusterCertificate', 'a', 'Renewed', /\(spec\.reissueBefore asks for a newer leaf\)$/);
  await expectSameLeaf(here, second, { reissueBefore }, 'kept');
  await expectSameLeaf(here, second, {}, 'reverted');
  await expectSameLeaf(here, second, { reissueBefore }, 'again');
});

test('every change of the spec is followed by a leaf as it asks for', async () => {
  const here = await bed.scene();
  let before = await issued(here);
  const changes = [
    [
      { dnsNames: ['b.example.com', 'a.example.com'] },
      'the set of DNS names',
      (s: LiveSecret) => expect(leafOf(s).dnsNames.toSorted()).toEqual(['a.example.com', 'b.example.com']),
    ],
    [
      { ipAddresses: ['10.0.0.1', '2001:DB8:0::1'] },
      'the set of DNS names',
      (s: LiveSecret) => expect(leafOf(s).ipAddresses).toHaveLength(2),
    ],
    [
      { uris: ['spiffe://example.com/a'] },
      'the set of IP addresses',
      (s: LiveSecret) => expect(leafOf(s).uris).toEqual(['spiffe://example.com/a']),
    ],
    [{ commonName: 'vast1' }, 'the subject', (s: LiveSecret) => expect(leafOf(s).subject).toBe('CN=vast1')],
    [
      { subject: { organizations: ['Storage'], countries: ['DE'] } },
      'the subject',
      (s: LiveSecret) => expect(leafOf(s).subject).toMatch(/O=Storage/),
    ],
    [
      { privateKey: { algorithm: 'RSA', size: 2048 } },
      'the subject',
      (s: LiveSecret) => expect(textOf(s, 'tls.key')).toMatch(/^-----BEGIN PRIVATE/),
    ],
    [
      { privateKey: { algorithm: 'RSA', size: 2048, encoding: 'PKCS1' } },
      'the encoding of the key',
      (s: LiveSecret) => expect(textOf(s, 'tls.key').startsWith('-----BEGIN RSA')).toBe(true),
    ],
    [
      { privateKey: { algorithm: 'Ed25519' } },
      'the kind of key',
      (s: LiveSecret) => expect(leafOf(s).publicKey.asymmetricKeyType).toBe('ed25519'),
    ],
    [
      { duration: '48h', renewBefore: '1h' },
      'the kind of key',
      (s: LiveSecret) => expect(leafOf(s).notAfter - leafOf(s).notBefore).toBe((48 * 60 + 5) * 60_000),
    ],
  ] as const;
  for (const [spec, because, check] of changes) {
    await here.apply(certificate('a', 'mesh', spec));
    const after = await here.secretUntil('a', `re-issued: ${because}`, other(before));
    check(after);
    await here.ready({ ClusterCertificate: ['a'] });
    await expectGoodMember(after);
    await here.eventUntil(
      'ClusterCertificate',
      'a',
      'SecretRepaired',
      new RegExp(`\\(${because} differs from the spec\\)$`),
    );
    before = after;
  }
  // The same in other words is no change.
  await here.apply(certificate('a', 'mesh', { ipAddresses: ['2001:db8::1', '10.0.0.1'] }));
  const last = await here.secretUntil('a', 'IP addresses', other(before));
  await expectSameLeaf(here, last, { ipAddresses: ['10.0.0.1', '2001:DB8:0:0::1'] }, 'spelt');
});

test('a Secret that somebody edited or deleted is put right', async () => {
  const here = await bed.scene();
  await issued(here);
  const foreign = await makeAuthority('Foreign');
  const stranger = await makeLeaf(foreign, 'a');
  const bundle = textOf(here.secret('a'), 'ca.crt');
  const edits = [
    ['a foreign leaf', { 'tls.crt': stranger.certificate, 'tls.key': stranger.key }, /its leaf has a foreign issuer/],
    ['a wrong key', { 'tls.key': stranger.key }, /its key does not belong to its certificate/],
    ['no certificate', { 'tls.crt': 'nonsense' }, /its content is unusable/],
    ['no key', { 'tls.key': '' }, /its content is unusable/],
    ['no bundle', { 'ca.crt': 'nonsense' }, /its content is unusable/],
  ] as const;
  for (const [what, data, because] of edits) {
    const before = here.secret('a');
    const edited = await here.patchSecret('a', {
      data: Object.fromEntries(Object.entries(data).map(([k, v]) => [k, base64(v)])),
    });
    const after = await here.secretUntil('a', `repaired: ${what}`, (now) => other(before)(now) && other(edited)(now));
    await expectGoodMember(after);
    await here.eventUntil('ClusterCertificate', 'a', 'SecretRepaired', because);
  }

  // Only what is wrong is written: the leaf stays when it is just the bundle.
  const before = here.secret('a');
  const edited = await here.patchSecret('a', { data: { 'ca.crt': base64(bundle + foreign.certificate.pem) } });
  const after = await here.secretUntil(
    'a',
    'its bundle',
    (now) => Number(now.metadata.resourceVersion) > Number(edited.metadata.resourceVersion),
  );
  expect(textOf(after, 'ca.crt')).toBe(bundle);
  expect(leafOf(after).serialNumber).toBe(leafOf(before).serialNumber);
  await here.eventUntil('ClusterCertificate', 'a', 'BundleWritten', /^Secret a trusts G1 \(its bundle changes\)$/);

  await here.deleteSecret('a');
  const anew = await here.secretUntil('a', 'made anew', ({ metadata }) => metadata.uid !== after.metadata.uid);
  await expectGoodMember(anew);
  await here.ready({ ClusterCertificate: ['a'] });
});

test('what others add to the Secret survives; what the template names and what is ours comes back', async () => {
  const here = await bed.scene();
  const secretTemplate = { labels: { team: 'storage' }, annotations: { 'example.com/reload': 'yes' } };
  const first = await issued(here, { secretTemplate });
  expect(first.metadata.labels).toMatchObject({ team: 'storage', [LABELS.managedBy]: 'replicert' });
  await here.patchSecret('a', {
    metadata: {
      labels: { foreign: 'label', team: 'other' },
      annotations: { foreign: 'note', 'example.com/reload': null },
    },
    data: { 'notes.txt': base64('keep me') },
  });
  await here.secretUntil(
    'a',
    'the template is back',
    ({ metadata: { labels, annotations } }) =>
      labels?.['team'] === 'storage' && annotations?.['example.com/reload'] === 'yes',
  );
  await here.apply(certificate('a', 'mesh', { secretTemplate, dnsNames: ['a.example.com'] }));
  const renewed = await here.secretUntil('a', 're-issued', other(first));
  expect(renewed.metadata.labels).toMatchObject({ foreign: 'label', team: 'storage' });
  expect(renewed.metadata.annotations).toMatchObject({ foreign: 'note', 'example.com/reload': 'yes' });
  expect(textOf(renewed, 'notes.txt')).toBe('keep me');
  await expectGoodMember(renewed);

  await here.patchSecret('a', {
    metadata: { annotations: { [ANNOTATIONS.epoch]: null, [ANNOTATIONS.certificateUid]: null } },
  });
  const again = await here.secretUntil(
    'a',
    'our annotations are back',
    ({ metadata }) => metadata.annotations?.[ANNOTATIONS.epoch] !== undefined,
  );
  expect(leafOf(again).serialNumber).toBe(leafOf(renewed).serialNumber);
});

test('a Secret that lost our labels is taken back when it is still known as ours, else left alone', async () => {
  const here = await bed.scene();
  const first = await issued(here);
  await here.patchSecret('a', { metadata: { labels: { [LABELS.managedBy]: null } } });
  const back = await here.secretUntil(
    'a',
    'its label is back',
    ({ metadata }) => metadata.labels?.[LABELS.managedBy] === 'replicert',
  );
  expect(leafOf(back).serialNumber).toBe(leafOf(first).serialNumber);
  await here.ready({ ClusterCertificate: ['a'] });

  await here.patchSecret('a', {
    metadata: { labels: Object.fromEntries(Object.values(LABELS).map((label) => [label, null])) },
  });
  await here.stalled(
    'ClusterCertificate',
    'a',
    'SecretConflict',
    /exists and was not made by Replicert for this certificate\. It is never overwritten: delete or rename it/,
  );
  expect(textOf(here.secret('a'), 'tls.crt')).toBe(textOf(back, 'tls.crt'));
});
