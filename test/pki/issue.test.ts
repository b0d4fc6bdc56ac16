import 'reflect-metadata';
import { createPublicKey, generateKeyPairSync, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseCertificate, signedBy } from '../../src/pki/certificate.ts';
import { PkiError } from '../../src/pki/errors.ts';
import { type SigningAuthority, issueCa, newSerial, rawSubjectOf } from '../../src/pki/issue.ts';
import { generatePrivateKey, type KeySpec } from '../../src/pki/keys.ts';
import { flawedCa } from './flawed.ts';
import { authority, DAY, leafOf, NOW, openssl, P256, serialOf, specName } from './support.ts';

x509.cryptoProvider.set(webcrypto);

let ca: SigningAuthority;
beforeAll(async () => {
  ca = await authority('Replication-Root-CA G1');
});

describe('a CA certificate', () => {
  test('has the fields of our rules', async () => {
    const { certificate } = await authority('Replication-Root-CA G2', P256, {
      subject: {
        commonName: 'Replication-Root-CA G2',
        organizations: ['Example', 'Other'],
        organizationalUnits: ['Storage'],
        countries: ['DE'],
      },
    });
    expect(certificate).toMatchObject({
      subject: 'CN=Replication-Root-CA G2,OU=Storage,O=Other,O=Example,C=DE',
      issuer: certificate.subject,
      commonName: 'Replication-Root-CA G2',
      isCa: true,
      pathLength: 0,
      keyUsage: ['keyCertSign', 'cRLSign'],
      extendedKeyUsage: null,
      authorityKeyId: null,
      authoritySerialNumber: null,
      dnsNames: [],
      ipAddresses: [],
      uris: [],
      notBefore: NOW - DAY,
      notAfter: NOW + 3650 * DAY,
    });
    expect(certificate.subjectKeyId).toMatch(/^[0-9a-f]{40}$/);
    expect(signedBy(certificate, certificate)).toBe(true);
  });

  test('says to OpenSSL what it says here, critical where it must', async () => {
    const { output } = await openssl(['x509', '-noout', '-text'], ca.certificate.pem);
    expect(output).toContain('Version: 3 (0x2)');
    expect(output).toContain('X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0\n');
    expect(output).toContain('X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n');
    expect(output.match(/X509v3 /g)).toHaveLength(4); // "X509v3 extensions" and three of them
  });
});

