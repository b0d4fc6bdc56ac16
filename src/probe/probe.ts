/** One member's endpoint, probed at every address its name has: which chain it presents and which CAs it trusts. */
import net from 'node:net';
import type { ProtocolName } from '../api/replication-peer.ts';
import { CANARY_COMMON_NAME, type Canary } from './canary.ts';
import { type Attempt, type FailureReason, type Outcome, type TlsVersion, handshake } from './handshake.ts';
import { Lookups } from './lookups.ts';
import { Slots } from './pacing.ts';
import { type Protocol, protocolOf } from './protocols/index.ts';
import type { Dial, EndpointSessions, Resumption, Staying } from './sessions.ts';
import { type Answer, type Round, type Trust, judge, roundsNeeded } from './verdict.ts';

export type { Answer, Trust };

/** `TooSlow`: it shows a certificate, but what it accepts was not known in time. */
export type UnreachableReason = FailureReason | 'TooSlow' | 'NameNotResolved' | 'TooManyAddresses';

/** What was seen of one address. */
export type EndpointObservation =
  | {
      readonly kind: 'reached';
      readonly address: string;
      readonly port: number;
      /** PEM, leaf first, as shown by the last handshake. */
      readonly presented: readonly string[];
      /** Leaves that other handshakes of the same probe were shown instead: a reload just now, or several instances. */
      readonly alsoPresented: readonly string[];
      /** Whether the server demands a client certificate that it trusts; null: not known. */
      readonly enforced: boolean | null;
      /** By generation. */
      readonly trusts: ReadonlyMap<number, Trust>;
      /** Of sessions of the generation that is dropped; null: not asked, or not refused in new handshakes. */
      readonly resumption: Resumption | null;
      /** Why no canary was shown, to a server that would hold it against us; null: they were. For people. */
      readonly unasked: string | null;
      /** TCP connections this took. */
      readonly connections: number;
    }
  | {
      readonly kind: 'unreachable';
      /** The host itself where it has no address. */
      readonly address: string;
      readonly port: number;
      readonly reason: UnreachableReason;
      readonly message: string;
      readonly connections: number;
    };

export interface ProbeRequest {
  /** DNS name or IP address. */
  readonly host: string;
  readonly port: number;
  /** Default: TLS from the first byte on. */
  readonly protocol?: ProtocolName;
  /** SNI; default: the host where it is a name. */
  readonly servername?: string | undefined;
  /** Bound on each connection and on resolving the name. */
  readonly timeoutMs: number;
  readonly control: Canary;
  /** By generation. Empty: only the presented chain is read, and whether client certificates are enforced. */
  readonly candidates: ReadonlyMap<number, Canary>;
  /** The candidate whose sessions are kept, and where; offered once it is refused, if it is being dropped. None: of no interest. */
  readonly sessions?: { readonly generation: number; readonly dropping: boolean; readonly kept: EndpointSessions };
  /** Bound the lookups and the handshakes that a process makes at one time, and for whom these are. */
  readonly lookups?: Lookups;
  readonly slots?: Slots;
  readonly owner?: string;
  /** Called when it is its turn and it begins to look. */
  readonly begun?: () => void;
  /** Bound on all handshakes with one address, from then on. Default: see `longestLook`. */
  readonly maxMs?: number;
  readonly signal: AbortSignal;
}

/** More than a replication endpoint can mean; a name with more is a mistake or an attack. */
const MAX_ADDRESSES = 32;
/** Of one address, all its handshakes: whoever answers slowly, again and again, is not to hold others up. */
const USUAL_LOOK_MS = 30_000;
/** No longer one can be given (`spec.probe.timeout`). */
const MAX_TIMEOUT_MS = 60_000;

/**
 * Longest look at one address, milliseconds. A server of TLS 1.3 that gives no session tickets shows only by its silence that it accepts
 * somebody: with two candidates that takes nearly 120 round trips. Who waits longer for one handshake is ready to wait longer for all.
 */
export function longestLook(timeoutMs: number): number {
  return Math.max(USUAL_LOOK_MS, 2 * timeoutMs);
}

/** Whether a look may take longer than is usual: such ones are not to hold up the others. */
export function isPatient(timeoutMs: number): boolean {
  return longestLook(timeoutMs) > USUAL_LOOK_MS;
}

/**
 * Probes every address of an endpoint, one handshake at a time per address: one for the control, then per
 * candidate four (trusted) or two (refused); up to seven where a TLS 1.3 server gives no positive sign. With a generation
 * that is dropped up to four more for each of the two TLS versions. An address that is not done when the time is up is unreachable.
 * A server that counts refusals (`Protocol.leave`) is first asked for a login without a certificate, and again after each of them; without
 * it no canary is shown.
 * @returns one observation per address, or a single unreachable one when the name gives none
 * @throws only `signal.reason`, or for a canary that is no certificate
 */
