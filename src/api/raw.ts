/** What JSON can be, before anybody knows what it is. */

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** A wrong value as a message shows it: quoted, control characters escaped, and short. */
export function shown(value: unknown, most = 60): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'string' && value.length > most ? `${value.slice(0, most)}...` : value;
  return JSON.stringify(text).slice(0, 8 * most);
}
