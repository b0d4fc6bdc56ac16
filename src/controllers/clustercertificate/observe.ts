import { ANNOTATIONS, memberKey } from '../../api/names.ts';
import type { ClusterCertificate, ReplicationCA } from '../../api/objects.ts';
import type { Profile } from '../../profiles/index.ts';
import { keyOf, refOf } from '../../runtime/client.ts';
import { caKeyOf, leafDemands, leafWish, memberProfile, profileObjection, secretNameOf } from '../shared/effective.ts';
import { generationsOf } from '../shared/facts.ts';
import { Refusal } from '../shared/refusal.ts';
import {
  isProblem,
  type KeptSecret,
  type LedgerSecret,
  type MemberSecret,
  type OutputObject,
  type UnclaimedSecret,
} from '../shared/kept-secrets.ts';
import { isProbed, seenOf } from '../replicationpeer/observe.ts';
import { memberKeyOf, objectOf } from '../shared/kept.ts';
import type { World } from '../shared/world.ts';
import type { CertificateFacts, Issuing, Sighting } from './facts.ts';

/** What is known without asking anybody: all but the outputs and the leaves that its user brings. The ledger is given, because whoever is about to act reads it live. */
export function observe(
  world: World,
  certificate: ClusterCertificate,
  ledgerSecret: LedgerSecret | null,
): Omit<CertificateFacts, 'outputs' | 'brought'> {
  const { metadata } = certificate;
  const ca = caKeyOf(certificate);
  const found = findCa(world, certificate, ca);
  const secretKey = `${metadata.namespace}/${secretNameOf(certificate)}`;
  const kept = world.secrets.get(secretKey);
  const common = {
    certificate,
    ca,
    objects: objectsOf(world, certificate),
    sightings: sightingsOf(world, certificate, ca, memberProfile(certificate, found instanceof Refusal ? null : found)),
  };
  if (found instanceof Refusal)
    return { ...common, refusal: found, demands: null, issuing: null, secret: ownSecret(kept, certificate) };

  const refusal = secretRefusal(world, certificate, secretKey, kept) ?? ledgerRefusal(found, ledgerSecret);
  return {
    ...common,
    refusal,
    demands: leafDemands(certificate, found),
    issuing: refusal === null ? issuingOf(world, certificate, found, ledgerSecret) : null,
    secret: ownSecret(kept, certificate),
  };
}

function objectsOf(world: World, { metadata, spec }: ClusterCertificate): readonly OutputObject[] {
  const member = memberKey(metadata.namespace, metadata.name);
  const asked = (spec.outputObjects ?? []).map(({ kind, name }) => world.output(kind, `${metadata.namespace}/${name}`));
  const all = [...asked, ...world.outputsOf(member)].filter((each) => each?.certificate === member);
  return [...new Set(all)].filter((each) => each !== null);
}

function findCa(world: World, certificate: ClusterCertificate, key: string): ReplicationCA | Refusal {
  const { metadata, spec } = certificate;
  const [namespace = ''] = key.split('/');
  const unread = world.reads(namespace) ? null : world.unreadable(namespace);
  if (unread !== null)
    return new Refusal('CANotReady', `ReplicationCA ${key} cannot be seen, so nothing is written. ${unread}`);
  const kept = world.cas.get(key);
  if (kept === undefined) {
    const where = world.cas.watches(namespace) ? '' : ` (the operator does not watch namespace ${namespace})`;
    return new Refusal(
      'CANotFound',
      `ReplicationCA ${key} does not exist${where}. Create it; or delete this certificate, and create it anew with another spec.caRef.`,
    );
  }
  const ca = objectOf(kept);
  if (ca === null) return new Refusal('CANotReady', `ReplicationCA ${key} has an invalid spec; see its conditions.`);
  if (metadata.namespace !== namespace && !allows(ca, metadata.namespace)) {
    return new Refusal(
      'NamespaceNotAllowed',
      `ReplicationCA ${key} does not allow namespace ${metadata.namespace}. Add it to spec.allowedNamespaces there; or delete this certificate, and create it anew with another spec.caRef than ${spec.caRef.name}.`,
    );
  }
  const objection = profileObjection(certificate, ca);
  return objection === null ? ca : new Refusal('InvalidSpec', objection);
}

export function allows(ca: ReplicationCA, namespace: string): boolean {
  const allowed = ca.spec.allowedNamespaces ?? [];
  return allowed.includes('*') || allowed.includes(namespace);
}

/** Ours, a member's, and this very certificate's: else it is not touched. One that was not read yet is read first, see the controller. */
function ownSecret(kept: KeptSecret | undefined, { metadata }: ClusterCertificate): MemberSecret | null {
  return kept?.kind === 'member' && kept.certificate === memberKey(metadata.namespace, metadata.name) ? kept : null;
}

/** The Secret that a deleted certificate leaves behind and that is to go with it: of its name, made for this very object. Null: none. */
export function leftoverOf(
  secrets: Pick<World['secrets'], 'get'>,
  certificate: ClusterCertificate,
): MemberSecret | UnclaimedSecret | null {
  const { namespace, name, uid } = certificate.metadata;
  const kept = secrets.get(`${namespace}/${secretNameOf(certificate)}`);
  if (kept?.kind !== 'member' && kept?.kind !== 'unclaimed') return null;
  const { [ANNOTATIONS.certificateUid]: owner, [ANNOTATIONS.deletionPolicy]: policy } = kept.annotations;
  return kept.certificate === memberKey(namespace, name) && owner === uid && policy === 'Delete' ? kept : null;
}

