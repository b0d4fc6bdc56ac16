/** Leaves that users bring: judged, delivered as they are, and waited for by name. */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import { encodePrivateKey, generatePrivateKey } from '../../src/pki/keys.ts';
import { parseCertificate } from '../../src/pki/certificate.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { authority, DAY, type Leaf, leafOf, NOW, serialOf } from '../pki/support.ts';
import { entriesOf, objections } from '../profiles/a9s-rules.ts';
import { testBed } from './bed.ts';
import { disorders, held, lapses, Links, Mesh } from './rotating.ts';
import { ca, certificate, type Scene, textOf } from './scene.ts';

const bed = testBed(4);
/** Two whole rotations of three members, on a machine that does other things besides. */
const TIMEOUT = 480_000;
const PATIENCE = 200_000;
const HOUR = 3_600_000;

const filesOf = ({ certificate: { pem }, key }: Leaf): Record<string, string> => ({
  'tls.crt': pem,
  'tls.key': encodePrivateKey(key, 'PKCS8'),
});
const namesOf = (...names: readonly string[]) => ({ provided: names.map((name) => ({ secretRef: { name } })) });
const importsOf = (...numbers: readonly number[]) => ({
  imported: numbers.map((generation) => ({ generation, secretRef: { name: `ca-${generation}` }, dedicated: true })),
});

/** Puts CAs of these numbers into Secrets. */
async function bringCas(here: Scene, ...numbers: readonly number[]): Promise<SigningAuthority[]> {
  return Promise.all(
    numbers.map(async (number) => {
      const made = await authority(`Corporate ${number}`);
      await here.createSecret(`ca-${number}`, filesOf(made));
      return made;
    }),
  );
}

const put = (here: Scene, name: string, leaf: Leaf | Record<string, string>): Promise<unknown> => {
  const text = 'certificate' in leaf && typeof leaf.certificate !== 'string' ? filesOf(leaf as Leaf) : leaf;
  return here.patchSecret(name, { stringData: text });
};

const leafIn = (here: Scene, name: string): string =>
  parseCertificate(textOf(here.secret(name), 'tls.crt')).fingerprint;