describe('a leaf', () => {
  test('has a Netscape certificate type where that is asked for, as the vendor of VAST shows it', async () => {
    const key = await generatePrivateKey({ algorithm: 'RSA', size: 2048 });
    const { certificate } = await leafOf(ca, { key, netscapeCertType: true });
    const { output } = await openssl(['x509', '-noout', '-text'], certificate.pem);
    for (const [name, value] of [
      ['Netscape Cert Type', 'SSL Client, SSL Server'],
      ['X509v3 Key Usage: critical', 'Digital Signature, Key Encipherment'],
      ['X509v3 Extended Key Usage', 'TLS Web Server Authentication, TLS Web Client Authentication'],
    ])
      expect(output).toMatch(new RegExp(`^ *${name}:? *\n *${value}$`, 'm'));
    expect(certificate.otherExtensions).toEqual([{ id: '2.16.840.1.113730.1.1', critical: false }]);
    expect((await leafOf(ca, { key })).certificate.otherExtensions).toEqual([]);
  });

  test('has the fields of our rules', async () => {
    const { certificate } = await leafOf(ca, {
      subject: { commonName: 'Replication-vast1', organizations: ['Example'] },
      dnsNames: ['vast1.example', '*.vast1.example'],
      ipAddresses: ['192.0.2.1', '2001:db8::1'],
      uris: ['spiffe://example/vast1'],
    });
    expect(certificate).toMatchObject({
      subject: 'CN=Replication-vast1,O=Example',
      issuer: 'CN=Replication-Root-CA G1',
      rawIssuer: ca.certificate.rawSubject,
      isCa: false,
      pathLength: null,
      keyUsage: ['digitalSignature'],
      extendedKeyUsage: ['serverAuth', 'clientAuth'],
      authorityKeyId: ca.certificate.subjectKeyId,
      authoritySerialNumber: null,
      dnsNames: ['vast1.example', '*.vast1.example'],
      ipAddresses: ['192.0.2.1', '2001:db8::1'],
      uris: ['spiffe://example/vast1'],
      signatureAlgorithm: '1.2.840.10045.4.3.2',
    });
    expect(signedBy(certificate, ca.certificate)).toBe(true);
    expect(rawSubjectOf({ commonName: 'Replication-vast1', organizations: ['Example'] })).toBe(certificate.rawSubject);
  });

  test('says to OpenSSL what it says here, critical where it must', async () => {
    const { certificate } = await leafOf(ca, { uris: ['spiffe://example/a'], ipAddresses: ['::1'] });
    const { output } = await openssl(['x509', '-noout', '-text'], certificate.pem);
    expect(output).toContain('X509v3 Basic Constraints: critical\n                CA:FALSE\n');
    expect(output).toContain('X509v3 Key Usage: critical\n                Digital Signature\n');
    expect(output).toMatch(
      /X509v3 Extended Key Usage: \n +TLS Web Server Authentication, TLS Web Client Authentication\n/,
    );
    expect(output).toMatch(/X509v3 Authority Key Identifier: \n +[0-9A-F:]{59}\n/);
    expect(output).toMatch(
      /X509v3 Subject Alternative Name: \n +DNS:member.example, IP Address:0:0:0:0:0:0:0:1, URI:spiffe:\/\/example\/a\n/,
    );
  });

  test('of RSA may encipher keys too, for TLS 1.2 without forward secrecy', async () => {
    const { certificate } = await leafOf(ca, { key: await generatePrivateKey({ algorithm: 'RSA', size: 2048 }) });
    expect(certificate.keyUsage).toEqual(['digitalSignature', 'keyEncipherment']);
  });

  test('without names has no such extension', async () => {
    const { certificate } = await leafOf(ca, { dnsNames: [] });
    expect(certificate.der.includes(Buffer.from('0603551d11', 'hex'))).toBe(false);
    expect(certificate.dnsNames).toEqual([]);
  });

  test('never outlives its CA, and ends when asked to before that', async () => {
    const long = await leafOf(ca, { notAfter: NOW + 9999 * DAY });
    expect(long.certificate.notAfter).toBe(ca.certificate.notAfter);
    const short = await leafOf(ca, { notAfter: NOW + 7 * DAY + 999 });
    expect(short.certificate.notAfter).toBe(NOW + 7 * DAY);
  });

  test('copies the issuer octet by octet, whatever string types the CA has', async () => {
    const imported = await flawedCa('Corp CA', { subjectKeyId: 'ab'.repeat(20), serial: '01', printable: true });
    const { certificate } = await leafOf(imported);
    expect(certificate.rawIssuer).toBe(imported.certificate.rawSubject);
    expect(certificate.rawIssuer).not.toBe(rawSubjectOf({ commonName: 'Corp CA' }));
    expect(certificate.authorityKeyId).toBe('ab'.repeat(20));
  });

  test.each<[KeySpec, string]>([
    [{ algorithm: 'RSA', size: 2048 }, '1.2.840.113549.1.1.11'],
    [{ algorithm: 'ECDSA', size: 384 }, '1.2.840.10045.4.3.3'],
    [{ algorithm: 'Ed25519' }, '1.3.101.112'],
  ])('of a CA of another kind is signed in its way: $algorithm', async (spec, algorithm) => {
    const other = await authority(`Root ${specName(spec)}`, spec);
    const { certificate } = await leafOf(other);
    expect(certificate.signatureAlgorithm).toBe(algorithm);
    expect(new X509Certificate(certificate.der).verify(createPublicKey(other.key))).toBe(true);
  });
});

