import { describe, expect, test } from 'vitest';
import { emptyLedger, type Ledger } from '../../src/api/ledger.ts';
import { ANNOTATIONS, API_VERSION, LABELS, ROLES } from '../../src/api/names.ts';
import { parseObject } from '../../src/api/parse.ts';
import { judgeLedger, leftovers } from '../../src/controllers/replicationca/verify.ts';
import {
  generationSecret,
  ledgerSecret,
  memberMetadata,
  trustConfigMap,
} from '../../src/controllers/shared/manifests.ts';
import {
  keepSecret,
  keepTrust,
  type KeptSecret,
  type LedgerSecret,
  NO_CLAIMS,
} from '../../src/controllers/shared/kept-secrets.ts';
import { encodeBundle } from '../../src/pki/bundle.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { adoptGeneration } from '../../src/rotation/stages.ts';
import { makeAuthority, makeLeaf } from '../probe/pki.ts';

const CA = { namespace: 'storage', name: 'mesh' };

function forged(namespace: string, role: string, name = 'forged') {
  return keepSecret(
    {
      metadata: {
        name,
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
    NO_CLAIMS,
  );
}

const EMPTY = emptyLedger('2026-10-01T00:00:00Z');

function ledger(content: Ledger = EMPTY): LedgerSecret {
  const kept = keepSecret(ledgerSecret(CA, content, '1'), { ...NO_CLAIMS, hasCa: () => true });
  if (kept.kind !== 'ledger') throw new Error('no ledger');
  return kept;
}

describe('a ledger is judged by what lies beside it', () => {
  test('a Secret that a tenant forged elsewhere brings nothing to a halt', () => {
    expect(judgeLedger(CA, ledger(), [forged('tenant', ROLES.member)], null).kind).toBe('good');
    const theirs = [forged('tenant', ROLES.member), forged('tenant', ROLES.generation)];
    expect(judgeLedger(CA, null, theirs, null).kind).toBe('new');
    expect(forged('tenant', ROLES.generation).ca, 'a generation is of the CA beside it, whatever its label says').toBe(
      'tenant/mesh',
    );
  });

  test('one in its own namespace shows that the ledger is lost, or old', () => {
    expect(judgeLedger(CA, null, [forged('storage', ROLES.member)], null)).toMatchObject({
      refusal: { reason: 'LedgerMissing' },
    });
    expect(judgeLedger(CA, ledger(), [forged('storage', ROLES.member)], null)).toMatchObject({
      refusal: { reason: 'LedgerBehind' },
    });
  });

  test('a lost one is missed by the first of what is there, keys before the rest', async () => {
    const members = ['d', 'c', 'b', 'a'].map((name) => forged('storage', ROLES.member, name));
    const said = (all: readonly KeptSecret[]) => {
      const state = judgeLedger(CA, null, all, null);
      return state.kind === 'refused' ? state.refusal.message : state.kind;
    };
    const one = await generation(1);
    expect(said([...members, one.secret])).toContain(
      `is missing, but 5 Secrets of this CA exist (storage/${one.secret.meta.name}, storage/a, storage/b and 2 more).`,
    );
    expect(said(members.slice(0, 3))).toContain('but 3 Secrets of this CA exist (storage/b, storage/c, storage/d).');
  });
});

/** A generation as it is minted: its Secret, and the ledger that names it. */
async function generation(number: number, uid = `g${number}`) {
  const authority = await makeAuthority(`mesh G${number}`);
  const { certificate } = authority;
  const { metadata, ...rest } = generationSecret(CA, number, certificate, 'a key');
  const secret = keepSecret({ ...rest, metadata: { ...metadata, uid, resourceVersion: '1' } }, NO_CLAIMS);
  const record = {
    secretName: metadata.name,
    fingerprint: certificate.fingerprint,
    secretUid: uid,
    passphraseRef: null,
    imported: false,
    withoutKey: false,
  };
  return { authority, secret, adopt: (before: Ledger) => adoptGeneration(before, number, record, 0, 'Staged') };
}

const published = (...bundle: readonly SigningAuthority[]) =>
  keepTrust(trustConfigMap(CA, encodeBundle(bundle.map(({ certificate }) => certificate))));

/** The Secret of a member in the namespace of a tenant, who may write what he likes there. */
async function away(signer: SigningAuthority, bundle: readonly SigningAuthority[], epoch = 1): Promise<KeptSecret> {
  const parsed = parseObject('ClusterCertificate', {
    apiVersion: API_VERSION,
    kind: 'ClusterCertificate',
    metadata: { name: 'a', namespace: 'tenant', uid: 'u' },
    spec: { caRef: { name: 'mesh', namespace: 'storage' } },
  });
  if (!parsed.ok) throw new Error(parsed.problems.join());
  const { certificate, key } = await makeLeaf(signer, 'a');
  const files = {
    'tls.crt': certificate,
    'tls.key': key,
    'ca.crt': encodeBundle(bundle.map((each) => each.certificate)),
  };
  const kept = keepSecret(
    {
      metadata: {
        name: 'a',
        namespace: 'tenant',
        uid: 'm',
        resourceVersion: '1',
        ...memberMetadata(CA, 'a', 'u', 'Retain', epoch),
      },
      data: Object.fromEntries(
        Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
      ),
    },
    { ...NO_CLAIMS, certificate: () => parsed.object },
  );
  if (kept.kind !== 'member' || 'problem' in kept.content) throw new Error('no member');
  return kept;
}

describe('a generation beside the CA that the ledger does not name', async () => {
  const [g1, g2] = [await generation(1), await generation(2)];
  const stable = g1.adopt(EMPTY);
  const all = [g1.secret, g2.secret];
  const behind = (witness: string) => ({
    kind: 'refused',
    refusal: {
      reason: 'LedgerBehind',
      message: `The ledger, Secret storage/mesh-ledger, does not name generation 2 (Secret storage/${g2.secret.meta.name}), but ${witness} holds it: an older ledger was restored. Restore the newest one; nothing is changed meanwhile.`,
    },
  });

  test('and that nobody holds is of a crash before it was named: it goes on, and cleans up when the number is named', async () => {
    const trust = published(g1.authority);
    const member = await away(g1.authority, [g1.authority]);
    expect(judgeLedger(CA, ledger(stable), [...all, member], trust).kind).toBe('good');
    expect(leftovers(stable, all)).toEqual([]);

    const again = await generation(2, 'again');
    const named = again.adopt(stable);
    const secrets = [...all, again.secret, await away(g1.authority, [g1.authority, again.authority])];
    const both = published(g1.authority, again.authority);
    expect(judgeLedger(CA, ledger(named), secrets, both).kind).toBe('good');
    expect(leftovers(named, secrets)).toEqual([g2.secret]);
  });

  test('but that is published shows that the ledger is old', () => {
    const trust = published(g1.authority, g2.authority);
    expect(judgeLedger(CA, ledger(stable), all, trust)).toMatchObject(behind('ConfigMap storage/mesh-trust'));
    expect(judgeLedger(CA, ledger(), all, trust).kind, 'no generation named at all').toBe('refused');
    const newest = ledger(g2.adopt(stable));
    expect(judgeLedger(CA, newest, all, trust).kind).toBe('good');
  });

  test('but that a member holds, wherever that lives, shows that the ledger is old, whatever epoch is written there', async () => {
    for (const member of [
      await away(g1.authority, [g1.authority, g2.authority]),
      await away(g2.authority, [g2.authority]),
    ]) {
      expect(judgeLedger(CA, ledger(stable), [...all, member], null)).toMatchObject(behind('Secret tenant/a'));
      const broken = keepTrust(trustConfigMap(CA, 'no PEM'));
      expect(judgeLedger(CA, ledger(stable), [...all, member], broken)).toMatchObject(behind('Secret tenant/a'));
    }
  });

  test('is not cleaned up while a member holds it, although its number was given to another', async () => {
    const other = (await generation(2, 'other')).adopt(stable);
    const member = await away(g2.authority, [g2.authority]);
    const state = judgeLedger(CA, ledger(other), [...all, member], null);
    expect(state).toMatchObject(behind('Secret tenant/a'));
  });

  test('is what is said, not that another is missing which was dropped since', async () => {
    const member = await away(g2.authority, [g2.authority]);
    expect(judgeLedger(CA, ledger(stable), [g2.secret, member], null)).toMatchObject(behind('Secret tenant/a'));
  });

  test('because it was dropped is cleaned up, whatever a tenant puts back', async () => {
    const both = g2.adopt(stable);
    const { generations } = both;
    const [first, second] = [generations[1], generations[2]];
    if (first === undefined || second === undefined) throw new Error('two are named');
    const replayed = await away(g2.authority, [g1.authority, g2.authority]);
    const back = { ...both, rotation: null, bundle: [1], generations: { 1: first } };
    const forth = { ...both, rotation: null, bundle: [2], signer: 2, generations: { 2: second } };
    for (const [dropped, left] of [
      [back, g2.secret],
      [forth, g1.secret],
    ] as const) {
      const trust = published(g1.authority, g2.authority);
      expect(judgeLedger(CA, ledger(dropped), [...all, replayed], trust).kind).toBe('good');
      expect(leftovers(dropped, all)).toEqual([left]);
    }
  });
});

test('only what the ledger does not name is left over, whatever number a label gives it', async () => {
  const { certificate } = await makeAuthority('mesh G2');
  const kept = (uid: string, number: number) => {
    const secret = generationSecret(CA, number, certificate, 'a key');
    return keepSecret({ ...secret, metadata: { ...secret.metadata, uid } }, NO_CLAIMS);
  };
  const record = {
    secretName: 's',
    fingerprint: certificate.fingerprint,
    secretUid: 'signer',
    passphraseRef: null,
    imported: false,
    withoutKey: false,
  };
  const named = { ...EMPTY, highest: 2, signer: 2, bundle: [2], generations: { 2: record } };
  const left = leftovers(named, [kept('signer', 1), kept('old', 1), kept('lost race', 2), kept('to come', 3)]);
  expect(left.map(({ meta }) => meta.uid)).toEqual(['old', 'lost race']);
});
