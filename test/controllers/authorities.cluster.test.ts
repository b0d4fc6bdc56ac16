/** Keys of generations: read from the Secret that the ledger beside it names, and given to nobody else. */
import { randomBytes } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import type { GenerationRecord } from '../../src/api/ledger.ts';
import { Authorities } from '../../src/controllers/shared/authorities.ts';
import { generationSecret } from '../../src/controllers/shared/manifests.ts';
import { encodePrivateKey } from '../../src/pki/keys.ts';
import { loadClient } from '../../src/runtime/http-client.ts';
import { makeAuthority } from '../probe/pki.ts';
import { testCluster } from '../support/cluster.ts';
import { SECRETS } from './scene.ts';

const cluster = testCluster();
const client = loadClient({ kubeconfig: cluster.kubeconfig, userAgent: 'tests' });
afterAll(() => client.close());

test('a ledger of another namespace that names the same Secret and UID is not given the key', async () => {
  const [namespace, tenant] = [await cluster.namespace('controllers'), await cluster.namespace('controllers')];
  const { signal } = new AbortController();
  const authorities = new Authorities(client);
  const { certificate, key } = await makeAuthority('mesh G1');
  const make = (ca: { namespace: string; name: string }) => {
    const secret = generationSecret(ca, 1, certificate, encodePrivateKey(key, 'PKCS8'));
    return client.create(SECRETS, { ...secret, metadata: { ...secret.metadata, finalizers: [] } });
  };
  const ca = { namespace, name: 'mesh' };
  const { metadata } = await make(ca);
  const record: GenerationRecord = {
    secretName: metadata.name,
    secretUid: metadata.uid ?? '',
    fingerprint: certificate.fingerprint,
    passphraseRef: null,
    imported: false,
    withoutKey: false,
  };
  const known = await authorities.get(ca, 1, record, signal);
  expect(known.certificate.fingerprint).toBe(certificate.fingerprint);
  expect(await authorities.get(ca, 1, record, signal), 'what was read is kept').toBe(known);

  const theirs = { namespace: tenant, name: 'mesh' };
  await expect(authorities.get(theirs, 1, record, signal)).rejects.toMatchObject({ reason: 'GenerationSecretMissing' });
  // Nor where they have a Secret of that name.
  await client.create(SECRETS, {
    metadata: { namespace: tenant, name: record.secretName },
    type: 'replicert.io/ca',
    stringData: { 'tls.crt': certificate.pem, 'tls.key': randomBytes(32).toString('hex') },
  });
  await expect(authorities.get(theirs, 1, record, signal)).rejects.toMatchObject({ reason: 'GenerationSecretInvalid' });

  // Nor is it given beside it to a ledger that says another certificate.
  const other = { ...record, fingerprint: '0'.repeat(64) };
  await expect(authorities.get(ca, 1, other, signal)).rejects.toMatchObject({ reason: 'GenerationSecretInvalid' });
});
