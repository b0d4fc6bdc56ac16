/** From the world to the facts of the rotation machine. */
import type { Ledger } from '../../api/ledger.ts';
import { parseInstant } from '../../api/instant.ts';
import { type MemberKey, memberKey } from '../../api/names.ts';
import type { ClusterCertificate, ReplicationCA, ReplicationPeer } from '../../api/objects.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { profileOf } from '../../profiles/index.ts';
import { keyOf } from '../../runtime/client.ts';
import type {
  Acknowledgement,
  Blocker,
  CertificateFact,
  Evidence,
  Facts,
  Roles,
  SecretFact,
  Wish,
  Witness,
} from '../../rotation/facts.ts';
import { allows } from '../clustercertificate/observe.ts';
import {
  authorityWish,
  BACKDATE,
  caKeyOf,
  durationOf,
  memberProfile,
  profileObjection,
  secretNameOf,
} from '../shared/effective.ts';
import { secretFact } from '../shared/facts.ts';
import type { Authority } from '../../pki/issue.ts';
import { isProbed, type Seen, seenOf } from '../replicationpeer/observe.ts';
import { memberKeyOf, objectOf } from '../shared/kept.ts';
import { type Brought, isBrought, obstacleOf, type ProvidedLeaves } from '../shared/provided.ts';
import type { World } from '../shared/world.ts';
import { namespaceOf } from '../../rotation/story.ts';
import { refusedBy } from './rehearsal.ts';

/** Gathers everything that the machine may know of one CA. */
export function observeRotation(
  world: World,
  ca: ReplicationCA,
  ledger: Ledger,
  authorities: ReadonlyMap<number, Authority>,
  provided: Pick<ProvidedLeaves, 'of'>,
  now: number,
): Facts {
  const generations = new Map([...authorities].map(([number, { certificate }]) => [number, certificate]));
  return {
    wish: wishOf(world, ca),
    ledger,
    generations: new Map(
      [...generations].map(([number, { notBefore, notAfter }]) => [
        number,
        { issuedAt: notBefore + BACKDATE, notAfter },
      ]),
    ),
    certificates: certificateFacts(world, ca, ledger, generations, provided),
    witnesses: witnessesOf(world, ca),
    verifies: (leaf, bundle) => refusal(authorities, leaf, bundle, now),
    watched: (namespace) => world.reads(namespace),
    obstacle: null,
  };
}

/** Why a leaf of this generation would be refused by some verifier that trusts this bundle; null: it would not. */
function refusal(
  authorities: ReadonlyMap<number, Authority>,
  leaf: number,
  bundle: readonly number[],
  now: number,
): string | null {
  const signer = authorities.get(leaf);
  const trusted = bundle.flatMap((number) => authorities.get(number)?.certificate ?? []);
  if (signer === undefined || trusted.length !== bundle.length) return 'a generation of it is not there';
  const style = refusedBy(signer, trusted, now);
  return style === null ? null : `verifiers that take the ${style} CA that could be the issuer refuse it`;
}

function wishOf(world: World, ca: ReplicationCA): Wish {
  const { rotation } = ca.spec;
  // It counts only where there is no such ClusterCertificate, which nobody knows of a namespace that was to be read and was not.
  const departed = (rotation?.departed ?? []).map((member) => memberKeyOfText(member));
  const unread = new Set(world.unreadNamespaces);
  return {
    generation: rotation?.generation ?? null,
    renewBefore: authorityWish(ca).renewBefore,
    soak: durationOf(rotation?.soak, 0),
    maxConcurrent: concurrencyOf(rotation?.maxConcurrent),
    paused: rotation?.paused ?? false,
    approval: { required: rotation?.approval?.required ?? [], upTo: rotation?.approval?.upTo ?? null },
    departed: new Set(departed.filter((member) => !unread.has(namespaceOf(member)))),
    deleting: ca.metadata.deletionTimestamp !== null,
  };
}

function concurrencyOf(wish: number | string | undefined): Wish['maxConcurrent'] {
  if (wish === undefined) return 1;
  if (typeof wish === 'number') return wish;
  return `${Number.parseInt(wish, 10)}%`;
}

function memberKeyOfText(text: string): MemberKey {
  const [namespace = '', name = ''] = text.split('/');
  return memberKey(namespace, name);
}

function certificateFacts(
  world: World,
  ca: ReplicationCA,
  ledger: Ledger,
  generations: ReadonlyMap<number, Certificate>,
  provided: Pick<ProvidedLeaves, 'of'>,
): ReadonlyMap<MemberKey, CertificateFact> {
  const facts = new Map<MemberKey, CertificateFact>();
  const self = keyOf(ca.metadata);
  for (const key of world.certificatesOf(self)) {
    const certificate = objectOf(world.certificates.get(key));
    if (certificate === null || !world.reads(certificate.metadata.namespace)) continue;
    const member = memberKey(certificate.metadata.namespace, certificate.metadata.name);
    facts.set(member, {
      uid: certificate.metadata.uid,
      barred: barrierOf(world, ca, certificate, member),
      secret: memberSecretFact(world, certificate, member, ledger, generations),
      brought: broughtBy(certificate, ledger, generations, provided.of(member)),
    });
  }
  // A member whose object has become unreadable is not one that is gone.
  for (const [member, entry] of ledger.roster) {
    if (!world.reads(namespaceOf(member))) continue;
    const kept = facts.has(member) ? undefined : world.certificates.get(member);
    if (kept === undefined || (kept.parsed.ok && caKeyOf(kept.parsed.object) !== self)) continue;
    const barred = { reason: 'InvalidSpec', message: `ClusterCertificate ${member} is invalid; see its conditions.` };
    facts.set(member, { uid: entry.uid, barred, secret: null, brought: NOTHING });
  }
  return facts;
}

