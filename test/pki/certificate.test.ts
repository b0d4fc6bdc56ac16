import { createPublicKey, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Certificate, parseCertificate, parseCertificates, signedBy } from '../../src/pki/certificate.ts';
import { contextTag, element, objectIdentifier, sequence, Tag, unsignedInteger } from '../../src/pki/der.ts';
import type { PkiReason } from '../../src/pki/errors.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { encodePrivateKey } from '../../src/pki/keys.ts';
import { decodePem, encodePem } from '../../src/pki/pem.ts';
import { flawedCa, flawedLeaf } from './flawed.ts';
import { authority, type Leaf, leafOf, openssl, refusal, temporaryDirectory } from './support.ts';

const directory = temporaryDirectory();
let ca: SigningAuthority;
let leaf: Leaf;

beforeAll(async () => {
  ca = await authority('Root G1');
  leaf = await leafOf(ca);
});

describe('what is read', () => {
  test('agrees with Node', () => {
    for (const certificate of [ca.certificate, leaf.certificate]) {
      const node = new X509Certificate(certificate.pem);
      expect(certificate.fingerprint).toBe(node.fingerprint256.replaceAll(':', '').toLowerCase());
      expect(certificate.serialNumber).toBe(node.serialNumber.toLowerCase());
      expect(certificate.notBefore).toBe(node.validFromDate.getTime());
      expect(certificate.notAfter).toBe(node.validToDate.getTime());
      expect(certificate.isCa).toBe(node.ca);
      expect(certificate.publicKey.equals(node.publicKey)).toBe(true);
      expect(certificate.pem).toBe(node.toString());
      expect(certificate.der.equals(node.raw)).toBe(true);
    }
    expect(ca.certificate.publicKey.equals(createPublicKey(ca.key))).toBe(true);
    expect(leaf.certificate.publicKeyDigest).toMatch(/^[0-9a-f]{64}$/);
    expect(leaf.certificate.publicKeyDigest).not.toBe(ca.certificate.publicKeyDigest);
  });

  test('is what OpenSSL put into a certificate with many fields', async () => {
    const key = directory.write('key.pem', encodePrivateKey(leaf.key, 'PKCS8'));
    const { output } = await openssl([
      'req',
      '-x509',
      '-new',
      '-key',
      key,
      '-days',
      '3',
      '-set_serial',
      '0x00',
      '-utf8',
      '-subj',
      '/DC=org/DC=example/ST=Württemberg/emailAddress=a@example.org/CN=first/CN=last\\, one+UID=u1/2.5.4.97=NTRDE-1',
      '-multivalue-rdn',
      '-addext',
      'subjectAltName=email:a@example.org,DNS:a.example,IP:192.0.2.7,IP:2001:db8::,URI:urn:a:b,dirName:dir,RID:1.2.3',
      '-addext',
      'keyUsage=critical,digitalSignature,keyAgreement,decipherOnly',
      '-addext',
      'extendedKeyUsage=clientAuth,1.3.6.1.4.1.99999.1,2.25.329800735698586629295641978511506172918',
      '-addext',
      'authorityKeyIdentifier=keyid:always,issuer:always',
      '-config',
      directory.write('openssl.cnf', '[req]\ndistinguished_name=dn\n[dn]\n[dir]\nCN=x\n'),
    ]);
    const certificate = parseCertificate(output);
    expect(certificate).toMatchObject({
      subject:
        '2.5.4.97=#0c074e545244452d31,CN=last\\, one+UID=u1,CN=first,emailAddress=a@example.org,ST=Württemberg,DC=example,DC=org',
      commonName: 'last, one',
      serialNumber: '00',
      dnsNames: ['a.example'],
      ipAddresses: ['192.0.2.7', '2001:db8::'],
      uris: ['urn:a:b'],
      keyUsage: ['digitalSignature', 'keyAgreement', 'decipherOnly'],
      extendedKeyUsage: ['clientAuth', '1.3.6.1.4.1.99999.1', '2.25.329800735698586629295641978511506172918'],
      authorityKeyId: certificate.subjectKeyId,
      authoritySerialNumber: '00',
    });
  });

  test('of a certificate of version 1 has no extensions', async () => {
    const key = directory.write('v1.pem', encodePrivateKey(leaf.key, 'PKCS8'));
    const request = await openssl(['req', '-new', '-key', key, '-subj', '/CN=v1']);
    const { output } = await openssl(
      ['x509', '-req', '-signkey', key, '-set_serial', '-5', '-days', '1'],
      request.output,
    );
    expect(parseCertificate(output)).toMatchObject({
      commonName: 'v1',
      isCa: false,
      keyUsage: null,
      extendedKeyUsage: null,
      subjectKeyId: null,
      serialNumber: '-5',
    });
  });

  test.each([
    [Tag.bmpString, Buffer.from('\0\u00c4\0x', 'latin1'), 'Äx'],
    [Tag.t61String, Buffer.from('\u00c4x', 'latin1'), 'Äx'],
    [Tag.ia5String, Buffer.from('x'), 'x'],
    [Tag.universalString, Buffer.from('\0\0\0x', 'latin1'), null],
  ])('of a name in the old string type %i', (tag, octets, commonName) => {
    const name = sequence(element(Tag.set, sequence(objectIdentifier('2.5.4.3'), element(tag, octets))));
    const certificate = parseCertificate(withSubject(name));
    expect(certificate.commonName).toBe(commonName);
    expect(certificate.subject).toBe(
      commonName === null ? `CN=#${element(tag, octets).toString('hex')}` : `CN=${commonName}`,
    );
  });
});

