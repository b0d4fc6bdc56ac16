/** What there is in a namespace, without what differs from life to life: serials, keys, times, and what is counted by them. */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { decodeLedger } from '../../src/api/ledger.ts';
import { ANNOTATIONS, LABELS, LEDGER_KEY, ROLES, SECRET_KEYS } from '../../src/api/names.ts';
import { parseCertificate, parseCertificates } from '../../src/pki/certificate.ts';
import type { KubeObject } from '../../src/runtime/client.ts';
import { type Follow, type Stored } from './follow.ts';
import { type LiveSecret, type Scene, textOf } from './scene.ts';

/** By `Kind name`, each object as JSON with sorted keys. */
export type EndState = ReadonlyMap<string, string>;

/** @param others what else the operator writes to, besides what a scene follows */
export function endStateOf(scene: Scene, others: readonly Follow<KubeObject>[]): EndState {
  const found = new Map<string, string>();
  const add = (kind: string, object: Stored, rest: object): void => {
    const { name, labels, annotations, finalizers, deletionTimestamp } = object.metadata;
    const metadata = { labels, annotations, finalizers, deleting: deletionTimestamp !== undefined };
    // Two generations of one number differ by what is scrubbed.
    let key = `${kind} ${scrub(name)}`;
    while (found.has(key)) key += ', another';
    found.set(key, scrub(JSON.stringify(sorted({ ...metadata, ...rest }), null, 1)));
  };
  for (const follow of [scene.cas, scene.certificates, scene.peers]) {
    for (const each of follow.list()) {
      const { spec, status } = each as { spec: unknown; status?: unknown };
      add(follow.resource.kind, each, { spec, status: timeless(status, follow === scene.cas ? COUNTED : SEEN) });
    }
  }
  for (const secret of scene.secrets.list()) {
    const { labels = {}, annotations = {} } = secret.metadata;
    const metadata = {
      ...secret.metadata,
      annotations: { ...annotations, [ANNOTATIONS.epoch]: 'an epoch', [ANNOTATIONS.leafEpoch]: 'an epoch' },
    };
    if (labels[LABELS.managedBy] === undefined) add('foreign Secret', secret, {});
    else {
      const { type, immutable } = secret;
      add('Secret', { ...secret, metadata }, { type, immutable, content: contentOf(secret, labels[LABELS.role]) });
    }
  }
  for (const follow of others) {
    for (const each of follow.list().filter(({ metadata }) => metadata.name !== 'kube-root-ca.crt')) {
      const bundle = (each['data'] as Readonly<Record<string, string>> | undefined)?.[SECRET_KEYS.bundle];
      add(follow.resource.kind, each, { bundle: bundle === undefined ? null : subjectsIn(bundle) });
    }
  }
  return found;
}

function contentOf(secret: LiveSecret, role: string | undefined): object {
  if (role === ROLES.ledger) {
    const { highest, generations, signer, bundle, rotation, roster, held, history } = decodeLedger(
      textOf(secret, LEDGER_KEY),
    );
    const members = [...roster].map(([member, { leaf, bundle: its, grant }]) => ({ member, leaf, bundle: its, grant }));
    const completed = history.map(({ generation }) => generation);
    return { highest, generations: Object.keys(generations), signer, bundle, rotation, members, held, completed };
  }
  const certificate = parseCertificate(textOf(secret, SECRET_KEYS.certificate));
  const { subject, issuer, dnsNames, ipAddresses, uris, keyUsage, extendedKeyUsage, notAfter, notBefore } = certificate;
  const key = createPublicKey(createPrivateKey(textOf(secret, SECRET_KEYS.privateKey)));
  const bundle =
    secret.data?.[SECRET_KEYS.bundle] === undefined ? null : subjectsIn(textOf(secret, SECRET_KEYS.bundle));
  return {
    keys: Object.keys(secret.data ?? {}).toSorted(),
    subject,
    issuer,
    names: [dnsNames, ipAddresses, uris],
    usage: [keyUsage, extendedKeyUsage],
    // To the hour: a leaf lives no longer than its CA.
    hours: Math.round((notAfter - notBefore) / 3_600_000),
    keyMatches: key.equals(certificate.publicKey),
    bundle,
  };
}

function subjectsIn(bundle: string): readonly string[] {
  return parseCertificates(bundle).map(({ subject }) => subject);
}

/** Of a status: instants, epochs and serials. */
const TIMELY = ['lastTransitionTime', 'observedAt', 'epoch', 'revision', 'serialNumber', 'expires'];
/** How many members were seen: while nothing rotates it is written now and then only. */
const COUNTED = new Set([...TIMELY, 'members']);
/** What was asked of members: while nothing rotates, nothing but the leaf, and answers of before stay as long as the operator lives. */
const SEEN = new Set([...TIMELY, 'trusts', 'refuses', 'sessions']);

function timeless(value: unknown, without: ReadonlySet<string>): unknown {
  if (Array.isArray(value)) return value.map((each) => timeless(each, without));
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !without.has(key));
  return Object.fromEntries(kept.map(([key, each]) => [key, timeless(each, without)]));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, sorted(each)]));
}

function scrub(text: string): string {
  return text
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'a UID')
    .replaceAll(/\b\d{4}-\d\d-\d\dT[0-9:.]+Z/g, 'an instant')
    .replaceAll(/\b[0-9a-f]{32,64}\b/g, 'a digest')
    .replaceAll(/\brevision [0-9a-f]{8}\b/g, 'a revision')
    .replaceAll(/\b(g\d+)-[0-9a-f]{8}\b/g, '$1-a digest')
    .replaceAll(/\b127\.0\.0\.1:\d+\b/g, 'an endpoint')
    .replaceAll(/"port": \d+/g, '"port": 0')
    .replaceAll(/\b(controllers|system|life)-[0-9a-f]{8}\b/g, 'a namespace');
}

/** What differs, line by line; empty: nothing. */
export function differences(wanted: EndState, found: EndState): readonly string[] {
  return [...new Set([...wanted.keys(), ...found.keys()])].toSorted().flatMap((key) => {
    const [one, other] = [wanted.get(key), found.get(key)];
    if (one === other) return [];
    if (one === undefined || other === undefined)
      return [`${key}: ${one === undefined ? 'there is one' : 'there is none'}`];
    const [missing, extra] = [one.split('\n'), other.split('\n')];
    return [
      ...missing.filter((line) => !extra.includes(line)).map((line) => `${key}: wanted ${line.trim()}`),
      ...extra.filter((line) => !missing.includes(line)).map((line) => `${key}: found ${line.trim()}`),
    ];
  });
}
