import type { RosterEntry } from '../../api/ledger.ts';
import { MEMBER_SECRET_TYPE, memberKey, ROLES } from '../../api/names.ts';
import { rawSubjectOf } from '../../pki/issue.ts';
import { sameKeySpec } from '../../pki/keys.ts';
import { BACKDATE, type LeafWish } from '../shared/effective.ts';
import { issuerOf } from '../shared/facts.ts';
import type { OutputDigests } from '../shared/output-digests.ts';
import { type Candidate, candidateFor, isBrought, lackOf, refusalsOf } from '../shared/provided.ts';
import { Refusal } from '../shared/refusal.ts';
import {
  allLeaves,
  isProblem,
  type LeafContent,
  type MemberContent,
  type MemberSecret,
} from '../shared/kept-secrets.ts';
import { carries, metadataOf } from './metadata.ts';
import { refOf } from '../../runtime/client.ts';
import type { CertificateFacts, Issuing } from './facts.ts';

/** Why a leaf is made. First issues and renewals are routine; everything else repairs something. */
export interface Cause {
  readonly kind: 'Issued' | 'Renewed' | 'SecretRepaired' | 'Provided';
  readonly because: string;
}

/** What there is to do; the entry says with which generation and bundle. */
export type Work =
  | { readonly kind: 'none' }
  /** Not in the roster, or not given a Secret yet: the CA decides when. */
  | { readonly kind: 'wait'; readonly because: string }
  /** New key, new leaf, the entry's bundle: all in one write. `from`: the leaf that its user brings; null: it is signed here. */
  | {
      readonly kind: 'issue';
      readonly cause: Cause;
      readonly leaf: number;
      readonly bundle: readonly number[];
      readonly from: Candidate | null;
    }
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
  readonly warning: Warning | null;
}

