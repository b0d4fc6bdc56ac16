/**
 * Shares one read among everybody who asks at the same time, but never gives an answer that is older than the question:
 * a read already under way began before the question, so whoever asks then waits for the next one.
 */
export class FreshRead<T> {
  readonly #read: () => Promise<T>;
  #running: Promise<T> | null = null;
  #next: Promise<T> | null = null;

  constructor(read: () => Promise<T>) {
    this.#read = read;
  }

  /** The result of a read that begins now or later. */
  ask(): Promise<T> {
    if (this.#next !== null) return this.#next;
    const running = this.#running;
    if (running === null) return this.#begin();
    this.#next = running.then(
      () => this.#follow(),
      () => this.#follow(),
    );
    return this.#next;
  }

  #follow(): Promise<T> {
    this.#next = null;
    return this.#begin();
  }

  #begin(): Promise<T> {
    const read = this.#read().finally(() => {
      if (this.#running === read) this.#running = null;
    });
    this.#running = read;
    return read;
  }
}
