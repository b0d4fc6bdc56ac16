/** What each target system asks of leaves that its user brings. What is asked of all is in test/pki/provided.test.ts. */
import { describe, expect, test } from 'vitest';
import { leafDemands } from '../../src/controllers/shared/effective.ts';
import { PkiError } from '../../src/pki/errors.ts';
import { readProvided } from '../../src/pki/provided.ts';
import type { ProfileName } from '../../src/profiles/index.ts';
import { BOTH, filesIn, follow, leafWith, P256, shell } from '../pki/brought.ts';
import { lacking } from '../support/packages.ts';
import { objectsOf } from './member.ts';

const noGnutls = await lacking('certtool');
const RSA = 'openssl genrsa -out tls.key 2048';
/** The vendor's recipe of VAST, and LINBIT's: a leaf without any extension. */
const bare = (subject: string, key = P256): string => `
  ${key}; openssl req -new -key tls.key -subj '${subject}' -out tls.csr
  openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out tls.crt`;
const named = (subject: string, names: string, key = P256): string =>
  leafWith([BOTH, `subjectAltName=${names}`], { subject, key });

/** What is said of a leaf that was made like this and is brought to a member of this profile; null: it is taken. */
function verdict(profile: ProfileName, name: string, spec: object, dir: string): string | null {
  const { certificate, ca } = objectsOf(profile, name, spec);
  try {
    readProvided(filesIn(dir), leafDemands(certificate, ca));
    return null;
  } catch (error) {
    if (error instanceof PkiError) return error.message;
    throw error;
  }
}
const said = (profile: ProfileName, script: string, name = 'east', spec: object = {}): string | null =>
  verdict(profile, name, spec, follow(script));

const P384 = 'openssl ecparam -genkey -name secp384r1 -noout -out tls.key';
const ED25519 = 'openssl genpkey -algorithm ed25519 -out tls.key';

test.each(['generic', 'postgres', 'mysql', 'galera', 'redis', 'rabbitmq'] as const)(
  '%s asks for neither names nor a kind of key: who dials whom, and how it is checked, its user has chosen',
  (profile) => {
    for (const key of [RSA, P384, ED25519]) expect(said(profile, bare('/CN=replicator', key))).toBeNull();
  },
);

test.each(['etcd', 'nats'] as const)(
  '%s looks for hosts among the alternative names, so there must be one',
  (profile) => {
    for (const names of ['DNS:east.example', 'IP:10.0.0.1'])
      expect(said(profile, named('/CN=anything', names))).toBeNull();
    for (const script of [bare('/CN=east.example'), named('/CN=east.example', 'URI:spiffe://x/east')])
      expect(said(profile, script)).toMatch(
        /^"CN=east\.example" lacks a DNS name or an IP address among its subject alternative names, which profile \w+ asks for: a .* looks for .* there and nowhere else; have it issued anew$/,
      );
  },
);

describe('vast', () => {
  test('takes what the recipe of its vendor makes, and RSA of any other size, by whatever name', () => {
    expect(said('vast', bare('/CN=Replication-vast1', RSA))).toBeNull();
    expect(said('vast', bare('/CN=anything', 'openssl genrsa -out tls.key 4096'))).toBeNull();
    expect(
      said('vast', leafWith([BOTH, 'nsCertType=client,server', 'keyUsage=digitalSignature'], { key: RSA })),
    ).toBeNull();
  });

  test('refuses what it may not be able to use: other keys, and extensions that name less than both roles', () => {
    const kinds = 'RSA 2048 or RSA 3072 or RSA 4096';
    expect(said('vast', bare('/CN=vast1', P384))).toBe(
      `the key of "CN=vast1" is ECDSA 384, but profile vast asks for ${kinds}; have it issued anew`,
    );
    expect(said('vast', bare('/CN=vast1', ED25519))).toMatch(/is Ed25519, but profile vast asks for/);
    expect(said('vast', leafWith(['nsCertType=server'], { key: RSA }))).toMatch(
      /Netscape certificate type of .* \(server\)/,
    );
    expect(said('vast', leafWith(['extendedKeyUsage=clientAuth'], { key: RSA }))).toMatch(/extended key usage of/);
    expect(said('vast', leafWith([BOTH, 'keyUsage=keyEncipherment'], { key: RSA }))).toMatch(/lacks digitalSignature/);
    expect(said('vast', `${bare('/CN=vast1', RSA)}; cat ca.crt >> tls.crt`)).toMatch(/without intermediates/);
  });

  test('takes the size that the spec asks for, where it does', () => {
    const spec = { privateKey: { algorithm: 'RSA', size: 4096 } };
    expect(said('vast', bare('/CN=vast1', RSA), 'vast1', spec)).toMatch(
      /is RSA 2048, but the spec asks for RSA 4096; /,
    );
  });
});

