/**
 * The model of verifiers against the real ones: two CAs that are hard to tell apart, both bundle orders, a leaf of
 * each. OpenSSL is asked by its command and, in the version that Node carries, by a handshake.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { checkBundle, encodeBundle, verifiesUnder } from '../../src/pki/bundle.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { encodePrivateKey } from '../../src/pki/keys.ts';
import { flawedCa, flawedLeaf } from './flawed.ts';
import { CASES, NAME, SKI_A, type Subjects } from './lookalikes.ts';
import { handshakeWithNode } from './mutual-tls.ts';
import { type Leaf, openssl, temporaryDirectory } from './support.ts';

const directory = temporaryDirectory();

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
