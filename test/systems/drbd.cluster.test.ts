/**
 * Nodes of DRBD, which nobody can look at: GnuTLS makes their handshakes by the rules of tlshd, all the time, and somebody acknowledges what a
 * node has. A rotation, one that is turned round in the middle, and what is left of the old CA.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseCertificate, parseCertificates, signedBy } from '../../src/pki/certificate.ts';
import { testBed } from '../controllers/bed.ts';
import { disorders, lapses } from '../controllers/rotating.ts';
import { ca, certificate, type Scene, textOf } from '../controllers/scene.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { SyncedFiles } from './synced.ts';
import { handshake, TLSHD, type TlshdNode } from './tlshd.ts';
import { type Claim, claimOf, vouchedPeer } from './vouching.ts';

const why = await lacking(...TLSHD);
const TIMEOUT = 300_000;
const FILES = ['ca.crt', 'tls.crt', 'tls.key', 'tlshd.conf'] as const;

/** A node, and whoever looks after it. */
class Node implements TlshdNode {
  readonly name: string;
  readonly dir: string;
  readonly synced: SyncedFiles;
  loads = 0;
  readonly bundles: { readonly size: number; readonly issuerFirst: boolean }[] = [];
  claim: Claim | null = null;
  #version = '';

  /** @param dir where its tlshd.conf says that its files are */
  constructor(name: string, dir: string, synced: SyncedFiles) {
    this.name = name;
    this.dir = dir;
    this.synced = synced;
  }

  /** Brings what has arrived of the Secret to where tlshd opens it. Between handshakes: it opens one file after the other. */
  load(): void {
    const version = realpathSync(path.join(this.synced.dir, '..data'));
    if (version === this.#version) return;
    try {
      for (const file of FILES) writeFileSync(path.join(this.dir, file), readFileSync(path.join(version, file)));
    } catch (error) {
      // Replaced while it was read: there is a newer one.
      if (existsSync(version)) throw error;
      this.load();
      return;
    }
    this.#version = version;
    this.loads += 1;
    const [first, ...others] = parseCertificates(readFileSync(path.join(this.dir, 'ca.crt'), 'utf8'));
    const leaf = parseCertificate(readFileSync(path.join(this.dir, 'tls.crt'), 'utf8'));
    this.bundles.push({ size: others.length + 1, issuerFirst: first !== undefined && signedBy(leaf, first) });
  }

  /** Whether it holds what its Secret holds, of this revision, is looked up by hand. @returns whether there is something new to claim */
  look(here: Scene): boolean {
    const secret = here.secret(`${this.name}-tls`);
    const holds = FILES.every((file) => readFileSync(path.join(this.dir, file), 'utf8') === textOf(secret, file));
    const claim = holds ? claimOf(here, this.name) : null;
    if (claim === null) return false;
    const news = JSON.stringify(claim) !== JSON.stringify(this.claim);
    this.claim = claim;
    return news;
  }
}

// DRBD listens there, and nobody shakes hands with it.
const peer = (nodes: readonly Node[]) => vouchedPeer(nodes, { host: '127.0.0.1', port: 7777 });

describe.skipIf(why !== null)(`GnuTLS in the place of tlshd${why === null ? '' : ` ${why}`}`, () => {
  const bed = testBed(why === null ? 1 : 0);

  test('rotations break no handshake', {
    timeout: TIMEOUT,
    ...proves('drbd', 'reload', 'rotation', 'rollback'),
  }, async () => {
    const here = await bed.scene();
    const names = ['alice', 'bob'] as const;
    const root = mkdtempSync(path.join(tmpdir(), 'drbd-'));
    const dirOf = (name: string): string => path.join(root, name);
    for (const name of names) mkdirSync(dirOf(name), { mode: 0o700 });
    await here.apply(
      ca('mesh', { profile: 'drbd' }),
      ...names.map((name) =>
        certificate(name, 'mesh', { secretName: `${name}-tls`, drbd: { directory: dirOf(name) } }),
      ),
    );
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names });
    const sync = (name: string) =>
      SyncedFiles.of({
        kubeconfig: bed.cluster.kubeconfig,
        namespace: here.namespace,
        secret: `${name}-tls`,
        lag: [0, 1_000],
      });
    await using filesOfAlice = await sync('alice');
    await using filesOfBob = await sync('bob');
    const alice = new Node('alice', dirOf('alice'), filesOfAlice);
    const bob = new Node('bob', dirOf('bob'), filesOfBob);
    const nodes = [alice, bob] as const;
    await here.apply(peer(nodes));
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'Unknown', message: /alice is not probed/ });

