/** What servers of real systems have in common, whatever they are told to begin, to load their files and to end. */
import { expect } from 'vitest';
import { ROTATED, type TwoGenerations } from '../probe/protocols/mesh.ts';
import type { Instance } from './instance.ts';
import { Files } from './material.ts';

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

/** Expects a server that loads the files of each stage of a rotation to be seen, each time, as what it has loaded. */
export async function expectSeenInEachStage(
  mesh: TwoGenerations,
  start: (folder: string) => Promise<Server>,
): Promise<void> {
  using files = new Files(mesh.stages[0]);
  await using server = await start(files.dir);
  const seen = await mesh.rotate({ port: server.port, protocol: 'TLS' }, async (material) => {
    files.write(material);
    await server.reload();
  });
  expect(seen).toEqual(ROTATED);
}
