import { randomBytes } from 'node:crypto';
import { REPLICATION_PEER } from '../../api/names.ts';
import type { ReplicationPeer } from '../../api/objects.ts';
import type { ReplicationPeerStatus } from '../../api/replication-peer.ts';
import type { SigningAuthority } from '../../pki/issue.ts';
import { Canaries } from '../../probe/canary.ts';
import { combineEvidence } from '../../probe/evidence.ts';
import { Lookups } from '../../probe/lookups.ts';
import { Pacer, Slots } from '../../probe/pacing.ts';
import { type EndpointObservation, isPatient, longestLook, probeEndpoint } from '../../probe/probe.ts';
import { Sessions } from '../../probe/sessions.ts';
import { type Client, keyOf } from '../../runtime/client.ts';
import type { Pass, Wake } from '../../runtime/runner.ts';
import type { Authorities } from '../shared/authorities.ts';
import type { ControllerClock } from '../shared/clock.ts';
import { tellInvalid, type Teller } from '../shared/invalid.ts';
import type { Ledgers } from '../shared/ledgers.ts';
import { Refusal } from '../shared/refusal.ts';
import { saysRefusal, writeStatus } from '../shared/status.ts';
import { memberKeyOf, objectOf } from '../shared/kept.ts';
import type { World } from '../shared/world.ts';
import { type Doubt, doubtAfter, doubted, doubtIn, knownIn } from './doubt.ts';
import {
  endpointKey,
  endpointsOf,
  observe,
  type PeerFacts,
  type PeerMember,
  profileOfMember,
  resolveCa,
  type Seen,
  unprobedOf,
} from './observe.ts';
import { planQuestions, type Question, seenBefore, toSeen } from './plan.ts';
import { blindStatusOf, statusOf, unprobedIn, worthWriting } from './status.ts';

export interface ReplicationPeerTools {
  readonly client: Client;
  readonly world: World;
  readonly ledgers: Ledgers;
  readonly authorities: Authorities;
  readonly tell: Teller;
  readonly clock: ControllerClock;
}

interface Round {
  /** When its probe began. */
  readonly began: number;
  readonly count: number;
  readonly doubt: Doubt | null;
}

interface Answer {
  readonly question: Question;
  /** Null where an endpoint may not be probed yet. */
  readonly answer: Seen | null;
  /** When its first probe began. */
  readonly began: number;
  readonly reached: boolean;
  /** When to ask again. */
  readonly at: number;
}

/** Of 16: looks that may take longer than usual never hold all of them, so that whoever has not asked for that waits no longer than before. */
const PATIENT_SLOTS = 12;
/** A peer with 64 members that all use up their time takes as many looks in a row as these slots need for it. */
const LOOKS_IN_A_PASS = 6;

/** A ledger that cannot be used says so on its ReplicationCA; the peer looks again now and then. */
const LEDGER_RETRY = 10_000;

