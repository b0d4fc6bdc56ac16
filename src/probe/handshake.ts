/**
 * One handshake with a member, made with a canary, judged by what the server does with it.
 *
 * The order of events decides, so it is spelt out here once.
 * TLS 1.2: the server judges our certificate before it finishes; its Finished is the verdict.
 * TLS 1.3: we finish one round trip before the server has judged; only a session ticket, an alert, a close or a
 * long enough silence afterwards tells. Hence 1.2 is tried first.
 * Whatever goes wrong before the server's own flight is complete says nothing about our certificate.
 *
 * What its protocol has to say before TLS, and afterwards to part in peace, goes around that and changes none of it.
 */
import net from 'node:net';
import tls from 'node:tls';
import type { Canary } from './canary.ts';
import { type BreakOff, converse, DialogueError } from './protocols/dialogue.ts';
import type { Parting, Protocol } from './protocols/protocol.ts';

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

export type FailureReason =
  | 'ConnectionRefused'
  | 'NoRoute'
  | 'Timeout'
  | 'NotTls'
  | 'ClosedBeforeHandshake'
  | 'HandshakeFailed'
  | BreakOff;

/**
 * What became of our certificate.
 * accepted: `finished` and `ticket` prove it; `open` means merely not refused within the settle time (TLS 1.3);
 * `closedAfter` means TLS finished and the server hung up at once, as servers do that judge after the handshake.
 * rejected: by an alert, or (`alert: null`) by a close in the moment in which the certificate is judged.
 */
export type Outcome =
  | { readonly kind: 'accepted'; readonly proof: 'finished' | 'ticket' | 'open' | 'closedAfter' }
  | { readonly kind: 'rejected'; readonly alert: number | null }
  | { readonly kind: 'failed'; readonly reason: FailureReason; readonly message: string };

export interface Attempt {
  readonly outcome: Outcome;
  /** The server's chain as PEM, leaf first; empty when it never showed one. */
  readonly presented: readonly string[];
  readonly version: TlsVersion;
  /** Time of the TCP connect: one round trip. */
  readonly roundTripMs: number;
  /** From our last flight to the verdict. */
  readonly verdictMs: number;
  /** False: the server seems not to speak this version. */
  readonly spoken: boolean;
  /** Whether the session that was offered was taken up: then no certificate was judged, and `presented` is empty. */
  readonly resumed: boolean;
  /** Sessions that the server gave, each to be offered later; see `sessions.ts`. Secret, and never written anywhere. */
  readonly sessions: readonly Buffer[];
  /** How the server was left, where the protocol has a way to and it had accepted; null: we just went. */
  readonly parting: Parting | null;
  /** TCP connections made: 2 when the server wanted another TLS version. */
  readonly connections: number;
}

export interface HandshakeRequest {
  readonly address: string;
  readonly port: number;
  /** Sent as SNI unless it is an IP address. */
  readonly servername?: string | undefined;
  readonly protocol: Protocol;
  /** Null: no certificate is shown. */
  readonly canary: Canary | null;
  /** Bound on TCP connect and handshake together, per connection, and on parting; the settle time comes on top in TLS 1.3. */
  readonly timeoutMs: number;
  /** Lower bound of the settle time; it is never below 750 ms or ten round trips, never above 30 s. */
  readonly settleMs?: number;
  /** The version to begin with, where an earlier attempt has shown it. */
  readonly version?: TlsVersion;
  /** A session of this server and version to offer; then no other version is tried. */
  readonly session?: Buffer | undefined;
  readonly signal: AbortSignal;
}

const MIN_SETTLE_MS = 750;
const MAX_SETTLE_MS = 30_000;
/** The newest are kept: a server may send as many as it likes, each with its certificate. */
const MAX_SESSIONS = 8;
/** A server that judges after the handshake closes in the same breath; this waits for it, and never longer than that. */
const MIN_LINGER_MS = 50;
const MAX_LINGER_MS = 1_000;
/** Nobody owes us data before we spoke; beyond this we stop reading and let the settle time decide. */
const MAX_UNREAD_BYTES = 64 * 1024;
const MAX_CHAIN = 16;
/**
 * An observer must also see what is weak: at the default level an old server would just look unreachable. But in the Diffie-Hellman of
 * TLS 1.2 over finite fields it is the server that chooses the field, and with one of 10,000 bits each handshake holds this process for most
 * of a second: some that are made at one time cost it its Lease.
 */
