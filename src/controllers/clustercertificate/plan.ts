import type { RosterEntry } from '../../api/ledger.ts';
import { rawSubjectOf } from '../../pki/issue.ts';
import { sameKeySpec } from '../../pki/keys.ts';
import { BACKDATE, type LeafWish } from '../shared/effective.ts';
import { issuerOf } from '../shared/facts.ts';
import type { OutputDigests } from '../shared/output-digests.ts';
import { Refusal } from '../shared/refusal.ts';
import { isProblem, type MemberContent, type MemberSecret } from '../shared/kept-secrets.ts';
import { memberMetadata } from '../shared/manifests.ts';
import { refOf } from '../../runtime/client.ts';
import type { CertificateFacts, Issuing } from './facts.ts';

/** Why a leaf is made. First issues and renewals are routine; everything else repairs something. */
export interface Cause {
  readonly kind: 'Issued' | 'Renewed' | 'SecretRepaired';
  readonly because: string;
}

/** What there is to do; the entry says with which generation and bundle. */
export type Work =
  | { readonly kind: 'none' }
  /** Not in the roster, or not given a Secret yet: the CA decides when. */
  | { readonly kind: 'wait'; readonly because: string }
  /** New key, new leaf, the entry's bundle: all in one write. */
  | { readonly kind: 'issue'; readonly cause: Cause; readonly leaf: number; readonly bundle: readonly number[] }
  /** The leaf stays; bundle and epoch are written. */
  | { readonly kind: 'rebundle'; readonly because: string; readonly bundle: readonly number[] }
  /** Leaf and bundle stay; outputs and epoch are written. */
  | { readonly kind: 'outputs'; readonly because: string; readonly bundle: readonly number[] }
  /** Labels and annotations only: no new epoch, the same revision. */
  | { readonly kind: 'label' };

/** When something is due without anybody telling us. */
export interface Plan {
  readonly work: Work;
  /** When to look again, epoch milliseconds; null: only on a change. */
  readonly wakeAt: number | null;
  readonly refusal: Refusal | null;
  /** Something that the user should know although nothing is refused. */
  readonly warning: string | null;
}

/** Decides what is to be done about one certificate: a total function of what was gathered and the instant. */
export function planCertificate(facts: CertificateFacts, now: number): Plan {
  const { refusal, issuing, secret } = facts;
  const rest: Plan = { work: { kind: 'none' }, wakeAt: null, refusal, warning: null };
  if (refusal !== null) return { ...rest, wakeAt: wakeOf(refusal, now) };
  if (issuing === null || issuing.ledger.signer === null) {
    return {
      ...rest,
      work: {
        kind: 'wait',
        because: `ReplicationCA ${facts.ca} has no generation, or no ledger that can be used; see its conditions.`,
      },
    };
  }
  const { ledger, entry } = issuing;
  if (secret !== null && secret.epoch > ledger.epoch) {
    return {
      ...rest,
      refusal: new Refusal(
        'LedgerBehind',
        `Secret ${facts.certificate.metadata.namespace}/${secret.meta.name} was written in epoch ${secret.epoch}, but the ledger of ReplicationCA ${facts.ca} is at ${ledger.epoch}: an older ledger was restored. Restore the newest one.`,
      ),
    };
  }
  if (entry === null && facts.sightings.length === 0 && home(facts) !== facts.certificate.metadata.namespace)
    return {
      ...rest,
      refusal: new Refusal(
        'NotNamedByPeer',
        `A ClusterCertificate of another namespace is issued once a ReplicationPeer beside its CA names it. Name ${facts.certificate.metadata.namespace}/${facts.certificate.metadata.name} in spec.members[].certificateRef of one in namespace ${home(facts)}.`,
      ),
    };
  if (entry === null)
    return { ...rest, work: { kind: 'wait', because: `It is about to join the mesh of ReplicationCA ${facts.ca}.` } };
  if (entry.leaf === null) {
    return {
      ...rest,
      work: {
        kind: 'wait',
        because: `A rotation is running; its first Secret waits for a grant. See ReplicationCA ${facts.ca}.`,
      },
    };
  }
  const { leaf } = entry;
  if (secret === null) return { ...rest, work: issue(entry, leaf, 'Issued', 'there is no Secret yet') };
  if (secret.type !== issuing.wish.profile.secret.type) {
    return {
      ...rest,
      refusal: new Refusal(
        'SecretConflict',
        `Secret ${facts.certificate.metadata.namespace}/${secret.meta.name} has type ${secret.type}, which cannot be changed. Delete it; it is issued anew.`,
      ),
    };
  }
  // Not even a bundle is written then: what is in a Secret always goes together.
  if (facts.outputs instanceof Refusal) return { ...rest, refusal: facts.outputs, wakeAt: wakeOf(facts.outputs, now) };
  return { ...rest, ...planSecret(facts, issuing, secret, entry, leaf, now) };
}