const NOTHING: CertificateFact['brought'] = new Map();

/** Of which generations the user brings this member's leaf, and what is amiss with it. */
function broughtBy(
  certificate: ClusterCertificate,
  ledger: Ledger,
  generations: ReadonlyMap<number, Certificate>,
  brought: readonly Brought[] | null,
): CertificateFact['brought'] {
  const found = new Map<number, Blocker | null>();
  for (const number of generations.keys()) {
    if (isBrought(certificate, ledger.generations[number]))
      found.set(number, obstacleOf(certificate, brought, number, generations));
  }
  return found;
}

function memberSecretFact(
  world: World,
  certificate: ClusterCertificate,
  member: MemberKey,
  ledger: Ledger,
  generations: ReadonlyMap<number, Certificate>,
): SecretFact | null {
  const { namespace } = certificate.metadata;
  const kept = world.secrets.get(`${namespace}/${secretNameOf(certificate)}`);
  if (kept?.kind !== 'member' || kept.certificate !== member) return null;
  const objects = (certificate.spec.outputObjects ?? []).map(({ kind, name }) => {
    const object = world.output(kind, `${namespace}/${name}`);
    return object?.certificate === member ? object : null;
  });
  return secretFact(kept, objects, ledger, generations);
}

function barrierOf(
  world: World,
  ca: ReplicationCA,
  certificate: ClusterCertificate,
  member: MemberKey,
): Blocker | null {
  const { metadata } = certificate;
  if (metadata.deletionTimestamp !== null) {
    return {
      reason: 'Deleted',
      message: `ClusterCertificate ${member} is being deleted; its finalizers hold it (see metadata.finalizers).`,
    };
  }
  const objection = profileObjection(certificate, ca);
  if (objection !== null) return { reason: 'InvalidSpec', message: objection };
  const home = ca.metadata.namespace;
  if (metadata.namespace === home) return null;
  if (!allows(ca, metadata.namespace)) {
    return {
      reason: 'NamespaceNotAllowed',
      message: `Namespace ${metadata.namespace} is not in spec.allowedNamespaces.`,
    };
  }
  if ([...world.peersNaming(member, home)].length === 0) {
    return {
      reason: 'NotNamedByPeer',
      message: `ClusterCertificate ${member} of another namespace is issued once a ReplicationPeer in ${home} names it.`,
    };
  }
  return null;
}

function witnessesOf(world: World, ca: ReplicationCA): ReadonlyMap<MemberKey, readonly Witness[]> {
  const witnesses = new Map<MemberKey, Witness[]>();
  for (const kept of world.peers.list()) {
    const peer = objectOf(kept);
    if (peer === null || peer.metadata.namespace !== ca.metadata.namespace) continue;
    const freshFor = freshness(peer, ca);
    for (const member of peer.spec.members) {
      const key = memberKeyOf(peer, member);
      const profile = memberProfile(objectOf(world.certificates.get(key)), ca);
      const { acknowledgedWhen } = profile;
      const witness: Witness = {
        peer: peer.metadata.name,
        member: key,
        name: member.name,
        probed: isProbed(member, profile),
        acknowledgedWhen: { ...acknowledgedWhen, Prepare: acknowledgedWhen.Roll, Swap: acknowledgedWhen.Drop },
        acknowledged: acknowledgedOf(member, kept.acknowledgers.get(member.name) ?? null),
        roles: rolesOf(peer, member.name),
        freshFor,
        evidence: evidenceOf(seenOf(peer, member, profile)),
      };
      const known = witnesses.get(key);
      if (known === undefined) witnesses.set(key, [witness]);
      else known.push(witness);
    }
  }
  return witnesses;
}

function acknowledgedOf(
  { acknowledged }: ReplicationPeer['spec']['members'][number],
  manager: string | null,
): Acknowledgement | null {
  if (acknowledged === undefined) return null;
  return { ...acknowledged, manager, expires: parseInstant(acknowledged.expires) ?? 0 };
}

/** How long evidence counts, in milliseconds. A round of a peer takes as long as the member that says nothing until the timeout. */
function freshness({ spec: { probe } }: ReplicationPeer, ca: ReplicationCA): number {
  const [interval, timeout] = [durationOf(probe?.interval, 30_000), durationOf(probe?.timeout, 5_000)];
  return 3 * Math.max(interval, timeout, 3_600_000 / profileOf(ca.spec.profile).maxProbesPerHour);
}

/** Every member has endpoints, so it listens as soon as anybody dials it, and dials as soon as there is anybody to dial. */
function rolesOf(peer: ReplicationPeer, name: string): Roles {
  const edges =
    peer.spec.members.some((other) => other.name !== name) && peer.spec.members.some((self) => self.name === name);
  return { listens: true, dials: edges };
}

function evidenceOf(seen: Seen | null): Evidence | null {
  if (seen === null) return null;
  const known = seen.reason === 'Verified';
  return {
    epoch: seen.epoch,
    revision: seen.revision ?? '',
    observedAt: Date.parse(seen.observedAt),
    presents:
      seen.presents === undefined
        ? null
        : { fingerprint: seen.presents.fingerprint, generation: seen.presents.generation ?? null },
    trusts: seen.trusts ?? { listening: [], dialling: [] },
    refuses: { fresh: seen.refuses?.fresh ?? [], resumed: seen.refuses?.resumed ?? [] },
    resumes: seen.sessions?.accepted === true ? [seen.sessions.generation] : [],
    reason: known ? '' : seen.reason,
    message: known ? '' : (seen.message ?? ''),
  };
}
