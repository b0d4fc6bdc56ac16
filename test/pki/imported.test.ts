/** CAs that people made with openssl, by the recipes that are about: which of them may sign here, and what is said of the others. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { encodePrivateKey } from '../../src/pki/keys.ts';
import { type ImportedFiles, readImported, readImportedCertificate } from '../../src/pki/imported.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { authority, DAY, leafOf, NOW, thrown } from './support.ts';

const dir = mkdtempSync(join(tmpdir(), 'replicert-imported-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
let folders = 0;

/** A folder in which a shell script was run: what somebody has who followed a recipe. */
class Recipe {
  readonly dir = join(dir, String((folders += 1)));

  constructor(script: string) {
    execFileSync('mkdir', [this.dir]);
    this.run(script);
  }

  run(script: string): string {
    // What openssl tells of its progress is nobody's concern unless it fails.
    return execFileSync('bash', ['-euo', 'pipefail', '-c', script], { cwd: this.dir, encoding: 'utf8', stdio: 'pipe' });
  }

  read(name: string): string {
    return readFileSync(join(this.dir, name), 'utf8');
  }

  files(passphrase: string | null = null, certificate = 'ca.crt'): ImportedFiles {
    return { certificate: this.read(certificate), privateKey: this.read('ca.key'), passphrase };
  }
}

const KEY = 'openssl ecparam -genkey -name prime256v1 -out ca.key';
const SUBJECT = `-subj '/O=Example/CN=Old Root'`;
/** A root with these extensions and no others. */
const rootWith = (...extensions: readonly string[]): string => `
  ${KEY}
  printf '%s\\n' ${extensions.map((line) => `'${line}'`).join(' ')} > root.ext
  openssl req -new -key ca.key ${SUBJECT} -out ca.csr
  openssl x509 -req -in ca.csr -signkey ca.key -days 3650 -extfile root.ext -out ca.crt`;
const IS_CA = 'basicConstraints=critical,CA:TRUE';
const SIGNS = 'keyUsage=critical,keyCertSign,cRLSign';
const KEY_ID = 'subjectKeyIdentifier=hash';
const leafUnder = (ca: string) => `
  openssl ecparam -genkey -name prime256v1 -out east.key
  openssl req -new -key east.key -subj /CN=east -out east.csr
  openssl x509 -req -in east.csr -CA ${ca} -CAkey ca.key -CAcreateserial -days 90 -out east.crt`;

describe('a CA is taken that was made', () => {
  test.each([
    ['by one command', `openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 3650 ${SUBJECT}`],
    [
      'in two steps',
      `openssl genrsa -out ca.key 2048; openssl req -new -x509 -days 3650 -key ca.key -out ca.crt ${SUBJECT}`,
    ],
    [
      'as PKCS#1',
      `openssl genrsa -traditional -out ca.key 2048; openssl req -new -x509 -days 99 -key ca.key -out ca.crt ${SUBJECT}`,
    ],
    [
      'with a curve, parameters and all',
      `${KEY}; openssl req -new -x509 -days 3650 -key ca.key -out ca.crt ${SUBJECT}`,
    ],
    [
      'with P-384',
      `openssl ecparam -genkey -name secp384r1 -out ca.key; openssl req -new -x509 -key ca.key -out ca.crt ${SUBJECT}`,
    ],
    [
      'with Ed25519',
      `openssl genpkey -algorithm ed25519 -out ca.key; openssl req -new -x509 -key ca.key -out ca.crt ${SUBJECT}`,
    ],
    ['with SHA-1 as its own signature', `${KEY}; openssl req -new -x509 -sha1 -key ca.key -out ca.crt ${SUBJECT}`],
    ['with its text before it', `${KEY}; openssl req -new -x509 -text -key ca.key -out ca.crt ${SUBJECT}`],
    ['with a path length of 0', rootWith(`${IS_CA},pathlen:0`, SIGNS, KEY_ID)],
    ['with a path length of 3', rootWith(`${IS_CA},pathlen:3`, SIGNS, KEY_ID)],
    ['without a key usage', rootWith(IS_CA, KEY_ID)],
    ['with a key usage that is for more', rootWith(IS_CA, 'keyUsage=digitalSignature,keyCertSign', KEY_ID)],
    ['for servers and clients', rootWith(IS_CA, SIGNS, KEY_ID, 'extendedKeyUsage=serverAuth,clientAuth')],
    [
      'with policies and a list of revocations',
      rootWith(IS_CA, SIGNS, KEY_ID, 'certificatePolicies=1.2.3.4', 'crlDistributionPoints=URI:http://ca.example/crl'),
    ],
  ])('%s', async (_, script) => {
    const recipe = new Recipe(script);
    const ca = readImported(recipe.files(), NOW + DAY);
    expect(ca.certificate.subject).toBe('CN=Old Root,O=Example');
    // It signs, and OpenSSL agrees, for either end of a connection.
    const leaf = await leafOf(ca);
    writeFileSync(join(recipe.dir, 'leaf.crt'), leaf.certificate.pem);
    for (const purpose of ['sslserver', 'sslclient'])
      expect(recipe.run(`openssl verify -purpose ${purpose} -CAfile ca.crt leaf.crt`)).toBe('leaf.crt: OK\n');
  });

  test('with a passphrase', () => {
    const recipe = new Recipe(
      `openssl genrsa -aes256 -passout pass:open-sesame -out ca.key 2048
       openssl req -new -x509 -days 3650 -key ca.key -passin pass:open-sesame -out ca.crt ${SUBJECT}`,
    );
    expect(readImported(recipe.files('open-sesame'), NOW + DAY).certificate.subject).toBe('CN=Old Root,O=Example');
    const without = thrown(() => readImported(recipe.files(), NOW + DAY));
    expect(without).toMatchObject({ reason: 'PassphraseRequired' });
    const wrong = thrown(() => readImported(recipe.files('open-barley'), NOW + DAY));
    expect(wrong).toMatchObject({ reason: 'WrongPassphrase' });
    expect(without.message + wrong.message).not.toMatch(/open-|PRIVATE KEY/);
  });
});

