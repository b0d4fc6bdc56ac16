/** The MUST rules of the vendor's "User Provided Certificates", written down from that document and from nothing else. */
import { X509Certificate, createPrivateKey, createPublicKey } from 'node:crypto';

/** Its table of certificate names. */
export const CERTIFICATE_NAMES = {
  KeyValue: ['valkey'],
  LogMe2: ['opensearch', 'opensearch_dashboards', 'fluentd'],
  MariaDB: ['client', 'server'],
  Messaging: ['rabbitmq'],
  MongoDB: ['mongodb'],
  MySQL: ['client', 'server'],
  PostgreSQL: ['postgresql'],
  Redis: ['redis'],
  Search: ['opensearch'],
} as const;
export type Service = keyof typeof CERTIFICATE_NAMES;

export interface Instance {
  readonly service: Service;
  readonly consulDomain: string;
  readonly systemDomain?: string;
}

interface Entry {
  readonly ca: string;
  readonly certificate: string;
  readonly private_key: string;
}

/** The entries of a document, by certificate name. */
export function entriesOf(document: string): Readonly<Record<string, Entry>> {
  const { tls } = JSON.parse(document) as { readonly tls: Readonly<Record<string, Entry>> };
  return tls;
}

const PEM = /-----BEGIN CERTIFICATE-----\n[^-]+\n-----END CERTIFICATE-----\n/g;
export const certificatesIn = (pem: string): readonly X509Certificate[] =>
  (pem.match(PEM) ?? []).map((block) => new X509Certificate(block));

/**
 * What of a document is against the rules.
 * @param rotating `ca` is the concatenation of the vendor's first step, with the old CA first: then the issuer of the leaf is any of them
 */
export function objections(document: string, instance: Instance, rotating = false): readonly string[] {
  const entries = entriesOf(document);
  const names = CERTIFICATE_NAMES[instance.service];
  const found = Object.keys(entries).toSorted().join() === [...names].toSorted().join() ? [] : ['certificate names'];
  for (const [name, entry] of Object.entries(entries))
    found.push(...against(entry, name, instance, rotating).map((what) => `${name}: ${what}`));
  const leaves = new Set(Object.values(entries).map(({ certificate }) => certificate));
  if ((instance.service === 'MariaDB' || instance.service === 'MySQL') && leaves.size < names.length)
    found.push('client and server have the same certificate');
  return found;
}

function against(
  { ca, certificate, private_key: key }: Entry,
  name: string,
  of: Instance,
  rotating: boolean,
): string[] {
  const found: string[] = [];
  const must = (holds: boolean, what: string): void => void (holds ? 0 : found.push(what));
  const chain = certificatesIn(ca);
  const [leaf, ...more] = certificatesIn(certificate);
  if (leaf === undefined || chain.length === 0) return ['certificate or ca is not PEM'];
  must(more.length === 0 && certificate.replace(PEM, '') === '', 'certificate is more than one certificate');
  must(ca.replace(PEM, '') === '', 'ca holds something else');
  for (const each of [leaf, ...chain]) must(each.publicKey.asymmetricKeyType === 'rsa', 'not RSA');
  const issuers = rotating ? chain : chain.slice(0, 1);
  must(
    issuers.some((issuer) => leaf.verify(issuer.publicKey) && leaf.checkIssued(issuer)),
    'the first CA has not signed the certificate',
  );
  const root = chain.at(-1);
  must(root !== undefined && root.ca && root.verify(root.publicKey), 'the last CA is no root');

  // "OpenSearch expects that the certificates' private keys are in the format PKCS#8."
  const head = name.startsWith('opensearch') ? 'PRIVATE KEY' : 'RSA PRIVATE KEY';
  const plain = new RegExp(`^-----BEGIN ${head}-----\n[A-Za-z0-9+/=\n]+\n-----END ${head}-----\n$`).test(key);
  if (!plain) return [...found, `the key is not ${head}`];
  must(leaf.checkPrivateKey(createPrivateKey(key)), 'the key is of another certificate');
  must(createPublicKey(key).asymmetricKeyType === 'rsa', 'the key is not RSA');

  const { consulDomain, systemDomain, service } = of;
  must(leaf.subject.split('\n').includes(`CN=*.node.dc1.${consulDomain}`), `common name ${leaf.subject}`);
  const dashboard = { Messaging: 'a9s-rabbitmq-dashboard', LogMe2: 'a9s-logme2-dashboard' };
  const wanted = [`*.node.dc1.${consulDomain}`, `*.service.dc1.${consulDomain}`];
  if (service === 'Messaging' || service === 'LogMe2')
    wanted.push(`*.${dashboard[service]}.${systemDomain}`, `*.${systemDomain}`);
  const names = (leaf.subjectAltName ?? '').split(', ');
  for (const each of wanted) must(names.includes(`DNS:${each}`), `no name ${each}`);
  // The host names of its example.
  for (const host of ['d75caca-os-0.node.dc1', 'd75caca-os-2.node.dc1', 'd75caca.service.dc1'])
    must(leaf.checkHost(`${host}.${consulDomain}`) !== undefined, `${host} is not covered`);
  return found;
}
