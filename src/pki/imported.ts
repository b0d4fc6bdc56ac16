/** CAs that were made elsewhere: what they must be before they may sign here. Each refusal names the rule and the remedy. */
import { type Certificate, parseCertificates, signatureVerifies } from './certificate.ts';
import { PkiError } from './errors.ts';
import type { SigningAuthority } from './issue.ts';
import { decodePrivateKey, keyMatches, keySpecOf } from './keys.ts';

/** Both go into every leaf, and a leaf that is too large is not read any more. In octets. */
const MAX_SUBJECT = 2_048;
const MAX_KEY_ID = 64;
/** Restricts the names in leaves, whether it is critical or not: who verifies would refuse what we issue. */
const NAME_CONSTRAINTS = '2.5.29.30';

/** What there is of a CA, as text. */
export interface ImportedFiles {
  /** PEM of the root alone. */
  readonly certificate: string;
  /** PEM; see `decodePrivateKey`. */
  readonly privateKey: string;
  readonly passphrase: string | null;
}

/**
 * Reads certificate and key of a CA and finds out whether it may sign here. Whether it goes with other CAs is another question: see
 * `checkBundle`.
 * @param now epoch milliseconds
 * @throws PkiError what the parts are refused for when they are read, `PassphraseRequired` and `WrongPassphrase` among that; `InvalidAuthority`
 */
export function readImported(files: ImportedFiles, now: number): SigningAuthority {
  const certificate = readImportedCertificate(files.certificate, now);
  const key = decodePrivateKey(files.privateKey, files.passphrase ?? undefined);
  if (!keyMatches(certificate, key)) {
    throw new PkiError(
      'InvalidAuthority',
      `the private key does not belong to the certificate of "${certificate.subject}"; put the two together that were made together`,
    );
  }
  return { certificate, key };
}

/**
 * The same of a CA whose key stays elsewhere.
 * @param pem of the root alone
 * @throws PkiError what it is refused for when it is read; `InvalidAuthority`
 */
export function readImportedCertificate(pem: string, now: number): Certificate {
  const certificate = readRoot(pem);
  const objection = objectionTo(certificate, now);
  if (objection !== null) throw new PkiError('InvalidAuthority', objection);
  return certificate;
}

function readRoot(pem: string): Certificate {
  const [certificate, ...more] = parseCertificates(pem, 'the certificate');
  if (certificate === undefined || more.length > 0) {
    throw new PkiError(
      'InvalidAuthority',
      `there are ${more.length + 1} certificates, but an imported CA is one self-signed root, without intermediates; put the root there alone`,
    );
  }
  return certificate;
}

/** What is wrong with a certificate as a root that signs leaves for TLS, client and server, now; null: nothing. */
function objectionTo(ca: Certificate, now: number): string | null {
  return notARoot(ca) ?? restricted(ca) ?? outOfTime(ca, now) ?? ofAnotherKind(ca);
}

function notARoot(ca: Certificate): string | null {
  const name = `"${ca.subject}"`;
  if (ca.rawSubject.length <= EMPTY_NAME.length)
    return 'its subject is empty, so that no leaf can name it as its issuer; have a CA minted instead';
  if (ca.rawSubject.length > 2 * MAX_SUBJECT)
    return `its subject has more than ${MAX_SUBJECT} octets, which would stand in every leaf; have a CA minted instead`;
  if (ca.rawIssuer !== ca.rawSubject) {
    return ca.isCa
      ? `${name} is an intermediate CA, issued by "${ca.issuer}", and members trust roots only; import the root itself, or have a CA minted`
      : `${name} is no CA, but a certificate that "${ca.issuer}" has issued; put the certificate of the CA itself there`;
  }
  // Without extensions nobody can tell a CA from a leaf, and leaves have no key identifier to name.
  if (ca.version < 3)
    return `${name} is X.509 version ${ca.version}, which cannot say that it is a CA and has no subject key identifier. ${reissue(ca)}`;
  if (!ca.isCa) return `${name} is no CA: it lacks the basic constraint CA:TRUE. If it is one, ${lowered(reissue(ca))}`;
  if (ca.keyUsage !== null && !ca.keyUsage.includes('keyCertSign'))
    return `the key usage of ${name} lacks keyCertSign, so that no leaf of it is accepted. ${reissue(ca)}`;
  if (ca.subjectKeyId === null || ca.subjectKeyId === '')
    return `${name} has no subject key identifier, by which verifiers tell two CAs apart. ${reissue(ca)}`;
  if (ca.subjectKeyId.length > 2 * MAX_KEY_ID)
    return `the subject key identifier of ${name} has more than ${MAX_KEY_ID} octets, which would stand in every leaf; have a CA minted instead`;
  if (!signatureVerifies(ca, ca))
    return `${name} names itself as its issuer, but its signature is not by its own key; find the certificate that belongs to the key`;
  return null;
}

/** A SEQUENCE of nothing, hex. */
const EMPTY_NAME = '3000';

/** Leaves have any name and serve both ends of a connection. */
function restricted(ca: Certificate): string | null {
  const name = `"${ca.subject}"`;
  const purposes = ca.extendedKeyUsage;
  if (purposes !== null && !(purposes.includes('serverAuth') && purposes.includes('clientAuth')))
    return `the extended key usage of ${name} (${purposes.slice(0, 8).join(', ')}) does not hold both serverAuth and clientAuth, as the leaves of a mesh must. ${reissue(ca)}`;
  const others = ca.otherExtensions;
  if (others.some(({ id }) => id === NAME_CONSTRAINTS))
    return `${name} has name constraints, under which leaves of other names are refused. ${reissue(ca)}`;
  const unknown = others.find(({ critical }) => critical);
  if (unknown !== undefined)
    return `${name} has the critical extension ${unknown.id}, which many verifiers do not know, and so must refuse. ${reissue(ca)}`;
  return null;
}

function outOfTime({ subject, notBefore, notAfter }: Certificate, now: number): string | null {
  if (now < notBefore)
    return `"${subject}" is not valid before ${instant(notBefore)}; wait, correct the clock, or have a CA minted`;
  if (now >= notAfter)
    return `"${subject}" expired at ${instant(notAfter)}, so that no leaf of it is accepted; have a CA minted`;
  return null;
}

function ofAnotherKind({ subject, publicKey }: Certificate): string | null {
  if (keySpecOf(publicKey) !== null) return null;
  return `the key of "${subject}" is none of RSA 2048, 3072 and 4096, ECDSA P-256 and P-384, and Ed25519; have a CA minted`;
}

/**
 * How a root gets the extensions that it lacks: leaves of the same key and name go on being accepted. A key identifier that it has is kept,
 * for leaves and verifiers may hold it.
 */
function reissue({ subjectKeyId }: Certificate): string {
  const keyId = subjectKeyId === null || subjectKeyId === '' ? 'hash' : subjectKeyId;
  return `Issue it anew with the same key and name: printf '${EXTENSIONS}subjectKeyIdentifier=${keyId}\\n' > ca.ext; openssl x509 -in ca.crt -signkey ca.key -days 3650 -clrext -extfile ca.ext -out new.crt`;
}

const EXTENSIONS = String.raw`basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n`;

const lowered = (sentence: string): string => sentence.charAt(0).toLowerCase() + sentence.slice(1);

const instant = (milliseconds: number): string => `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