const CIPHERS = 'DEFAULT:!kDHE:@SECLEVEL=0';

/** RFC 8446 section 6.2: the alerts by which a server refuses a client certificate. */
const CERTIFICATE_ALERTS: ReadonlySet<number> = new Set([
  40, 41, 42, 43, 44, 45, 46, 48, 49, 50, 51, 113, 114, 115, 116,
]);

/**
 * Handshakes once, in TLS 1.2, and again in TLS 1.3 where the server does not speak 1.2.
 * Never throws for what a server does; rejects only with `signal.reason`, or when the canary itself is unusable.
 */
export async function handshake(request: HandshakeRequest): Promise<Attempt> {
  const version = request.version ?? 'TLSv1.2';
  const first = await connectOnce(request, version);
  if (version === 'TLSv1.3' || first.spoken || request.session !== undefined) return first;
  return { ...(await connectOnce(request, 'TLSv1.3')), connections: 2 };
}

function connectOnce(request: HandshakeRequest, version: TlsVersion): Promise<Attempt> {
  const { address, port, protocol, canary, timeoutMs, signal } = request;
  signal.throwIfAborted();
  const secureContext = contextOf(canary, version);

  return new Promise((resolve, reject) => {
    const started = performance.now();
    let roundTripMs = 0;
    /** When the server's own flight was complete, hence ours on its way. */
    let flightAt: number | null = null;
    let finished = false;
    let proof: 'finished' | 'ticket' | null = null;
    let presented: readonly string[] = [];
    let resumed = false;
    const sessions: Buffer[] = [];
    let unread = 0;
    /** The verdict, and what it took, once there is one: from then on only parting is left. */
    let judged: { readonly outcome: Outcome; readonly verdictMs: number } | null = null;
    let done = false;
    let connected = false;
    let secure: tls.TLSSocket | null = null;

    const raw = net.connect({ host: address, port });
    raw.setNoDelay(true);
    let deadline = setTimeout(() => fail('Timeout', timeoutMessage()), timeoutMs);
    let verdictTimer: NodeJS.Timeout | undefined;
    signal.addEventListener('abort', onAbort, { once: true });

    raw.on('error', onError);
    raw.on('close', onClose);
    raw.on('connect', () => {
      if (done) return;
      connected = true;
      roundTripMs = performance.now() - started;
      if (protocol.begin === null) secure = startTls();
      else converse(raw, protocol.begin(), onBegun);
    });

    function onBegun(end: DialogueError | void): void {
      if (done) return;
      if (end instanceof DialogueError) return fail(end.reason, end.message);
      secure = startTls();
    }

    function startTls(): tls.TLSSocket {
      const servername =
        request.servername !== undefined && net.isIP(request.servername) === 0 ? request.servername : '';
      const socket = tls.connect({
        socket: raw,
        secureContext,
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
        ...(servername === '' ? {} : { servername }),
        ...(request.session === undefined ? {} : { session: request.session }),
      });
      // In TLS 1.2 no event tells that the server's flight is complete when it then refuses us, but the keys are
      // derived at exactly this point. The secrets themselves are of no interest.
      socket.on('keylog', () => {
        if (done || version !== 'TLSv1.2' || flightAt !== null) return;
        flightAt = performance.now();
        presented = readChain(socket);
      });
      socket.on('secureConnect', () => onSecureConnect(socket));
      socket.on('session', onSession);
      socket.on('data', (chunk: Buffer) => {
        // RFC 8446 section 4.4.4 lets a server send data before it has seen our certificate: no proof of anything.
        unread += chunk.length;
        if (unread > MAX_UNREAD_BYTES) socket.pause();
      });
      socket.on('end', onClose);
      socket.on('error', onError);
      socket.on('close', onClose);
      return socket;
    }

    function onSecureConnect(socket: tls.TLSSocket): void {
      if (done) return;
      finished = true;
      clearTimeout(deadline);
      resumed = socket.isSessionReused();
      // With a session comes the certificate of the time in which it was made.
      if (resumed) presented = [];
      else if (presented.length === 0) presented = readChain(socket);
      if (version === 'TLSv1.2') {
        linger('finished');
        return;
      }
      flightAt = performance.now();
      if (proof !== null) return;
      const settle = Math.min(MAX_SETTLE_MS, Math.max(MIN_SETTLE_MS, 10 * roundTripMs, request.settleMs ?? 0));
      verdictTimer = setTimeout(() => settleUnheard({ kind: 'accepted', proof: 'open' }), settle);
    }

    /** RFC 8446 section 4.6.1: a server that asked for a certificate sends tickets only after our Finished. */
    function onSession(session: Buffer): void {
      if (done) return;
      sessions.push(session);
      if (sessions.length > MAX_SESSIONS) sessions.shift();
      if (version === 'TLSv1.3' && proof === null && judged === null) linger('ticket');
    }

    function linger(seen: 'finished' | 'ticket'): void {
      proof = seen;
      clearTimeout(verdictTimer);
      verdictTimer = setTimeout(() => settleUnheard({ kind: 'accepted', proof: seen }), lingerFor(roundTripMs));
    }

    /**
     * Nothing was heard in time. Node runs a timer before it reads what has come meanwhile: after a busy moment the
     * refusal may be waiting to be read. Reading takes one turn of the loop, noticing the end a second one.
     */
    function settleUnheard(outcome: Outcome): void {
      setImmediate(() => setImmediate(() => settleWith(outcome)));
    }

    function onError(error: NodeJS.ErrnoException): void {
      if (done) return;
      if (judged !== null) return part(null);
      const alert = alertNumber(error);
      const closed = alert === null && isClose(error);
      if (flightAt !== null && closed) return onClose();
      if (flightAt !== null && alert !== null && CERTIFICATE_ALERTS.has(alert)) {
        return settleWith({ kind: 'rejected', alert });
      }
      if (flightAt !== null) return fail('HandshakeFailed', describe(error));
      if (secure === null) return fail(connectReason(error), describe(error));
      if (closed) return fail('ClosedBeforeHandshake', closedMessage(), true);
      if (isNotTls(error)) return fail('NotTls', `the server does not speak TLS (${describe(error)})`);
      fail('HandshakeFailed', describe(error), alert !== null || isVersionError(error));
    }

    function onClose(): void {
      if (done) return;
      if (judged !== null) return part(null);
      if (flightAt === null) return fail('ClosedBeforeHandshake', closedMessage(), secure !== null);
      if (proof !== null) return settleWith({ kind: 'accepted', proof: 'closedAfter' });
      settleWith({ kind: 'rejected', alert: null });
    }

    function onAbort(): void {
      if (done) return;
      cleanUp(false);
      reject(signal.reason);
    }

    function fail(reason: FailureReason, message: string, unspoken = false): void {
      settleWith({ kind: 'failed', reason, message }, !unspoken);
    }

    function settleWith(outcome: Outcome, spoken = true): void {
      if (done || judged !== null) return;
      judged = { outcome, verdictMs: flightAt === null ? 0 : performance.now() - flightAt };
      const stays = outcome.kind === 'accepted' && outcome.proof !== 'closedAfter';
      if (!stays || protocol.leave === null || secure === null) return part(null, spoken);
      clearTimeout(deadline);
      deadline = setTimeout(() => part(null), timeoutMs);
      secure.resume();
      converse(secure, protocol.leave(), (end) => part(end instanceof DialogueError ? null : end));
    }

    function part(parting: Parting | null, spoken = true): void {
      if (done || judged === null) return;
      const { outcome, verdictMs } = judged;
      cleanUp(outcome.kind === 'accepted');
      resolve({
        outcome,
        presented,
        version,
        roundTripMs,
        verdictMs,
        spoken,
        resumed,
        sessions,
        parting,
        connections: 1,
      });
    }

    /** The error listeners stay: a destroyed socket may still report one. */
    function cleanUp(politely: boolean): void {
      done = true;
      clearTimeout(deadline);
      clearTimeout(verdictTimer);
      signal.removeEventListener('abort', onAbort);
      // With a close_notify an accepted canary leaves no "unexpected eof" in the server's log.
      if (politely && secure !== null) secure.destroySoon();
      else {
        secure?.destroy();
        raw.destroy();
      }
    }

    function timeoutMessage(): string {
      if (!connected) return `no TCP connection within ${timeoutMs} ms`;
      if (secure === null) return `connected, but nothing that leads to TLS within ${timeoutMs} ms`;
      if (flightAt === null) return `connected, but no TLS answer within ${timeoutMs} ms`;
      return finished ? `no verdict within ${timeoutMs} ms` : `the TLS handshake did not end within ${timeoutMs} ms`;
    }
  });
}

