/**
 * Sessions from before a generation was dropped, and whether a server still takes them up.
 *
 * A resumed session (RFC 5077, RFC 8446 section 2.2) lets a client in without a certificate being judged: a server that
 * has a new bundle but its old ticket keys, or its old session cache, goes on accepting whom it accepted before. Only
 * offering such a session shows it.
 *
 * 1. As long as a server accepts the generation, the newest sessions of each TLS version are kept: few live long, and
 *    those of today tell most about today's keys.
 * 2. Once it refuses the generation in new handshakes, they are offered, together with a canary of it. Taken up: it still
 *    accepts. Refused: it does not, and this stays so until it accepts again.
 * 3. A refusal must be able to mean that. A session past its lifetime is refused for that, and one of TLS 1.3 may be good
 *    for one use only; neither proves anything. A server that gives no sessions has none.
 * 4. Where none was kept (we were restarted), a session of a generation that stays is made and offered later: a server
 *    that does not know *that* one any more, or never takes one up, has no older ones either.
 * 5. What remains is to wait until all of them have expired; how long that is, servers say with each session.
 *
 * Sessions hold secrets. They are in memory only.
 */
import { DerReader, Tag, contextTag } from '../pki/der.ts';
import { PkiError } from '../pki/errors.ts';
import type { Canary } from './canary.ts';
import type { Attempt, TlsVersion } from './handshake.ts';

/** What was seen of sessions that were made before the generation was refused. */
export type Resumption =
  | { readonly answer: 'accepts'; readonly version: TlsVersion }
  | { readonly answer: 'refuses' }
  | {
      readonly answer: 'unknown';
      /** How long a session of this server can live, milliseconds; null: it does not say. */
      readonly lifetimeMs: number | null;
    };

/** A canary of a generation that stays, and the handshake in which the server has just accepted it. */
export interface Staying {
  readonly canary: Canary;
  readonly accepted: Attempt;
}

/** One more handshake with the address, with this canary, in this version. */
export type Dial = (canary: Canary, version: TlsVersion, session?: Buffer) => Promise<Attempt>;

const VERSIONS: readonly TlsVersion[] = ['TLSv1.2', 'TLSv1.3'];
/** Per address and version. */
const MOST_KEPT = 4;
/** Per probe. */
const MOST_OFFERED = 2;
/**
 * Node hands on no session of more than 10 KiB, and says nothing of it. The server's leaf is most of a session: half of that is left for
 * a ticket. In characters of PEM.
 */
const LARGE_LEAF = 7_000;
/** For how long a session without a lifetime (a session id of TLS 1.2) is taken to be in the server's cache: what is usual at least. */
const SILENT_LIFETIME_MS = 300_000;
/** RFC 8446 section 4.6.1. */
const LONGEST_LIFETIME_MS = 7 * 24 * 3_600_000;

class Session {
  /** As OpenSSL serializes it. */
  readonly bytes: Buffer;
  /** As the server has said; null: it has not. */
  readonly lifetimeMs: number | null;
  readonly #version: TlsVersion;
  /** When it was given, or taken up last. */
  #goodAt: number;
  #uses = 0;

  constructor(bytes: Buffer, version: TlsVersion, lifetimeMs: number | null, now: number) {
    this.bytes = bytes;
    this.lifetimeMs = lifetimeMs;
    this.#version = version;
    this.#goodAt = now;
  }

  takenUp(now: number): void {
    this.#goodAt = now;
    this.#uses += 1;
  }

  /** It was offered, and nobody knows whether that has arrived: as good as used. */
  lost(): void {
    if (this.#uses === 0) this.#uses = 1;
  }

  /** Whether a server that refuses it now must have another reason than its age, or that it was used before. */
  tells(now: number): boolean {
    const spent = this.#version === 'TLSv1.3' && this.#uses === 1;
    return !spent && now - this.#goodAt < (this.lifetimeMs ?? SILENT_LIFETIME_MS);
  }
}

/** What is known of one TLS version at one address. */
class Known {
  /** Probes in a row in which it gave none, or did not speak this version; a server that is busy may look so once. */
  bare = 0;
  /** Made with the generation that is dropped, newest first. */
  kept: Session[] = [];
  /** Made with a generation that stays, in the last probe. */
  witnesses: Session[] = [];
  /** It was seen to take up no session from before. */
  forgotten = false;
}

/** The sessions of one address. One probe at a time may use it. */
export class AddressSessions {
  readonly #now: () => number;
  readonly #known: Readonly<Record<TlsVersion, Known>> = { 'TLSv1.2': new Known(), 'TLSv1.3': new Known() };

