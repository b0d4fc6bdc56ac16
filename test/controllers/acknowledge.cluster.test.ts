import { expect, test } from 'vitest';
import { ANNOTATIONS } from '../../src/api/names.ts';
import { parseObject } from '../../src/api/parse.ts';
import { isProblem, keepSecret, NO_CLAIMS } from '../../src/controllers/shared/kept-secrets.ts';
import { testBed } from './bed.ts';
import { Member } from './member.ts';
import { disorders, held, lapses, Links, Mesh } from './rotating.ts';
import { certificate, peer } from './scene.ts';

const bed = testBed(2);
const TIMEOUT = 180_000;

const spec = (stage: 'Append' | 'Roll' | 'Drop', revision: string, generation = 2) => ({
  revision,
  generation,
  stage,
  by: 'jane@example.com',
  reason: 'looked into its log',
  expires: '2099-01-01T00:00:00Z',
});

/** Two members that are probed, and c, which is not; `acknowledged` says what is known of c. */
async function meshWithUnprobed() {
  const here = await bed.scene();
  const mesh = await Mesh.start(here, ['a', 'b']);
  const c = await Member.start(here, 'c');
  const applyPeer = async (acknowledged?: ReturnType<typeof spec>): Promise<void> => {
    const members = ['a', 'b'].map((name) => ({
      name,
      endpoints: [{ host: '127.0.0.1', port: mesh.member(name).port }],
    }));
    const unprobed = { name: 'c', ...(acknowledged === undefined ? {} : { acknowledged }) };
    await here.apply({
      ...peer('mesh', {}),
      spec: { members: [...members, unprobed], probe: { interval: '1s', timeout: '5s' } },
    });
  };
  await here.apply(certificate('c', 'mesh'));
  await applyPeer();
  await here.ready({ ClusterCertificate: ['c'], ReplicationPeer: ['mesh'] });
  /** The revision of the Secret of c once it was written under its grant in this stage. */
  const granted = async (stage: string): Promise<string> => {
    const { roster } = await mesh.ledgerUntil(
      `c is granted in ${stage}`,
      (ledger) => ledger.rotation?.stage === stage && ledger.roster.get(`${here.namespace}/c`)?.grant === 'Open',
      TIMEOUT,
    );
    const since = roster.get(`${here.namespace}/c`)?.since ?? 0;
    await here.secretUntil(
      'c',
      'written',
      ({ metadata }) => Number(metadata.annotations?.[ANNOTATIONS.epoch]) >= since,
    );
    const claimant = parseObject('ClusterCertificate', here.certificates.get('c'));
    if (!claimant.ok) throw new Error(claimant.problems.join());
    const kept = keepSecret(here.secret('c'), { ...NO_CLAIMS, certificate: () => claimant.object });
    if (kept.kind !== 'member' || isProblem(kept.content)) throw new Error('c has no usable Secret');
    const { revision } = kept.content;
    await here.certificates.until(
      'its status tells the revision',
      () => here.certificates.get('c')?.status?.revision === revision,
    );
    return revision;
  };
  return { here, mesh, c, applyPeer, granted };
}

test.concurrent(
  'a member that nobody probes: each stage waits for its acknowledgement, and no link breaks',
  async () => {
    const { here, mesh, c, applyPeer, granted } = await meshWithUnprobed();
    await using _ = mesh;
    await using _c = c;
    const links = new Links([...Object.values(mesh.members), c]);
    await here.condition('ClusterCertificate', 'c', 'Delivered', {
      status: 'Unknown',
      message: /does not probe c .*\. Whenever Secret c has changed, make the member reload its files\.$/,
    });
    await here.condition('ReplicationPeer', 'mesh', 'Verified', {
      status: 'Unknown',
      reason: 'EdgesUnknown',
      message: /c is not probed/,
    });
    await mesh.want({ generation: 2, maxConcurrent: 3 });
    for (const stage of ['Append', 'Roll', 'Drop'] as const) {
      const revision = await granted(stage);
      const line = `set spec.members[name=c].acknowledged of ReplicationPeer mesh: {revision: ${revision}, generation: 2, stage: ${stage}, by: <you>, reason: <how>, expires: <when>}`;
      await here.cas.until(line, () => here.cas.get('mesh')?.status?.rotation?.next?.includes(line), TIMEOUT);
      await applyPeer(spec(stage, revision));
      const note = new RegExp(
        `^${stage} to generation 2: jane@example\\.com claims that \\S+/c uses revision ${revision} of its Secret \\(looked into its log, written down by field manager user\\)`,
      );
      await here.eventUntil('ReplicationCA', 'mesh', 'Acknowledged', note, TIMEOUT);
      const logged = bed.operator.lines.filter(
        ({ msg, fields }) =>
          note.test(msg) && fields['reason'] === 'Acknowledged' && fields['key'] === `${here.namespace}/mesh`,
      );
      expect(logged, `the log, of ${stage}`).not.toEqual([]);
    }
    await here.stable('mesh', 2, TIMEOUT);
    expect(await links.stop()).toEqual([]);
    expect(disorders(here, 'mesh', 3)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

test.concurrent(
  'an acknowledgement of another revision, stage or rotation moves nothing',
  async () => {
    const { mesh, c, applyPeer, granted } = await meshWithUnprobed();
    await using _ = mesh;
    await using _c = c;
    await mesh.want({ generation: 2, maxConcurrent: 3 });
    const revision = await granted('Append');
    await mesh.ledgerUntil(
      'all others are proven',
      ({ roster }) => [...roster.values()].filter(({ grant }) => grant === 'Proven').length === 2,
    );
    for (const wrong of [spec('Append', '00000000'), spec('Roll', revision), spec('Append', revision, 1)]) {
      await applyPeer(wrong);
      await held(mesh, 'c', 'NotAcknowledged', /c is not probed\./);
    }
    await applyPeer(spec('Append', revision));
    await mesh.ledgerUntil('it goes on', ({ rotation }) => rotation?.stage === 'Roll', TIMEOUT);
  },
  TIMEOUT,
);
