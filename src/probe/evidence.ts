/** What all observations of one member say together. Pure: every address must agree, and what is missing is unknown. */
import { type Certificate, parseCertificate } from '../pki/certificate.ts';
import { CANARY_ACCOUNT } from './protocols/mysql.ts';
import type { TlsVersion } from './handshake.ts';
import type { Answer, EndpointObservation } from './probe.ts';
import type { Resumption } from './sessions.ts';

export interface ObservedEndpoint {
  readonly host: string;
  readonly port: number;
  /** Many: a balancer or a pool answers, so an observation is a sample and never proof alone. */
  readonly instances: 'One' | 'Many';
  /** Empty: not probed yet. */
  readonly observations: readonly EndpointObservation[];
}

/** Why something is unknown; empty when nothing is. A generation that is seen not to be trusted is known. */
export type EvidenceReason =
  | ''
  | 'NoEndpoints'
  | 'NotProbed'
  /** One address does not give the same answer each time. */
  | 'Unsteady'
  /** Its addresses differ. */
  | 'Contradictory'
  | 'NameNotResolved'
  | 'Unreachable'
  | 'TlsNotOffered'
  | 'ProtocolError'
  | 'HostRefused'
  | 'LoginDenied'
  | 'NotEnforced'
  | 'StillResumed'
  | 'Inconclusive'
  | 'SampledOnly';

export interface MemberVerdict {
  /** The one leaf that all addresses present. */
  readonly presents: { readonly fingerprint: string; readonly pem: string } | null;
  /** `yes`: at every address; `no`: refused at one or more of them. */
  readonly trusts: ReadonlyMap<number, Answer>;
  /** Generations refused at every address: more than a `no` above, which one address is enough for. */
  readonly refuses: ReadonlySet<number>;
  /** Generations accepted at one or more addresses. */
  readonly accepts: ReadonlySet<number>;
  /** Of sessions of the generation that is dropped, at all addresses together; null: not refused at every address yet. */
  readonly resumption: Resumption | null;
  readonly reason: EvidenceReason;
  /** Names address and port, and the next step; empty with an empty reason. */
  readonly message: string;
}

type Reached = Extract<EndpointObservation, { kind: 'reached' }>;

interface Finding {
  readonly reason: Exclude<EvidenceReason, ''>;
  readonly message: string;
}

/**
 * Combines what was seen at all endpoints of one member.
 * @param generations those that the candidates of the probe stood for; empty in quiet times
 */
export function combineEvidence(request: {
  readonly member: string;
  readonly generations: readonly number[];
  readonly endpoints: readonly ObservedEndpoint[];
}): MemberVerdict {
  const { member, generations, endpoints } = request;
  const complete = endpoints.length > 0 && endpoints.every(({ observations }) => observations.length > 0);
  const proving = endpoints.some(({ instances }) => instances === 'One');
  const all = endpoints.flatMap(({ observations }) => observations);
  const reached = all.filter((observation) => observation.kind === 'reached');
  const seenEverywhere = complete && reached.length === all.length;

  const leaf = commonLeaf(reached);
  const trusts = new Map<number, Answer>();
  const refuses = new Set<number>();
  const accepts = new Set<number>();
  for (const generation of generations) {
    const answers = reached.map((at) => at.trusts.get(generation)?.answer ?? 'unknown');
    const everywhere = (wanted: Answer): boolean =>
      seenEverywhere && proving && answers.every((answer) => answer === wanted);
    trusts.set(generation, answers.includes('no') ? 'no' : everywhere('yes') ? 'yes' : 'unknown');
    if (everywhere('no')) refuses.add(generation);
    if (answers.includes('yes')) accepts.add(generation);
  }
  const presents = leaf !== null && seenEverywhere && proving ? { fingerprint: leaf.fingerprint, pem: leaf.pem } : null;

  const resumption = seenEverywhere && proving ? commonResumption(reached) : null;

  const finding =
    unsteadiness(member, reached) ??
    contradiction(member, reached, generations) ??
    missing(member, endpoints) ??
    unreachable(member, all) ??
    loginDenied(member, reached, generations) ??
    notEnforced(member, reached) ??
    stillResumed(member, reached) ??
    inconclusive(member, reached, generations) ??
    (proving ? null : sampled(member, endpoints));
  return {
    presents,
    trusts,
    refuses,
    accepts,
    resumption,
    reason: finding?.reason ?? '',
    message: finding?.message ?? '',
  };
}