/** How long to wait for a close that would come one round trip after the verdict. Who is slow to connect is not to be waited for long. */
export function lingerFor(roundTripMs: number): number {
  return Math.min(MAX_LINGER_MS, Math.max(MIN_LINGER_MS, roundTripMs));
}

/** By canary: a context is the costliest part of a handshake, in memory and, with the parsing of keys, in time. */
const contexts = new WeakMap<object, Map<TlsVersion, tls.SecureContext>>();
const NO_CANARY = {};

/** Shared by all handshakes of one canary; Node resumes a session only where one is passed. */
function contextOf(canary: Canary | null, version: TlsVersion): tls.SecureContext {
  const owner = canary ?? NO_CANARY;
  const known = contexts.get(owner)?.get(version);
  if (known !== undefined) return known;
  const made = tls.createSecureContext({
    ...(canary === null ? {} : { cert: canary.certificate, key: canary.key }),
    ca: [],
    minVersion: version,
    maxVersion: version,
    ciphers: CIPHERS,
  });
  contexts.set(owner, (contexts.get(owner) ?? new Map<TlsVersion, tls.SecureContext>()).set(version, made));
  return made;
}

/**
 * The chain as sent, followed by issuer. Not getPeerX509Certificate: reading its issuerCertificate empties the
 * connection's chain, and later reads see no certificate (Node 24).
 */