describe('PEM texts', () => {
  test('may hold comments and line ends of any kind', () => {
    const text = `subject=CN = x\r\n${leaf.certificate.pem.replaceAll('\n', '\r\n')}\r\nend`;
    expect(parseCertificate(text).pem).toBe(leaf.certificate.pem);
    expect(parseCertificate(leaf.certificate.pem.trimEnd()).pem).toBe(leaf.certificate.pem);
  });

  test('keep their order and their duplicates in a bundle', () => {
    const { pem } = leaf.certificate;
    const order = parseCertificates(`${pem}# comment\n${ca.certificate.pem}${pem}`).map(
      ({ fingerprint }) => fingerprint,
    );
    expect(order).toEqual([leaf.certificate, ca.certificate, leaf.certificate].map(({ fingerprint }) => fingerprint));
  });

  const body = (): string => leaf.certificate.pem.split('\n').slice(1, -2).join('\n');
  test.each<[string, () => string, PkiReason]>([
    ['empty', () => '', 'Malformed'],
    ['without a block', () => 'hello', 'Malformed'],
    ['with two certificates', () => leaf.certificate.pem.repeat(2), 'Malformed'],
    ['with a private key', () => encodePrivateKey(leaf.key, 'PKCS8'), 'Malformed'],
    [
      'with a trusted certificate',
      () => leaf.certificate.pem.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE'),
      'Unsupported',
    ],
    ['with another label at the end', () => leaf.certificate.pem.replace('END CERTIFICATE', 'END CERT'), 'Malformed'],
    ['without an end', () => leaf.certificate.pem.replace(/-----END.*/, ''), 'Malformed'],
    ['with a character that is not base64', () => leaf.certificate.pem.replace('MII', 'M!I'), 'Malformed'],
    ['with padding in the middle', () => leaf.certificate.pem.replace('MII', 'M=I'), 'Malformed'],
    ['with a character missing', () => leaf.certificate.pem.replace('MII', 'MI'), 'Malformed'],
    ['with headers', () => leaf.certificate.pem.replace('MII', 'X-Header: y\n\nMII'), 'Malformed'],
    ['with an empty block', () => '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n', 'Malformed'],
    [
      'with something after the DER',
      () => encodePem('CERTIFICATE', Buffer.concat([leaf.certificate.der, Buffer.of(0)])),
      'Malformed',
    ],
    ['over the cap', () => leaf.certificate.pem + ' '.repeat(36_500), 'TooLarge'],
    ['that are one dash line', () => '-----BEGIN CERTIFICATE-----', 'Malformed'],
    [
      'with a strange label',
      () => `-----BEGIN ${'A'.repeat(100)}-----\n${body()}\n-----END ${'A'.repeat(100)}-----`,
      'Malformed',
    ],
  ])('%s are refused', (_, text, reason) => {
    expect(refusal(() => parseCertificate(text()))).toBe(reason);
  });

  test('of bundles are refused over their cap, with a private key, or with one bad certificate', () => {
    const { pem } = leaf.certificate;
    expect(refusal(() => parseCertificates(pem.repeat(Math.ceil(330_001 / pem.length))))).toBe('TooLarge');
    expect(parseCertificates(pem.repeat(8))).toHaveLength(8);
    expect(() => parseCertificates(pem.repeat(9))).toThrow(
      /^the bundle has 9 certificates; at most 8 are read, and two generations are the most that it is to hold$/,
    );
    expect(refusal(() => parseCertificates(pem.repeat(9)))).toBe('TooLarge');
    expect(refusal(() => parseCertificates(pem + encodePrivateKey(leaf.key, 'PKCS8')))).toBe('Malformed');
    expect(refusal(() => parseCertificates(pem + encodePem('CERTIFICATE', Buffer.from('hello'))))).toBe('Malformed');
    expect(refusal(() => parseCertificates(pem + encodePem('CERTIFICATE', Buffer.alloc(30_000))))).toBe('TooLarge');
  });

  test('that are encoded by us are those that are decoded', () => {
    for (let size = 1; size < 200; size += 1) {
      const der = Buffer.alloc(size, size);
      expect(decodePem(encodePem('X', der), 'x', 1000)).toEqual([{ label: 'X', der }]);
    }
  });
});