export async function probeEndpoint(request: ProbeRequest): Promise<EndpointObservation[]> {
  const { host, port, signal, slots = new Slots(), owner = '', begun = () => {} } = request;
  signal.throwIfAborted();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> =>
    slots.run(
      owner,
      () => {
        begun();
        return work();
      },
      signal,
    );
  const addresses = net.isIP(host) === 0 ? await inTurn(() => addressesOf(request)) : [host];
  if ('reason' in addresses) return [{ kind: 'unreachable', address: host, port, connections: 0, ...addresses }];
  return Promise.all(addresses.map((address) => inTurn(() => probeAddress(request, address))));
}

async function probeAddress(request: ProbeRequest, address: string): Promise<EndpointObservation> {
  const { port, signal, timeoutMs, maxMs = longestLook(timeoutMs) } = request;
  const up = AbortSignal.timeout(maxMs);
  const probe = new AddressProbe({ ...request, signal: AbortSignal.any([signal, up]) }, address);
  try {
    return await probe.run();
  } catch (error) {
    if (signal.aborted || !up.aborted) throw error;
    const { connections, answers } = probe;
    const reason = answers ? 'TooSlow' : 'Timeout';
    const message = answers ? tooSlow(timeoutMs, maxMs) : `no TLS handshake within ${maxMs / 1000} s`;
    return { kind: 'unreachable', address, port, reason, message, connections };
  }
}

function tooSlow(timeoutMs: number, maxMs: number): string {
  const sooner = 'A server of TLS 1.3 that gives session tickets is judged sooner';
  const what = `it answers, but too slowly: after ${maxMs / 1000} s it was not known what it accepts`;
  if (timeoutMs >= MAX_TIMEOUT_MS) return `${what}. ${sooner}; else acknowledge the member`;
  const longer = Math.min(MAX_TIMEOUT_MS, maxMs) / 1000;
  return `${what}. Raise spec.probe.timeout to ${longer}s: twice that time is given. ${sooner}`;
}

interface NoAddresses {
  readonly reason: UnreachableReason;
  readonly message: string;
}

async function addressesOf({
  host,
  lookups = new Lookups(),
  owner = '',
  timeoutMs,
  signal,
}: ProbeRequest): Promise<readonly string[] | NoAddresses> {
  const addresses = await lookups.addresses(owner, host, timeoutMs, signal);
  if (addresses === null) return { reason: 'NameNotResolved', message: `the name ${host} does not resolve` };
  if (addresses.length > MAX_ADDRESSES) {
    const message = `the name ${host} has ${addresses.length} addresses; at most ${MAX_ADDRESSES} are probed`;
    return { reason: 'TooManyAddresses', message };
  }
  return addresses;
}

/** A server that counts refusals has not let us in, so no canary may be refused any more. */
class Unforgiven extends Error {
  readonly attempt: Attempt;

  constructor(attempt: Attempt) {
    super(
      attempt.parting?.kind === 'denied'
        ? `it does not let ${CANARY_COMMON_NAME} log in ("${attempt.parting.message}")`
        : `without a certificate one does not get as far as to log in as ${CANARY_COMMON_NAME}`,
    );
    this.attempt = attempt;
  }
}

/** The handshakes with one address, and what they have shown so far. */
class AddressProbe {
  readonly #request: ProbeRequest;
  readonly #address: string;
  readonly #protocol: Protocol;
  #connections = 0;
  #last: Attempt | null = null;
  #presented: readonly string[] = [];
  readonly #leaves = new Set<string>();
  /** The last handshake of each candidate. */
  readonly #shown = new Map<Canary, Attempt>();

  constructor(request: ProbeRequest, address: string) {
    this.#request = request;
    this.#address = address;
    this.#protocol = protocolOf(request.protocol ?? 'TLS');
  }

  /** TCP connections so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Whether it has shown a certificate. */
  get answers(): boolean {
    return this.#presented.length > 0;
  }

