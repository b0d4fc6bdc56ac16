/**
 * What keys and certificates cost on this machine: `node --expose-gc test/bench/pki.ts`. Prints a table; judges nothing.
 * Times are medians of wall time on an otherwise idle core, in milliseconds.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { checkBundle, verifiesUnder } from '../../src/pki/bundle.ts';
import { type Certificate, parseCertificate, parseCertificates, signedBy } from '../../src/pki/certificate.ts';
import { type SigningAuthority, issueCa, issueLeaf, newSerial } from '../../src/pki/issue.ts';
import {
  decodePrivateKey,
  encodePrivateKey,
  encryptPrivateKey,
  generatePrivateKey,
  KEY_SPECS,
  keyMatches,
} from '../../src/pki/keys.ts';

const NOW = Date.now();
const YEAR = 366 * 86_400_000;

function median(samples: number[]): number {
  samples.sort((a, b) => a - b);
  return samples[samples.length >> 1] ?? Number.NaN;
}

function report(name: string, milliseconds: number): void {
  console.log(`${name.padEnd(64)}${milliseconds.toFixed(milliseconds < 10 ? 3 : 0).padStart(10)}`);
}

/** Runs `action` often, the first tenth to warm up. */
function measure(name: string, runs: number, action: (run: number) => unknown): void {
  const samples: number[] = [];
  for (let run = -Math.ceil(runs / 10); run < runs; run += 1) {
    const start = performance.now();
    action(Math.max(run, 0));
    if (run >= 0) samples.push(performance.now() - start);
  }
  report(name, median(samples));
}

function newAuthority(name: string, key: KeyObject): SigningAuthority {
  const serial = newSerial(randomBytes);
  return {
    key,
    certificate: issueCa({ key, subject: { commonName: name }, notBefore: NOW, notAfter: NOW + 10 * YEAR, serial }),
  };
}

function newLeaf(authority: SigningAuthority, key: KeyObject): Certificate {
  return issueLeaf({
    authority,
    publicKey: createPublicKey(key),
    subject: { commonName: 'Replication-vast1', organizations: ['Example'] },
    dnsNames: ['vast1.example', '*.vast1.example'],
    ipAddresses: ['192.0.2.1', '2001:db8::1'],
    uris: ['spiffe://example/vast1'],
    notBefore: NOW,
    notAfter: NOW + YEAR,
    serial: newSerial(randomBytes),
  });
}

const newP256 = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;

console.log('milliseconds (median)\n');
const authorities: SigningAuthority[] = [];
const leafKey = newP256();
for (const spec of KEY_SPECS) {
  const kind = spec.algorithm === 'Ed25519' ? spec.algorithm : `${spec.algorithm} ${spec.size}`;
  const samples: number[] = [];
  let key = leafKey;
  for (let run = 0; run < 5; run += 1) {
    const start = performance.now();
    key = await generatePrivateKey(spec);
    samples.push(performance.now() - start);
  }
  report(`${kind}: new key`, median(samples));
  const authority = newAuthority(`Root ${kind}`, key);
  authorities.push(authority);
  measure(`${kind}: CA signs a P-256 leaf`, 200, () => newLeaf(authority, leafKey));
}

const authority = newAuthority('Root', newP256());
measure('complete P-256 leaf: key, certificate, both as PEM', 3000, () => {
  const key = newP256();
  return [newLeaf(authority, key).pem, encodePrivateKey(key, 'PKCS8')];
});

const leaves = Array.from({ length: 5000 }, () => newLeaf(authority, leafKey));
const pems = leaves.map(({ pem }) => pem);
const [leaf] = leaves;
const [pem = ''] = pems;
if (leaf === undefined) throw new Error('no leaf');
const plain = encodePrivateKey(leafKey, 'PKCS8');
const encrypted = encryptPrivateKey(leafKey, 'passphrase');
const bundle = authorities.map(({ certificate }) => certificate);
const bundlePem = bundle.map((certificate) => certificate.pem).join('');

measure('parseCertificate', 3000, () => parseCertificate(pem));
measure('  of it: X509Certificate of Node', 3000, () => new X509Certificate(leaf.der));
measure('parseCertificates, bundle of 6', 1000, () => parseCertificates(bundlePem));
measure('subject', 3000, () => leaf.subject);
measure('publicKeyDigest', 3000, () => leaf.publicKeyDigest);
measure('publicKey', 3000, () => leaf.publicKey);
measure('signedBy, first time', 3000, (run) => signedBy(leaves[run] ?? leaf, authority.certificate));
measure('verifiesUnder, again', 3000, (run) =>
  verifiesUnder(leaves[run] ?? leaf, [authority.certificate, ...bundle], 'last'),
);
measure('checkBundle of 6', 500, () => checkBundle(bundle));
measure('keyMatches, P-256', 1000, () => keyMatches(leaf, leafKey));
measure('decodePrivateKey', 1000, () => decodePrivateKey(plain));
measure('decodePrivateKey, encrypted', 100, () => decodePrivateKey(encrypted, 'passphrase'));

if (globalThis.gc) {
  const settled = async (): Promise<NodeJS.MemoryUsage> => {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 200));
    globalThis.gc?.();
    return process.memoryUsage();
  };
  const before = await settled();
  const alive = pems.map(parseCertificate);
  const after = await settled();
  const perCertificate = (kind: 'heapUsed' | 'arrayBuffers' | 'rss'): string =>
    `${kind} ${Math.round((after[kind] - before[kind]) / alive.length)}`;
  console.log(
    `\noctets per parsed certificate alive (DER ${leaf.der.length}): ${(['heapUsed', 'arrayBuffers', 'rss'] as const).map(perCertificate).join(', ')}`,
  );
}
