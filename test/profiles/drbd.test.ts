/** What a node of DRBD gets, held against LINBIT's document, tlshd.conf(5), and GnuTLS by the rules of tlshd. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { LeafWish } from '../../src/controllers/shared/effective.ts';
import { encodeBundle } from '../../src/pki/bundle.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { encodePrivateKey } from '../../src/pki/keys.ts';
import { makeAuthority } from '../probe/pki.ts';
import { lacking } from '../support/packages.ts';
import { filesFor, handshake, TLSHD, type TlshdNode } from '../systems/tlshd.ts';
import { proves } from '../targets/claims.ts';
import { materialFor, outputsOf, wishOf as profiledWish } from './member.ts';

const wishOf = (node: string, spec: object = {}): LeafWish => profiledWish('drbd', node, spec);

describe('a node', () => {
  test('is called by its name, among the DNS names as well, besides those that are asked for', () => {
    expect(wishOf('alice')).toMatchObject({ subject: { commonName: 'alice' }, dnsNames: ['alice'] });
    expect(wishOf('a', { commonName: 'alice', dnsNames: ['alice.example.com', 'alice'] })).toMatchObject({
      subject: { commonName: 'alice' },
      dnsNames: ['alice', 'alice.example.com'],
    });
  });

  test('gets a tlshd.conf for both ends of a connection, and what a resource needs', async () => {
    const authority = await makeAuthority('drbd G1');
    const wish = wishOf('alice', { drbd: { directory: '/etc/drbd.d/tls' } });
    const outputs = outputsOf(wish, await materialFor(wish, authority, [authority]));
    expect(Object.keys(outputs)).toEqual(['tlshd.conf', 'drbd-tls.res']);
    for (const role of ['client', 'server'] as const) {
      expect(filesFor(role, outputs['tlshd.conf'] ?? '')).toEqual({
        truststore: '/etc/drbd.d/tls/ca.crt',
        certificate: '/etc/drbd.d/tls/tls.crt',
        privateKey: '/etc/drbd.d/tls/tls.key',
      });
    }
    expect(outputs['tlshd.conf']).toContain(
      '/etc/drbd.d/tls root:root 0700, ca.crt and tls.crt root:root 0644, tls.key root:root 0600',
    );
    expect(outputs['drbd-tls.res']).toMatch(/^# ReplicationCA storage\/mesh: .*\nnet \{\n {4}tls yes;\n\}\n$/);
    const plain = wishOf('alice');
    expect(outputsOf(plain, await materialFor(plain, authority, [authority]))['tlshd.conf']).toContain(
      'x509.truststore=/etc/tlshd.d/ca.crt\n',
    );
  });
});

const why = await lacking(...TLSHD);

describe.skipIf(why !== null)(`GnuTLS in the place of tlshd${why === null ? '' : ` ${why}`}`, () => {
  /** A node with its files, as its Secret has them. */
  async function node(name: string, signer: SigningAuthority, bundle: readonly SigningAuthority[]) {
    const dir = mkdtempSync(path.join(tmpdir(), `node-${name}-`));
    const wish = wishOf(name, { drbd: { directory: dir } });
    const material = await materialFor(wish, signer, bundle);
    const files = {
      'ca.crt': encodeBundle(material.bundle),
      'tls.crt': material.chain[0].pem,
      'tls.key': encodePrivateKey(material.key, wish.encoding),
      ...outputsOf(wish, material),
    };
    for (const [file, text] of Object.entries(files)) writeFileSync(path.join(dir, file), text, { mode: 0o600 });
    return { name, dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
  }

  test('takes the files as they are, of both generations, and nobody else', proves('drbd', 'material'), async () => {
    const [g1, g2, foreign] = [await makeAuthority('G1'), await makeAuthority('G2'), await makeAuthority('other')];
    using alice = await node('alice', g1, [g1, g2]);
    using bob = await node('bob', g2, [g2, g1]);
    using mallory = await node('mallory', foreign, [foreign, g1, g2]);
    await handshake(alice, bob);
    await handshake(bob, alice);
    await expect(handshake(mallory, bob)).rejects.toThrow(/Error in the certificate/);
    await expect(handshake(bob, mallory)).rejects.toThrow(/NOT trusted/);
    // Whoever dials wants the node that it dials.
    const impostor: TlshdNode = { name: 'charlie', dir: bob.dir };
    await expect(handshake(alice, impostor)).rejects.toThrow(/does not match/);
  });
});