const wakeOf = ({ retryAfter }: Refusal, now: number): number | null => (retryAfter === null ? null : now + retryAfter);

/** The namespace of its CA. */
function home({ ca }: CertificateFacts): string {
  return refOf(ca).namespace ?? '';
}

function issue(entry: RosterEntry, leaf: number, kind: Cause['kind'], because: string): Work {
  return { kind: 'issue', cause: { kind, because }, leaf, bundle: entry.bundle };
}

function planSecret(
  facts: CertificateFacts,
  issuing: Issuing,
  secret: MemberSecret,
  entry: RosterEntry,
  leaf: number,
  now: number,
): Pick<Plan, 'work' | 'wakeAt' | 'warning'> {
  const { wish, generations } = issuing;
  const { content } = secret;
  const repair = (because: string) => ({
    work: issue(entry, leaf, 'SecretRepaired', because),
    wakeAt: null,
    warning: null,
  });
  if (isProblem(content)) return repair(`its content is unusable: ${content.problem}`);
  if (!content.keyMatches) return repair('its key does not belong to its certificate');
  const issuer = issuerOf(content.leaf, generations);
  if (issuer !== leaf) {
    const granted = secret.epoch < entry.since;
    if (issuer === null || !granted)
      return repair(issuer === null ? 'its leaf has a foreign issuer' : `its leaf is of generation ${issuer}`);
    return { work: issue(entry, leaf, 'Renewed', `generation ${leaf} signs now`), wakeAt: null, warning: null };
  }
  const drift = driftOf(content, wish, generations.get(leaf)?.notAfter ?? Number.POSITIVE_INFINITY);
  if (drift !== null) return repair(`${drift} differs from the spec`);

  const remedy = remedyOf(issuing, leaf, facts.ca);
  const renewal = planRenewal(content, wish, generations.get(leaf)?.notAfter ?? Number.POSITIVE_INFINITY, remedy, now);
  if (renewal.because !== null)
    return { work: issue(entry, leaf, 'Renewed', renewal.because), wakeAt: null, warning: null };

  if (entry.grant === 'Reopened' && secret.epoch < entry.since) {
    const because =
      'the rotation turned round while a change was on its way; only a new leaf tells that this one has arrived';
    return { work: issue(entry, leaf, 'Renewed', because), wakeAt: null, warning: null };
  }

  const rest = { wakeAt: renewal.wakeAt, warning: renewal.warning };
  const wanted = entry.bundle.map((number) => issuing.ledger.generations[number]?.fingerprint);
  const bundleDiffers =
    wanted.length !== content.bundle.length || wanted.some((fingerprint, i) => fingerprint !== content.bundle[i]);
  if (bundleDiffers || secret.epoch < entry.since) {
    return {
      ...rest,
      work: {
        kind: 'rebundle',
        because: bundleDiffers ? 'its bundle changes' : 'a grant is to be seen',
        bundle: entry.bundle,
      },
    };
  }
  const stale = staleOutputs(secret.outputs, facts.outputs);
  if (stale.length > 0) {
    const because = `${stale.join(', ')} ${stale.length === 1 ? 'is' : 'are'} not what is asked for`;
    return { ...rest, work: { kind: 'outputs', because, bundle: entry.bundle } };
  }
  return { ...rest, work: labelsMissing(facts, wish, secret) ? { kind: 'label' } : { kind: 'none' } };
}

/** Keys that do not hold what they are to hold, or are to go. */
function staleOutputs(present: OutputDigests, wanted: CertificateFacts['outputs']): readonly string[] {
  if (wanted === null || wanted instanceof Refusal) return [];
  const missing = [...wanted.secret].flatMap(([key, digest]) => (present.get(key) === digest ? [] : [key]));
  return [...missing, ...[...present.keys()].filter((key) => !wanted.secret.has(key))];
}

