/**
 * Durations as Go and Kubernetes write them (`8760h`, `1h30m`), to and from milliseconds, exactly.
 *
 * A subset of Go's syntax: units h, m, s, ms in this order, each at most once; three decimals (a thousandth of each unit is
 * a whole number of milliseconds); digits bounded so that no sum leaves CEL's 64-bit nanoseconds (2,562,047 h).
 */

export const MAX_DURATION_LENGTH = 32;

/** RE2 and JavaScript read it alike; both anchors are part of it. */
export const DURATION_PATTERN =
  /^([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,7}(\.[0-9]{1,3})?m)?([0-9]{1,9}(\.[0-9]{1,3})?s)?([0-9]{1,12}ms)?$/;

const PARTS = /([0-9]+)(?:\.([0-9]+))?(ms|[hms])/g;
const MILLISECONDS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** Milliseconds of a duration (a whole number, 0 or more), or null where the text is not one. Never throws. */
export function parseDuration(text: string): number | null {
  if (text === '' || text.length > MAX_DURATION_LENGTH || !DURATION_PATTERN.test(text)) return null;
  let total = 0;
  for (const [, whole = '0', decimals = '', unit = 'ms'] of text.matchAll(PARTS)) {
    const milliseconds = MILLISECONDS[unit] ?? 0;
    const thousandths = Number(decimals.padEnd(3, '0'));
    total += Number(whole) * milliseconds + (thousandths * milliseconds) / 1_000;
  }
  return total;
}

/** The shortest exact form, largest unit first: 5_400_000 is `1h30m`, 0 is `0s`. Throws RangeError on what has none. */
export function formatDuration(milliseconds: number): string {
  if (!Number.isSafeInteger(milliseconds) || milliseconds < 0 || milliseconds >= 1_000_000 * 3_600_000) {
    throw new RangeError(`no duration: ${milliseconds} ms (want a whole number from 0 to below 1,000,000 hours)`);
  }
  let rest = milliseconds;
  let text = '';
  for (const unit of ['h', 'm', 's', 'ms']) {
    const size = MILLISECONDS[unit] ?? 1;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text === '' ? '0s' : text;
}
