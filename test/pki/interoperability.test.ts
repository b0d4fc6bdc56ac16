/**
 * Every kind of CA with every kind of leaf, before real verifiers: OpenSSL in strict mode and in handshakes, and Node.
 * A mesh in rotation is modelled by pairs of CAs, where the newer one is also of another kind than the older one.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { encodeBundle } from '../../src/pki/bundle.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { encodePrivateKey, generatePrivateKey, keyMatches } from '../../src/pki/keys.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { ACCEPTED, handshakeWithNode, handshakeWithOpenssl, type Party, type PartyFiles } from './mutual-tls.ts';
import {
  ALL_SPECS,
  authority,
  type Leaf,
  leafOf,
  openssl,
  specName,
  temporaryDirectory,
  twoAtATime,
} from './support.ts';

const directory = temporaryDirectory();

/** An older CA and its successor, and one leaf of each kind under both. */
interface Rotation {
  readonly name: string;
  readonly older: SigningAuthority;
  readonly newer: SigningAuthority;
  readonly leaves: readonly { readonly kind: string; readonly ofOlder: Leaf; readonly ofNewer: Leaf }[];
}

const rotations: Rotation[] = [];

beforeAll(async () => {
  const authorities: SigningAuthority[] = [];
  const leaves: Leaf[][] = [];
  const keys = await Promise.all(ALL_SPECS.map(generatePrivateKey));
  for (const spec of ALL_SPECS) {
    const ca = await authority(`Replication-Root-CA ${specName(spec)}`, spec);
    authorities.push(ca);
    leaves.push(await Promise.all(keys.map((key) => leafOf(ca, { key }))));
  }
  for (const index of ALL_SPECS.keys()) {
    const next = (index + 1) % ALL_SPECS.length;
    rotations.push({
      name: `${index}-${next}`,
      older: at(authorities, index),
      newer: at(authorities, next),
      leaves: ALL_SPECS.map((spec, kind) => ({
        kind: specName(spec),
        ofOlder: at(at(leaves, index), kind),
        ofNewer: at(at(leaves, next), kind),
      })),
    });
  }
}, 60_000);

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}

type Order = 'older first' | 'newer first';
const ORDERS: readonly Order[] = ['older first', 'newer first'];

function bundleOf({ older, newer }: Rotation, order: Order): Certificate[] {
  const certificates = [older.certificate, newer.certificate];
  return order === 'older first' ? certificates : certificates.toReversed();
}

let files = 0;
function write(content: string): string {
  files += 1;
  return directory.write(`${files}.pem`, content);
}

function partyOf(leaf: Leaf, trust: string): Party {
  return { certificate: leaf.certificate.pem, key: encodePrivateKey(leaf.key, 'PKCS8'), trust };
}

function partyFiles(leaf: Leaf, trust: string): PartyFiles {
  const { certificate, key } = partyOf(leaf, trust);
  return { certificate: write(certificate), key: write(key), trust };
}

test('keys and leaves belong together for every kind', () => {
  for (const { ofOlder, ofNewer } of rotations.flatMap(({ leaves }) => leaves)) {
    expect(keyMatches(ofOlder.certificate, ofOlder.key)).toBe(true);
    expect(keyMatches(ofNewer.certificate, ofNewer.key)).toBe(true);
  }
});

describe('openssl verify -x509_strict', () => {
  test.each(ORDERS.flatMap((order) => (['sslserver', 'sslclient'] as const).map((purpose) => ({ order, purpose }))))(
    'accepts all 36 pairs of kinds as $purpose, bundle with the $order',
    async ({ order, purpose }) => {
      await twoAtATime(rotations, async (rotation) => {
        const trust = write(encodeBundle(bundleOf(rotation, order)));
        const leaves = rotation.leaves.flatMap(({ ofOlder, ofNewer }) => [ofOlder, ofNewer]);
        const leafFiles = leaves.map(({ certificate }) => write(certificate.pem));
        const { code, output } = await openssl([
          'verify',
          '-x509_strict',
          '-purpose',
          purpose,
          '-no-CApath',
          '-no-CAstore',
          '-CAfile',
          trust,
          ...leafFiles,
        ]);
        expect(output).toBe(leafFiles.map((file) => `${file}: OK\n`).join(''));
        expect(code).toBe(0);
      });
    },
  );

  test('accepts the CAs themselves, and refuses a leaf of a CA that was dropped', async () => {
    await twoAtATime(rotations, async ({ newer, leaves }) => {
      const trust = write(newer.certificate.pem);
      const verify = ['verify', '-x509_strict', '-no-CApath', '-no-CAstore', '-CAfile', trust];
      expect(await openssl([...verify, trust])).toEqual({ code: 0, output: `${trust}: OK\n` });
      const dropped = await openssl([...verify, write(at(leaves, 0).ofOlder.certificate.pem)]);
      expect(dropped.code).not.toBe(0);
      expect(dropped.output).toContain('unable to get local issuer certificate');
    });
  });
});

describe('mutual TLS during a rotation', () => {
  test.each(ORDERS)('Node with Node, every kind of leaf, bundle with the %s', { timeout: 60_000 }, async (order) => {
    for (const rotation of rotations) {
      const trust = encodeBundle(bundleOf(rotation, order));
      for (const { kind, ofOlder, ofNewer } of rotation.leaves) {
        const older = partyOf(ofOlder, trust);
        const newer = partyOf(ofNewer, trust);
        const where = `CAs ${rotation.name}, leaf ${kind}`;
        expect(await handshakeWithNode(older, newer), `${where}, newer dials`).toEqual(ACCEPTED);
        expect(await handshakeWithNode(newer, older), `${where}, older dials`).toEqual(ACCEPTED);
      }
    }
  });

  test.each(ORDERS)(
    'OpenSSL with OpenSSL, every kind of leaf, bundle with the %s',
    { timeout: 60_000 },
    async (order) => {
      await twoAtATime(rotations, async (rotation) => {
        const trust = write(encodeBundle(bundleOf(rotation, order)));
        for (const { kind, ofOlder, ofNewer } of rotation.leaves) {
          const older = partyFiles(ofOlder, trust);
          const newer = partyFiles(ofNewer, trust);
          const where = `CAs ${rotation.name}, leaf ${kind}`;
          expect(await handshakeWithOpenssl(older, newer), `${where}, newer dials`).toBeNull();
          expect(await handshakeWithOpenssl(newer, older), `${where}, older dials`).toBeNull();
        }
      });
    },
  );

  test('a client whose CA the server has dropped is refused, by Node and by OpenSSL', async () => {
    const { older, newer, leaves } = at(rotations, 3);
    const { ofOlder, ofNewer } = at(leaves, 3);
    const both = encodeBundle([older.certificate, newer.certificate]);
    const onlyNewer = encodeBundle([newer.certificate]);
    expect(await handshakeWithNode(partyOf(ofNewer, onlyNewer), partyOf(ofOlder, both))).toEqual({
      ofServer: 'SELF_SIGNED_CERT_IN_CHAIN',
      ofClient: null,
    });
    expect(
      await handshakeWithOpenssl(partyFiles(ofNewer, write(onlyNewer)), partyFiles(ofOlder, write(both))),
    ).toContain('tls_process_client_certificate:certificate verify failed');
  });
});