  async run(): Promise<EndpointObservation> {
    try {
      if (this.#protocol.leave !== null) await this.#makeGood();
      // What such a server presents is known by now, and more is not asked.
      if (this.#protocol.leave !== null && this.#request.candidates.size === 0) return this.#reached({});
      return await this.#askAll();
    } catch (error) {
      if (!(error instanceof Unforgiven)) throw error;
      return this.#dark(error.attempt) ?? this.#reached({ unasked: error.message });
    }
  }

  async #askAll(): Promise<EndpointObservation> {
    const control = await this.#handshake(this.#request.control, null);
    const dark = this.#dark(control);
    if (dark !== null) return dark;
    let enforced = enforcedBy(control.outcome);
    const trusts = new Map<number, Trust>();
    for (const [generation, canary] of this.#request.candidates) {
      const { enforced: seen, answer, detail, mixed } = await this.#verdict(control, canary);
      trusts.set(generation, { answer, detail, mixed });
      enforced = seen ?? enforced;
    }
    return this.#reached({ enforced, trusts, resumption: await this.#resumption(trusts, settleAfter(control)) });
  }

  /** Null: it has shown itself. */
  #dark({ outcome }: Attempt): EndpointObservation | null {
    if (outcome.kind !== 'failed' || this.#presented.length > 0) return null;
    const { reason, message } = outcome;
    const { port } = this.#request;
    return { kind: 'unreachable', address: this.#address, port, reason, message, connections: this.#connections };
  }

  #reached(seen: Partial<Extract<EndpointObservation, { kind: 'reached' }>>): EndpointObservation {
    return {
      kind: 'reached',
      address: this.#address,
      port: this.#request.port,
      presented: this.#presented,
      alsoPresented: [...this.#leaves].filter((leaf) => leaf !== this.#presented[0]),
      enforced: null,
      trusts: new Map(),
      resumption: null,
      unasked: null,
      connections: this.#connections,
      ...seen,
    };
  }

  /** Keeps sessions of the generation that may be dropped while it is accepted, and offers them once it is refused. */
  async #resumption(trusts: ReadonlyMap<number, Trust>, settleMs: number): Promise<Resumption | null> {
    const { sessions, candidates } = this.#request;
    const dropped = sessions === undefined ? undefined : candidates.get(sessions.generation);
    if (sessions === undefined || dropped === undefined) return null;
    const kept = sessions.kept.at(this.#address);
    const dial: Dial = (canary, version, session) => this.#dial(canary, { version, settleMs, session });
    const seen = this.#shown.get(dropped);
    const staying = this.#staying(trusts);
    const answer = trusts.get(sessions.generation)?.answer;
    if (answer === 'yes') {
      if (seen !== undefined) await kept.keep(dropped, seen, dial);
    } else if (answer === 'no' && sessions.dropping) {
      return kept.judge(dropped, staying, dial);
    } else if (staying !== null) {
      await kept.prepare(staying, !sessions.dropping, dial);
    }
    return null;
  }

  #staying(trusts: ReadonlyMap<number, Trust>): Staying | null {
    for (const [generation, canary] of this.#request.candidates) {
      const accepted = this.#shown.get(canary);
      if (trusts.get(generation)?.answer === 'yes' && accepted !== undefined) return { canary, accepted };
    }
    return null;
  }

  /** Repeats a weak answer until enough rounds agree; answers that differ are no answer. */
  async #verdict(firstControl: Attempt, canary: Canary): Promise<Round> {
    let control = firstControl;
    const first = judge(control.outcome, (await this.#candidate(canary, control)).outcome);
    for (let agreeing = 1; agreeing < roundsNeeded(first); agreeing += 1) {
      // A slow server must be seen to refuse the control again each time; a refusal needs no other yardstick.
      if (first.answer === 'yes' && first.weak) control = await this.#handshake(this.#request.control, control);
      const next = judge(control.outcome, (await this.#candidate(canary, control)).outcome);
      if (next.answer !== first.answer) {
        const detail = `answers differ between rounds: ${first.detail}; then ${next.detail}`;
        return { answer: 'unknown', weak: false, enforced: next.enforced, detail, mixed: true };
      }
    }
    return first;
  }

  /** A control that could not be judged says nothing that a candidate could add to. */
  async #candidate(canary: Canary, control: Attempt): Promise<Pick<Attempt, 'outcome'>> {
    if (control.outcome.kind === 'failed') return control;
    const attempt = await this.#handshake(canary, control);
    this.#shown.set(canary, attempt);
    return attempt;
  }

  /** @param before the control of this round: tells the TLS version, and how long the server takes to refuse */
  async #handshake(canary: Canary, before: Attempt | null): Promise<Attempt> {
    const settleMs = before === null ? 0 : settleAfter(before);
    const attempt = await this.#dial(canary, { version: this.#version, settleMs });
    this.#see(attempt);
    return attempt;
  }

  /** Logs in without a certificate, which makes up for what was refused. @throws Unforgiven when it may not */
  async #makeGood(): Promise<void> {
    const attempt = await this.#dial(null, { version: this.#version, settleMs: 0 });
    this.#see(attempt);
    if (attempt.parting?.kind !== 'letIn') throw new Unforgiven(attempt);
  }

  get #version(): TlsVersion {
    return this.#last?.version ?? 'TLSv1.2';
  }

  #see(attempt: Attempt): void {
    if (attempt.presented.length === 0) return;
    this.#last = attempt;
    this.#presented = attempt.presented;
    this.#leaves.add(attempt.presented[0] ?? '');
  }

  async #dial(
    canary: Canary | null,
    how: { readonly version: TlsVersion; readonly settleMs: number; readonly session?: Buffer | undefined },
  ): Promise<Attempt> {
    const { port, timeoutMs, signal, host, servername = host } = this.#request;
    const [address, protocol] = [this.#address, this.#protocol];
    const attempt = await handshake({ address, port, servername, protocol, canary, timeoutMs, signal, ...how });
    this.#connections += attempt.connections;
    if (protocol.leave !== null && canary !== null && attempt.parting?.kind !== 'letIn') await this.#makeGood();
    return attempt;
  }
}

/** How long to wait for a refusal by a server that took so long to refuse the control. */
function settleAfter({ outcome, verdictMs }: Attempt): number {
  return outcome.kind === 'rejected' ? 10 * verdictMs : 0;
}

function enforcedBy(control: Outcome): boolean | null {
  switch (control.kind) {
    case 'rejected':
      return true;
    case 'failed':
      return null;
    case 'accepted':
      return control.proof === 'finished' || control.proof === 'ticket' ? false : null;
  }
}
