/** An instant in epoch milliseconds as RFC 3339, whole seconds kept as they are. A conversion, not a clock. */
export function rfc3339(instant: number): string {
  return new Date(instant).toISOString();
}
