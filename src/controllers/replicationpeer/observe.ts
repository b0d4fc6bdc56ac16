import type { Ledger } from '../../api/ledger.ts';
import type { MemberKey } from '../../api/names.ts';
import type { ReplicationCA, ReplicationPeer } from '../../api/objects.ts';
import type { Certificate } from '../../pki/certificate.ts';
import type { Profile } from '../../profiles/index.ts';
import { keyOf, type ObjectRef, refOf } from '../../runtime/client.ts';
import { caKeyOf, durationOf, memberProfile, secretNameOf } from '../shared/effective.ts';
import { generationsOf } from '../shared/facts.ts';
import { Refusal } from '../shared/refusal.ts';
import { isProblem, type LedgerSecret } from '../shared/kept-secrets.ts';
import { sameJson } from '../shared/status.ts';
import { memberKeyOf, objectOf } from '../shared/kept.ts';
import type { World } from '../shared/world.ts';

type Spec = ReplicationPeer['spec'];
/** What one peer has seen of one member, as it stands in status. */
export type Seen = NonNullable<NonNullable<ReplicationPeer['status']>['members']>[number];

type Member = Spec['members'][number];

type EndpointSpec = NonNullable<Member['endpoints']>[number];

/** Where a member listens, with the port filled in. */
export type Endpoint = EndpointSpec & { readonly port: number };

export interface PeerMember {
  readonly name: string;
  readonly certificate: MemberKey;
  readonly endpoints: readonly Endpoint[];
  /** Its own, or that of the CA. */
  readonly profile: Profile;
  /** Whether it is looked at. */
  readonly probed: boolean;
  /** What its Secret holds now; null: there is none that could be presented. */
  readonly secret: { readonly revision: string; readonly leaf: Certificate } | null;
  /** What was seen of it before. */
  readonly seen: Seen | null;
}

/** Everything that decides what a peer asks, and how what it sees is read. */
export interface PeerFacts {
  readonly peer: ReplicationPeer;
  readonly ca: ObjectRef;
  readonly ledger: Ledger;
  readonly generations: ReadonlyMap<number, Certificate>;
  readonly members: readonly PeerMember[];
  /** Milliseconds. */
  readonly interval: number;
  readonly timeout: number;
}

/** The CA that the members of a peer share, and what is amiss with one of them: that does not keep the others from being looked at. */
export interface ResolvedCa {
  readonly ca: ObjectRef;
  readonly missing: Refusal | null;
}

/** Resolves the references of a peer, or says why nothing is probed. */
export function resolveCa(world: World, peer: ReplicationPeer): ResolvedCa | Refusal {
  const cas = new Map<string, MemberKey>();
  let missing: Refusal | null = null;
  for (const member of peer.spec.members) {
    const key = memberKeyOf(peer, member);
    const kept = world.certificates.get(key);
    const certificate = objectOf(kept);
    const { namespace = '' } = refOf(key);
    const unread = world.reads(namespace) ? null : world.unreadable(namespace);
    if (certificate !== null) cas.set(caKeyOf(certificate), key);
    if (unread !== null) missing ??= new Refusal('NamespaceUnreadable', `Member ${member.name} is ${key}. ${unread}`);
    else if (!world.reads(namespace)) {
      missing ??= new Refusal(
        'CertificateNotFound',
        `Member ${member.name} is ${key}, and the operator does not watch namespace ${namespace}. Name it in --namespaces, and kubectl apply -n ${namespace} -f deploy/watched-namespace.yaml.`,
      );
    } else if (certificate === null) {
      missing ??= new Refusal(
        'CertificateNotFound',
        kept === undefined
          ? `Member ${member.name} names ClusterCertificate ${key}, which does not exist. Create it or correct spec.members[].certificateRef.`
          : `ClusterCertificate ${key} of member ${member.name} is invalid; see its conditions.`,
      );
    }
  }
  const [first, second] = [...cas];
  if (first === undefined) return missing ?? new Refusal('CertificateNotFound', 'spec.members is empty.');
  if (second !== undefined) {
    return new Refusal(
      'MixedCA',
      `${first[1]} uses ReplicationCA ${first[0]}, but ${second[1]} uses ${second[0]}. All members of a peer share one CA: split the peer.`,
    );
  }
  const ca = refOf(first[0]);
  if (ca.namespace !== peer.metadata.namespace) {
    return new Refusal(
      'WrongNamespace',
      `Its members use ReplicationCA ${first[0]}, but a peer counts only in the namespace of its CA. Create it in ${ca.namespace}.`,
    );
  }
  return { ca, missing: missing ?? portless(world, peer) };
}

/** Endpoints without a port, of members whose profile has none for them either. */
function portless(world: World, peer: ReplicationPeer): Refusal | null {
  for (const member of peer.spec.members) {
    const profile = profileOfMember(world, memberKeyOf(peer, member));
    const endpoint = member.endpoints?.find((each) => portOf(each, profile) === null);
    if (endpoint !== undefined)
      return new Refusal(
        'InvalidSpec',
        `Member ${member.name} names no port for ${endpoint.host}, and profile ${profile.name} has no usual one${profile.port === null ? '' : ` for protocol ${endpoint.protocol}`}. Set spec.members[name=${member.name}].endpoints[].port.`,
      );
  }
  return null;
}

