import { expect, test } from 'vitest';
import { testBed } from './bed.ts';
import { expectGoodMember, openssl } from './openssl.ts';
import { ca, certificate, textOf } from './scene.ts';

const bed = testBed(0);
const PASSPHRASE = 'correct horse battery staple';
const WRONG = 'a wrong horse';
bed.operators.conceal(PASSPHRASE);
bed.operators.conceal(WRONG);

test('CA keys are stored under a passphrase: missing, wrong after a restart, right again', async () => {
  const {
    installation,
    scenes: [here],
  } = await bed.install();
  const first = await installation.start();
  const mesh = ca('mesh', { passphraseSecretRef: { name: 'ca-pass' } });
  await here.apply(mesh, certificate('a', 'mesh'));
  const missing =
    /Secret \S+\/ca-pass has no passphrase under key passphrase\. Create it: kubectl -n \S+ create secret generic ca-pass --from-file=passphrase=/;
  await here.stalled('ReplicationCA', 'mesh', 'PassphraseUnavailable', missing);
  await here.eventUntil('ReplicationCA', 'mesh', 'Stalled', missing);
  expect(here.ledger('mesh').signer).toBeNull();

  // Nobody tells of a Secret without our label; it is looked for again and again. A line break at its end is an editor's.
  await here.createSecret('ca-pass', { passphrase: `${PASSPHRASE}\n` });
  await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True' }, 30_000);
  await here.ready({ ClusterCertificate: ['a'] });
  await expectGoodMember(here.secret('a'));
  const key = textOf(here.generationSecret('mesh', 1), 'tls.key');
  expect(key.startsWith('-----BEGIN ENCRYPTED PRIVATE KEY-----')).toBe(true);
  const opened = await openssl(
    { key, passphrase: PASSPHRASE, wrong: WRONG },
    'pkey',
    '-in',
    'key',
    '-passin',
    'file:passphrase',
    '-noout',
  );
  expect(opened).toMatchObject({ code: 0 });
  const refused = await openssl({ key, wrong: WRONG }, 'pkey', '-in', 'key', '-passin', 'file:wrong', '-noout');
  expect(refused.code).toBe(1);
  expect(here.ledger('mesh').generations[1]?.passphraseRef).toEqual({ name: 'ca-pass', key: 'passphrase' });

  // While it runs the key is in memory; after a restart only the right passphrase opens it.
  await first.stop();
  await here.patchSecret('ca-pass', { stringData: { passphrase: WRONG } });
  const second = await installation.start();
  const wrong =
    /The passphrase \(Secret \S+\/ca-pass\) does not open the key in Secret \S+\/mesh-g1-\S+\. Put back the passphrase that it was encrypted with\./;
  await here.stalled('ReplicationCA', 'mesh', 'PassphraseUnavailable', wrong);
  await here.patchSecret('ca-pass', { stringData: { passphrase: PASSPHRASE } });
  await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True' }, 30_000);
  await here.apply(certificate('b', 'mesh'));
  await here.ready({ ClusterCertificate: ['b'] });
  await expectGoodMember(here.secret('b'));
  expect(await second.stop()).toBe(0);
});
