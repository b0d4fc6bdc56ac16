/**
 * Two programs that replicate through stunnel, which proves both ends: a line that is never broken and new ones all the time, through a
 * rotation and one that is turned round in the middle; and what is left of the old CA.
 */
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { testBed } from '../controllers/bed.ts';
import { disorders, handshake, lapses } from '../controllers/rotating.ts';
import { ca, certificate, peer, textOf } from '../controllers/scene.ts';
import { plainServer } from '../probe/servers.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { Line, STUNNEL, Stunnel } from './stunnel.ts';
import { SyncedFiles } from './synced.ts';

const why = await lacking(...STUNNEL);
const TIMEOUT = 300_000;
const hostOf = (name: string): string => `${name}.mesh.test`;

describe.skipIf(why !== null)(`stunnel${why === null ? '' : ` ${why}`}`, () => {
  const bed = testBed(why === null ? 1 : 0);

  test('rotations break no connection and lose no line', {
    timeout: TIMEOUT,
    ...proves('generic', 'reload', 'rotation', 'rollback'),
  }, async () => {
    const here = await bed.scene();
    const names = ['a', 'b'] as const;
    await here.apply(ca('mesh'), ...names.map((name) => certificate(name, 'mesh', { dnsNames: [hostOf(name)] })));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names });
    const sync = (secret: string) =>
      SyncedFiles.of({ kubeconfig: bed.cluster.kubeconfig, namespace: here.namespace, secret, lag: [0, 1_500] });
    await using filesOfA = await sync('a');
    await using filesOfB = await sync('b');
    await using program = await plainServer((socket) => void socket.pipe(socket));
    await using a = await Stunnel.make('a', filesOfA.dir);
    await using b = await Stunnel.make('b', filesOfB.dir);
    await a.begin(program.port, b, hostOf('b'));
    await b.begin(program.port, a, hostOf('a'));
    await here.apply(peer('mesh', { a: a.port, b: b.port }, '5s'));
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });

    const sides = [
      { server: a, files: filesOfA, loads: 0, version: realpathSync(path.join(filesOfA.dir, '..data')) },
      { server: b, files: filesOfB, loads: 0, version: realpathSync(path.join(filesOfB.dir, '..data')) },
    ];
    using lasting = new Line(a);
    let lines = 0;
    let handshakes = 0;
    const failures: string[] = [];
    /** Replicates for a moment: whatever has arrived is loaded, and each side dials the other anew. */
    const round = async (): Promise<void> => {
      for (const side of sides) {
        const version = realpathSync(path.join(side.files.dir, '..data'));
        if (version !== side.version) {
          await side.server.reload();
          Object.assign(side, { version, loads: side.loads + 1 });
        }
      }
      for (const { server } of sides) {
        using line = new Line(server);
        await line.say(`${handshakes}`).then(
          () => (handshakes += 1),
          (error: unknown) => failures.push(String(error)),
        );
      }
      await lasting.say(`${lines}`);
      lines += 1;
    };
    const until = async (what: string, wanted: () => boolean): Promise<void> => {
      const deadline = Date.now() + TIMEOUT / 3;
      while (!wanted()) {
        await round();
        if (Date.now() > deadline) throw new Error(`${what}: ${here.cas.get('mesh')?.status?.rotation?.next}`);
      }
    };
    const stableAt = (signer: number) => (): boolean => {
      const ledger = here.ledger('mesh');
      return ledger.rotation === null && ledger.signer === signer;
    };
    const secret = here.secret('a');
    const of1 = { cert: textOf(secret, 'tls.crt'), key: textOf(secret, 'tls.key') };

    await here.apply(ca('mesh', { rotation: { generation: 2 } }));
    await until('the rotation to 2', stableAt(2));
    await here.apply(ca('mesh', { rotation: { generation: 3 } }));
    await until('somebody has a leaf of 3', () => {
      const { rotation, roster } = here.ledger('mesh');
      return rotation?.stage === 'Roll' && [...roster.values()].some(({ leaf }) => leaf === 3);
    });
    await here.apply(ca('mesh', { rotation: { generation: 2 } }));
    await until('the way back', stableAt(2));
    await round();
    console.log(
      `stunnel: ${handshakes} handshakes, ${lines} lines, loaded ${sides.map(({ loads }) => loads).join(' and ')} times`,
    );

    expect(failures).toEqual([]);
    expect(handshakes).toBeGreaterThan(100);
    for (const { loads, server } of sides) {
      expect(loads).toBeGreaterThan(4);
      // Who is refused are canaries, and those dial.
      expect(server.instance.log()).toMatch(/SSL_accept: .*certificate verify failed/);
      expect(server.instance.log()).not.toMatch(/SSL_connect/);
    }
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    expect(lapses(here)).toEqual([]);

    const ours = here.secret('a');
    const old = { ...of1, ca: textOf(ours, 'ca.crt') };
    const fresh = { cert: textOf(ours, 'tls.crt'), key: textOf(ours, 'tls.key'), ca: textOf(ours, 'ca.crt') };
    await handshake({ files: fresh }, b);
    await expect(handshake({ files: old }, b)).rejects.toThrow(/unknown ca/);
  });
});