// ---- Leaves --------------------------------------------------------------------------------------------------

/** Null: none or more than one, or one that cannot be read. */
function commonLeaf(reached: readonly Reached[]): Certificate | null {
  const leaves = reached.flatMap(leavesOf).map(readLeaf);
  const [first] = leaves;
  if (first === undefined || first === null) return null;
  return leaves.every((leaf) => leaf?.fingerprint === first.fingerprint) ? first : null;
}

/** All that one address presented during its probe; an address without a leaf counts as one that cannot be read. */
function leavesOf(at: Reached): readonly string[] {
  return [at.presented[0] ?? '', ...at.alsoPresented];
}

function readLeaf(pem: string): Certificate | null {
  try {
    return parseCertificate(pem);
  } catch {
    return null;
  }
}

// ---- Sessions ------------------------------------------------------------------------------------------------

/** One address that takes a session up is enough; all must be seen to refuse. */
function commonResumption(reached: readonly Reached[]): Resumption | null {
  let worst: Resumption = { answer: 'refuses' };
  for (const { resumption } of reached) {
    if (resumption === null) return null;
    if (resumption.answer === 'accepts') return resumption;
    if (resumption.answer === 'refuses') continue;
    const before: number | null = worst.answer === 'unknown' ? worst.lifetimeMs : 0;
    const { lifetimeMs } = resumption;
    worst = {
      answer: 'unknown',
      lifetimeMs: before === null || lifetimeMs === null ? null : Math.max(before, lifetimeMs),
    };
  }
  return worst;
}

// ---- Findings, the most telling first ----------------------------------------------------------------------------

/** Within one probe one address gave different answers, or showed different leaves. */
function unsteadiness(member: string, reached: readonly Reached[]): Finding | null {
  for (const at of reached) {
    const mixed = [...at.trusts].find(([, trust]) => trust.mixed);
    const leaves = leavesOf(at).map((pem) => readLeaf(pem)?.fingerprint.slice(0, 8) ?? 'no readable certificate');
    const how =
      leaves.length > 1
        ? `presents ${leaves.join(' and ')}`
        : mixed === undefined
          ? null
          : `answers differently about generation ${mixed[0]} (${mixed[1].detail})`;
    if (how === null) continue;
    return {
      reason: 'Unsteady',
      message: `${member} at ${where(at)} ${how}, from one connection to the next. It may be reloading; else several processes or machines answer there: reload all of them, and name each in spec.members[].endpoints.`,
    };
  }
  return null;
}

function contradiction(member: string, reached: readonly Reached[], generations: readonly number[]): Finding | null {
  const shown = new Map<string, string>();
  for (const at of reached) {
    for (const pem of leavesOf(at)) {
      const name = readLeaf(pem)?.fingerprint.slice(0, 8) ?? 'no readable certificate';
      if (!shown.has(name)) shown.set(name, `${name} at ${where(at)}`);
    }
  }
  if (shown.size > 1) {
    return {
      reason: 'Contradictory',
      message: `${member} presents ${[...shown.values()].join(', ')}. Reload the certificate at every address, or correct spec.members[].endpoints.`,
    };
  }
  for (const generation of generations) {
    const yes = reached.find((at) => at.trusts.get(generation)?.answer === 'yes');
    const no = reached.find((at) => at.trusts.get(generation)?.answer === 'no');
    if (yes !== undefined && no !== undefined) {
      return {
        reason: 'Contradictory',
        message: `${member} trusts generation ${generation} at ${where(yes)} but not at ${where(no)}. Load the bundle at every address.`,
      };
    }
  }
  return null;
}

function missing(member: string, endpoints: readonly ObservedEndpoint[]): Finding | null {
  if (endpoints.length === 0) {
    return {
      reason: 'NoEndpoints',
      message: `${member} has no endpoint to probe. Add spec.members[].endpoints.`,
    };
  }
  const unseen = endpoints.find(({ observations }) => observations.length === 0);
  if (unseen === undefined) return null;
  return {
    reason: 'NotProbed',
    message: `${member} at ${hostAndPort(unseen.host, unseen.port)} was not probed yet. Wait for the next probe.`,
  };
}

