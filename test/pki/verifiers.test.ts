/**
 * The model of verifiers against the real ones: two CAs that are hard to tell apart, both bundle orders, a leaf of
 * each. OpenSSL is asked by its command and, in the version that Node carries, by a handshake.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { checkBundle, encodeBundle, verifiesUnder } from '../../src/pki/bundle.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { encodePrivateKey } from '../../src/pki/keys.ts';
import { type FlawedCa, flawedCa, flawedLeaf } from './flawed.ts';
import { handshakeWithNode } from './mutual-tls.ts';
import { authority, type Leaf, leafOf, openssl, temporaryDirectory } from './support.ts';

const directory = temporaryDirectory();

interface Subjects {
  readonly older: Certificate;
  readonly newer: Certificate;
  readonly leafOfOlder: Leaf;
  readonly leafOfNewer: Leaf;
}

const SKI_A = 'a'.repeat(40);
const SKI_B = 'b'.repeat(40);
const NAME = 'Replication-Root-CA';

type Works = { readonly first: boolean; readonly last: boolean; readonly any: boolean };
const ALL: Works = { first: true, last: true, any: true };
const ONLY_FIRST: Works = { first: true, last: false, any: true };
const ONLY_LAST: Works = { first: false, last: true, any: true };

interface Case {
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

const CASES: readonly Case[] = [
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
    leafOfFirst: ALL,
    leafOfLast: ALL,
  },
];

let files = 0;
function write(content: string): string {
  files += 1;
  return directory.write(`${files}.pem`, content);
}

async function opensslAccepts(leaf: Certificate, bundle: readonly Certificate[]): Promise<boolean> {
  const trust = write(encodeBundle(bundle));
  const { code } = await openssl(['verify', '-no-CApath', '-no-CAstore', '-CAfile', trust, write(leaf.pem)]);
  return code === 0;
}

/** A handshake of the leaf with itself, so that both ends judge it. */
async function nodeAccepts({ certificate, key }: Leaf, bundle: readonly Certificate[]): Promise<boolean> {
  const party = {
    certificate: certificate.pem,
    key: encodePrivateKey(key, 'PKCS8'),
    trust: encodeBundle(bundle),
  };
  const { ofServer, ofClient } = await handshakeWithNode(party, party);
  expect(ofServer, 'both ends must agree').toBe(ofClient);
  return ofServer === null;
}

describe.each(CASES)('$name', ({ build, problem, leafOfFirst, leafOfLast }) => {
  let subjects: Subjects;
  beforeAll(async () => {
    subjects = await build();
  });

  test(`checkBundle says ${problem ?? 'nothing'}, in both orders`, () => {
    const { older, newer } = subjects;
    expect(checkBundle([older, newer])?.reason ?? null).toBe(problem);
    expect(checkBundle([newer, older])?.reason ?? null).toBe(problem);
  });

  test.each(['older first', 'newer first'])('model, OpenSSL and Node agree, %s', async (order) => {
    const { older, newer, leafOfOlder, leafOfNewer } = subjects;
    const older1st = order === 'older first';
    const bundle = older1st ? [older, newer] : [newer, older];
    const expected = [
      { leaf: leafOfOlder, works: older1st ? leafOfFirst : leafOfLast },
      { leaf: leafOfNewer, works: older1st ? leafOfLast : leafOfFirst },
    ];
    for (const { leaf, works } of expected) {
      const { certificate } = leaf;
      expect({
        first: verifiesUnder(certificate, bundle, 'first'),
        last: verifiesUnder(certificate, bundle, 'last'),
        any: verifiesUnder(certificate, bundle, 'any'),
      }).toEqual(works);
      expect(await opensslAccepts(certificate, bundle), 'openssl verify').toBe(works.first);
      expect(await nodeAccepts(leaf, bundle), 'Node').toBe(works.first);
    }
  });
});

describe('a CA renewed with the same key, and the old certificate dropped', () => {
  test('the old leaf is still trusted: such a drop drops nothing', async () => {
    const older = await flawedCa(NAME, { subjectKeyId: SKI_A, serial: '01' });
    const newer = await flawedCa(NAME, { subjectKeyId: SKI_A, serial: '02', key: older.key });
    const leaf = await flawedLeaf(older, { keyId: SKI_A });
    const bundle = [newer.certificate];
    expect(verifiesUnder(leaf.certificate, bundle, 'first')).toBe(true);
    expect(verifiesUnder(leaf.certificate, bundle, 'last')).toBe(true);
    expect(await opensslAccepts(leaf.certificate, bundle)).toBe(true);
    expect(await nodeAccepts(leaf, bundle)).toBe(true);
  });

  test('unless the leaf names issuer and serial number of the old one', async () => {
    const older = await flawedCa(NAME, { subjectKeyId: SKI_A, serial: '01' });
    const newer = await flawedCa(NAME, { subjectKeyId: SKI_A, serial: '02', key: older.key });
    const leaf = await flawedLeaf(older, { keyId: SKI_A, certificate: older.certificate });
    const bundle = [newer.certificate];
    expect(verifiesUnder(leaf.certificate, bundle, 'first')).toBe(false);
    expect(await opensslAccepts(leaf.certificate, bundle)).toBe(false);
    expect(await nodeAccepts(leaf, bundle)).toBe(false);
  });
});
