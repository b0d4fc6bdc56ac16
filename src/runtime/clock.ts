/** Time and chance as the runtime sees them; tests put their own in. */
export interface Clock {
  /** Epoch milliseconds: for instants that are written down. */
  now(): number;
  /** Milliseconds that never jump: for measuring how long something took. */
  monotonic(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** Runs `run` once, `ms` from now; returns how to call it off. */
  after(ms: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`, or as soon as the signal is aborted: never rejects, the caller looks at its signal. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const wake = () => {
      cancel();
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const cancel = clock.after(ms, wake);
    signal?.addEventListener('abort', wake);
  });
}

/** Exponential, capped, and spread over the upper half, so that many who failed together do not return together. */
export function backoff(failures: number, baseMs: number, capMs: number, random: number): number {
  return Math.min(capMs, baseMs * 2 ** Math.min(failures, 40)) * (0.5 + random / 2);
}

/** RFC 3339 with six fraction digits, which `MicroTime` fields demand. */
export function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z');
}

/** RFC 3339 in whole seconds, as `metav1.Time` is written. */
export function secondTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.\d+Z$/, 'Z');
}
