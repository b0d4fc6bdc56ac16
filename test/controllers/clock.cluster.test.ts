import { describe, expect, test } from 'vitest';
import { conditionOf } from './follow.ts';
import { testBed } from './bed.ts';
import { Member } from './member.ts';
import { expectGoodMember } from './openssl.ts';
import { ca, certificate, peer } from './scene.ts';

const bed = testBed(0);
const DAY = 86_400_000;
const WRONG =
  /^The operator's clock says \d{4}-\d\d-\d\dT\d\dh, the API server's \d{4}-\d\d-\d\dT\d\dh\. Nothing is signed, probed or rotated until they agree: correct the clock that is wrong \(NTP\)\.$/;

describe.concurrent.each([
  ['two days behind', -2 * DAY],
  ['twenty years ahead', 20 * 365 * DAY],
])('an operator whose clock is %s', (_, clockOffsetMs) => {
  test('signs nothing and leaves what is served alone; with the right clock it goes on', {
    timeout: 90_000,
  }, async () => {
    const {
      installation,
      scenes: [fresh, served],
    } = await bed.install(2);
    if (served === undefined) throw new Error('two scenes');
    await using a = await Member.start(served, 'a');

    const right = await installation.start();
    await served.apply(ca('mesh'), certificate('a', 'mesh'), peer('mesh', { a: a.port }));
    await served.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'], ReplicationPeer: ['mesh'] });
    await served.condition('ClusterCertificate', 'a', 'Delivered', { status: 'True' });
    const before = { secret: served.secret('a'), ledger: served.ledger('mesh'), peer: served.peers.get('mesh') };
    await right.stop();

    const wrong = await installation.start({ clockOffsetMs });
    await fresh.apply(ca('mesh'), certificate('a', 'mesh'));
    await fresh.stalled('ReplicationCA', 'mesh', 'ClockWrong', WRONG);
    await fresh.stalled('ClusterCertificate', 'a', 'ClockWrong', WRONG);
    await fresh.eventUntil('ReplicationCA', 'mesh', 'Stalled', WRONG);
    await served.stalled('ReplicationCA', 'mesh', 'ClockWrong', WRONG);
    // Whoever wants something now is told why there is nothing.
    await served.apply(certificate('b', 'mesh'));
    await served.stalled('ClusterCertificate', 'b', 'ClockWrong', WRONG);
    expect(fresh.secrets.list().map(({ type }) => type)).toEqual(['replicert.io/ledger']);
    expect(fresh.ledger('mesh').signer).toBeNull();
    expect(served.secrets.get('b')).toBeUndefined();
    expect(served.secret('a').metadata.resourceVersion).toBe(before.secret.metadata.resourceVersion);
    expect(served.ledger('mesh').epoch).toBe(before.ledger.epoch);
    expect(conditionOf(served.certificates.get('a'), 'Ready')?.status).toBe('True');
    expect(served.peers.get('mesh')?.status?.members).toEqual(before.peer?.status?.members);
    await wrong.stop();

    await installation.start();
    for (const here of [fresh, served]) {
      await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'] });
      await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'False' });
      await expectGoodMember(here.secret('a'));
    }
    await served.ready({ ClusterCertificate: ['b'] });
    expect(served.secret('a').metadata.resourceVersion).toBe(before.secret.metadata.resourceVersion);
  });
});