/** The leaf again, field by field, some of them replaced: what is signed no longer counts, but it can be read. */
function rebuilt(replace: (fields: readonly Buffer[]) => readonly Buffer[]): string {
  const [certificate = Buffer.alloc(0)] = children(leaf.certificate.der);
  const [tbs = Buffer.alloc(0), ...rest] = children(inner(certificate));
  return encodePem('CERTIFICATE', sequence(sequence(...replace(children(inner(tbs)))), ...rest));
}

function withSubject(name: Buffer): string {
  return rebuilt((fields) => fields.with(5, name));
}

function withExtensions(...extensions: readonly Buffer[]): string {
  return rebuilt((fields) => fields.with(7, element(contextTag(3, 'constructed'), sequence(...extensions))));
}

function children(content: Buffer): Buffer[] {
  const result: Buffer[] = [];
  for (let at = 0; at < content.length; ) {
    const end = at + headerOf(content.subarray(at)) + lengthOf(content.subarray(at));
    result.push(content.subarray(at, end));
    at = end;
  }
  return result;
}

function headerOf(der: Buffer): number {
  const form = der[1] ?? 0;
  return form < 0x80 ? 2 : 2 + (form & 0x7f);
}

function lengthOf(der: Buffer): number {
  const form = der[1] ?? 0;
  return form < 0x80 ? form : der.readUIntBE(2, form & 0x7f);
}

function inner(der: Buffer): Buffer {
  return der.subarray(headerOf(der));
}

function extension(oid: string, value: Buffer): Buffer {
  return sequence(objectIdentifier(oid), element(Tag.octetString, value));
}