    const failures: string[] = [];
    let handshakes = 0;
    /** One connection is two sockets, of which either end may be the server. */
    const connect = async (): Promise<void> => {
      for (const [from, to] of [
        [alice, bob],
        [bob, alice],
      ] as const) {
        for (const node of nodes) node.load();
        await handshake(from, to).then(
          () => (handshakes += 1),
          (error: unknown) => failures.push(String(error)),
        );
      }
    };
    /** Connects all the time, and acknowledges what nodes have, until it is so. */
    const until = async (wanted: () => boolean): Promise<void> => {
      const deadline = Date.now() + TIMEOUT / 3;
      while (!wanted()) {
        await connect();
        const news = nodes.filter((node) => node.look(here));
        if (news.length > 0) await here.apply(peer(nodes));
        if (Date.now() > deadline) throw new Error(`not in time: ${here.cas.get('mesh')?.status?.rotation?.next}`);
      }
    };
    const stableAt = (signer: number) => (): boolean => {
      const { rotation, signer: signs } = here.ledger('mesh');
      return rotation === null && signs === signer;
    };
    await connect();
    const old = dirOf('old');
    mkdirSync(old);
    for (const file of ['tls.crt', 'tls.key'])
      writeFileSync(path.join(old, file), readFileSync(path.join(bob.dir, file)));

    await here.apply(ca('mesh', { profile: 'drbd', rotation: { generation: 2 } }));
    await here.cas.until('what is waited for is said', () =>
      /a handshake after that has succeeded/.test(
        here.cas
          .get('mesh')
          ?.status?.rotation?.waitingFor?.map(({ message }) => message)
          .join(' ') ?? '',
      ),
    );
    await until(stableAt(2));

    await here.apply(ca('mesh', { profile: 'drbd', rotation: { generation: 3 } }));
    const rolled = (): boolean => {
      const { rotation, roster } = here.ledger('mesh');
      return rotation?.stage === 'Roll' && [...roster.values()].some(({ leaf }) => leaf === 3);
    };
    await until(rolled);
    await here.apply(ca('mesh', { profile: 'drbd', rotation: { generation: 2 } }));
    await until(stableAt(2));
    await connect();
    console.log(`DRBD: ${handshakes} handshakes, loaded ${alice.loads} and ${bob.loads} times`);

    expect(failures).toEqual([]);
    expect(handshakes).toBeGreaterThan(40);
    expect(Math.min(alice.loads, bob.loads)).toBeGreaterThan(5);
    // For LINSTOR, that knows the first CA only.
    for (const { bundles } of nodes) {
      expect(bundles.filter(({ size }) => size === 2).length).toBeGreaterThan(2);
      expect(bundles.filter(({ issuerFirst }) => !issuerFirst)).toEqual([]);
    }
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    expect(lapses(here)).toEqual([]);

    // Whoever still has a leaf of generation 1 is refused.
    const from = { name: 'bob', dir: old };
    for (const file of ['ca.crt', 'tlshd.conf']) {
      const text = readFileSync(path.join(bob.dir, file), 'utf8');
      writeFileSync(path.join(old, file), text.replaceAll(bob.dir, old));
    }
    await expect(handshake(from, alice)).rejects.toThrow(/alice says: [^]*Error in the certificate/);
    rmSync(root, { recursive: true });
  });
});