/** Looks at the members of one peer by real handshakes and writes down what was seen: the evidence by which rotations move. */
export function replicationPeerController(tools: ReplicationPeerTools) {
  const { client, world, ledgers, tell, clock } = tools;
  const { now } = clock;
  const canaries = new Canaries(randomBytes);
  const sessions = new Sessions(now);
  const slots = new Slots();
  const patientSlots = new Slots(PATIENT_SLOTS, PATIENT_SLOTS, slots);
  const lookups = new Lookups();
  const pacer = new Pacer<EndpointObservation[]>({
    now,
    random: Math.random,
    reached: (observations) => observations.some(({ kind }) => kind === 'reached'),
  });
  /** Rounds in a row in which a member was reached and not as it should be, per peer and member. Whoever is unreachable is the pacer's. */
  const dark = new Map<string, Map<string, Round>>();

  /** By peer, the generation of the spec whose endpoints the pacer may remember. */
  const paced = new Map<string, number>();

  /** Endpoints that no peer names any more are forgotten when a spec has changed, or is gone. */
  function forgetEndpoints(key: string, generation: number | undefined): void {
    if (paced.get(key) === generation) return;
    if (generation === undefined) paced.delete(key);
    else paced.set(key, generation);
    const named = new Set<string>();
    for (const kept of world.peers.list()) {
      const peer = objectOf(kept);
      const resolved = peer === null ? null : resolveCa(world, peer);
      if (peer === null || resolved === null || resolved instanceof Refusal) continue;
      for (const member of peer.spec.members)
        for (const endpoint of endpointsOf(member, profileOfMember(world, memberKeyOf(peer, member))))
          named.add(endpointKey(resolved.ca, endpoint));
    }
    pacer.retain(named);
  }

  return async function reconcile(key: string, { signal, log }: Pass): Promise<Wake> {
    const kept = world.peers.get(key);
    forgetEndpoints(key, kept?.meta.generation);
    if (kept === undefined || kept.meta.deleting) {
      dark.delete(key);
      return { kind: 'onChange' };
    }
    const peer = objectOf(kept);
    if (peer === null) {
      await tellInvalid({ client, tell, now }, REPLICATION_PEER, world.peers, kept, signal);
      return { kind: 'onChange' };
    }
    const resolved = resolveCa(world, peer);
    if (resolved instanceof Refusal) {
      const nothing = statusOf(peer, resolved, new Map(), unprobedOf(world, peer), now());
      await writeStatus(client, REPLICATION_PEER, world.peers, kept, nothing, signal);
      tellRefusal(peer, nothing, resolved);
      return { kind: 'onChange' };
    }
    const { ca, missing } = resolved;
    const blind = async (why: Refusal, evidence: NonNullable<typeof peer.status>['members']): Promise<Wake> => {
      const status = blindStatusOf(peer, missing, why, evidence, now());
      await writeStatus(client, REPLICATION_PEER, world.peers, kept, status, signal);
      return { kind: 'after', ms: why.retryAfter ?? LEDGER_RETRY };
    };
    const wrong = clock.refusal();
    if (wrong !== null) return blind(wrong, peer.status?.members);
    // Read before the first probe: what is seen answers the question of this epoch and this revision.
    const observed = observe(world, peer, ca, await ledgers.live(ca));
    if (observed === null) {
      // Evidence is ordered by the epochs of the ledger: of one that comes from a backup it would be from the future.
      const why = `ReplicationCA ${keyOf(ca)} has no signer, or no ledger that can be used; see its conditions.`;
      return blind(new Refusal('CANotReady', why), []);
    }
    if (observed.ledger.rotation === null) sessions.forget(keyOf(ca));
    const rounds = dark.get(key) ?? new Map<string, Round>();
    dark.set(key, rounds);
    const known = (member: PeerMember): PeerMember => ({
      ...member,
      seen: knownIn(member.seen, rounds.get(member.name)?.doubt ?? null),
    });
    const facts: PeerFacts = { ...observed, members: observed.members.map(known) };
    const questions = planQuestions(facts, new Map([...rounds].map(([name, { count }]) => [name, count])));
    const seen = new Map<string, Seen>();
    for (const member of observed.members)
      if (member.seen !== null) seen.set(member.name, seenBefore(member, member.seen));
    let answers: Answer[];
    try {
      const inTime = AbortSignal.any([signal, AbortSignal.timeout(LOOKS_IN_A_PASS * longestLook(facts.timeout))]);
      answers = await Promise.all(questions.map((question) => ask(facts, question, inTime)));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return blind(new Refusal('CANotReady', `${error.message} See ReplicationCA ${keyOf(ca)}.`), peer.status?.members);
    }
    for (const { question, answer, began, reached } of answers) {
      if (answer === null) continue;
      const { name } = question.member;
      const last = rounds.get(name);
      // Several passes may be given the same answer.
      const again = last?.began === began;
      const before = last === undefined ? doubtIn(question.member.seen) : last.doubt;
      const doubt = again ? last.doubt : doubtAfter(before, answer, question.member.seen);
      seen.set(name, doubt === null ? answer : doubted(answer, doubt));
      if (again) continue;
      const count = answer.reason === 'Verified' ? 0 : (last?.count ?? 0) + (reached ? 1 : 0);
      rounds.set(name, { began, count, doubt });
    }
    const current = world.peers.get(key) ?? kept;
    const status = statusOf(peer, missing, seen, unprobedIn(facts), now());
    if (worthWriting(peer, status, facts, now())) {
      await writeStatus(client, REPLICATION_PEER, world.peers, current, status, signal);
      tellEdges(peer, status);
      if (missing !== null) tellRefusal(peer, status, missing);
      log.debug({ verified: status.edges?.verified, edges: status.edges?.total }, 'wrote what was seen');
    }
    const wakes = answers.map(({ at }) => at - now());
    return wakes.length === 0 ? { kind: 'onChange' } : { kind: 'after', ms: Math.min(...wakes) };
  };

  /** One member: all its endpoints. @throws Refusal when a generation has no key that can be used */
  async function ask(facts: PeerFacts, question: Question, signal: AbortSignal): Promise<Answer> {
    const { member, generations, sessions: wanted, pace } = question;
    const kept = wanted === null ? undefined : facts.ledger.generations[wanted.generation];
    const set = await canaries.make({
      authorities: await authoritiesOf(facts, generations, signal),
      like: member.secret?.leaf ?? null,
      now: now(),
    });
    const observed = await Promise.all(
      member.endpoints.map(async (named) => {
        const { host, port, instances = 'One' } = named;
        const protocol = named.protocol ?? member.profile.protocol;
        if (protocol === null) throw new Error(`${member.name} cannot be probed, and is not asked`);
        const endpoint = endpointKey(facts.ca, named);
        const run = (begun: () => void) =>
          probeEndpoint({
            host,
            port,
            protocol,
            timeoutMs: facts.timeout,
            control: set.control,
            candidates: set.candidates,
            ...(wanted === null || kept === undefined
              ? {}
              : { sessions: { ...wanted, kept: sessions.of(keyOf(facts.ca), kept.fingerprint, endpoint) } }),
            lookups,
            slots: isPatient(facts.timeout) ? patientSlots : slots,
            owner: keyOf(facts.ca),
            begun,
            signal,
          });
        return {
          host,
          port,
          instances,
          paced: await pacer.probe(endpoint, member.certificate, question.key, pace, run),
          dueAt: pacer.dueAt(endpoint, member.certificate, pace),
        };
      }),
    );
    const early = observed.flatMap(({ paced }) => (paced.kind === 'later' ? [paced.at] : []));
    if (early.length > 0) return { question, answer: null, began: 0, reached: false, at: Math.max(...early) };
    const endpoints = observed.flatMap(({ paced, ...endpoint }) =>
      paced.kind === 'observed' ? [{ ...endpoint, observations: paced.value }] : [],
    );
    const began = Math.min(...observed.map(({ paced }) => (paced.kind === 'observed' ? paced.startedAt : now())));
    const verdict = combineEvidence({ member: member.name, generations, endpoints });
    return {
      question,
      answer: toSeen(facts, question, verdict, began),
      began,
      reached: endpoints.some(({ observations }) => observations.some(({ kind }) => kind === 'reached')),
      at: Math.max(...observed.map(({ dueAt }) => dueAt)),
    };
  }

  async function authoritiesOf(
    { ca, ledger }: PeerFacts,
    generations: readonly number[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<number, SigningAuthority>> {
    const found = new Map<number, SigningAuthority>();
    for (const number of generations) {
      const record = ledger.generations[number];
      if (record === undefined) continue;
      const { certificate, key } = await tools.authorities.get(ca, number, record, signal);
      if (key !== null) found.set(number, { certificate, key });
    }
    return found;
  }

  /** Tells once what the user must put right; what may still come is no news. */
  function tellRefusal(peer: ReplicationPeer, after: ReplicationPeerStatus, refusal: Refusal): void {
    if (saysRefusal(after, refusal) && !saysRefusal(peer.status, refusal))
      tell(REPLICATION_PEER, peer.metadata, 'Warning', 'Stalled', refusal.message);
  }

  /** Tells when the whole begins or ceases to work; single members are told by their rotation. */
  function tellEdges(peer: ReplicationPeer, after: ReturnType<typeof statusOf>): void {
    const verified = (status: ReplicationPeer['status']): string | undefined =>
      status?.conditions?.find(({ type }) => type === 'Verified')?.status;
    const [was, is] = [verified(peer.status), verified(after)];
    if (was === is) return;
    const [first] = after.edges?.failing ?? [];
    if (is === 'True')
      tell(
        REPLICATION_PEER,
        peer.metadata,
        'Normal',
        'EdgeVerified',
        `All ${after.edges?.total ?? 0} edges were seen to work`,
      );
    else if (is === 'False' && first !== undefined)
      tell(REPLICATION_PEER, peer.metadata, 'Warning', 'EdgeFailing', `${first.from} -> ${first.to}: ${first.message}`);
  }
}