describe('drbd', () => {
  /** Leaves for node alice, and whether the connecting side finds it in them. */
  const cases: readonly (readonly [what: string, script: string, found: boolean])[] = [
    ["LINBIT's recipe: in the common name, for want of others", bare('/CN=alice'), true],
    ['another common name', bare('/CN=bob'), false],
    ['no name at all', bare('/O=Example'), false],
    ['a DNS name', named('/CN=linstor-satellite', 'DNS:alice'), true],
    ['a DNS name and no subject to speak of', named('/O=Example', 'DNS:bob,DNS:alice'), true],
    ['the common name beside another DNS name', named('/CN=alice', 'DNS:bob'), false],
    ['the common name beside an address', named('/CN=alice', 'IP:10.0.0.1'), false],
    ['the common name beside a URI', named('/CN=alice', 'URI:spiffe://x/alice'), false],
    ['a longer DNS name', named('/CN=alice', 'DNS:alice.example.com'), false],
  ];

  test.each(cases.map(([what, script, found]) => ({ what, script, found })))('$what', ({ script, found }) => {
    expect(said('drbd', script, 'alice') ?? '').toMatch(
      found
        ? /^$/
        : /lacks the DNS name alice among its subject alternative names, which profile drbd asks for: tlshd looks for the node that it dials there .*; have it issued anew$/,
    );
  });

  test.skipIf(noGnutls !== null)(`GnuTLS finds the same${noGnutls === null ? '' : ` ${noGnutls}`}`, () => {
    const ask = 'certtool --verify --load-ca-certificate ca.crt --infile tls.crt --verify-hostname alice';
    const finds = cases.map(([what, script]) => {
      const answer = shell(follow(script), `${ask} >/dev/null && echo yes || echo no`);
      return [what, answer.trim() === 'yes'];
    });
    expect(finds).toEqual(cases.map(([what, , found]) => [what, found]));
  });

  test('the node is the one that commonName names', () => {
    expect(said('drbd', named('/CN=alice', 'DNS:alice'), 'node-1', { commonName: 'alice' })).toBeNull();
    expect(said('drbd', named('/CN=alice', 'DNS:node-1'), 'node-1', { commonName: 'alice' })).toMatch(
      /lacks the DNS name alice/,
    );
  });
});

describe('a9s', () => {
  const NODE = '*.node.dc1.consul.example.com';
  const SERVICE = '*.service.dc1.consul.example.com';
  const pg = { a9s: { service: 'PostgreSQL', consulDomain: 'consul.example.com' } };
  const dashboards = {
    Messaging: '*.a9s-rabbitmq-dashboard.sys.example.com',
    LogMe2: '*.a9s-logme2-dashboard.sys.example.com',
  } as const;
  const leafOf = (commonName: string, ...names: readonly string[]): string =>
    named(`/CN=${commonName}`, names.map((each) => `DNS:${each}`).join(','), RSA);

  test('takes what the page of its vendor asks for, and refuses each MUST that is not kept, by its name', () => {
    const rule = 'which profile a9s asks for: it is a MUST of "User Provided Certificates"; have it issued anew';
    expect(said('a9s', leafOf(NODE, NODE, SERVICE), 'my-pg', pg)).toBeNull();
    expect(said('a9s', leafOf(NODE, SERVICE, 'more.example.com', NODE), 'my-pg', pg)).toBeNull();
    expect(said('a9s', leafOf('*.anynines.com', NODE, SERVICE), 'my-pg', pg)).toBe(
      `the common name of "CN=*.anynines.com" is not "${NODE}", ${rule}`,
    );
    expect(said('a9s', leafOf(NODE, NODE), 'my-pg', pg)).toBe(
      `"CN=${NODE}" lacks the DNS name ${SERVICE} among its subject alternative names, ${rule}`,
    );
    expect(said('a9s', bare(`/CN=${NODE}`, RSA), 'my-pg', pg)).toMatch(
      /lacks the DNS name \*\.node\..*, the DNS name \*\.service/,
    );
    // A host in place of a wildcard, and a wildcard that is too wide: both are other names.
    for (const wrong of ['a.service.dc1.consul.example.com', '*.dc1.consul.example.com'])
      expect(said('a9s', leafOf(NODE, NODE, wrong), 'my-pg', pg)).toMatch(/lacks the DNS name \*\.service/);
    expect(said('a9s', named(`/CN=${NODE}`, `DNS:${NODE},DNS:${SERVICE}`, P256), 'my-pg', pg)).toMatch(
      /^the key of .* is ECDSA 256, but profile a9s asks for RSA 2048 or RSA 3072 or RSA 4096; have it issued anew$/,
    );
    const encrypted = 'openssl pkcs8 -topk8 -in tls.key -passout pass:open-sesame -out t; mv t tls.key';
    expect(said('a9s', `${leafOf(NODE, NODE, SERVICE)}; ${encrypted}`, 'my-pg', pg)).toMatch(
      /^the private key is encrypted, /,
    );
  });

  test.each(['Messaging', 'LogMe2'] as const)('%s has a dashboard, with two names more', (service) => {
    const spec = { a9s: { service, consulDomain: 'consul.example.com', systemDomain: 'sys.example.com' } };
    const [dashboard, system] = [dashboards[service], '*.sys.example.com'];
    expect(said('a9s', leafOf(NODE, NODE, SERVICE, dashboard, system), 'my-queue', spec)).toBeNull();
    expect(said('a9s', leafOf(NODE, NODE, SERVICE, system), 'my-queue', spec)).toMatch(/lacks the DNS name \*\.a9s-/);
    expect(said('a9s', leafOf(NODE, NODE, SERVICE, dashboard), 'my-queue', spec)).toMatch(
      /lacks the DNS name \*\.sys\./,
    );
  });
});