function unreachable(member: string, all: readonly EndpointObservation[]): Finding | null {
  const dark = all.filter((observation) => observation.kind === 'unreachable');
  const [first] = dark;
  if (first === undefined) return null;
  const others = dark.length - 1;
  const more = others === 0 ? '' : ` (and ${others} more ${others === 1 ? 'address' : 'addresses'})`;
  const at = `${member} at ${hostAndPort(first.address, first.port)}`;
  switch (first.reason) {
    case 'NameNotResolved':
    case 'TooManyAddresses':
      return {
        reason: first.reason === 'NameNotResolved' ? 'NameNotResolved' : 'Unreachable',
        message: `${at}: ${first.message}${more}. Correct the name in spec.members[].endpoints, or its DNS records.`,
      };
    case 'NotTls':
    case 'ClosedBeforeHandshake':
    case 'HandshakeFailed':
      return {
        reason: 'Unreachable',
        message: `${at} gives no TLS handshake: ${first.message}${more}. Correct port or protocol in spec.members[].endpoints, or the TLS settings there.`,
      };
    case 'TooSlow':
      return { reason: 'Unreachable', message: `${at} is not known: ${first.message}${more}.` };
    case 'TlsNotOffered':
      return {
        reason: 'TlsNotOffered',
        message: `${at} answers, but offers no TLS: ${first.message}${more}. Switch it on there.`,
      };
    case 'ProtocolError':
      return {
        reason: 'ProtocolError',
        message: `${at} breaks the protocol: ${first.message}${more}. Correct protocol or port in spec.members[].endpoints.`,
      };
    case 'HostRefused':
      return { reason: 'HostRefused', message: `${at} does not talk to the operator's host: ${first.message}${more}.` };
    case 'ConnectionRefused':
    case 'NoRoute':
    case 'Timeout':
      return {
        reason: 'Unreachable',
        message: `${at} is unreachable: ${first.message}${more}. Start the endpoint or correct spec.members[].endpoints.`,
      };
  }
}

function loginDenied(member: string, reached: readonly Reached[], generations: readonly number[]): Finding | null {
  const at = reached.find(({ unasked }) => unasked !== null);
  if (at === undefined || generations.length === 0) return null;
  return {
    reason: 'LoginDenied',
    message: `${member} at ${where(at)} was shown no certificate, for it would shut out the operator's host after too many refusals, and ${at.unasked}. Create the account there: ${CANARY_ACCOUNT}.`,
  };
}

function notEnforced(member: string, reached: readonly Reached[]): Finding | null {
  const open = reached.find(({ enforced }) => enforced === false);
  if (open === undefined) return null;
  return {
    reason: 'NotEnforced',
    message: `${member} at ${where(open)} accepts any client certificate, so nothing can be proven by a handshake. Demand client certificates there.`,
  };
}

function stillResumed(member: string, reached: readonly Reached[]): Finding | null {
  for (const at of reached) {
    if (at.resumption?.answer !== 'accepts') continue;
    return {
      reason: 'StillResumed',
      message: `${member} at ${where(at)} refuses new handshakes of the old generation, but still takes up a ${nameOf(at.resumption.version)} session from before, by which whoever has one is let in unseen. Change its session ticket keys and empty its session cache: restart it, with new ticket keys where they are shared.`,
    };
  }
  return null;
}

function nameOf(version: TlsVersion): string {
  return version.replace('v', ' ');
}

function inconclusive(member: string, reached: readonly Reached[], generations: readonly number[]): Finding | null {
  for (const at of reached) {
    for (const generation of generations) {
      const trust = at.trusts.get(generation);
      if (trust !== undefined && trust.answer !== 'unknown') continue;
      const why = trust?.detail ?? 'it was not asked';
      return {
        reason: 'Inconclusive',
        message: `It is unknown whether ${member} at ${where(at)} trusts generation ${generation}: ${why}.`,
      };
    }
  }
  return null;
}

function sampled(member: string, endpoints: readonly ObservedEndpoint[]): Finding {
  const names = endpoints.map(({ host, port }) => hostAndPort(host, port)).join(', ');
  return {
    reason: 'SampledOnly',
    message: `${member} is only seen through ${names}, where many instances answer. Name each instance in spec.members[].endpoints.`,
  };
}

function where(at: { readonly address: string; readonly port: number }): string {
  return hostAndPort(at.address, at.port);
}

function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
