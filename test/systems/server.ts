/** What servers of real systems have in common, whatever they are told to begin, to load their files and to end. */
import type { Instance } from './instance.ts';

export abstract class Server {
  readonly instance: Instance;

  protected constructor(instance: Instance) {
    this.instance = instance;
  }

  /** Where it is dialled, and looked at. */
  get port(): number {
    return this.instance.port;
  }

  /** Starts its process. @returns when it serves */
  abstract begin(): Promise<void>;

  /** Loads its files anew. @returns when it has */
  abstract reload(): Promise<void>;

  /** Ends its process in good order; its folder stays. */
  abstract stop(): Promise<void>;

  /** Ends it at once, and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.instance[Symbol.asyncDispose]();
  }
}

/** Begins a server for the first time, after what comes before; when that fails nothing is left of it. */
export async function begun<S extends Server>(server: S, before = async (): Promise<unknown> => null): Promise<S> {
  try {
    await before();
    await server.begin();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}