function readChain(socket: tls.TLSSocket): readonly string[] {
  const chain: string[] = [];
  // Node's types promise more than there is before a certificate came, and at the end of a chain.
  let certificate: Partial<tls.DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (certificate?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(toPem(certificate.raw));
    const issuer: Partial<tls.DetailedPeerCertificate> | undefined = certificate.issuerCertificate;
    certificate = issuer === certificate ? undefined : issuer;
  }
  return chain;
}

function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** The names of OpenSSL's alert errors differ between its versions; the number does not. */
function alertNumber(error: Error): number | null {
  const digits = /alert number (\d+)/.exec(error.message)?.[1];
  return digits === undefined ? null : Number(digits);
}

function isClose(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET' || error.code === 'EPIPE' || error.code === 'ERR_SSL_UNEXPECTED_EOF_WHILE_READING';
}

function isNotTls(error: NodeJS.ErrnoException): boolean {
  return /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|RECORD_LENGTH_MISMATCH/.test(error.code ?? '');
}

function isVersionError(error: NodeJS.ErrnoException): boolean {
  return /UNSUPPORTED_PROTOCOL|WRONG_SSL_VERSION|VERSION_TOO_LOW/.test(error.code ?? '');
}

function connectReason(error: NodeJS.ErrnoException): FailureReason {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'ConnectionRefused';
    case 'ETIMEDOUT':
      return 'Timeout';
    case 'ECONNRESET':
      return 'ClosedBeforeHandshake';
    default:
      return 'NoRoute';
  }
}

function describe(error: NodeJS.ErrnoException): string {
  const alert = alertNumber(error);
  if (alert !== null) return `TLS ${alertName(alert)}`;
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'EHOSTUNREACH':
      return 'no route to host';
    case 'ENETUNREACH':
      return 'network unreachable';
    default:
      return error.code ?? error.name;
  }
}

function closedMessage(): string {
  return 'the server closed the connection before it presented a certificate';
}

const ALERT_NAMES: Readonly<Record<number, string>> = {
  40: 'handshake_failure',
  42: 'bad_certificate',
  43: 'unsupported_certificate',
  44: 'certificate_revoked',
  45: 'certificate_expired',
  46: 'certificate_unknown',
  48: 'unknown_ca',
  49: 'access_denied',
  50: 'decode_error',
  51: 'decrypt_error',
  70: 'protocol_version',
  71: 'insufficient_security',
  80: 'internal_error',
  116: 'certificate_required',
};

/** For people: `alert 48 (unknown_ca)`. */
export function alertName(alert: number): string {
  const name = ALERT_NAMES[alert];
  return name === undefined ? `alert ${alert}` : `alert ${alert} (${name})`;
}