/** Why its certificate alone is refused; null: it is taken. */
function withoutKey({ certificate }: ImportedFiles): string | null {
  try {
    readImportedCertificate(certificate, NOW + DAY);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const INTERMEDIATE = `
  openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.crt -subj '/CN=Corporate Root'
  ${KEY}
  openssl req -new -key ca.key -subj '/CN=Replication CA' -out ca.csr
  printf '${IS_CA}\\n${SIGNS}\\n${KEY_ID}\\n' > sub.ext
  openssl x509 -req -in ca.csr -CA root.crt -CAkey root.key -CAcreateserial -days 900 -extfile sub.ext -out ca.crt`;

describe('a CA is refused', () => {
  test.each<readonly [what: string, script: string, message: RegExp]>([
    [
      'that is an intermediate',
      INTERMEDIATE,
      /^"CN=Replication CA" is an intermediate CA, issued by "CN=Corporate Root", and members trust roots only; import the root itself, or/,
    ],
    [
      'that comes with its chain',
      `${INTERMEDIATE}; cat root.crt >> ca.crt`,
      /^there are 2 certificates, but an imported CA is one self-signed root, without intermediates; put the root there alone$/,
    ],
    [
      'that is a leaf',
      `${rootWith(IS_CA, KEY_ID)}; mv ca.crt root.crt; ${leafUnder('root.crt')}; mv east.crt ca.crt`,
      /^"CN=east" is no CA, but a certificate that "CN=Old Root,O=Example" has issued; put the certificate of the CA itself there$/,
    ],
    [
      'that is a leaf signed by itself',
      rootWith('basicConstraints=CA:FALSE', KEY_ID),
      /^"CN=Old Root,O=Example" is no CA: it lacks the basic constraint CA:TRUE\. If it is one, issue it anew/,
    ],
    [
      'whose name is empty',
      `${KEY}; openssl req -new -x509 -key ca.key -subj / -out ca.crt`,
      /^its subject is empty, so that no leaf can name it/,
    ],
    [
      'with the key of another',
      `${KEY}; openssl req -new -x509 -key ca.key ${SUBJECT} -out ca.crt; ${KEY}`,
      /^the private key does not belong to the certificate of "CN=Old Root,O=Example"; put the two together that were made together$/,
    ],
    [
      'with a key of another kind',
      `${KEY}; openssl req -new -x509 -key ca.key ${SUBJECT} -out ca.crt; openssl genrsa -out ca.key 2048`,
      /^the private key does not belong to/,
    ],
    [
      'with RSA of 1024 bits',
      `openssl genrsa -out ca.key 1024; openssl req -new -x509 -key ca.key ${SUBJECT} -out ca.crt`,
      /^the key of "CN=Old Root,O=Example" is none of RSA 2048, 3072 and 4096, ECDSA P-256 and P-384, and Ed25519; have a CA minted$/,
    ],
    [
      'with P-521',
      `openssl ecparam -genkey -name secp521r1 -out ca.key; openssl req -new -x509 -key ca.key ${SUBJECT} -out ca.crt`,
      /^the key of .* is none of/,
    ],
    [
      'that names itself as its issuer and is not',
      `${INTERMEDIATE}; openssl x509 -req -in ca.csr -CA root.crt -CAkey root.key -days 9 -extfile sub.ext -out ca.crt; openssl req -x509 -key root.key -out forged.crt -subj '/CN=Replication CA'; openssl x509 -req -in ca.csr -CA forged.crt -CAkey root.key -days 9 -extfile sub.ext -out ca.crt`,
      /^"CN=Replication CA" names itself as its issuer, but its signature is not by its own key; find/,
    ],
    [
      'as DER',
      `${rootWith(IS_CA, KEY_ID)}; openssl x509 -in ca.crt -outform der -out ca.der; mv ca.der ca.crt`,
      /^the certificate is not valid PEM: there is no BEGIN line$/,
    ],
    [
      'whose key lies with its certificate',
      `${rootWith(IS_CA, KEY_ID)}; openssl pkey -in ca.key >> ca.crt`,
      /^found a private key where certificates are expected/,
    ],
    [
      'that is a request',
      `${KEY}; openssl req -new -key ca.key ${SUBJECT} -out ca.crt`,
      /^found a PEM block "CERTIFICATE REQUEST" where "CERTIFICATE" is expected$/,
    ],
    [
      'whose key is encrypted in the old way',
      `openssl genrsa -traditional -aes256 -passout pass:x -out ca.key 2048; openssl req -new -x509 -key ca.key -passin pass:x ${SUBJECT} -out ca.crt`,
      /encrypted in the legacy way .* convert it with "openssl pkcs8 -topk8 -v2 aes-256-cbc"$/,
    ],
  ])('%s', (_, script, message) => {
    const files = new Recipe(script).files();
    const error = thrown(() => readImported(files, NOW + DAY));
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('-----');
    // Without its key for the same reason, but where that is about the key.
    const aboutKey = /private key does not|encrypted in the legacy way/.test(error.message);
    expect(withoutKey(files)).toBe(aboutKey ? null : error.message);
  });

  test.each([
    [
      'before it is valid',
      -2 * DAY,
      /^"CN=Root" is not valid before \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ; wait, correct the clock, or/,
    ],
    [
      'when it has expired',
      2 * DAY,
      /^"CN=Root" expired at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, so that no leaf of it is accepted; have a CA minted$/,
    ],
    ['at the very instant at which it ends', DAY, /^"CN=Root" expired at/],
  ])('%s', async (_, at, message) => {
    const { certificate, key } = await authority('Root', undefined, { notBefore: NOW - DAY, notAfter: NOW + DAY });
    const files = { certificate: certificate.pem, privateKey: encodePrivateKey(key, 'PKCS8'), passphrase: null };
    expect(readImported(files, NOW + DAY - 1).certificate.fingerprint).toBe(certificate.fingerprint);
    expect(thrown(() => readImported(files, NOW + at)).message).toMatch(message);
  });

  test.each([
    [
      'of a subject that would fill every leaf',
      rootWith(IS_CA, KEY_ID).replace(
        SUBJECT,
        `-subj '${'/OU=0123456789012345678901234567890123456789'.repeat(48)}/CN=x'`,
      ),
      /^its subject has more than 2048 octets/,
    ],
    [
      'of a key identifier that would fill every leaf',
      rootWith(IS_CA, `subjectKeyIdentifier=${'ab'.repeat(65)}`),
      /^the subject key identifier of .* has more than 64 octets/,
    ],
    [
      'of a certificate over the cap',
      rootWith(IS_CA, KEY_ID, `1.2.3.4=ASN1:UTF8String:${'x'.repeat(30_000)}`),
      /at most \d+/,
    ],
  ])('because %s', (_, script, message) => {
    expect(thrown(() => readImported(new Recipe(script).files(), NOW + DAY)).message).toMatch(message);
  });
});

const VERSION_1 = `
  ${KEY}
  openssl req -new -key ca.key ${SUBJECT} -out ca.csr
  openssl x509 -req -in ca.csr -signkey ca.key -days 3650 -out ca.crt`;

/** Does what the message says, and signs a leaf with what comes of it. */
async function issueAnew(recipe: Recipe, message: string): Promise<SigningAuthority> {
  const [command = ''] = /printf .*$/.exec(message) ?? [];
  recipe.run(command);
  const ca = readImported(recipe.files(null, 'new.crt'), NOW + DAY);
  writeFileSync(join(recipe.dir, 'leaf.crt'), (await leafOf(ca)).certificate.pem);
  return ca;
}

describe('a root that lacks something is refused with the command that issues it anew', () => {
  test.each([
    [
      'X.509 version 1, as the recipes with "x509 -req -signkey" make it',
      VERSION_1,
      /^"CN=Old Root,O=Example" is X\.509 version 1, which cannot say that it is a CA and has no subject key identifier\. Issue/,
    ],
    [
      'no subject key identifier',
      rootWith(IS_CA, SIGNS, 'subjectKeyIdentifier=none'),
      /has no subject key identifier, by which verifiers tell two CAs apart\. Issue/,
    ],
    ['no basic constraint', rootWith(KEY_ID), /it lacks the basic constraint CA:TRUE\. If it is one, issue/],
    [
      'a key usage for signatures only',
      rootWith(IS_CA, 'keyUsage=critical,digitalSignature', KEY_ID),
      /the key usage of .* lacks keyCertSign/,
    ],
    [
      'purposes of a server alone',
      rootWith(IS_CA, SIGNS, KEY_ID, 'extendedKeyUsage=serverAuth'),
      /the extended key usage of .* \(serverAuth\) does not hold both serverAuth and clientAuth/,
    ],
    [
      'any purpose, which OpenSSL does not take for each',
      rootWith(IS_CA, SIGNS, KEY_ID, 'extendedKeyUsage=anyExtendedKeyUsage'),
      /\(anyExtendedKeyUsage\) does not hold both/,
    ],
    [
      'name constraints',
      rootWith(IS_CA, SIGNS, KEY_ID, 'nameConstraints=permitted;DNS:example.com'),
      /has name constraints, under which leaves of other names are refused/,
    ],
    [
      'a critical extension that nobody knows',
      rootWith(IS_CA, SIGNS, KEY_ID, '1.2.3.4=critical,ASN1:NULL'),
      /has the critical extension 1\.2\.3\.4, which many verifiers do not know/,
    ],
  ])('%s', async (_, script, message) => {
    const recipe = new Recipe(`${script}; ${leafUnder('ca.crt')}`);
    const refused = thrown(() => readImported(recipe.files(), NOW + DAY));
    expect(refused).toMatchObject({ reason: 'InvalidAuthority' });
    expect(refused.message).toMatch(message);
    const ca = await issueAnew(recipe, refused.message);
    expect(ca.certificate.subject).toBe('CN=Old Root,O=Example');
    // Leaves that are in use go on being accepted.
    expect(recipe.run('openssl verify -CAfile new.crt east.crt leaf.crt')).toBe('east.crt: OK\nleaf.crt: OK\n');
  });

  test.each([
    ['of version 1', VERSION_1],
    ['without a key identifier', rootWith(IS_CA, SIGNS, 'subjectKeyIdentifier=none')],
  ])('%s: where it is trusted yet, leaves of the new one are accepted, too', async (_, script) => {
    const recipe = new Recipe(script);
    await issueAnew(recipe, thrown(() => readImported(recipe.files(), NOW + DAY)).message);
    expect(recipe.run('openssl verify -CAfile ca.crt leaf.crt')).toBe('leaf.crt: OK\n');
  });

  test('a key identifier that it has is kept, for leaves may name it', async () => {
    const recipe = new Recipe(rootWith('basicConstraints=CA:FALSE', 'subjectKeyIdentifier=00112233445566778899'));
    const ca = await issueAnew(recipe, thrown(() => readImported(recipe.files(), NOW + DAY)).message);
    expect(ca.certificate.subjectKeyId).toBe('00112233445566778899');
  });
});
