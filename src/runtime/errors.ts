/**
 * The API server answered, and the answer is no.
 * The message holds the verb, the object and the server's own sentence, never a body: bodies of Secrets would end up in logs.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP status. */
  readonly status: number;
  /** The machine-readable word of the Status object: NotFound, Conflict, AlreadyExists, Expired, Invalid ... */
  readonly reason: string;
  /** How long the server asks to be left alone, in milliseconds; null when it does not say. */
  readonly retryAfterMs: number | null;

  constructor(what: string, status: number, reason: string, message: string, retryAfterMs: number | null = null) {
    super(`${what}: ${message}`);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** There was no answer: no connection, a broken one, or silence. Whether the server acted is unknown unless `sent` is false. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
  /** ECONNREFUSED, ECONNRESET, TIMEOUT, a TLS code ... */
  readonly code: string;
  /** False when the request certainly never left this process. */
  readonly sent: boolean;

  constructor(what: string, code: string, sent: boolean, cause?: unknown) {
    super(`${what}: no answer from the API server (${code})`, { cause });
    this.code = code;
    this.sent = sent;
  }
}

/** Leadership is no longer provable, so nothing may be written. */
export class FencedError extends Error {
  override readonly name = 'FencedError';
  constructor(what: string) {
    super(`${what}: not sent, this process no longer holds the lease`);
  }
}

/** A line of a watch stream that is no event. What it held is unknown, so only a new list makes the store true again. */
export class MalformedEventError extends Error {
  override readonly name = 'MalformedEventError';
}

const MAX_MESSAGE = 1024;

/** Reads what an unsuccessful answer says. Answers of something in between (a proxy's HTML) contribute their number only. */
export function apiErrorOf(what: string, status: number, text: string, retryAfter: string | undefined): ApiError {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    said = null;
  }
  return apiErrorOfStatus(what, said, status, retryAfter);
}

/** As `apiErrorOf`, for a Status object that was parsed already: the ERROR event of a watch. */
export function apiErrorOfStatus(what: string, said: unknown, httpStatus: number, retryAfter?: string): ApiError {
  const body = isRecord(said) && said['kind'] === 'Status' ? said : {};
  const status = typeof body['code'] === 'number' ? body['code'] : httpStatus;
  const reason = typeof body['reason'] === 'string' && body['reason'] !== '' ? body['reason'] : reasonOf(status);
  const message = typeof body['message'] === 'string' ? body['message'].slice(0, MAX_MESSAGE) : `HTTP ${status}`;
  const details = isRecord(body['details']) ? body['details'] : {};
  const seconds = Number(retryAfter ?? details['retryAfterSeconds'] ?? Number.NaN);
  return new ApiError(what, status, reason, message, seconds >= 0 ? seconds * 1000 : null);
}

function reasonOf(status: number): string {
  switch (status) {
    case 401:
      return 'Unauthorized';
    case 403:
      return 'Forbidden';
    case 404:
      return 'NotFound';
    case 409:
      return 'Conflict';
    case 410:
      return 'Expired';
    case 429:
      return 'TooManyRequests';
    default:
      return status >= 500 ? 'InternalError' : 'Unknown';
  }
}

/** The answer is larger than anything is read; what came of it is let go. */
export class AnswerTooLargeError extends Error {
  constructor(what: string, maxBytes: number) {
    super(`${what}: the answer is larger than ${maxBytes} bytes`);
    this.name = 'AnswerTooLargeError';
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refused(error: unknown, status: number, reason?: string): boolean {
  return error instanceof ApiError && error.status === status && (reason === undefined || error.reason === reason);
}

export const isNotFound = (error: unknown): boolean => refused(error, 404);
/** The object changed since it was read. */
export const isConflict = (error: unknown): boolean => refused(error, 409) && !isAlreadyExists(error);
export const isAlreadyExists = (error: unknown): boolean => refused(error, 409, 'AlreadyExists');
/** The resource version or continue token is too old. */
export const isExpired = (error: unknown): boolean => refused(error, 410);
export const isForbidden = (error: unknown): boolean => refused(error, 403);
export const isInvalid = (error: unknown): boolean => refused(error, 422) || refused(error, 400);
