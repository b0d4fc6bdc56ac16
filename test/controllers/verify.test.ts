import { describe, expect, test } from 'vitest';
import { emptyLedger } from '../../src/api/ledger.ts';
import { ANNOTATIONS, LABELS, ROLES } from '../../src/api/names.ts';
import { judgeLedger, leftovers } from '../../src/controllers/replicationca/verify.ts';
import { generationSecret, keepSecret, type LedgerSecret, ledgerSecret } from '../../src/controllers/shared/secrets.ts';
import { makeAuthority } from '../probe/pki.ts';

const CA = { namespace: 'storage', name: 'mesh' };

function forged(namespace: string, role: string) {
  return keepSecret(
    {
      metadata: {
        name: 'forged',
        namespace,
        uid: 'u',
        resourceVersion: '1',
        labels: {
          [LABELS.role]: role,
          [LABELS.ca]: 'mesh',
          [LABELS.caNamespace]: 'storage',
          [LABELS.certificate]: 'x',
        },
        annotations: { [ANNOTATIONS.epoch]: '999999' },
      },
      data: {},
    },
    null,
  );
}

function ledger(): LedgerSecret {
  const kept = keepSecret(ledgerSecret(CA, emptyLedger('2026-10-01T00:00:00Z'), '1'), null);
  if (kept.kind !== 'ledger') throw new Error('no ledger');
  return kept;
}

describe('a ledger is judged by what lies beside it', () => {
  test('a Secret that a tenant forged elsewhere brings nothing to a halt', () => {
    expect(judgeLedger(CA, ledger(), [forged('tenant', ROLES.member)]).kind).toBe('good');
    expect(judgeLedger(CA, null, [forged('tenant', ROLES.member), forged('tenant', ROLES.generation)]).kind).toBe(
      'new',
    );
    expect(forged('tenant', ROLES.generation).ca, 'a generation is of the CA beside it, whatever its label says').toBe(
      'tenant/mesh',
    );
  });

  test('one in its own namespace shows that the ledger is lost, or old', () => {
    expect(judgeLedger(CA, null, [forged('storage', ROLES.member)])).toMatchObject({
      refusal: { reason: 'LedgerMissing' },
    });
    expect(judgeLedger(CA, ledger(), [forged('storage', ROLES.member)])).toMatchObject({
      refusal: { reason: 'LedgerBehind' },
    });
  });
});

test('only what the ledger does not name is left over, whatever number a label gives it', async () => {
  const { certificate } = await makeAuthority('mesh G2');
  const kept = (uid: string, number: number) => {
    const secret = generationSecret(CA, number, certificate, 'a key');
    return keepSecret({ ...secret, metadata: { ...secret.metadata, uid } }, null);
  };
  const record = { secretName: 's', fingerprint: certificate.fingerprint, secretUid: 'signer', passphraseRef: null };
  const empty = emptyLedger('2026-10-01T00:00:00Z');
  const named = { ...empty, highest: 2, signer: 2, bundle: [2], generations: { 2: record } };
  const left = leftovers(named, [kept('signer', 1), kept('old', 1), kept('lost race', 2), kept('to come', 3)]);
  expect(left.map(({ meta }) => meta.uid)).toEqual(['old', 'lost race']);
});