  constructor(now: () => number, sibling?: AddressSessions) {
    this.#now = now;
    // That another address gives no sessions at all says nothing about this one.
    if (sibling === undefined || VERSIONS.every((version) => sibling.#known[version].kept.length === 0)) return;
    for (const version of VERSIONS) {
      const { bare, kept } = sibling.#known[version];
      Object.assign(this.#known[version], { bare, kept: [...kept] });
    }
  }

  /** The server accepts the generation: keeps what it gives, by one more handshake where it speaks both versions. */
  async keep(dropped: Canary, accepted: Attempt, dial: Dial): Promise<void> {
    for (const version of VERSIONS) {
      const known = this.#known[version];
      known.forgotten = false;
      const given = (await this.#given(version, dropped, accepted, dial)) ?? [];
      known.kept = [...given, ...known.kept].slice(0, MOST_KEPT);
      // One that loads other files in this moment gives no more of the generation: then only what it gave before can tell.
      if (given.length > 0) known.witnesses = [];
    }
  }

  /**
   * The server was not seen to accept the generation, and it is not the time to judge: makes what will tell whether it has forgotten what it
   * gave until now. When it may be judged it may have loaded other files already.
   * @param last whether what was made before gives way to it
   */
  async prepare(staying: Staying, last: boolean, dial: Dial): Promise<void> {
    for (const version of VERSIONS) {
      const known = this.#known[version];
      if (!last && known.witnesses.some((session) => session.tells(this.#now()))) continue;
      const given = await this.#given(version, staying.canary, staying.accepted, dial);
      if (given !== null && given.length > 0) known.witnesses = given;
    }
  }

  /**
   * The server refuses the generation in new handshakes: offers what was kept.
   * @param staying null: it was seen to accept no other generation
   */
  async judge(dropped: Canary, staying: Staying | null, dial: Dial): Promise<Resumption> {
    const lifetimes: (number | null | 'again')[] = [];
    for (const version of VERSIONS) {
      const known = this.#known[version];
      if (known.kept.length === 0 && known.bare > 1) continue;
      if (await this.#takesUpKept(known, version, dropped, dial)) {
        this.#acceptsAgain();
        return { answer: 'accepts', version };
      }
      if (known.forgotten) continue;
      lifetimes.push(staying === null ? null : await this.#askWitnesses(known, version, staying, dial));
    }
    const told = lifetimes.filter((lifetime) => lifetime !== 'again');
    const lifetimeMs = longest(told);
    if (lifetimeMs !== 0) return { answer: 'unknown', lifetimeMs };
    return told.length === lifetimes.length ? { answer: 'refuses' } : { answer: 'unknown', lifetimeMs: null };
  }

  /** Whatever was proven before is void. */
  #acceptsAgain(): void {
    for (const known of Object.values(this.#known)) {
      known.forgotten = false;
      known.witnesses = [];
    }
  }

  /** What is given in one version, by the handshake that there was or by one more; null: that does not tell. */
  async #given(version: TlsVersion, canary: Canary, accepted: Attempt, dial: Dial): Promise<Session[] | null> {
    // The newer version is spoken first only where there is no other.
    if (version === 'TLSv1.2' && accepted.version === 'TLSv1.3') return this.#counted(version, []);
    const attempt = accepted.version === version ? accepted : await dial(canary, version);
    return this.#counted(version, this.#givenBy(attempt));
  }

  #counted(version: TlsVersion, given: Session[] | null): Session[] | null {
    const known = this.#known[version];
    if (given !== null) known.bare = given.length === 0 ? known.bare + 1 : 0;
    return given;
  }

  /** Newest first. Null where the handshake does not tell: it failed, was refused, or gave what cannot be read, or what we are not given. */
  #givenBy({ spoken, outcome, sessions, version, presented: [leaf = ''] }: Attempt): Session[] | null {
    if (!spoken) return [];
    if (outcome.kind !== 'accepted') return null;
    if (sessions.length === 0 && leaf.length > LARGE_LEAF) return null;
    const now = this.#now();
    const read = sessions.toReversed().map((given) => readSession(given, version, now));
    return read.every((session) => session !== null) ? read : null;
  }

  async #takesUpKept(known: Known, version: TlsVersion, dropped: Canary, dial: Dial): Promise<boolean> {
    const telling = (): Session[] => known.kept.filter((session) => session.tells(this.#now()));
    const [first, second = first] = telling().length > 0 ? telling() : known.kept;
    let refusals = 0;
    for (const session of known.forgotten ? [first] : [first, second]) {
      if (session === undefined) continue;
      const attempt = await dial(dropped, version, session.bytes);
      if (letsIn(attempt)) {
        session.takenUp(this.#now());
        known.kept = [...(this.#givenBy(attempt) ?? []), ...known.kept].slice(0, MOST_KEPT);
        // Without another that could tell of a change, whether this one is good for more than one use must be known.
        if (telling().length === 0 && letsIn(await dial(dropped, version, session.bytes))) session.takenUp(this.#now());
        return true;
      }
      if (attempt.outcome.kind === 'rejected' && session.tells(this.#now())) refusals += 1;
    }
    // A close can have any cause; twice in a row it has one.
    if (refusals > 1) known.forgotten = true;
    return false;
  }

  /** @returns how long its sessions live; null: it does not say; 0: it has none from before; again: it gave none, perhaps by chance */
  async #askWitnesses(
    known: Known,
    version: TlsVersion,
    staying: Staying,
    dial: Dial,
  ): Promise<number | null | 'again'> {
    const { canary, accepted } = staying;
    const given = await this.#given(version, canary, accepted, dial);
    if (given === null) return null;
    const before = known.witnesses.filter((session) => session.tells(this.#now()));
    const witnesses = before.length > 0 ? before.slice(0, MOST_OFFERED) : given.slice(0, 1);
    if (witnesses.length === 0) return known.bare > 1 ? 0 : 'again';
    const lifetime = longest([...witnesses, ...given].map(({ lifetimeMs }) => lifetimeMs));
    let missed = false;
    for (const witness of witnesses) {
      const attempt = await dial(canary, version, witness.bytes);
      if (attempt.resumed) {
        witness.takenUp(this.#now());
        known.witnesses = [...(this.#givenBy(attempt) ?? []), ...given];
        return lifetime;
      }
      if (attempt.outcome.kind !== 'accepted') {
        witness.lost();
        break;
      }
      missed = true;
    }
    known.forgotten = missed;
    // Where nobody answered they are still to tell: those of now know nothing of what was before.
    const left = witnesses.filter((witness) => witness.tells(this.#now()));
    known.witnesses = missed || left.length === 0 ? given : left;
    return missed ? 0 : lifetime;
  }
}

/** A server that takes a session up and hangs up at once has looked again, as some do. */
function letsIn({ resumed, outcome }: Attempt): boolean {
  return resumed && outcome.kind === 'accepted' && outcome.proof !== 'closedAfter';
}

function longest(lifetimes: readonly (number | null)[]): number | null {
  let most = 0;
  for (const lifetime of lifetimes) {
    if (lifetime === null) return null;
    most = Math.max(most, lifetime);
  }
  return most;
}

// ---- What a session says -----------------------------------------------------------------------------------------

/** Node (24.20 and later) puts the name of the server before a session, and passes over one that was given for another name. */
const NODE_PREFIX = Buffer.from('\0nodejs:tls:session:1\0');

/** Null: in a form that we do not know, so that it could not be offered with certainty. */
function readSession(given: Buffer, version: TlsVersion, now: number): Session | null {
  let bytes = given;
  if (given.subarray(0, NODE_PREFIX.length).equals(NODE_PREFIX) && given.length > NODE_PREFIX.length + 2) {
    bytes = given.subarray(NODE_PREFIX.length + 2 + given.readUInt16BE(NODE_PREFIX.length));
  }
  try {
    return new Session(bytes, version, lifetimeOf(bytes), now);
  } catch (error) {
    if (error instanceof PkiError) return null;
    throw error;
  }
}

/** ticket_lifetime_hint of OpenSSL's SSL_SESSION, milliseconds; null: the server gave none. */
function lifetimeOf(bytes: Buffer): number | null {
  const outer = new DerReader(bytes, 'the session');
  const fields = outer.enter(Tag.sequence);
  if (!outer.done) throw outer.malformed('is followed by something');
  while (!fields.done) {
    const field = fields.read();
    if (field.tag !== contextTag(9, 'constructed')) continue;
    const seconds = Number.parseInt(fields.inside(field).readInteger().toString('hex'), 16);
    return seconds === 0 ? null : Math.min(seconds * 1000, LONGEST_LIFETIME_MS);
  }
  return null;
}

// ---- What is kept ------------------------------------------------------------------------------------------------

/** The sessions of one endpoint, by address: what one address gave may be shown to another that is new. */
export class EndpointSessions {
  readonly #now: () => number;
  readonly #addresses = new Map<string, AddressSessions>();

  constructor(now: () => number) {
    this.#now = now;
  }

  at(address: string): AddressSessions {
    const known = this.#addresses.get(address);
    if (known !== undefined) return known;
    const [sibling] = this.#addresses.values();
    const made = new AddressSessions(this.#now, sibling);
    this.#addresses.set(address, made);
    return made;
  }
}

/** The sessions of all meshes of one process, each with the one generation that it is dropping. */
export class Sessions {
  readonly #now: () => number;
  readonly #meshes = new Map<string, { readonly dropped: string; readonly endpoints: Map<string, EndpointSessions> }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * @param mesh whatever tells one CA from another
   * @param dropped fingerprint of the generation; sessions of another one of this mesh are forgotten
   * @param endpoint what tells one from another
   */
  of(mesh: string, dropped: string, endpoint: string): EndpointSessions {
    let known = this.#meshes.get(mesh);
    if (known?.dropped !== dropped) {
      known = { dropped, endpoints: new Map() };
      this.#meshes.set(mesh, known);
    }
    const { endpoints } = known;
    const sessions = endpoints.get(endpoint) ?? new EndpointSessions(this.#now);
    endpoints.set(endpoint, sessions);
    return sessions;
  }

  /** Nothing is dropped in this mesh. */
  forget(mesh: string): void {
    this.#meshes.delete(mesh);
  }
}