/** The first part of the leaf that is not as the spec wants it. */
function driftOf({ leaf, key, keyPem }: MemberContent, wish: LeafWish, authorityEnds: number): string | null {
  if (leaf.rawSubject !== rawSubjectOf(wish.subject)) return 'the subject';
  if (!sameSet(leaf.dnsNames, wish.dnsNames)) return 'the set of DNS names';
  if (!sameSet(leaf.ipAddresses.map(canonicalIp), wish.ipAddresses.map(canonicalIp))) return 'the set of IP addresses';
  if (!sameSet(leaf.uris, wish.uris)) return 'the set of URIs';
  if (!sameKeySpec(key, wish.key)) return 'the kind of key';
  if (keyPem !== wish.encoding) return 'the encoding of the key';
  const ends = Math.min(leaf.notBefore + BACKDATE + wish.duration, authorityEnds);
  if (Math.abs(leaf.notAfter - ends) > 2_000) return 'the duration';
  return null;
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each) => b.includes(each));
}

/** IPv6 addresses have many spellings; URL parsing knows the one of RFC 5952. */
function canonicalIp(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

interface Renewal {
  readonly because: string | null;
  readonly wakeAt: number | null;
  readonly warning: string | null;
}

/** When a leaf is renewed: never more than a third of its life before its end (design rule 9). */
export function renewalTime(
  leaf: { readonly notBefore: number; readonly notAfter: number },
  renewBefore: number,
): number {
  // Without the set-back: with it a short leaf would be due before it is issued.
  const life = leaf.notAfter - leaf.notBefore - BACKDATE;
  return leaf.notAfter - Math.min(renewBefore, life / 3);
}

/** How a member gets a leaf that lives longer than its generation. */
function remedyOf({ ledger: { rotation, highest } }: Issuing, leaf: number, ca: string): string {
  if (rotation === null) return `Rotate the CA: set spec.rotation.generation of ReplicationCA ${ca} to ${highest + 1}.`;
  if (rotation.to === leaf)
    return `Complete the rotation to generation ${leaf} (status.rotation of ReplicationCA ${ca} says what it waits for), then rotate to ${highest + 1}.`;
  return `Its next leaf comes with its grant in the rotation to generation ${rotation.to}; status.rotation of ReplicationCA ${ca} says what that waits for.`;
}

function planRenewal(
  { leaf }: MemberContent,
  wish: LeafWish,
  authorityEnds: number,
  remedy: string,
  now: number,
): Renewal {
  const issuedAt = leaf.notBefore + BACKDATE;
  if (wish.reissueBefore !== null && issuedAt < wish.reissueBefore) {
    // A leaf made before that instant would be too old again: it is due then, not now.
    if (now >= wish.reissueBefore)
      return { because: 'spec.reissueBefore asks for a newer leaf', wakeAt: null, warning: null };
  }
  const pending = wish.reissueBefore !== null && issuedAt < wish.reissueBefore ? wish.reissueBefore : null;
  const due = renewalTime(leaf, wish.renewBefore);
  const wakeAt = pending === null ? due : Math.min(due, pending);
  if (now < due) return { because: null, wakeAt, warning: null };
  const gained = Math.min(now + wish.duration, authorityEnds) - leaf.notAfter;
  if (gained > 0) return { because: 'it is due', wakeAt: null, warning: null };
  return {
    because: null,
    wakeAt: pending,
    warning: `The leaf ends with its generation at ${new Date(leaf.notAfter).toISOString()}; a new one would not live longer. ${remedy}`,
  };
}

function labelsMissing({ certificate, ca }: CertificateFacts, wish: LeafWish, secret: MemberSecret): boolean {
  const { labels, annotations } = secretMetadata(certificate, ca, wish, secret.epoch);
  const has = (present: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>) =>
    Object.entries(wanted).every(([key, value]) => present[key] === value);
  return !has(secret.labels, labels) || !has(secret.annotations, annotations);
}

/** All metadata of a member's Secret: the user's, then ours. */
export function secretMetadata(
  { metadata }: CertificateFacts['certificate'],
  ca: string,
  wish: LeafWish,
  epoch: number,
) {
  const ours = memberMetadata(refOf(ca), metadata.name, metadata.uid, wish.deletionPolicy, epoch);
  return { labels: { ...wish.labels, ...ours.labels }, annotations: { ...wish.annotations, ...ours.annotations } };
}
