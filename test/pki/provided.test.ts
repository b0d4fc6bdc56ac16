/** Leaves that people had issued with openssl: which of them a member is given, and what is said of the others. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Certificate, parseCertificate, signedBy } from '../../src/pki/certificate.ts';
import { type LeafDemands, objectionAt, objectionUnder, readProvided } from '../../src/pki/provided.ts';
import { BOTH, filesIn, follow, leafWith, P256, shell } from './brought.ts';
import { authority, DAY, leafOf, NOW, thrown } from './support.ts';

const ANYTHING: LeafDemands = {
  by: 'the spec asks for',
  because: null,
  remedy: 'have it issued anew, or correct the spec',
  commonName: null,
  keys: null,
  dnsNames: [],
  ipAddresses: [],
  uris: [],
  hostIn: null,
};

describe('a leaf is taken as it is', () => {
  const taken: readonly (readonly [what: string, script: string, demands?: Partial<LeafDemands>])[] = [
    [
      'that a recipe without extensions made',
      `openssl genrsa -out tls.key 2048; openssl req -new -key tls.key -subj /CN=Replication-east -out tls.csr
       openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1095 -out tls.crt`,
      { commonName: 'Replication-east', keys: [{ algorithm: 'RSA', size: 2048 }] },
    ],
    ['for servers and clients', leafWith([BOTH, 'keyUsage=critical,digitalSignature'])],
    ['without any usage', leafWith(['basicConstraints=CA:FALSE'])],
    ['for more purposes', leafWith([`${BOTH},emailProtection`, 'keyUsage=digitalSignature,keyAgreement'])],
    ['with extensions that nobody need know', leafWith([BOTH, 'nsCertType=client,server', '1.2.3.4=ASN1:NULL'])],
    ['with its text before it', `${leafWith([BOTH])}; openssl x509 -in tls.crt -text -out t; mv t tls.crt`],
    [
      'with a key as PKCS#1',
      leafWith([BOTH], { key: 'openssl genrsa -traditional -out tls.key 3072' }),
      { keys: [{ algorithm: 'RSA', size: 3072 }] },
    ],
    [
      'with a curve, parameters and all',
      leafWith([BOTH], { key: 'openssl ecparam -genkey -name secp384r1 -out tls.key' }),
      { keys: [{ algorithm: 'ECDSA', size: 384 }] },
    ],
    [
      'with Ed25519',
      leafWith([BOTH], { key: 'openssl genpkey -algorithm ed25519 -out tls.key' }),
      { keys: [{ algorithm: 'Ed25519' }] },
    ],
    ['signed with SHA-512', leafWith([BOTH], { more: '-sha512' })],
    [
      'with the names that are asked for, and others',
      leafWith([BOTH, 'subjectAltName=DNS:east.example,DNS:EAST.corp,IP:10.0.0.1,IP:fd00::1,URI:spiffe://x/east']),
      {
        dnsNames: ['East.example', 'east.corp'],
        ipAddresses: ['10.0.0.1', 'FD00:0:0::0001'],
        uris: ['spiffe://x/east'],
      },
    ],
    [
      'with a wildcard for the name that is asked for',
      leafWith([BOTH, 'subjectAltName=DNS:*.example']),
      { dnsNames: ['east.example', '*.example'] },
    ],
  ];

  test.each(taken.map(([what, script, demands]) => ({ what, script, demands })))('$what', ({ script, demands }) => {
    const dir = follow(script);
    const files = filesIn(dir);
    const { certificate, key } = readProvided(files, [{ ...ANYTHING, ...demands }]);
    expect(certificate.fingerprint).toBe(fingerprintOf(dir));
    expect(key.type).toBe('private');
    const ca = parseCertificate(readFileSync(join(dir, 'ca.crt'), 'utf8'));
    expect(signedBy(certificate, ca)).toBe(true);
    expect(objectionUnder(certificate, ca)).toBeNull();
    // OpenSSL agrees, for either end of a connection.
    for (const purpose of ['sslserver', 'sslclient'])
      expect(shell(dir, `openssl verify -purpose ${purpose} -CAfile ca.crt tls.crt`)).toBe('tls.crt: OK\n');
  });
});

function fingerprintOf(dir: string): string {
  const shown = shell(dir, 'openssl x509 -in tls.crt -noout -fingerprint -sha256');
  return shown
    .slice(shown.indexOf('=') + 1)
    .replaceAll(/[:\n]/g, '')
    .toLowerCase();
}

const DEMANDS: LeafDemands = { ...ANYTHING, commonName: 'Replication-east', dnsNames: ['east.example'] };
const NAMED = [BOTH, 'subjectAltName=DNS:east.example'];

describe('a leaf is refused', () => {
  const refused: readonly (readonly [what: string, script: string, message: RegExp, demands?: Partial<LeafDemands>])[] =
    [
      [
        'that comes with its chain',
        `${leafWith(NAMED)}; cat ca.crt >> tls.crt`,
        /^there are 2 certificates, but members trust roots .* without intermediates; put the leaf there alone$/,
      ],
      [
        'that is a CA',
        leafWith([...NAMED, 'basicConstraints=CA:TRUE']),
        /^"CN=Replication-east" is a CA, .*have a leaf issued$/,
      ],
      [
        'that is signed by itself',
        `${P256}; openssl req -new -x509 -key tls.key -subj /CN=Replication-east -addext basicConstraints=CA:FALSE -out tls.crt`,
        /^"CN=Replication-east" names itself as its issuer, but members accept what a CA of the mesh has signed; have/,
      ],
      [
        'with serial number 0',
        `${leafWith(NAMED, { more: '-set_serial 0' })}`,
        /^the serial number of .* is not a number above zero of at most 20 octets/,
      ],
      ['with a negative serial number', leafWith(NAMED, { more: '-set_serial -5' }), /^the serial number of/],
      [
        'for servers alone',
        leafWith(['extendedKeyUsage=serverAuth', 'subjectAltName=DNS:east.example']),
        /^the extended key usage of .* \(serverAuth\) does not hold both serverAuth and clientAuth, but/,
      ],
      [
        'for any purpose, which OpenSSL does not take for each',
        leafWith(['extendedKeyUsage=anyExtendedKeyUsage', 'subjectAltName=DNS:east.example']),
        /\(anyExtendedKeyUsage\) does not hold both/,
      ],
      ...['server', 'client', 'server,email'].map((types): readonly [string, string, RegExp] => [
        `of Netscape certificate type ${types} alone, by which OpenSSL judges, too`,
        leafWith([...NAMED, `nsCertType=${types}`]),
        /^the Netscape certificate type of .* \(\w+(, email)?\) does not hold both server and client, but a member listens and dials with one leaf; have it issued anew with both, or without that extension$/,
      ]),
      [
        'whose Netscape certificate type is none',
        leafWith([...NAMED, 'nsCertType=DER:0500']),
        /^the Netscape certificate type of .* \(none\) does not hold both/,
      ],
      [
        'whose Netscape certificate type is critical, which others do not know',
        leafWith([...NAMED, 'nsCertType=critical,server,client']),
        /has the critical extension 2\.16\.840\.1\.113730\.1\.1, /,
      ],
      [
        'whose key may only encipher',
        leafWith([...NAMED, 'keyUsage=keyEncipherment']),
        /^the key usage of .* \(keyEncipherment\) lacks digitalSignature, .*have it issued anew with it$/,
      ],
      [
        'with a critical extension that nobody knows',
        leafWith([...NAMED, '1.2.3.4=critical,ASN1:NULL']),
        /has the critical extension 1\.2\.3\.4, .*have it issued anew without$/,
      ],
      [
        'signed with SHA-1',
        leafWith(NAMED, { more: '-sha1' }),
        /is signed with algorithm 1\.2\.840\.10045\.4\.1, .*have it issued anew with SHA-256/,
      ],
      [
        'with RSA of 1024 bits',
        leafWith(NAMED, { key: 'openssl genrsa -out tls.key 1024' }),
        /^the key of .* is none of RSA 2048, .*have it issued anew with such a key$/,
      ],
      [
        'with P-521',
        leafWith(NAMED, { key: 'openssl ecparam -genkey -name secp521r1 -out tls.key' }),
        /^the key of .* is none of/,
      ],
      [
        'of another common name',
        leafWith(NAMED, { subject: '/O=Example/CN=east' }),
        /^the common name of "CN=east,O=Example" is not "Replication-east", which the spec asks for; have it issued anew, or correct/,
      ],
      [
        'of no common name',
        leafWith(NAMED, { subject: '/O=Example' }),
        /^the common name of "O=Example" is not "Replication-east"/,
      ],
      [
        'with a key of another size',
        leafWith(NAMED, { key: 'openssl genrsa -out tls.key 2048' }),
        /^the key of .* is RSA 2048, but the spec asks for RSA 4096; have it/,
        { keys: [{ algorithm: 'RSA', size: 4096 }] },
      ],
      [
        'with a key of another kind',
        leafWith(NAMED),
        /^the key of .* is ECDSA 256, but the spec asks for Ed25519;/,
        { keys: [{ algorithm: 'Ed25519' }] },
      ],
      [
        'that lacks names',
        leafWith([BOTH, 'subjectAltName=DNS:west.example,IP:10.0.0.2']),
        /^"CN=Replication-east" lacks the DNS name east\.example, the IP address 10\.0\.0\.1, the URI spiffe:\/\/x\/east among its subject alternative names, which the spec asks for; have/,
        { ipAddresses: ['10.0.0.1', '10.0.0.2'], uris: ['spiffe://x/east'] },
      ],
      [
        'whose wildcard stands for another level',
        leafWith([BOTH, 'subjectAltName=DNS:*.example']),
        /lacks the DNS name a\.east\.example, the DNS name example among/,
        { dnsNames: ['a.east.example', 'b.example', 'example'] },
      ],
      [
        'with the key of another',
        `${leafWith(NAMED)}; ${P256}`,
        /^the private key does not belong to the certificate of "CN=Replication-east"; put the two together/,
      ],
      [
        'with a key under a passphrase',
        `${leafWith(NAMED)}; openssl pkcs8 -topk8 -in tls.key -passout pass:open-sesame -out t; mv t tls.key`,
        /^the private key is encrypted, .*: openssl pkey -in tls\.key -out plain\.key$/,
      ],
      [
        'whose key is encrypted in the old way',
        `${leafWith(NAMED)}; openssl ec -in tls.key -aes256 -passout pass:open-sesame -out t; mv t tls.key`,
        /encrypted in the legacy way/,
      ],
      [
        'whose key lies with its certificate',
        `${leafWith(NAMED)}; openssl pkey -in tls.key >> tls.crt`,
        /^found a private key where certificates are expected/,
      ],
      [
        'as DER',
        `${leafWith(NAMED)}; openssl x509 -in tls.crt -outform der -out t; mv t tls.crt`,
        /^the certificate is not valid PEM/,
      ],
      ['that is a request', `${leafWith(NAMED)}; cp tls.csr tls.crt`, /^found a PEM block "CERTIFICATE REQUEST"/],
      ['over the cap', leafWith([...NAMED, `1.2.3.4=ASN1:UTF8String:${'x'.repeat(30_000)}`]), /at most \d+ are read/],
      ['with nothing in its file', `${leafWith(NAMED)}; : > tls.crt`, /^the certificate is not valid PEM/],
    ];

  test.each(refused.map(([what, script, message, demands]) => ({ what, script, message, demands })))(
    '$what',
    ({ script, message, demands }) => {
      const error = thrown(() => readProvided(filesIn(follow(script)), [{ ...DEMANDS, ...demands }]));
      expect(error.message).toMatch(message);
      expect(error.message).not.toMatch(/-----|open-sesame/);
    },
  );

  test('before it is valid, and from the very instant at which it ends', async () => {
    const { certificate } = await leafOf(await authority('Root'), { notBefore: NOW, notAfter: NOW + DAY });
    expect(objectionAt(certificate, NOW)).toBeNull();
    expect(objectionAt(certificate, NOW + DAY - 1)).toBeNull();
    expect(objectionAt(certificate, NOW - 1)).toMatch(
      /^"CN=member" is not valid before \d{4}-.*Z; wait, or correct the clock$/,
    );
    expect(objectionAt(certificate, NOW + DAY)).toMatch(/^"CN=member" expired at \d{4}-.*Z; put a newer one there$/);
  });

  test('that says that it outlives its CA', async () => {
    const until = async (notAfter: number): Promise<Certificate> =>
      (await authority('Root', undefined, { notAfter })).certificate;
    const { certificate: leaf } = await leafOf(await authority('Root'), { notAfter: NOW + 2 * DAY });
    expect(objectionUnder(leaf, await until(NOW + 2 * DAY))).toBeNull();
    expect(objectionUnder(leaf, await until(NOW + DAY))).toMatch(
      /^"CN=member" says that it is valid until .*, but its CA, "CN=Root", ends at .*; have one issued that ends no later$/,
    );
  });
});