/** The profile of the ClusterCertificate behind a member; of one that is not seen, generic. */
export function profileOfMember(world: Pick<World, 'certificates' | 'cas'>, key: MemberKey): Profile {
  const certificate = objectOf(world.certificates.get(key));
  const ca = certificate === null ? null : objectOf(world.cas.get(caKeyOf(certificate)));
  return memberProfile(certificate, ca);
}

/** Where a member listens; nowhere, as long as one of its endpoints has no port, of its own or of the profile: some are not all. */
export function endpointsOf({ endpoints = [] }: Member, profile: Profile): readonly Endpoint[] {
  const known = endpoints.flatMap((endpoint) => {
    const port = portOf(endpoint, profile);
    return port === null ? [] : [{ ...endpoint, port }];
  });
  return known.length === endpoints.length ? known : [];
}

/** The usual port of a profile is where its own protocol is spoken. */
function portOf({ port, protocol }: EndpointSpec, profile: Profile): number | null {
  return port ?? (protocol === undefined || protocol === profile.protocol ? profile.port : null);
}

/** Whether a member is looked at: it has endpoints, its user does not say that they cannot be reached, and one can look from outside. */
export function isProbed({ endpoints, proof }: Member, { protocol }: Profile): boolean {
  return endpoints !== undefined && proof !== 'Acknowledge' && protocol !== null;
}

/** Names of the members that are not looked at, of a peer whose CA may not be known: then a member's own profile counts. */
export function unprobedOf(world: Pick<World, 'certificates'>, peer: ReplicationPeer): ReadonlySet<string> {
  const profile = (member: Member) => memberProfile(objectOf(world.certificates.get(memberKeyOf(peer, member))), null);
  return new Set(peer.spec.members.flatMap((each) => (isProbed(each, profile(each)) ? [] : [each.name])));
}

/** Gathers the facts of a peer whose CA is known; null while that CA has no ledger or no signer. */
export function observe(
  world: World,
  peer: ReplicationPeer,
  ca: ObjectRef,
  ledgerSecret: LedgerSecret | null,
): PeerFacts | null {
  const authority = objectOf(world.cas.get(`${ca.namespace}/${ca.name}`));
  if (
    authority === null ||
    ledgerSecret === null ||
    isProblem(ledgerSecret.ledger) ||
    ledgerSecret.ledger.signer === null
  )
    return null;
  const { ledger } = ledgerSecret;
  return {
    peer,
    ca,
    ledger,
    generations: generationsOf(world.secrets, ca.namespace ?? '', ledger),
    members: peer.spec.members.map((member) => memberFacts(world, peer, member, authority)),
    interval: durationOf(peer.spec.probe?.interval, 30_000),
    timeout: durationOf(peer.spec.probe?.timeout, 5_000),
  };
}

function memberFacts(world: World, peer: ReplicationPeer, member: Member, ca: ReplicationCA): PeerMember {
  const key = memberKeyOf(peer, member);
  const certificate = objectOf(world.certificates.get(key));
  const kept =
    certificate === null
      ? undefined
      : world.secrets.get(`${certificate.metadata.namespace}/${secretNameOf(certificate)}`);
  const profile = memberProfile(certificate, ca);
  const content = kept?.kind === 'member' && kept.certificate === key && !isProblem(kept.content) ? kept.content : null;
  const endpoints = endpointsOf(member, profile);
  return {
    name: member.name,
    certificate: key,
    endpoints,
    profile,
    probed: isProbed(member, profile) && endpoints.length > 0,
    secret: content === null ? null : { revision: content.revision, leaf: content.leaf },
    seen: seenOf(peer, member, profile),
  };
}

/** What was seen of a member of this peer, where it listens now: a changed endpoint may be another machine. */
export function seenOf(peer: ReplicationPeer, member: Member, profile: Profile): Seen | null {
  const certificate = memberKeyOf(peer, member);
  const seen = peer.status?.members?.find((each) => each.name === member.name && each.certificate === certificate);
  return seen !== undefined && sameJson(seen.endpoints ?? [], addressesOf(endpointsOf(member, profile))) ? seen : null;
}

/**
 * By what probes tell one endpoint from another: whoever corrects the protocol of one is not to wait for what the wrong one has come to. Each
 * CA has its own: how another mesh looks there, how long its looks take and what they come to must not hold this one up.
 */
export function endpointKey(ca: ObjectRef, { host, port, protocol }: Endpoint): string {
  return `${keyOf(ca)} ${protocol ?? ''} ${host}:${port}`;
}

/** Endpoints as evidence names them. */
export function addressesOf(endpoints: readonly Endpoint[]): string[] {
  return endpoints.map(({ host, port, instances }) => `${host}:${port}${instances === 'Many' ? ' (Many)' : ''}`);
}
