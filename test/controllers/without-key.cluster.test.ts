/** A CA whose key stays elsewhere: its leaves are brought, nobody here signs for it, and the mesh rotates away from it. */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import { encodePrivateKey } from '../../src/pki/keys.ts';
import { authority, type Leaf, leafOf } from '../pki/support.ts';
import { testBed } from './bed.ts';
import { disorders, generationSecrets, lapses, Links, Mesh } from './rotating.ts';
import { type Acknowledgement, ca, certificate, type Scene, textOf } from './scene.ts';

const bed = testBed(2);
const TIMEOUT = 240_000;
const PATIENCE = 120_000;

const filesOf = ({ certificate: { pem }, key }: Leaf): Record<string, string> => ({
  'tls.crt': pem,
  'tls.key': encodePrivateKey(key, 'PKCS8'),
});
const IMPORTED = { imported: [{ generation: 1, secretRef: { name: 'corp-ca' }, withoutKey: true, dedicated: true }] };
const bringing = (name: string) => ({ provided: [{ secretRef: { name } }] });

test.concurrent(
  'members bring their leaves; a rotation to a minted generation asks for a word of each in Drop: no handshake fails',
  async () => {
    const here = await bed.scene();
    const root = await authority('Corporate');
    const leaves = { a: await leafOf(root), b: await leafOf(root) };
    // The key lies there, and is neither read nor copied.
    await here.createSecret('corp-ca', filesOf(root));
    for (const [name, leaf] of Object.entries(leaves)) await here.createSecret(`${name}-1`, filesOf(leaf));
    await here.apply(ca('mesh', { ...IMPORTED, rotation: { generation: 1 } }));
    await here.eventUntil(
      'ReplicationCA',
      'mesh',
      'GenerationImported',
      /it was copied to Secret mesh-g1-\S+ without a key: its leaves are brought, and corp-ca is not needed any more$/,
    );
    expect(Object.keys(here.generationSecret('mesh', 1).data ?? {})).toEqual(['tls.crt']);
    expect(here.ledger('mesh').generations[1]).toMatchObject({ imported: true, withoutKey: true });

    const spec = { ...IMPORTED, rotation: { generation: 1 } };
    const certificates = { a: bringing('a-1'), b: bringing('b-1') };
    await using mesh = await meshOf(here, spec, certificates);
    expect(textOf(here.secret('a'), 'tls.crt')).toBe(leaves.a.certificate.pem);
    const unseen = { status: 'Unknown', message: /Generation 1 was imported without its key, so that no look tells/ };
    await here.condition('ReplicationPeer', 'mesh', 'Verified', unseen);
    await using links = new Links(Object.values(mesh.members));

    await mesh.want({ generation: 2 });
    const said = await sayOfEach(here, mesh);
    expect(said.toSorted()).toEqual(['a Drop', 'b Drop']);
    await here.stable('mesh', 2, PATIENCE);
    await here.secrets.until('generation 1 is gone', () => generationSecrets(here).length === 1, PATIENCE);
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' }, PATIENCE);

    expect(await links.stop()).toEqual([]);
    expect(links.handshakes).toBeGreaterThan(50);
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

/** Without waiting for the peer to be Verified, which it cannot be. */
async function meshOf(
  here: Scene,
  spec: Parameters<typeof ca>[1],
  certificates: Record<string, object>,
): Promise<Mesh> {
  return Mesh.start(here, Object.keys(certificates), {
    spec: spec ?? {},
    certificates,
    lagMs: () => randomInt(300),
    timeoutMs: PATIENCE,
    verified: false,
  });
}

function stageOf(text: string): Acknowledgement['stage'] {
  if (text === 'Append' || text === 'Roll' || text === 'Drop') return text;
  throw new Error(`there is no stage ${text}`);
}

/** Somebody looks at each member that the status asks for, and commits the line; whom it was asked for. */
async function sayOfEach(here: Scene, mesh: Mesh): Promise<readonly string[]> {
  const answered = new Set<string>();
  const claims: Record<string, Acknowledgement> = {};
  const said: string[] = [];
  for (;;) {
    const asked = await here.cas.until(
      'a word is asked for, or all is done',
      () => {
        const { phase, signer, rotation } = here.cas.get('mesh')?.status ?? {};
        const waiting = rotation?.waitingFor?.find(({ reason }) => reason === 'NotAcknowledged');
        if (waiting === undefined) return phase === 'Stable' && signer === 2 ? 'done' : undefined;
        return answered.has(waiting.message) ? undefined : waiting;
      },
      PATIENCE,
    );
    if (asked === 'done') return said;
    expect(asked.message).toMatch(/^Generation 1 was imported without its key, so that no look tells whether/);
    const [, revision = '', generation = '', stage = ''] =
      /\{revision: (\w+), generation: (\d+), stage: (\w+), by/.exec(asked.message) ?? [];
    const name = asked.member.slice(asked.member.indexOf('/') + 1);
    said.push(`${name} ${stage}`);
    answered.add(asked.message);
    claims[name] = {
      revision,
      generation: Number(generation),
      stage: stageOf(stage),
      by: 'jane@example.com',
      reason: 'its log',
      expires: '2099-01-01T00:00:00Z',
    };
    await mesh.acknowledge(claims);
  }
}

test.concurrent(
  'who brings no leaf is told so; a CA that is refused is refused without its key, too',
  async () => {
    const here = await bed.scene();
    const root = await authority('Corporate');
    const { certificate: leaf } = await leafOf(root);
    await here.createSecret('corp-ca', { 'tls.crt': leaf.pem });
    await here.apply(ca('mesh', { ...IMPORTED, rotation: { generation: 1 } }), certificate('a', 'mesh'));
    await here.stalled(
      'ReplicationCA',
      'mesh',
      'ImportRefused',
      /"CN=member" is no CA, but a certificate that "CN=Corporate" has issued; put the certificate of the CA itself there/,
    );
    await here.patchSecret('corp-ca', { stringData: { 'tls.crt': root.certificate.pem } });
    await here.ready({ ReplicationCA: ['mesh'] });
    await here.stalled(
      'ClusterCertificate',
      'a',
      'LeafUnavailable',
      /^ClusterCertificate \S+\/a brings no leaf of generation 1 that could be delivered\. Have one issued by "CN=Corporate", put it into a Secret, and name that in spec\.provided\.$/,
    );
    expect(here.secrets.get('a')).toBeUndefined();
  },
  TIMEOUT,
);
