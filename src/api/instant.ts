/** Instants as the API server takes them: RFC 3339, with the few liberties of Go's parser, so that both read the same. */

export const INSTANT_PATTERN = new RegExp(
  '^([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])' + // day, time
    '(?:[.,]([0-9]+))?(?:Z|([+-])([01][0-9]|2[0-4]):([0-5][0-9]|60))$', // fraction, offset
);

export const MAX_INSTANT_LENGTH = 40;

/** Epoch milliseconds (what is below a millisecond is cut off), or null where the text is no instant from 1970 on. */
export function parseInstant(text: string): number | null {
  const parts = text.length <= MAX_INSTANT_LENGTH ? INSTANT_PATTERN.exec(text) : null;
  if (parts === null) return null;
  const [, day = '', hours, minutes, seconds, fraction = '', sign = '+', offsetHours = 0, offsetMinutes = 0] = parts;
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // Date rolls 30 February over; written back, it shows.
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(day)) return null;
  const milliseconds = Number(fraction.slice(0, 3).padEnd(3, '0'));
  const time = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000 + milliseconds;
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * 60_000 * (sign === '-' ? -1 : 1);
  const at = midnight + time - offset;
  return at < 0 ? null : at;
}
