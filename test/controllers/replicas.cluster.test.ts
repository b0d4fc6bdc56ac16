/** Two operators over the same namespace: one leads, and whoever has lost the lead writes nothing any more. */
import { expect, test } from 'vitest';
import type { Ledger } from '../../src/api/ledger.ts';
import { lackingControlPlane } from '../support/cluster.ts';
import { testBed } from './bed.ts';
import { disorders, generationSecrets, lapses, Links, Mesh } from './rotating.ts';
import type { Scene } from './scene.ts';

const bed = testBed(0);
/** Who wrote what is in the audit log. */
const foreign = lackingControlPlane();
bed.operators.expectLines(/the lease is lost: another replica may act now, this one ends/);
const TIMEOUT = 300_000;
/** A machine that is busy with other tests, and answers late for many seconds, must not take it from a leader that is awake. */
const LEASE_SECONDS = 45;

/**
 * What operators wrote into a namespace, oldest first, and by whose token: each process has its own. Events are left out: one that was
 * half sent when its sender froze is done when it wakes. So may be another write, but that carries the version that it was decided on.
 */
async function writesIn(namespace: string): Promise<readonly { readonly by: string; readonly what: string }[]> {
  const events = await bed.cluster.audit(
    ({ objectRef, verb, userAgent, stage, responseStatus }) =>
      objectRef?.namespace === namespace &&
      objectRef.resource !== 'events' &&
      (responseStatus?.code ?? 500) < 300 &&
      ['create', 'update', 'patch', 'delete'].includes(verb) &&
      userAgent?.startsWith('replicert-operator') === true &&
      stage === 'ResponseComplete',
  );
  return events.map(({ user, verb, objectRef }) => ({
    by: user.extra?.['authentication.kubernetes.io/credential-id']?.[0] ?? '',
    what: `${verb} ${objectRef?.resource}/${objectRef?.subresource ?? ''} ${objectRef?.name}`,
  }));
}

/** Moments of a rotation at which a leader freezes: what it was about to write has been decided and is not written yet, or just written. */
const moments: Readonly<Record<string, (ledger: Ledger, here: Scene) => boolean>> = {
  'a grant was given': ({ rotation, roster }) =>
    rotation?.stage === 'Roll' && [...roster.values()].some(({ grant }) => grant === 'Open'),
  'a grant was proven': ({ rotation, roster }) =>
    rotation?.stage === 'Roll' && [...roster.values()].some(({ grant }) => grant === 'Proven'),
  'the last stage has begun': ({ rotation }) => rotation?.stage === 'Drop',
};

test.skipIf(foreign !== null).concurrent.each(Object.entries(moments))(
  `a leader that freezes when %s, and wakes when another leads, ends without a word ${foreign ?? ''}`,
  { timeout: TIMEOUT },
  async (_, moment) => {
    const {
      installation,
      scenes: [here],
    } = await bed.install();
    const { namespace } = here;
    const first = await installation.start({ identity: 'first', leaseSeconds: LEASE_SECONDS });
    const second = await installation.start({ identity: 'second', leaseSeconds: LEASE_SECONDS, standby: true });
    await using mesh = await Mesh.start(here, ['a', 'b']);
    const links = new Links(Object.values(mesh.members));
    await mesh.want({ generation: 2 });
    await mesh.ledgerUntil('the moment', (ledger) => moment(ledger, here));
    first.pause();
    const [leader] = new Set((await writesIn(namespace)).map(({ by }) => by));
    expect(leader).toMatch(/^JTI=/);
    expect(second.lines.map(({ msg }) => msg)).not.toContain('leading');

    await second.until('leading');
    const before = (await writesIn(namespace)).filter(({ by }) => by === leader);
    first.resume();
    expect(await first.ended()).toBe(1);
    expect(first.lines.map(({ msg }) => msg)).toContain(
      'the lease is lost: another replica may act now, this one ends',
    );
    await here.stable('mesh', 2, TIMEOUT);
    await here.secrets.until('one generation is left', () => generationSecrets(here).length === 1);
    expect(await links.stop()).toEqual([]);

    const writes = await writesIn(namespace);
    expect(writes.filter(({ by }) => by === leader)).toEqual(before);
    expect(new Set(writes.map(({ by }) => by)).size).toBe(2);
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
);

test.skipIf(foreign !== null).concurrent(
  `the other one does nothing but look until the leader is killed, and then goes on ${foreign ?? ''}`,
  {
    timeout: TIMEOUT,
  },
  async () => {
    const {
      installation,
      scenes: [here],
    } = await bed.install();
    const first = await installation.start({ identity: 'first', leaseSeconds: LEASE_SECONDS });
    const second = await installation.start({ identity: 'second', leaseSeconds: LEASE_SECONDS, standby: true });
    await using mesh = await Mesh.start(here, ['a', 'b']);
    // Both are what a kubelet takes for well, so that a Deployment with two of them can be rolled out.
    for (const { healthPort } of [first, second]) {
      const ask = async (path: string): Promise<string> =>
        (await fetch(`http://127.0.0.1:${healthPort}/${path}`)).text();
      await expect.poll(() => ask('readyz'), { timeout: 30_000 }).toBe('ok\n');
      expect(await ask('healthz')).toBe('ok\n');
    }
    const links = new Links(Object.values(mesh.members));
    await mesh.want({ generation: 2 });
    await mesh.ledgerUntil('Roll', ({ rotation }) => rotation?.stage === 'Roll');
    await first.kill();
    expect(new Set((await writesIn(here.namespace)).map(({ by }) => by)).size).toBe(1);
    await second.until('leading');
    await here.stable('mesh', 2, TIMEOUT);
    expect(await links.stop()).toEqual([]);
    expect(new Set((await writesIn(here.namespace)).map(({ by }) => by)).size).toBe(2);
    expect(here.ledger('mesh').history).toHaveLength(1);
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
);