describe('a second reader (@peculiar/x509) finds the same', () => {
  test('in leaves with any names, dates and serial numbers', async () => {
    const key = await generatePrivateKey(P256);
    const label = fc.stringMatching(/^[a-z0-9]{1,12}$/);
    const dnsName = fc.tuple(fc.constantFrom('', '*.'), label, label).map(([star, a, b]) => `${star}${a}.${b}x`);
    const text = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 64 })
      .filter((value) => !/\p{Cc}|^\s*$/u.test(value));
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          commonName: text,
          organizations: fc.array(text, { maxLength: 2 }),
          dnsNames: fc.array(dnsName, { maxLength: 4 }),
          ipv4: fc.array(fc.ipV4(), { maxLength: 2 }),
          ipv6: fc.array(fc.ipV6(), { maxLength: 2 }),
          from: fc.integer({ min: Date.UTC(1950, 0, 1), max: Date.UTC(2120, 0, 1) }),
          life: fc.integer({ min: 1000, max: 200 * 366 * DAY }),
          serial: fc
            .uint8Array({ minLength: 1, maxLength: 16 })
            .filter((octets) => octets.some((octet) => octet !== 0)),
        }),
        async ({ commonName, organizations, dnsNames, ipv4, ipv6, from, life, serial }) => {
          const eternal = {
            certificate: (await authority('Root', P256, { key: ca.key, notAfter: LATEST })).certificate,
            key: ca.key,
          };
          const subject = { commonName, organizations };
          const { certificate } = await leafOf(eternal, {
            key,
            subject,
            dnsNames,
            ipAddresses: [...ipv4, ...ipv6],
            notBefore: from,
            notAfter: from + life,
            serial: Buffer.from(serial),
          });
          const other = new x509.X509Certificate(certificate.der);
          const seconds = (instant: number): number => Math.floor(instant / 1000) * 1000;
          expect(certificate.notBefore).toBe(seconds(from));
          expect(certificate.notAfter).toBe(seconds(from + life));
          expect(other.notBefore.getTime()).toBe(certificate.notBefore);
          expect(other.notAfter.getTime()).toBe(certificate.notAfter);
          expect(certificate.commonName).toBe(commonName);
          expect(other.subjectName.getField('CN')).toEqual([commonName]);
          expect(other.subjectName.getField('O')).toEqual(organizations);
          expect(BigInt(`0x${other.serialNumber}`)).toBe(BigInt(`0x${Buffer.from(serial).toString('hex')}`));
          expect(BigInt(`0x${certificate.serialNumber}`)).toBe(BigInt(`0x${other.serialNumber}`));
          const names = other.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
          expect(names.filter(({ type }) => type === 'dns').map(({ value }) => value)).toEqual(dnsNames);
          expect(certificate.dnsNames).toEqual(dnsNames);
          expect(certificate.ipAddresses).toEqual([...ipv4, ...ipv6.map(canonicalIpv6)]);
          expect(names.filter(({ type }) => type === 'ip').map(({ value }) => canonicalIp(value))).toEqual(
            certificate.ipAddresses,
          );
          const keyId = other.getExtension(x509.AuthorityKeyIdentifierExtension);
          expect(keyId?.keyId).toBe(certificate.authorityKeyId);
          expect(keyId?.certId).toBeUndefined();
          expect(other.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId).toBe(certificate.subjectKeyId);
        },
      ),
      { numRuns: 60 },
    );
  });
});

const LATEST = Date.UTC(9999, 11, 31, 23, 59, 59);

