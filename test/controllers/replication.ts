/** Members that are processes of their own, and get their files from their Secrets as pods do: late. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Report, Version } from '../mesh/endpoint.ts';
import { syncSecretToDir } from '../mesh/files.ts';
import { type Engine, MeshProcess } from '../mesh/spawn.ts';
import { closedPort } from '../probe/servers.ts';
import type { LiveSecret, Scene } from './scene.ts';

export interface MemberOptions {
  readonly name: string;
  /** Default: Node. */
  readonly engine?: Engine;
  /** In which it listens, and is dialled in turn. Default: both, and whichever is agreed. */
  readonly versions?: readonly Version[];
}

interface Pace {
  /** Between a change of a Secret and the files of this member; asked anew for each change. */
  readonly lagMs: (member: string) => number;
  /** Pause between handshakes over one edge. */
  readonly everyMs: number;
  /** Default: true, and then all members must be Node's. */
  readonly streams?: boolean;
}

export class Replication {
  /** By name. */
  readonly ports: Readonly<Record<string, number>>;
  readonly processes: readonly MeshProcess[];
  readonly #root: string;
  readonly #deliveries: readonly (() => Promise<void>)[];
  #reports: Promise<readonly Report[]> | null = null;

  private constructor(
    scene: Scene,
    members: readonly MemberOptions[],
    pace: Pace,
    ports: Readonly<Record<string, number>>,
    root: string,
  ) {
    this.ports = ports;
    this.#root = root;
    const address = ({ name, versions = [] }: MemberOptions): string =>
      `127.0.0.1:${ports[name]}${versions.length === 0 ? '' : `@${versions.join(',')}`}`;
    const { everyMs, streams = true, lagMs } = pace;
    this.processes = members.map((member) => {
      const others = members.filter((other) => other !== member);
      return new MeshProcess({
        ...member,
        dir: path.join(root, member.name),
        listen: `127.0.0.1:${ports[member.name]}`,
        peers: Object.fromEntries(others.map((other) => [other.name, address(other)])),
        everyMs,
        reportMs: 500,
        streams,
      });
    });
    this.#deliveries = members.map(({ name }) => deliver(scene, name, path.join(root, name), () => lagMs(name)));
  }

  /** Every member dials every other, as soon as its Secret has come. */
  static async start(scene: Scene, members: readonly MemberOptions[], pace: Pace): Promise<Replication> {
    const root = await mkdtemp(path.join(tmpdir(), 'replication-'));
    const ports: Record<string, number> = {};
    for (const { name } of members) ports[name] = await closedPort();
    return new Replication(scene, members, pace, ports, root);
  }

  /** Ends all of them. @returns their final reports */
  stop(): Promise<readonly Report[]> {
    this.#reports ??= this.#stop();
    return this.#reports;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<readonly Report[]> {
    const reports = await Promise.all(this.processes.map((each) => each.stop()));
    for (const stop of this.#deliveries) await stop();
    await rm(this.#root, { recursive: true, force: true });
    return reports;
  }
}

/** What a kubelet does for a Secret volume: the newest version, late. @returns ends it */
function deliver(scene: Scene, name: string, dir: string, lagMs: () => number): () => Promise<void> {
  let newest: LiveSecret | undefined;
  let writing: Promise<void> | null = null;
  const stop = new AbortController();
  const write = async (): Promise<void> => {
    for (let written: LiveSecret | undefined; written !== newest; ) {
      await sleep(lagMs(), undefined, { signal: stop.signal }).catch(() => {});
      if (stop.signal.aborted) return;
      written = newest;
      const data = Object.entries(written?.data ?? {}).map(
        ([key, text]) => [key, Buffer.from(text, 'base64')] as const,
      );
      await syncSecretToDir(Object.fromEntries(data), dir);
    }
  };
  const follow = (): void => {
    const secret = scene.secrets.get(name);
    if (secret === newest || secret === undefined) return;
    newest = secret;
    writing ??= write().finally(() => (writing = null));
  };
  const off = scene.secrets.onChange(follow);
  follow();
  return async () => {
    off();
    stop.abort();
    await writing;
  };
}