/** The further objects that a deleted certificate leaves behind and that are to go with it: made for this very object. */
export function leftObjectsOf(
  world: Pick<World, 'outputsOf'>,
  { metadata }: ClusterCertificate,
): readonly OutputObject[] {
  return [...world.outputsOf(memberKey(metadata.namespace, metadata.name))].filter(
    ({ annotations: { [ANNOTATIONS.certificateUid]: owner, [ANNOTATIONS.deletionPolicy]: policy } }) =>
      owner === metadata.uid && policy === 'Delete',
  );
}

function secretRefusal(
  world: World,
  certificate: ClusterCertificate,
  secretKey: string,
  kept: KeptSecret | undefined,
): Refusal | null {
  const rival = olderRival(world, certificate, secretKey);
  if (rival !== null) {
    return new Refusal(
      'SecretConflict',
      `Secret ${secretKey} belongs to ClusterCertificate ${rival}, which is older. Two certificates never share a Secret: create this one anew with another spec.secretName.`,
    );
  }
  if (kept === undefined) return null;
  const own = ownSecret(kept, certificate);
  if (own === null) {
    const others = kept.kind === 'member' || kept.kind === 'unclaimed';
    // A ledger or the key of a CA is not to be deleted for the sake of a name.
    return new Refusal(
      'SecretConflict',
      others
        ? `Secret ${secretKey} was made for ClusterCertificate ${kept.certificate}. It is never overwritten: delete it if it is not needed, or create this certificate anew with another spec.secretName.`
        : `Secret ${secretKey} is one in which Replicert keeps a CA or its ledger. Leave it alone, and create this certificate anew with another spec.secretName.`,
    );
  }
  const ca = caKeyOf(certificate);
  if (own.ca !== ca) {
    return new Refusal(
      'SecretConflict',
      `Secret ${secretKey} was issued under ReplicationCA ${own.ca}, not ${ca}. It is never overwritten: delete it to have it issued anew under ${ca}.`,
    );
  }
  return null;
}

function olderRival(world: World, { metadata }: ClusterCertificate, secretKey: string): string | null {
  const self = keyOf(metadata);
  const own = world.certificates.get(self)?.meta;
  for (const key of world.certificatesWanting(secretKey)) {
    const other = world.certificates.get(key)?.meta;
    if (key === self || other === undefined || own === undefined) continue;
    if (other.createdAt < own.createdAt || (other.createdAt === own.createdAt && other.uid < own.uid)) return key;
  }
  return null;
}

function ledgerRefusal(ca: ReplicationCA, ledgerSecret: LedgerSecret | null): Refusal | null {
  if (ledgerSecret === null || !isProblem(ledgerSecret.ledger)) return null;
  return new Refusal(
    'CANotReady',
    `The ledger of ReplicationCA ${keyOf(ca.metadata)} is unreadable; see the conditions there.`,
  );
}

function issuingOf(
  world: World,
  certificate: ClusterCertificate,
  ca: ReplicationCA,
  ledgerSecret: LedgerSecret | null,
): Issuing | null {
  if (ledgerSecret === null || isProblem(ledgerSecret.ledger)) return null;
  const { ledger } = ledgerSecret;
  return {
    wish: leafWish(certificate, ca),
    ledger,
    entry: ledger.roster.get(memberKey(certificate.metadata.namespace, certificate.metadata.name)) ?? null,
    generations: generationsOf(world.secrets, ca.metadata.namespace, ledger),
  };
}

function sightingsOf(
  world: World,
  { metadata, spec }: ClusterCertificate,
  ca: string,
  profile: Profile,
): readonly Sighting[] {
  const member = memberKey(metadata.namespace, metadata.name);
  const secretName = secretNameOf({ metadata, spec });
  const { namespace = '' } = refOf(ca);
  return [...world.peersNaming(member, namespace)].flatMap((peer) => {
    const members = peer.spec.members.filter((each) => memberKeyOf(peer, each) === member);
    const names = members.map(({ name }) => name);
    const blind = members.every((each) => !isProbed(each, profile));
    const [seen] = members.flatMap((each) => seenOf(peer, each, profile) ?? []);
    return {
      peer: keyOf(peer.metadata),
      revision: seen?.revision ?? null,
      presented: seen?.presents?.fingerprint ?? null,
      reason: seen?.reason ?? 'NeverObserved',
      reload: profile.reload,
      message:
        seen?.message ??
        (blind
          ? `ReplicationPeer ${peer.metadata.name} does not probe ${names[0] ?? member} (no endpoints, proof: Acknowledge, or a profile of which only the member itself can tell). Whenever Secret ${secretName} has changed, ${profile.reload}.`
          : `ReplicationPeer ${peer.metadata.name} has not probed ${names[0] ?? member} yet, or cannot: see its condition Verified.`),
    };
  });
}
