/** Pairs of CAs that are hard to tell apart, with a leaf of each: what the model of verifiers is judged by. */
import type { Certificate } from '../../src/pki/certificate.ts';
import { type FlawedCa, flawedCa, flawedLeaf } from './flawed.ts';
import { authority, type Leaf, leafOf } from './support.ts';

export interface Subjects {
  readonly older: Certificate;
  readonly newer: Certificate;
  readonly leafOfOlder: Leaf;
  readonly leafOfNewer: Leaf;
}

export const SKI_A = 'a'.repeat(40);
const SKI_B = 'b'.repeat(40);
export const NAME = 'Replication-Root-CA';

/** With which styles of verifier a leaf works. */
export type Works = { readonly first: boolean; readonly last: boolean; readonly any: boolean };
const ALL: Works = { first: true, last: true, any: true };
const ONLY_FIRST: Works = { first: true, last: false, any: true };
const ONLY_LAST: Works = { first: false, last: true, any: true };

export interface Case {
  readonly name: string;
  readonly build: () => Promise<Subjects>;
  /** What checkBundle says of the pair. */
  readonly problem: string | null;
  /** For the leaf whose CA stands first in the bundle, and the one whose CA stands last. */
  readonly leafOfFirst: Works;
  readonly leafOfLast: Works;
}

async function flawed(
  older: Promise<FlawedCa>,
  newer: Promise<FlawedCa>,
  keyId: (ca: FlawedCa) => string | null,
): Promise<Subjects> {
  const [a, b] = await Promise.all([older, newer]);
  return {
    older: a.certificate,
    newer: b.certificate,
    leafOfOlder: await flawedLeaf(a, { keyId: keyId(a) }),
    leafOfNewer: await flawedLeaf(b, { keyId: keyId(b) }),
  };
}

const ownKeyId = (ca: FlawedCa): string | null => ca.certificate.subjectKeyId;
const none = (): null => null;

export const CASES: readonly Case[] = [
  {
    name: 'distinct subjects, key identifiers: what we issue',
    build: async () => {
      const older = await authority(`${NAME} G1`);
      const newer = await authority(`${NAME} G2`);
      return {
        older: older.certificate,
        newer: newer.certificate,
        leafOfOlder: await leafOf(older),
        leafOfNewer: await leafOf(newer),
      };
    },
    problem: null,
    leafOfFirst: ALL,
    leafOfLast: ALL,
  },
  {
    name: 'same subject, key identifiers',
    build: () =>
      flawed(
        flawedCa(NAME, { subjectKeyId: SKI_A, serial: '01' }),
        flawedCa(NAME, { subjectKeyId: SKI_B, serial: '02' }),
        ownKeyId,
      ),
    problem: 'SameSubject',
    leafOfFirst: ALL,
    leafOfLast: ALL,
  },
  {
    name: 'same subject, no key identifiers',
    build: () =>
      flawed(
        flawedCa(NAME, { subjectKeyId: null, serial: '01' }),
        flawedCa(NAME, { subjectKeyId: null, serial: '02' }),
        none,
      ),
    problem: 'MissingSubjectKeyId',
    leafOfFirst: ONLY_FIRST,
    leafOfLast: ONLY_LAST,
  },
  {
    name: 'same subject, the leaves lack the authority key identifier',
    build: () =>
      flawed(
        flawedCa(NAME, { subjectKeyId: SKI_A, serial: '01' }),
        flawedCa(NAME, { subjectKeyId: SKI_B, serial: '02' }),
        none,
      ),
    problem: 'SameSubject',
    leafOfFirst: ONLY_FIRST,
    leafOfLast: ONLY_LAST,
  },
  {
    name: 'same subject, the CAs lack the subject key identifier that the leaves name',
    build: async () =>
      flawed(
        flawedCa(NAME, { subjectKeyId: null, serial: '01' }),
        flawedCa(NAME, { subjectKeyId: null, serial: '02' }),
        (ca) => (ca.certificate.serialNumber === '01' ? SKI_A : SKI_B),
      ),
    problem: 'MissingSubjectKeyId',
    leafOfFirst: ONLY_FIRST,
    leafOfLast: ONLY_LAST,
  },
  {
    name: 'same subject, same key identifier, different keys',
    build: () =>
      flawed(
        flawedCa(NAME, { subjectKeyId: SKI_A, serial: '01' }),
        flawedCa(NAME, { subjectKeyId: SKI_A, serial: '02' }),
        ownKeyId,
      ),
    problem: 'SameSubject',
    leafOfFirst: ONLY_FIRST,
    leafOfLast: ONLY_LAST,
  },
  {
    name: 'subjects that differ in case and spaces, no key identifiers',
    build: () =>
      flawed(
        flawedCa('Replication  Root', { subjectKeyId: null, serial: '01' }),
        flawedCa('replication root', { subjectKeyId: null, serial: '02' }),
        none,
      ),
    problem: 'MissingSubjectKeyId',
    leafOfFirst: ONLY_FIRST,
    leafOfLast: ONLY_LAST,
  },
  {
    name: 'subjects that differ in the string type, leaves without authority key identifier',
    build: () =>
      flawed(
        flawedCa(NAME, { subjectKeyId: SKI_A, serial: '01' }),
        flawedCa(NAME, { subjectKeyId: SKI_B, serial: '02', printable: false }),
        none,
      ),
    problem: 'SameSubject',
    leafOfFirst: ONLY_FIRST,
    leafOfLast: ONLY_LAST,
  },
  {
    name: 'renewed with the same key and subject',
    build: async () => {
      const older = await flawedCa(NAME, { subjectKeyId: SKI_A, serial: '01' });
      return flawed(
        Promise.resolve(older),
        flawedCa(NAME, { subjectKeyId: SKI_A, serial: '02', key: older.key }),
        ownKeyId,
      );
    },
    problem: 'SameKey',
    leafOfFirst: ALL,
    leafOfLast: ALL,
  },
  {
    name: 'same subject, the leaves name issuer and serial number of their CA',
    build: async () => {
      const older = await flawedCa(NAME, { subjectKeyId: SKI_A, serial: '01' });
      const newer = await flawedCa(NAME, { subjectKeyId: SKI_A, serial: '02' });
      return {
        older: older.certificate,
        newer: newer.certificate,
        leafOfOlder: await flawedLeaf(older, { keyId: SKI_A, certificate: older.certificate }),
        leafOfNewer: await flawedLeaf(newer, { keyId: SKI_A, certificate: newer.certificate }),
      };
    },
    problem: 'SameSubject',
    leafOfFirst: ONLY_FIRST,
    leafOfLast: ALL,
  },
];
