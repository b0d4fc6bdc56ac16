/**
 * Service instances of the a9s Data Services with certificates of their user: one JSON document for `cf create-service` and
 * `cf update-service`. By the vendor's "User Provided Certificates", whose MUST rules these are; "dc1" is part of every name there.
 */
import type { A9sService, ProfileParameters } from '../api/profile-parameters.ts';
import type { Material } from '../outputs/output.ts';
import { generic } from './generic.ts';
import type { Profile } from './profile.ts';

/** One entry of the document. */
interface Entry {
  /** The leaf whose it is: one name may have a leaf of its own, or share that of another. */
  readonly leaf: string;
  readonly encoding: 'pkcs1' | 'pkcs8';
}
const entry = (leaf: string, encoding: Entry['encoding'] = 'pkcs1'): Entry => ({ leaf, encoding });

/** The certificate names of each data service. OpenSearch takes its keys as PKCS #8 only; all others want PKCS #1. */
const SERVICES: Readonly<Record<A9sService, Readonly<Record<string, Entry>>>> = {
  KeyValue: { valkey: entry('tls') },
  LogMe2: {
    opensearch: entry('tls', 'pkcs8'),
    opensearch_dashboards: entry('tls', 'pkcs8'),
    fluentd: entry('tls'),
  },
  // The two must be different certificates.
  MariaDB: { client: entry('client'), server: entry('server') },
  Messaging: { rabbitmq: entry('tls') },
  MongoDB: { mongodb: entry('tls') },
  MySQL: { client: entry('client'), server: entry('server') },
  PostgreSQL: { postgresql: entry('tls') },
  Redis: { redis: entry('tls') },
  Search: { opensearch: entry('tls', 'pkcs8') },
};

/** Host names of the dashboards. */
const DASHBOARDS: Partial<Record<A9sService, string>> = {
  LogMe2: 'a9s-logme2-dashboard',
  Messaging: 'a9s-rabbitmq-dashboard',
};

const UPDATED = 'cf update-service with a9s.json of this Secret has succeeded';
const BOUND = `${UPDATED}, and every service binding was renewed after that (but for clients whose runtime trusts the new CA anyway)`;

export const a9s: Profile = {
  ...generic,
  name: 'a9s',
  // "In PKCS #1 format" means RSA.
  authorityKey: { algorithm: 'RSA', size: 4096 },
  keyAlgorithms: ['RSA'],
  leafKey: { algorithm: 'RSA', size: 2048 },
  leafEncoding: 'PKCS1',
  commonName: (_, parameters) => `*.node.dc1.${instanceOf(parameters).consulDomain}`,
  dnsNames: ({ parameters }) => {
    const { service, consulDomain, systemDomain } = instanceOf(parameters);
    const dashboard = DASHBOARDS[service];
    return [
      `*.node.dc1.${consulDomain}`,
      `*.service.dc1.${consulDomain}`,
      ...(dashboard === undefined ? [] : [`*.${dashboard}.${systemDomain}`, `*.${systemDomain}`]),
    ];
  },
  provided: {
    commonName: 'AsIssued',
    hostIn: 'AlternativeNames',
    because: 'it is a MUST of "User Provided Certificates"',
  },
  outputs: ({ parameters }) => {
    const { service } = instanceOf(parameters);
    return [{ key: 'a9s.json', encode: (material) => Buffer.from(documentOf(service, material)) }];
  },
  // Only the broker puts certificates into an instance, and nobody from outside sees whether clients trust the new CA.
  protocol: null,
  reload: 'run cf update-service with a9s.json of its Secret',
  acknowledgedWhen: { Append: BOUND, Roll: UPDATED, Drop: BOUND },
};

/** Names of the leaves that an instance needs, the first in tls.crt and tls.key. */
export function a9sLeaves(service: A9sService): readonly [string, ...string[]] {
  const [first = 'tls', ...others] = new Set(Object.values(SERVICES[service]).map(({ leaf }) => leaf));
  return [first, ...others];
}

function instanceOf({ a9s: instance }: ProfileParameters): NonNullable<ProfileParameters['a9s']> {
  if (instance === undefined)
    throw new Error('a certificate of profile a9s was not refused although it has no spec.a9s');
  return instance;
}

/** `ca` has the CAs by age, as the vendor's rotation wants it: the old one, then the new one. */
function documentOf(service: A9sService, material: Material): string {
  const ca = material.bundle.map(({ pem }) => pem).join('');
  const [first] = a9sLeaves(service);
  const tls = Object.entries(SERVICES[service]).map(([name, { leaf, encoding }]) => {
    const own = leaf === first ? material : material.further.get(leaf);
    if (own === undefined) throw new Error(`there is no leaf ${leaf} for ${name}`);
    const certificate = own.chain.map(({ pem }) => pem).join('');
    return [
      name,
      { ca, certificate, private_key: own.key.export({ type: encoding, format: 'pem' }).toString() },
    ] as const;
  });
  return `${JSON.stringify({ tls: Object.fromEntries(tls) }, null, 2)}\n`;
}