export interface Warning {
  readonly reason: 'ExpiryNear' | 'LeafRefused';
  readonly message: string;
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
  const wanted = { ...entry, bundle: inOrder(issuing.wish, entry.bundle, leaf) };
  const supply = supplyOf(facts, issuing, leaf, now);
  if (secret === null) return { ...rest, ...issue(supply, wanted, leaf, 'Issued', 'there is no Secret yet') };
  if (secret.type !== MEMBER_SECRET_TYPE) {
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
  return { ...rest, ...planSecret(facts, issuing, secret, wanted, leaf, supply, now) };
}

const wakeOf = ({ retryAfter }: Refusal, now: number): number | null => (retryAfter === null ? null : now + retryAfter);

/** A bundle as the member is to have it. */
function inOrder({ profile }: LeafWish, bundle: readonly number[], leaf: number): readonly number[] {
  if (profile.bundleOrder === 'OldestFirst' || !bundle.includes(leaf)) return bundle;
  return [leaf, ...bundle.filter((number) => number !== leaf)];
}

/** The namespace of its CA. */
function home({ ca }: CertificateFacts): string {
  return refOf(ca).namespace ?? '';
}

/** Where a leaf comes from: signed here, or chosen from what its user brings. */
type Supply =
  | { readonly kind: 'signed' }
  | {
      readonly kind: 'brought';
      readonly candidate: Candidate | null;
      /** What is to be said when there is none. */
      readonly lack: () => string;
      readonly refusals: readonly string[];
      /** When it is to be looked at anew, epoch milliseconds; null: on a change. */
      readonly wakeAt: number | null;
    };

function supplyOf(
  { certificate, brought: found }: CertificateFacts,
  { ledger, generations }: Issuing,
  leaf: number,
  now: number,
): Supply {
  if (!isBrought(certificate, ledger.generations[leaf])) return { kind: 'signed' };
  const brought = found ?? [];
  const { namespace, name } = certificate.metadata;
  const ca = generations.get(leaf);
  const wakes = brought.flatMap(({ until }) => (until === null || until <= now ? [] : until));
  return {
    kind: 'brought',
    candidate: ca === undefined ? null : candidateFor(brought, ca),
    lack: () => lackOf(memberKey(namespace, name), brought, leaf, generations),
    refusals: refusalsOf(
      namespace,
      brought.filter(({ missing }) => !missing),
      generations,
    ),
    wakeAt: wakes.length === 0 ? null : Math.min(...wakes),
  };
}

type NextStep = Pick<Plan, 'work' | 'wakeAt' | 'warning' | 'refusal'>;

function issue(supply: Supply, entry: RosterEntry, leaf: number, kind: Cause['kind'], because: string): NextStep {
  const common = { leaf, bundle: entry.bundle };
  const rest = { wakeAt: null, warning: null, refusal: null };
  if (supply.kind === 'signed')
    return { ...rest, work: { kind: 'issue', cause: { kind, because }, ...common, from: null } };
  const { candidate, wakeAt } = supply;
  if (candidate === null)
    return { ...rest, work: { kind: 'none' }, wakeAt, refusal: new Refusal('LeafUnavailable', supply.lack()) };
  return { ...rest, work: { kind: 'issue', cause: { kind: 'Provided', because }, ...common, from: candidate } };
}

/** @param entry with its bundle in the member's order */
function planSecret(
  facts: CertificateFacts,
  issuing: Issuing,
  secret: MemberSecret,
  entry: RosterEntry,
  leaf: number,
  supply: Supply,
  now: number,
): NextStep {
  const { generations } = issuing;
  const { content } = secret;
  const repair = (because: string): NextStep => issue(supply, entry, leaf, 'SecretRepaired', because);
  if (isProblem(content)) return repair(`its content is unusable: ${content.problem}`);
  const leaves = allLeaves(content);
  if (!leaves.every(({ keyMatches }) => keyMatches)) return repair('its key does not belong to its certificate');
  if (new Set(leaves.map((each) => each.leaf.fingerprint)).size < leaves.length)
    return repair('two of its leaves are the same');
  const issuers = leaves.map((each) => issuerOf(each.leaf, generations));
  const issuer = issuers.includes(null) ? null : (issuers.find((each) => each !== leaf) ?? leaf);
  if (issuer !== leaf) {
    const granted = secret.epoch < entry.since;
    if (issuer === null || !granted)
      return repair(issuer === null ? 'its leaf has a foreign issuer' : `its leaf is of generation ${issuer}`);
    return issue(supply, entry, leaf, 'Renewed', `generation ${leaf} signs now`);
  }
  return supply.kind === 'brought'
    ? planBrought(facts, issuing, secret, content, entry, leaf, supply, now)
    : planSigned(facts, issuing, secret, content, entry, leaf, supply, now);
}

/** Its leaves are of the right generation, and were signed here. */
function planSigned(
  facts: CertificateFacts,
  issuing: Issuing,
  secret: MemberSecret,
  content: MemberContent,
  entry: RosterEntry,
  leaf: number,
  supply: Supply,
  now: number,
): NextStep {
  const { wish, generations } = issuing;
  const leaves = allLeaves(content);
  const authorityEnds = generations.get(leaf)?.notAfter ?? Number.POSITIVE_INFINITY;
  const drift = leaves.map((each) => driftOf(each, wish, authorityEnds)).find((each) => each !== null);
  if (drift !== undefined) return issue(supply, entry, leaf, 'SecretRepaired', `${drift} differs from the spec`);

  const remedy = remedyOf(issuing, leaf, facts.ca);
  // They are issued together; one that somebody has put back is older.
  const [oldest = content] = leaves.toSorted((a, b) => a.leaf.notAfter - b.leaf.notAfter);
  const renewal = planRenewal(oldest, wish, authorityEnds, remedy, now);
  if (renewal.because !== null) return issue(supply, entry, leaf, 'Renewed', renewal.because);

  if (entry.grant === 'Reopened' && secret.leafEpoch < entry.since) {
    const because =
      'the rotation turned round while a change was on its way; only a new leaf tells that this one has arrived';
    return issue(supply, entry, leaf, 'Renewed', because);
  }
  const { wakeAt, warning } = renewal;
  return { work: planFiles(facts, issuing, secret, content, entry), wakeAt, warning, refusal: null };
}

/**
 * Its leaf is of the right generation, and its user has brought it: it stays until another one is brought, and nobody renews it but the user.
 * One that does not fit any more stays as well, for it serves; that is told.
 */
function planBrought(
  facts: CertificateFacts,
  issuing: Issuing,
  secret: MemberSecret,
  content: MemberContent,
  entry: RosterEntry,
  leaf: number,
  supply: Extract<Supply, { kind: 'brought' }>,
  now: number,
): NextStep {
  const { wish } = issuing;
  const { candidate, refusals } = supply;
  const leaves = allLeaves(content);
  const present = (name: string) => leaves.find((each) => each.name === name)?.leaf.fingerprint;
  if (candidate?.leaves.some(({ name, certificate }) => certificate.fingerprint !== present(name)) === true)
    return issue(supply, entry, leaf, 'Provided', 'it is the newest that is brought');
  if (candidate !== null && leaves.some(({ keyPem }) => keyPem !== wish.encoding))
    return issue(supply, entry, leaf, 'SecretRepaired', 'the encoding of the key differs from the spec');

  const [first = content] = leaves.toSorted((a, b) => a.leaf.notAfter - b.leaf.notAfter);
  const due = renewalTime(first.leaf, wish.renewBefore);
  const wakes = [supply.wakeAt ?? due, due].filter((instant) => instant > now);
  const near =
    now < due
      ? []
      : [
          `The leaf is one that its user brings, and ends at ${new Date(first.leaf.notAfter).toISOString()}. Put a newer one of generation ${leaf} into a Secret of spec.provided.`,
        ];
  const warnings = [...near, ...refusals];
  return {
    work: planFiles(facts, issuing, secret, content, entry),
    wakeAt: wakes.length === 0 ? null : Math.min(...wakes),
    warning:
      warnings.length === 0
        ? null
        : { reason: near.length > 0 ? 'ExpiryNear' : 'LeafRefused', message: warnings.join(' ') },
    refusal: null,
  };
}

/** What is to be written besides a leaf that stays. */
function planFiles(
  facts: CertificateFacts,
  { ledger, wish }: Issuing,
  secret: MemberSecret,
  content: MemberContent,
  entry: RosterEntry,
): Work {
  const wanted = entry.bundle.map((number) => ledger.generations[number]?.fingerprint);
  const bundleDiffers =
    wanted.length !== content.bundle.length || wanted.some((fingerprint, i) => fingerprint !== content.bundle[i]);
  if (bundleDiffers || secret.epoch < entry.since) {
    return {
      kind: 'rebundle',
      because: bundleDiffers ? 'its bundle changes' : 'a grant is to be seen',
      bundle: entry.bundle,
    };
  }
  const stale = staleOutputs(secret.outputs, facts.outputs);
  if (stale.length > 0) {
    const because = `${stale.join(', ')} ${stale.length === 1 ? 'is' : 'are'} not what is asked for`;
    return { kind: 'outputs', because, bundle: entry.bundle };
  }
  return labelsMissing(facts, wish, secret) ? { kind: 'label' } : { kind: 'none' };
}

/** Keys that do not hold what they are to hold, or are to go. */
function staleOutputs(present: OutputDigests, wanted: CertificateFacts['outputs']): readonly string[] {
  if (wanted === null || wanted instanceof Refusal) return [];
  const missing = [...wanted.secret].flatMap(([key, digest]) => (present.get(key) === digest ? [] : [key]));
  return [...missing, ...[...present.keys()].filter((key) => !wanted.secret.has(key))];
}

/** The first part of the leaf that is not as the spec wants it. */
function driftOf({ leaf, key, keyPem }: LeafContent, wish: LeafWish, authorityEnds: number): string | null {
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
  readonly warning: Warning | null;
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
  { leaf }: LeafContent,
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
    warning: {
      reason: 'ExpiryNear',
      message: `The leaf ends with its generation at ${new Date(leaf.notAfter).toISOString()}; a new one would not live longer. ${remedy}`,
    },
  };
}

function labelsMissing({ certificate, ca }: CertificateFacts, wish: LeafWish, secret: MemberSecret): boolean {
  return !carries(secret, metadataOf(certificate, ca, wish, wish, secret.epoch, ROLES.member));
}
