import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Ledger } from '../../src/api/ledger.ts';
import { testBed } from './bed.ts';
import { disorders, generationSecrets, lapses, Links, Mesh } from './rotating.ts';

const bed = testBed(5);
const TIMEOUT = 180_000;

/** In this stage, with one member through it: another one may be under way at that moment. */
const half =
  (stage: 'Append' | 'Roll' | 'Drop') =>
  ({ rotation, roster }: Ledger): boolean =>
    rotation?.stage === stage && [...roster.values()].some(({ grant }) => grant === 'Proven');

test.concurrent.each([
  ['Append', 'Drop', ['Drop']],
  ['Roll', 'Roll', ['Roll', 'Drop']],
  ['Drop', 'Append', ['Append', 'Roll', 'Drop']],
] as const)(
  'back from %s: by the same gates, and no link breaks',
  async (stage, mapped, path) => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b', 'c'], { lagMs: () => randomInt(600) });
    const links = new Links(Object.values(mesh.members));
    // Neither approval nor soak holds who goes back; that is for the way forth.
    await mesh.want({ generation: 2 });
    await mesh.ledgerUntil(`${stage} is under way`, half(stage), TIMEOUT);
    await mesh.want({ generation: 1, soak: '1h' });
    const back = new RegExp(`^Back: ${mapped} from G2 to G1: waiting for \\d of 3 members\\.`);
    await here.condition(
      'ReplicationCA',
      'mesh',
      'Rotating',
      { status: 'True', reason: 'RollingBack', message: back },
      TIMEOUT,
    );
    expect(here.cas.get('mesh')?.status?.rotation).toMatchObject({
      from: 2,
      to: 1,
      direction: 'Backward',
      stage: mapped,
    });
    await here.stable('mesh', 1, TIMEOUT);
    await here.secrets.until('generation 2 is gone', () => generationSecrets(here).length === 1, TIMEOUT);
    expect(generationSecrets(here).map(([number]) => number)).toEqual([1]);
    expect(await links.stop()).toEqual([]);
    expect(links.handshakes).toBeGreaterThan(50);

    const stages = here
      .ledgers('mesh')
      .flatMap(({ rotation }) => (rotation?.direction === 'Backward' ? [rotation.stage] : []));
    expect([...new Set(stages)]).toEqual(path);
    expect(here.ledger('mesh')).toMatchObject({ signer: 1, highest: 2, bundle: [1], rotation: null, held: false });
    await here.eventUntil(
      'ReplicationCA',
      'mesh',
      'RotationReversed',
      new RegExp(`stage ${stage} to generation 2 becomes ${mapped} to generation 1`),
    );
    await here.eventUntil('ReplicationCA', 'mesh', 'RotationCompleted', /rolled back to generation 1/);
    await here.eventUntil('ReplicationCA', 'mesh', 'GenerationRemoved', /of generation 2 is deleted/);

    await mesh.want({ generation: 2 });
    const message =
      /is not above the highest number ever used, 2: none is used twice\. Set it to 1 to stay, or to 3 or more to rotate\./;
    await here.condition('ReplicationCA', 'mesh', 'Stalled', {
      status: 'True',
      reason: 'GenerationUnavailable',
      message,
    });
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

test.concurrent(
  'back and forth: 1 -> 2 -> 1 -> 2 in the middle, and a new number afterwards',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b'], { lagMs: () => randomInt(600) });
    const links = new Links(Object.values(mesh.members));
    await mesh.want({ generation: 2 });
    await mesh.ledgerUntil('Roll is under way', half('Roll'), TIMEOUT);
    await mesh.want({ generation: 1 });
    await mesh.ledgerUntil('it goes back', ({ rotation }) => rotation?.direction === 'Backward', TIMEOUT);
    await mesh.want({ generation: 2 });
    await here.stable('mesh', 2, TIMEOUT);
    await mesh.want({ generation: 3 });
    await mesh.ledgerUntil('Append is under way', half('Append'), TIMEOUT);
    await mesh.want({ generation: 2 });
    await here.stable('mesh', 2, TIMEOUT);
    await mesh.want({ generation: 4, maxConcurrent: 2 });
    await here.stable('mesh', 4, TIMEOUT);
    expect(await links.stop()).toEqual([]);
    expect(here.ledger('mesh').history.map(({ generation }) => generation)).toEqual([2, 2, 4]);
    expect(disorders(here, 'mesh', 2)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

test.concurrent(
  'back from an Append that every member has proven: no session is waited for, for nobody had a leaf of what is dropped',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b', 'c']);
    const links = new Links(Object.values(mesh.members));
    const approval = { required: ['Roll'] as const };
    await mesh.want({ generation: 2, approval, maxConcurrent: 3 });
    await here.condition('ReplicationCA', 'mesh', 'Rotating', { reason: 'WaitingForApproval' }, TIMEOUT);
    await mesh.want({ generation: 1, approval, maxConcurrent: 3 });
    await here.stable('mesh', 1, TIMEOUT);
    expect(await links.stop()).toEqual([]);
    expect(disorders(here, 'mesh', 3)).toEqual([]);
    expect(lapses(here)).toEqual([]);
    for (const { status } of here.peers.historyOf('mesh')) {
      for (const { sessions } of status?.members ?? []) expect(sessions, 'sessions were asked for').toBeUndefined();
    }
  },
  TIMEOUT,
);