describe('certificates that are refused although their signature might be good', () => {
  test('(what is built here is else readable)', () => {
    expect(parseCertificate(rebuilt((fields) => fields)).fingerprint).toBe(leaf.certificate.fingerprint);
    expect(
      parseCertificate(withExtensions(extension('2.5.29.14', element(Tag.octetString, Buffer.of(1))))),
    ).toMatchObject({
      subjectKeyId: '01',
      dnsNames: [],
    });
  });

  const alternativeName = (tag: number, octets: Buffer): Buffer =>
    extension('2.5.29.17', sequence(element(tag, octets)));
  test.each<[string, () => string]>([
    [
      'a NUL in a DNS name',
      () => withExtensions(alternativeName(contextTag(2, 'primitive'), Buffer.from('a.example\0.evil'))),
    ],
    ['a line break in a URI', () => withExtensions(alternativeName(contextTag(6, 'primitive'), Buffer.from('a:\nb')))],
    ['an address of five octets', () => withExtensions(alternativeName(contextTag(7, 'primitive'), Buffer.alloc(5)))],
    [
      'an extension twice',
      () => withExtensions(...Array<Buffer>(2).fill(extension('2.5.29.14', element(Tag.octetString)))),
    ],
    [
      'something after an extension',
      () => withExtensions(extension('2.5.29.14', Buffer.concat([element(Tag.octetString), Buffer.of(5, 0)]))),
    ],
    [
      'CA:TRUE written as 1',
      () => withExtensions(extension('2.5.29.19', sequence(element(Tag.boolean, Buffer.of(1))))),
    ],
    [
      'a negative path length',
      () => withExtensions(extension('2.5.29.19', sequence(element(Tag.integer, Buffer.of(0xff))))),
    ],
    [
      'a path length of nine octets',
      () => withExtensions(extension('2.5.29.19', sequence(unsignedInteger(Buffer.alloc(9, 1))))),
    ],
    ['a key usage without bits', () => withExtensions(extension('2.5.29.15', element(Tag.bitString)))],
    [
      'an identifier that is cut off',
      () => withExtensions(extension('2.5.29.37', sequence(element(Tag.oid, Buffer.of(0x81))))),
    ],
    [
      'an identifier without end',
      () => withExtensions(extension('2.5.29.37', sequence(element(Tag.oid, Buffer.alloc(9000, 1))))),
    ],
    [
      'version 4',
      () => rebuilt((fields) => fields.with(0, element(contextTag(0, 'constructed'), unsignedInteger(Buffer.of(3))))),
    ],
    ['a padded serial number', () => rebuilt((fields) => fields.with(1, element(Tag.integer, Buffer.of(0, 1))))],
    ['an empty serial number', () => rebuilt((fields) => fields.with(1, element(Tag.integer)))],
    ['30 February', () => rebuilt((fields) => fields.with(4, dates('260230000000Z')))],
    ['a date without seconds', () => rebuilt((fields) => fields.with(4, dates('2602280000Z')))],
    ['a date in another zone', () => rebuilt((fields) => fields.with(4, dates('260228000000+0100')))],
    [
      'a name that is not UTF-8',
      () =>
        withSubject(
          sequence(element(Tag.set, sequence(objectIdentifier('2.5.4.3'), element(Tag.utf8String, Buffer.of(0xff))))),
        ),
    ],
    [
      'a name of odd UTF-16',
      () =>
        withSubject(
          sequence(element(Tag.set, sequence(objectIdentifier('2.5.4.3'), element(Tag.bmpString, Buffer.of(0))))),
        ),
    ],
    ['an empty set in a name', () => withSubject(sequence(element(Tag.set)))],
    ['a key that is no key', () => rebuilt((fields) => fields.with(6, sequence()))],
  ])('%s', (_, pem) => {
    expect(refusal(() => parseCertificate(pem()))).toBe('Malformed');
  });

  function dates(end: string): Buffer {
    return sequence(element(Tag.utcTime, Buffer.from('260101000000Z')), element(Tag.utcTime, Buffer.from(end)));
  }
});

describe('signedBy', () => {
  test('goes by the signature', async () => {
    const other = await authority('Root G1'); // same name, another key
    expect(signedBy(leaf.certificate, ca.certificate)).toBe(true);
    expect(signedBy(leaf.certificate, other.certificate)).toBe(false);
    expect(signedBy(ca.certificate, leaf.certificate)).toBe(false);
    expect(signedBy(leaf.certificate, leaf.certificate)).toBe(false);
  });

  test('wants the name and the key identifier to agree as well', async () => {
    const named = await flawedCa('Name', { subjectKeyId: 'aa', serial: '01' });
    const renamed = await flawedCa('Other name', { subjectKeyId: 'aa', serial: '01', key: named.key });
    const sameName = await flawedCa('Name', { subjectKeyId: 'bb', serial: '02' });
    const sameKeyOtherId = await flawedCa('Name', { subjectKeyId: 'bb', serial: '02', key: named.key });
    const member = async (keyId: string | null): Promise<Certificate> =>
      (await flawedLeaf(named, { keyId })).certificate;
    expect(signedBy(await member('aa'), named.certificate)).toBe(true);
    expect(signedBy(await member(null), named.certificate)).toBe(true);
    expect(signedBy(await member('aa'), renamed.certificate)).toBe(false);
    expect(signedBy(await member('aa'), sameKeyOtherId.certificate)).toBe(false);
    expect(signedBy(await member(null), sameKeyOtherId.certificate)).toBe(true);
    expect(signedBy(await member(null), sameName.certificate)).toBe(false);
  });

  test('sees a single changed bit', () => {
    const { der } = leaf.certificate;
    const at = der.indexOf('member.example');
    const forged = Buffer.from(der);
    forged[at] = (forged[at] ?? 0) ^ 1;
    expect(signedBy(parseCertificate(encodePem('CERTIFICATE', forged)), ca.certificate)).toBe(false);
  });
});
