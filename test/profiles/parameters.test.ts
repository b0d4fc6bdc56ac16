/** What only shows when the profile of a certificate is its CA's: it is told by whoever reads both, and such a certificate is no member. */
import { expect, test } from 'vitest';
import type { ProfileName } from '../../src/api/fields.ts';
import { profileObjection } from '../../src/controllers/shared/effective.ts';
import { objectsOf } from './member.ts';

const objection = (profile: ProfileName, spec: object = {}): string | null => {
  const { certificate, ca } = objectsOf(profile, 'east', spec);
  return profileObjection(certificate, ca);
};
const INSTANCE = { service: 'Redis', consulDomain: 'consul' };
const NODE = { directory: '/etc/drbd.d' };

test('what a profile asks for must be there, and what another asks for must not; the object and the next step are named', () => {
  expect(objection('a9s')).toBe(
    'ClusterCertificate storage/east: its profile is a9s, so it must say which service instance it is for. Create it anew with spec.a9s.',
  );
  expect(objection('generic', { a9s: INSTANCE })).toBe(
    'ClusterCertificate storage/east: spec.a9s is for profile a9s, but its profile is generic. Create it anew without, or with spec.profile: a9s.',
  );
  expect(objection('a9s', { a9s: INSTANCE, drbd: NODE })).toBe(
    'ClusterCertificate storage/east: spec.drbd is for profile drbd, but its profile is a9s. Take it out, or create the certificate anew with spec.profile: drbd.',
  );
});

test('what the profile makes of the name must fit into a certificate', () => {
  const named = (profile: ProfileName, name: string, spec: object = {}): string | null => {
    const { certificate, ca } = objectsOf(profile, name, spec);
    return profileObjection(certificate, ca);
  };
  const long = 'v'.repeat(53);
  expect(named('vast', 'v'.repeat(52))).toBeNull();
  expect(named('vast', long)).toBe(
    `ClusterCertificate storage/${long}: no leaf can have its names: common name has 65 characters; RFC 5280 allows 64. Set spec.commonName, or correct that name.`,
  );
  expect(named('vast', long, { commonName: 'Replication-v' })).toBeNull();
  // That of a node is a DNS name as well.
  expect(named('generic', 'east', { commonName: 'Node One' })).toBeNull();
  expect(named('drbd', 'east', { commonName: 'Node One' })).toBe(
    'ClusterCertificate storage/east: no leaf can have its names: DNS name "Node One" is not a host name (ASCII labels; a wildcard only as the whole first label). Set spec.commonName, or correct that name.',
  );
});

test('what is as its profile wants it is no objection, whosever profile it is', () => {
  expect(objection('a9s', { a9s: INSTANCE })).toBeNull();
  expect(objection('generic', { profile: 'a9s', a9s: INSTANCE })).toBeNull();
  expect(objection('drbd', { drbd: NODE })).toBeNull();
  expect(objection('drbd')).toBeNull();
  expect(objection('generic')).toBeNull();
});