/** The form of RFC 5952, by an implementation that is not ours. */
function canonicalIpv6(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function canonicalIp(address: string): string {
  return address.includes(':') ? canonicalIpv6(address) : address;
}

describe('addresses', () => {
  test.each([
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['::', '::'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['fe80::', 'fe80::'],
  ])('%s is read as %s', async (address, canonical) => {
    const { certificate } = await leafOf(ca, { ipAddresses: [address] });
    expect(certificate.ipAddresses).toEqual([canonical]);
    expect(canonicalIpv6(address)).toBe(canonical);
  });
});

describe('dates', () => {
  test.each([
    ['2049-12-31T23:59:59.999Z', '170d', '491231235959Z'],
    ['2050-01-01T00:00:00.000Z', '180f', '20500101000000Z'],
    ['9999-12-31T23:59:59.000Z', '180f', '99991231235959Z'],
  ])('%s is written in the form of RFC 5280', async (end, head, digits) => {
    const { certificate } = await authority('Root', P256, { key: ca.key, notAfter: Date.parse(end) });
    const encoded = Buffer.concat([Buffer.from(head, 'hex'), Buffer.from(digits)]);
    expect(certificate.der.includes(encoded)).toBe(true);
    expect(certificate.notAfter).toBe(Math.floor(Date.parse(end) / 1000) * 1000);
    expect(new X509Certificate(certificate.der).validToDate.getTime()).toBe(certificate.notAfter);
  });

  test.each<[string, number, number]>([
    ['no life', NOW, NOW],
    ['less than a second', NOW, NOW + 999],
    ['an end before the beginning', NOW, NOW - 1000],
    ['a beginning before 1950', Date.UTC(1949, 11, 31), NOW],
    ['an end after 9999', NOW, Date.UTC(10_000, 0, 1)],
    ['no number', Number.NaN, NOW],
    ['no number at the end', NOW, Number.NaN],
  ])('%s is refused', async (_, notBefore, notAfter) => {
    await expect(authority('Root', P256, { key: ca.key, notBefore, notAfter })).rejects.toMatchObject({
      reason: 'InvalidValidity',
    });
  });

  test('a leaf of a CA that has ended is refused', async () => {
    const ended = await authority('Root', P256, { key: ca.key, notAfter: NOW - 1000 });
    await expect(leafOf(ended, { notBefore: NOW })).rejects.toMatchObject({ reason: 'InvalidValidity' });
  });
});

describe('serial numbers', () => {
  test('have sixteen random octets and are positive', async () => {
    expect(newSerial((size) => Buffer.alloc(size))).toEqual(Buffer.from(`01${'00'.repeat(15)}`, 'hex'));
    const seen = new Set<string>();
    for (let count = 0; count < 300; count += 1) {
      const serial = newSerial(randomBytes);
      expect(serial).toHaveLength(16);
      seen.add(serial.toString('hex'));
    }
    expect(seen.size).toBe(300);
  });

  test('with the high bit set stay positive', async () => {
    const serial = Buffer.from(`ff${'ab'.repeat(15)}`, 'hex');
    const { certificate } = await leafOf(ca, { serial });
    expect(certificate.serialNumber).toBe(serial.toString('hex'));
    expect(new X509Certificate(certificate.der).serialNumber.toLowerCase()).toBe(serial.toString('hex'));
  });

  test.each(['', '00', '00'.repeat(16), 'ff'.repeat(20), '01'.repeat(21)])('0x%s is refused', async (hex) => {
    await expect(leafOf(ca, { serial: Buffer.from(hex, 'hex') })).rejects.toMatchObject({ reason: 'InvalidSerial' });
  });
});

describe('PEM', () => {
  test('has no empty line, whatever the length of the body', async () => {
    const key = await generatePrivateKey(P256);
    const lengths = new Set<number>();
    for (let size = 1; size <= 64; size += 1) {
      const { certificate } = await leafOf(ca, { key, subject: { commonName: 'x'.repeat(size) } });
      const lines = certificate.pem.split('\n');
      expect(lines.slice(1, -2).every((line) => line.length > 0 && line.length <= 64)).toBe(true);
      expect(parseCertificate(certificate.pem).fingerprint).toBe(certificate.fingerprint);
      expect(new X509Certificate(certificate.pem).fingerprint256.replaceAll(':', '').toLowerCase()).toBe(
        certificate.fingerprint,
      );
      lengths.add((lines.at(-3)?.length ?? 0) % 64);
    }
    expect(lengths).toContain(0); // a body that is a multiple of 64 was among them
  });
});

describe('refused are', () => {
  test.each(['', '   ', 'a\0b', 'a\nb', 'a\u0085b', '\ud800', 'x'.repeat(65), '😀'.repeat(65)])(
    'the common name %j',
    async (commonName) => {
      await expect(leafOf(ca, { subject: { commonName } })).rejects.toMatchObject({ reason: 'InvalidSubject' });
    },
  );

  test('subjects with other fields that are wrong', async () => {
    for (const over of [
      { countries: ['Germany'] },
      { countries: ['D1'] },
      { organizations: [''] },
      { organizationalUnits: ['\t'] },
    ]) {
      await expect(leafOf(ca, { subject: { commonName: 'x', ...over } })).rejects.toMatchObject({
        reason: 'InvalidSubject',
      });
    }
  });

  test('but 64 characters of any script are a name, and OpenSSL reads it', async () => {
    for (const commonName of ['😀'.repeat(64), 'Zürich, "Süd" + <x>; \\ #1 =', ' leading', '#hash', 'ünïcödé ']) {
      const { certificate } = await leafOf(ca, { subject: { commonName } });
      expect(parseCertificate(certificate.pem).commonName).toBe(commonName);
      const { output } = await openssl(
        ['x509', '-noout', '-subject', '-nameopt', 'RFC2253,-esc_msb,utf8'],
        certificate.pem,
      );
      expect(output.trimEnd()).toBe(`subject=${certificate.subject}`.trimEnd());
    }
  });

  test.each([
    '',
    '.',
    'a..b',
    '-a.b',
    'a-.b',
    'a.*',
    '*',
    '*a.b',
    'a.*.b',
    'ä.example',
    'a b',
    'a\0.b',
    '10.0.0.1',
    'a.',
    `${'x'.repeat(64)}.y`,
    'a.'.repeat(127) + 'b',
  ])('the DNS name %j', async (name) => {
    await expect(leafOf(ca, { dnsNames: [name] })).rejects.toMatchObject({ reason: 'InvalidAlternativeName' });
  });

  test.each(['', '1.2.3', '1.2.3.256', '01.2.3.4', 'fe80::1%eth0', '::g', '1.2.3.4/24', 'example'])(
    'the address %j',
    async (address) => {
      await expect(leafOf(ca, { ipAddresses: [address] })).rejects.toMatchObject({ reason: 'InvalidAlternativeName' });
    },
  );

  test.each(['', '//a/b', 'spiffe:', 'spiffe://a b', 'spiffe://ä', `x:${'a'.repeat(2048)}`])(
    'the URI %j',
    async (uri) => {
      await expect(leafOf(ca, { uris: [uri] })).rejects.toMatchObject({ reason: 'InvalidAlternativeName' });
    },
  );

  test('more names than a certificate can be read with', async () => {
    const dnsNames = Array.from({ length: 2000 }, (_, index) => `host-${index}.example.internal`);
    await expect(leafOf(ca, { dnsNames })).rejects.toMatchObject({ reason: 'TooLarge' });
  });

  test('authorities that cannot sign', async () => {
    const leaf = await leafOf(ca);
    const other = await authority('Other');
    const noKeyId = await flawedCa('No key id', { subjectKeyId: null, serial: '01' });
    const noCa = await flawedCa('No CA', { subjectKeyId: 'ab', serial: '01', ca: false });
    for (const broken of [leaf, { ...ca, key: other.key }, noKeyId, noCa]) {
      await expect(leafOf(broken)).rejects.toMatchObject({ reason: 'InvalidAuthority' });
    }
    await expect(leafOf(ca)).resolves.toBeDefined();
    // Also after the key has been seen to be right for another certificate.
    await expect(leafOf({ certificate: other.certificate, key: ca.key })).rejects.toMatchObject({
      reason: 'InvalidAuthority',
    });
  });

  test('keys of other kinds', () => {
    const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'secp521r1' });
    const request = { key, subject: { commonName: 'x' }, notBefore: NOW, notAfter: NOW + DAY, serial: serialOf('x') };
    expect(() => issueCa(request)).toThrow(PkiError);
  });
});
