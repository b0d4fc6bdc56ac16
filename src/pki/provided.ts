/**
 * Leaves that were made elsewhere: what they must be before a member is given them. Each refusal names the rule and the remedy, and nothing
 * is put right: what is taken is taken as it is.
 */
import type { KeyObject } from 'node:crypto';
import { type AlternativeNames, sameAddress } from './alternative-names.ts';
import { type Certificate, parseCertificates } from './certificate.ts';
import { PkiError } from './errors.ts';
import { decodePrivateKey, keyMatches, type KeySpec, keySpecName, keySpecOf, sameKeySpec } from './keys.ts';

/** What there is of a leaf, as text. */
export interface ProvidedFiles {
  /** PEM of the leaf alone. */
  readonly certificate: string;
  /** PEM, not encrypted; see `decodePrivateKey`. */
  readonly privateKey: string;
}

/** What a member's leaf must have by the word of somebody; it may have more names. */
export interface LeafDemands extends AlternativeNames {
  /** Who asks for it, as a clause: "the spec asks for". */
  readonly by: string;
  /** Why names are asked for, as a clause; null: that is plain. */
  readonly because: string | null;
  /** What to do with a leaf that falls short of it. */
  readonly remedy: string;
  /** Null: any. */
  readonly commonName: string | null;
  /** Null: any that is read here. */
  readonly keys: readonly KeySpec[] | null;
  /**
   * Where the host is looked for that a partner dials, so that there must be one; a common name counts as `dnsNames` where there are no
   * alternative names at all (RFC 6125 section 6.4.4). Null: nowhere, as far as is known.
   */
  readonly hostIn: 'AlternativeNames' | 'AlternativeNamesOrCommonName' | null;
}

export interface ProvidedLeaf {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/**
 * Reads certificate and key of a leaf and finds out whether a member can present it, as a client and as a server. When, and whose leaf it is,
 * are other questions: see `objectionAt` and `objectionUnder`.
 * @throws PkiError what the parts are refused for when they are read; `InvalidLeaf`
 */
export function readProvided(files: ProvidedFiles, demands: readonly LeafDemands[]): ProvidedLeaf {
  const certificate = readLeaf(files.certificate);
  const short = () => demands.map((each) => falls(certificate, each)).find((each) => each !== null);
  const objection = notALeaf(certificate) ?? unusable(certificate) ?? short() ?? null;
  if (objection !== null) throw new PkiError('InvalidLeaf', objection);
  return { certificate, key: readKey(files.privateKey, certificate) };
}

function readLeaf(pem: string): Certificate {
  const [leaf, ...more] = parseCertificates(pem, 'the certificate');
  if (leaf === undefined || more.length > 0) {
    throw new PkiError(
      'InvalidLeaf',
      `there are ${more.length + 1} certificates, but members trust roots and are given leaves that a root has signed, without intermediates; put the leaf there alone`,
    );
  }
  return leaf;
}

function readKey(pem: string, certificate: Certificate): KeyObject {
  let key: KeyObject;
  try {
    key = decodePrivateKey(pem);
  } catch (error) {
    if (!(error instanceof PkiError) || error.reason !== 'PassphraseRequired') throw error;
    throw new PkiError(
      'InvalidLeaf',
      'the private key is encrypted, but a member gets a key that it can read by itself; take the passphrase off: openssl pkey -in tls.key -out plain.key',
    );
  }
  if (keyMatches(certificate, key)) return key;
  throw new PkiError(
    'InvalidLeaf',
    `the private key does not belong to the certificate of "${certificate.subject}"; put the two together that were made together`,
  );
}

function notALeaf(leaf: Certificate): string | null {
  const name = `"${leaf.subject}"`;
  if (leaf.isCa) return `${name} is a CA, and no key that can sign for others belongs to a member; have a leaf issued`;
  if (leaf.rawIssuer === leaf.rawSubject)
    return `${name} names itself as its issuer, but members accept what a CA of the mesh has signed; have a leaf issued`;
  if (!POSITIVE.test(leaf.serialNumber) || leaf.serialNumber.length > MAX_SERIAL)
    return `the serial number of ${name} is not a number above zero of at most 20 octets (RFC 5280), and some verifiers refuse it; have it issued anew`;
  return null;
}

/** Hex of a number above zero; a negative one has a minus sign. */
const POSITIVE = /^0*[1-9a-f]/;
const MAX_SERIAL = 40;

/** The signatures that every TLS stack in use accepts on a leaf: RSA (PKCS#1 v1.5) and ECDSA with SHA-256, 384 or 512, and Ed25519. */
const SIGNATURES: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.3.101.112',
]);

