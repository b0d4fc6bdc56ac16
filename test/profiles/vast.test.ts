import { expect, test } from 'vitest';
import type { Kind } from '../../src/api/names.ts';
import { type Parsed, parseObject } from '../../src/api/parse.ts';
import { strategyOf } from '../../src/controllers/replicationca/mint.ts';
import { authorityWish, leafWish, profileObjection } from '../../src/controllers/shared/effective.ts';
import { profileOf } from '../../src/profiles/index.ts';

const KEYS = ['RSA', 'ECDSA', 'Ed25519'] as const;
const PASSPHRASE = { passphraseSecretRef: { name: 'ca-pass' } };

function parsed<K extends Kind>(kind: K, name: string, spec: object): Parsed<K> {
  const metadata = { name, namespace: 'storage', uid: name, resourceVersion: '1', generation: 1 };
  return parseObject(kind, { metadata, spec });
}

function good<K extends Kind>(kind: K, name: string, spec: object) {
  const found = parsed(kind, name, spec);
  if (!found.ok) throw new Error(`${name} is invalid`);
  return found.object;
}

const caOf = (profile: string, spec: object = {}) => good('ReplicationCA', 'mesh', { profile, ...PASSPHRASE, ...spec });
const memberOf = (spec: object = {}) => good('ClusterCertificate', 'vast1', { caRef: { name: 'mesh' }, ...spec });

test('a spec of no words is the recipe of the vendor', () => {
  expect(authorityWish(caOf('vast')).key).toEqual({ algorithm: 'RSA', size: 4096 });
  const wish = leafWish(memberOf(), caOf('vast'));
  expect(wish.key).toEqual({ algorithm: 'RSA', size: 2048 });
  expect(wish.subject).toEqual({ commonName: 'Replication-vast1' });
  expect([wish.dnsNames, wish.ipAddresses, wish.uris]).toEqual([[], [], []]);
  expect(leafWish(memberOf({ commonName: 'Replication-other' }), caOf('vast')).subject.commonName).toBe(
    'Replication-other',
  );
});

// One says it before anything is stored, the other of what only shows when two objects are put together.
test.each(['generic', 'vast'] as const)(
  'profile %s: the API and the profile take the same kinds of keys',
  (profile) => {
    for (const algorithm of KEYS) {
      const takes = profileOf(profile).keyAlgorithms.includes(algorithm);
      const privateKey = { algorithm };
      expect(parsed('ReplicationCA', 'mesh', { profile, ...PASSPHRASE, privateKey }).ok).toBe(takes);
      expect(parsed('ClusterCertificate', 'a', { caRef: { name: 'mesh' }, profile, privateKey }).ok).toBe(takes);
      const why = profileObjection(memberOf({ privateKey }), caOf(profile));
      const says = `ClusterCertificate storage/vast1 asks for a key of ${algorithm}, but profile ${profile} takes`;
      expect(why?.startsWith(says) ?? false).toBe(!takes);
    }
  },
);

test('a CA of vast has no other members, and no member of vast another CA', () => {
  const mixed = /signs for members of that profile only/;
  expect(profileObjection(memberOf({ profile: 'vast' }), caOf('generic'))).toMatch(mixed);
  expect(profileObjection(memberOf({ profile: 'generic' }), caOf('vast'))).toMatch(mixed);
  for (const profile of ['generic', 'vast', 'postgres'])
    expect(profileObjection(memberOf({ profile }), caOf(profile))).toBeNull();
});

test("no bundle of two is made on somebody else's word", () => {
  expect(strategyOf(caOf('generic'), 2)).toBe('Staged');
  for (const profile of ['generic', 'vast'])
    for (const strategy of ['Staged', 'Lockstep'])
      expect(strategyOf(caOf(profile, { rotation: { strategy } }), 2)).toBe(strategy);
  for (const rotation of [{}, { generation: 2 }])
    expect(() => strategyOf(caOf('vast', { rotation }), 2)).toThrow(
      /^A rotation gives every member a bundle of two CAs.*Generation 2 is not made\./,
    );
});