test.concurrent(
  'a leaf is refused by rule and remedy, delivered as it is, and replaced by the newest that is brought',
  async () => {
    const here = await bed.scene();
    const [root] = await bringCas(here, 1);
    if (root === undefined) throw new Error('there is a CA');
    const other = await authority('Another');
    const spec = { dnsNames: ['member.example'], ...namesOf('mine') };
    await here.apply(ca('mesh', { ...importsOf(1), rotation: { generation: 1 } }), certificate('a', 'mesh', spec));
    await here.stalled(
      'ClusterCertificate',
      'a',
      'LeafUnavailable',
      /^ClusterCertificate \S+\/a brings no leaf of generation 1 that could be delivered\. Secret \S+\/mine: it does not exist; create it: kubectl -n \S+ create secret tls mine --cert=tls\.crt --key=tls\.key\. Have one issued by "CN=Corporate 1", put it into a Secret, and name that in spec\.provided\.$/,
    );
    await here.eventUntil('ClusterCertificate', 'a', 'Stalled', /brings no leaf of generation 1/);

    await here.createSecret('mine', filesOf(await leafOf(other)));
    await here.stalled(
      'ClusterCertificate',
      'a',
      'LeafUnavailable',
      /The leaf in Secret \S+\/mine is issued by "CN=Another"\. Have one issued by "CN=Corporate 1"/,
    );
    await put(here, 'mine', await leafOf(root, { dnsNames: ['elsewhere.example'] }));
    await here.stalled(
      'ClusterCertificate',
      'a',
      'LeafUnavailable',
      /Secret \S+\/mine: "CN=member" lacks the DNS name member\.example among its subject alternative names, which the spec asks for; have it issued anew, or correct the spec\./,
    );
    const good = await leafOf(root, { dnsNames: ['member.example', 'more.example'] });
    await put(here, 'mine', { ...filesOf(good), 'tls.key': 'not a key' });
    await here.stalled(
      'ClusterCertificate',
      'a',
      'LeafUnavailable',
      /Secret \S+\/mine: .*; both must be PEM, the leaf alone under tls\.crt, its key alone under tls\.key\./,
    );
    expect(here.secrets.get('a')).toBeUndefined();

    await put(here, 'mine', good);
    await here.ready({ ClusterCertificate: ['a'] });
    expect(textOf(here.secret('a'), 'tls.crt')).toBe(good.certificate.pem);
    expect(textOf(here.secret('a'), 'tls.key')).toBe(encodePrivateKey(good.key, 'PKCS8'));
    expect(textOf(here.secret('a'), 'ca.crt')).toBe(root.certificate.pem);
    await here.eventUntil(
      'ClusterCertificate',
      'a',
      'Provided',
      /^Leaf \S{8} of G1, valid until .*, from Secret mine, is in Secret a \(there is no Secret yet\)$/,
    );

    // What is refused later changes nothing in what serves, and is told.
    await put(here, 'mine', { ...filesOf(good), 'tls.key': 'not a key' });
    const refused = /Secret \S+\/mine: .*both must be PEM/;
    await here.condition('ClusterCertificate', 'a', 'Ready', { status: 'True', message: refused });
    expect((await here.eventUntil('ClusterCertificate', 'a', 'LeafRefused', refused)).type).toBe('Warning');
    expect(leafIn(here, 'a')).toBe(good.certificate.fingerprint);

    // A newer one is taken up, also from another Secret; that it ends soon is told, for nobody renews it but its user.
    const newer = await leafOf(root, { notBefore: NOW - 3 * HOUR, serial: serialOf('newer') });
    await put(here, 'mine', newer);
    await here.secretUntil('a', 'the newer leaf', () => leafIn(here, 'a') === newer.certificate.fingerprint);
    await here.eventUntil('ClusterCertificate', 'a', 'Provided', /\(it is the newest that is brought\)$/);
    const life = { notBefore: NOW - 2 * HOUR, notAfter: NOW + HOUR / 2 };
    await here.createSecret('brief', filesOf(await leafOf(root, { ...life, serial: serialOf('brief') })));
    await here.apply(certificate('a', 'mesh', { dnsNames: ['member.example'], ...namesOf('mine', 'brief') }));
    const ends =
      /The leaf is one that its user brings, and ends at .*Z\. Put a newer one of generation 1 into a Secret of spec\.provided\./;
    await here.condition('ClusterCertificate', 'a', 'Ready', { status: 'True', message: ends });
    expect((await here.eventUntil('ClusterCertificate', 'a', 'ExpiryNear', ends)).type).toBe('Warning');

    // Without its source it stays; a Secret that was broken is put right from it.
    await here.deleteSecret('brief');
    await here.secretUntil('a', 'the one before', () => leafIn(here, 'a') === newer.certificate.fingerprint);
    await here.patchSecret('a', { stringData: { 'tls.key': 'broken' } });
    const key = encodePrivateKey(newer.key, 'PKCS8');
    await here.secretUntil('a', 'put right', (secret) => textOf(secret, 'tls.key') === key);
    expect(leafIn(here, 'a')).toBe(newer.certificate.fingerprint);

    // Who brings none any more is issued one.
    await here.apply(certificate('a', 'mesh', { dnsNames: ['member.example'] }));
    await here.secretUntil('a', 'issued', () => leafIn(here, 'a') !== newer.certificate.fingerprint);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

test.concurrent(
  'both leaves of a database of a9s come in one Secret, and its document keeps every rule of the vendor',
  async () => {
    const here = await bed.scene();
    const RSA = { algorithm: 'RSA', size: 2048 } as const;
    const root = await authority('Corporate', RSA);
    await here.createSecret('ca-1', filesOf(root));
    const instance = { service: 'MariaDB', consulDomain: 'consul' } as const;
    const made = async (seed: string, commonName = '*.node.dc1.consul') =>
      leafOf(root, {
        key: await generatePrivateKey(RSA),
        subject: { commonName },
        dnsNames: ['*.node.dc1.consul', '*.service.dc1.consul'],
        notBefore: NOW - 2 * HOUR + (seed === 'newer' ? HOUR : 0),
        serial: serialOf(seed),
      });
    const under = (name: string, leaf: Leaf) => ({
      [`${name}.crt`]: leaf.certificate.pem,
      [`${name}.key`]: encodePrivateKey(leaf.key, 'PKCS8'),
    });
    const [client, server] = [await made('client'), await made('server')];
    await here.apply(
      ca('mesh', { profile: 'a9s', ...importsOf(1), rotation: { generation: 1 } }),
      certificate('db', 'mesh', { a9s: instance, ...namesOf('mine') }),
    );
    await here.createSecret('mine', { ...under('tls', client), ...under('server', await made('x', '*.anynines.com')) });
    await here.stalled(
      'ClusterCertificate',
      'db',
      'LeafUnavailable',
      /Secret \S+\/mine: server\.crt: the common name of "CN=\*\.anynines\.com" is not "\*\.node\.dc1\.consul", which profile a9s asks for: it is a MUST of "User Provided Certificates"; have it issued anew\./,
    );
    expect(here.secrets.get('db')).toBeUndefined();

    const documentIn = (): string => textOf(here.secret('db'), 'a9s.json');
    await here.patchSecret('mine', { stringData: under('server', server) });
    await here.ready({ ClusterCertificate: ['db'] });
    expect(objections(documentIn(), instance)).toEqual([]);
    const entries = entriesOf(documentIn());
    expect(entries['client']?.certificate).toBe(client.certificate.pem);
    expect(entries['server']?.certificate).toBe(server.certificate.pem);

    // One of the two is renewed: the other stays as it is.
    const newer = await made('newer');
    await here.patchSecret('mine', { stringData: under('server', newer) });
    await here.secretUntil('db', 'the newer one', (secret) => textOf(secret, 'server.crt') === newer.certificate.pem);
    expect(textOf(here.secret('db'), 'tls.crt')).toBe(client.certificate.pem);
    expect(objections(documentIn(), instance)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

/** Member a brings leaves of G1, and of G2 once they are there; b and c are issued theirs. */
async function meshOf(here: Scene) {
  const [one, two] = await bringCas(here, 1, 2);
  if (one === undefined || two === undefined) throw new Error('there are CAs');
  const first = await leafOf(one, { notAfter: NOW + 400 * DAY });
  const second = await leafOf(two, { notAfter: NOW + 400 * DAY });
  await here.createSecret('a-1', filesOf(first));
  const mesh = await Mesh.start(here, ['a', 'b', 'c'], {
    spec: { ...importsOf(1, 2), rotation: { generation: 1 } },
    certificates: { a: namesOf('a-1', 'a-2') },
    lagMs: () => randomInt(300),
    timeoutMs: PATIENCE,
  });
  return { mesh, first, second };
}

test.concurrent(
  'a rotation waits by name for a leaf that is missing, rolls the others, and goes on when it is brought: no handshake fails',
  async () => {
    const here = await bed.scene();
    const { mesh, first, second } = await meshOf(here);
    await using _ = mesh;
    await using links = new Links(Object.values(mesh.members));
    expect(leafIn(here, 'a')).toBe(first.certificate.fingerprint);
    await mesh.want({ generation: 2 });
    await mesh.ledgerUntil(
      'the others are through',
      ({ rotation, roster }) =>
        rotation?.stage === 'Roll' && [...roster.values()].filter(({ grant }) => grant === 'Proven').length === 2,
      PATIENCE,
    );
    const { next } = await held(
      mesh,
      'a',
      'LeafUnavailable',
      /^ClusterCertificate \S+\/a brings no leaf of generation 2 that could be delivered\. Secret \S+\/a-2: it does not exist; create it: .*\. The leaf in Secret \S+\/a-1 is of G1\. Have one issued by "CN=Corporate 2"/,
    );
    expect(next).toMatch(/brings no leaf of generation 2/);
    const { rotation, roster } = here.ledger('mesh');
    expect(rotation).toMatchObject({ stage: 'Roll', to: 2 });
    expect([...roster.values()].map(({ grant }) => grant)).toEqual([null, 'Proven', 'Proven']);
    await here.condition('ClusterCertificate', 'a', 'Ready', { status: 'True' });

    await here.createSecret('a-2', filesOf(second));
    await here.stable('mesh', 2, PATIENCE);
    expect(leafIn(here, 'a')).toBe(second.certificate.fingerprint);
    // Of a generation that is minted nobody could bring one.
    await mesh.want({ generation: 3 });
    await here.stable('mesh', 3, PATIENCE);
    const presented = () => here.peers.get('mesh')?.status?.members?.map(({ presents }) => presents?.generation);
    await here.peers.until('all present G3', () => presented()?.join() === '3,3,3', PATIENCE);

    expect(await links.stop()).toEqual([]);
    expect(links.handshakes).toBeGreaterThan(100);
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);

test.concurrent(
  'turned round while a change is on its way: the same leaf as before proves nothing, and waits for an acknowledgement',
  async () => {
    const here = await bed.scene();
    const { mesh, first, second } = await meshOf(here);
    await using _ = mesh;
    await using links = new Links(Object.values(mesh.members));
    await here.createSecret('a-2', filesOf(second));
    const inRoll = ({ rotation }: ReturnType<Scene['ledger']>): boolean => rotation?.stage === 'Roll';
    const grantOf = (): string | null | undefined => here.ledger('mesh').roster.get(`${here.namespace}/a`)?.grant;
    await mesh.want({ generation: 2, approval: { required: ['Roll'] } });
    await here.condition('ReplicationCA', 'mesh', 'Rotating', { reason: 'WaitingForApproval' }, PATIENCE);
    mesh.member('a').behave('frozen');
    await mesh.want({ generation: 2 });
    await mesh.ledgerUntil('a is granted', (ledger) => inRoll(ledger) && grantOf() === 'Open', PATIENCE);
    await here.secretUntil('a', 'G2 is delivered', () => leafIn(here, 'a') === second.certificate.fingerprint);

    await mesh.want({ generation: 1 });
    await mesh.ledgerUntil('a may go back', () => grantOf() === 'Reopened', PATIENCE);
    await here.secretUntil('a', 'G1 is delivered again', () => leafIn(here, 'a') === first.certificate.fingerprint);
    mesh.member('a').behave('serving');
    await held(
      mesh,
      'a',
      'NotAcknowledged',
      /^The rotation turned round while a change of \S+\/a was on its way, and its leaf is one that it may have had before: .* \(restart it\)\. When you have seen that it uses it, set spec\.members\[name=a\]\.acknowledged of ReplicationPeer mesh: \{revision: \w+, generation: 1, stage: Roll, by: <you>/,
    );
    const claim = {
      revision: here.certificates.get('a')?.status?.revision ?? '',
      generation: 1,
      stage: 'Roll' as const,
      by: 'jane@example.com',
      reason: 'restarted it',
      expires: '2099-01-01T00:00:00Z',
    };
    await mesh.acknowledge({ a: claim });
    await here.stable('mesh', 1, PATIENCE);
    expect(leafIn(here, 'a')).toBe(first.certificate.fingerprint);

    expect(await links.stop()).toEqual([]);
    expect(links.handshakes).toBeGreaterThan(100);
    expect(disorders(here, 'mesh', 1)).toEqual([]);
    expect(lapses(here)).toEqual([]);
  },
  TIMEOUT,
);