/** It must serve both ends of a connection, whoever verifies it. */
function unusable(leaf: Certificate): string | null {
  const name = `"${leaf.subject}"`;
  const { keyUsage, extendedKeyUsage: purposes } = leaf;
  if (keyUsage !== null && !keyUsage.includes('digitalSignature'))
    return `the key usage of ${name} (${keyUsage.join(', ')}) lacks digitalSignature, without which no handshake is signed; have it issued anew with it`;
  if (purposes !== null && !(purposes.includes('serverAuth') && purposes.includes('clientAuth')))
    return `the extended key usage of ${name} (${purposes.slice(0, 8).join(', ')}) does not hold both serverAuth and clientAuth, but a member listens and dials with one leaf; have it issued anew with both`;
  const { netscapeCertType: types } = leaf;
  if (types !== null && !(types.includes('server') && types.includes('client')))
    return `the Netscape certificate type of ${name} (${types.length === 0 ? 'none' : types.join(', ')}) does not hold both server and client, but a member listens and dials with one leaf; have it issued anew with both, or without that extension`;
  if (!SIGNATURES.has(leaf.signatureAlgorithm))
    return `${name} is signed with algorithm ${leaf.signatureAlgorithm}, which not every verifier accepts; have it issued anew with SHA-256, 384 or 512 (RSA or ECDSA), or Ed25519`;
  const unknown = leaf.otherExtensions.find(({ critical }) => critical);
  if (unknown !== undefined)
    return `${name} has the critical extension ${unknown.id}, which many verifiers do not know, and so must refuse; have it issued anew without`;
  if (keySpecOf(leaf.publicKey) === null)
    return `the key of "${leaf.subject}" is none of RSA 2048, 3072 and 4096, ECDSA P-256 and P-384, and Ed25519; have it issued anew with such a key`;
  return null;
}

/** Where it falls short of what is asked of it. */
function falls(leaf: Certificate, { by, because, remedy, ...demands }: LeafDemands): string | null {
  const name = `"${leaf.subject}"`;
  const why = because === null ? by : `${by}: ${because}`;
  if (demands.commonName !== null && leaf.commonName !== demands.commonName)
    return `the common name of ${name} is not "${demands.commonName}", which ${why}; ${remedy}`;
  const spec = keySpecOf(leaf.publicKey);
  if (demands.keys !== null && !demands.keys.some((each) => sameKeySpec(spec, each)))
    return `the key of ${name} is ${keySpecName(spec)}, but ${by} ${demands.keys.map(keySpecName).join(' or ')}; ${remedy}`;
  const hosts = hostsOf(leaf, demands);
  const missing = [
    ...demands.dnsNames
      .filter((wanted) => !hosts.some((has) => covers(has, wanted)))
      .map((wanted) => `the DNS name ${wanted}`),
    ...demands.ipAddresses
      .filter((wanted) => !leaf.ipAddresses.some((has) => sameAddress(has, wanted)))
      .map((wanted) => `the IP address ${wanted}`),
    ...demands.uris.filter((wanted) => !leaf.uris.includes(wanted)).map((wanted) => `the URI ${wanted}`),
  ];
  if (missing.length === 0 && demands.hostIn !== null && hosts.length + leaf.ipAddresses.length === 0)
    missing.push('a DNS name or an IP address');
  if (missing.length === 0) return null;
  const shown = missing.slice(0, 3).join(', ');
  const more = missing.length > 3 ? ` and ${missing.length - 3} more` : '';
  return `${name} lacks ${shown}${more} among its subject alternative names, which ${why}; ${remedy}`;
}

function hostsOf(leaf: Certificate, { hostIn }: Pick<LeafDemands, 'hostIn'>): readonly string[] {
  const { dnsNames, ipAddresses, uris, commonName } = leaf;
  const nameless = dnsNames.length + ipAddresses.length + uris.length === 0;
  return nameless && commonName !== null && hostIn === 'AlternativeNamesOrCommonName' ? [commonName] : dnsNames;
}

/** RFC 6125 section 6.4.3: a wildcard stands for one whole label, the first. */
function covers(has: string, wanted: string): boolean {
  const [a, b] = [has.toLowerCase(), wanted.toLowerCase()];
  if (a === b) return true;
  const dot = b.indexOf('.');
  return a.startsWith('*.') && dot > 0 && a.slice(1) === b.slice(dot);
}

/** What is wrong with a leaf at this instant (epoch milliseconds); null: nothing. */
export function objectionAt({ subject, notBefore, notAfter }: Certificate, now: number): string | null {
  if (now < notBefore) return `"${subject}" is not valid before ${instant(notBefore)}; wait, or correct the clock`;
  if (now >= notAfter) return `"${subject}" expired at ${instant(notAfter)}; put a newer one there`;
  return null;
}

/** What is wrong with a leaf below the CA that has signed it; null: nothing. */
export function objectionUnder(leaf: Certificate, ca: Certificate): string | null {
  if (leaf.notAfter > ca.notAfter)
    return `"${leaf.subject}" says that it is valid until ${instant(leaf.notAfter)}, but its CA, "${ca.subject}", ends at ${instant(ca.notAfter)}, and it with that; have one issued that ends no later`;
  return null;
}

const instant = (milliseconds: number): string => `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
