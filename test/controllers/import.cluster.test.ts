/** CAs that people bring: a mesh that runs by openssl's commands is adopted and rotated away from, and what must not sign is refused. */
import { randomInt } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { ledgerSecretName } from '../../src/api/names.ts';
import { generationSecret } from '../../src/controllers/shared/manifests.ts';
import { parseCertificate } from '../../src/pki/certificate.ts';
import { lose } from './backup.ts';
import { testBed } from './bed.ts';
import { conditionOf } from './follow.ts';
import { Member } from './member.ts';
import { openssl } from './openssl.ts';
import { Recipe, ROOT, SUBJECT } from './recipe.ts';
import { disorders, generationSecrets, handshake, lapses, Links, Mesh } from './rotating.ts';
import { ca, certificate, type LiveSecret, peer, type Scene, SECRETS, textOf } from './scene.ts';

const bed = testBed(7);
const TIMEOUT = 240_000;
/** For what takes many steps. */
const PATIENCE = 120_000;
const OPENS_SOURCE = 'open-sesame-of-before';
const OPENS_COPY = 'open-sesame-of-now';
bed.operators.conceal(OPENS_SOURCE);
bed.operators.conceal(OPENS_COPY);

const MEMBERS = ['a', 'b', 'c'] as const;
type CaSpec = NonNullable<Parameters<typeof ca>[1]>;
const FILES = { 'tls.crt': 'ca.crt', 'tls.key': 'ca.key' };

/** As vendors print it: leaves of X.509 version 1, without any extension. */
const leavesOf = (names: readonly string[]): string =>
  names
    .map(
      (name) => `
  openssl genrsa -out ${name}.key 2048
  openssl req -new -key ${name}.key -out ${name}.csr -nodes -subj "/CN=Replication-${name}"
  openssl x509 -req -CA ca.crt -CAkey ca.key -passin pass:${OPENS_SOURCE} -CAcreateserial -in ${name}.csr -out ${name}.crt -days 1095`,
    )
    .join('\n');

/** Its generation, as the status of its peer says it. */
function presentedBy(here: Scene, name: string): number | undefined {
  return here.peers.get('mesh')?.status?.members?.find((each) => each.name === name)?.presents?.generation;
}

async function verifies(secret: LiveSecret): Promise<string> {
  const files = Object.fromEntries(['ca.crt', 'tls.crt'].map((key) => [key, textOf(secret, key)]));
  // Not strictly: roots of such recipes have no key usage.
  const { stdout, stderr } = await openssl(files, 'verify', '-purpose', 'sslclient', '-CAfile', 'ca.crt', 'tls.crt');
  return stdout + stderr;
}

describe.concurrent('a mesh that has a CA', () => {
  test(
    'made by openssl is adopted, rolled back to it, and rotated away from it: no handshake fails',
    async () => {
      const here = await bed.scene();
      await using recipe = await Recipe.follow(
        `openssl genrsa -aes256 -passout pass:${OPENS_SOURCE} -out ca.key 4096
         openssl req -new -x509 -days 3650 -key ca.key -passin pass:${OPENS_SOURCE} -out ca.crt -subj '${SUBJECT}'
         ${leavesOf(MEMBERS)}`,
      );
      // It runs, and nobody knows of us.
      await using stack = new AsyncDisposableStack();
      const members: Member[] = [];
      for (const name of MEMBERS) {
        const old = { 'ca.crt': 'ca.crt', 'tls.crt': `${name}.crt`, 'tls.key': `${name}.key` };
        await here.createSecret(`old-${name}`, await recipe.secret(old), 'kubernetes.io/tls');
        const options = { secretName: `old-${name}`, lagMs: () => randomInt(400) };
        members.push(stack.use(await Member.start(here, name, options)));
      }
      await vi.waitUntil(() => members.every(({ files }) => files !== null), { timeout: PATIENCE });
      const before = members.map(({ files }) => files);
      const links = stack.use(new Links(members));

      await here.createSecret('corp-ca', await recipe.secret(FILES));
      await here.createSecret('opens-source', { passphrase: `${OPENS_SOURCE}\n` });
      await here.createSecret('opens-copy', { passphrase: OPENS_COPY });
      const entry = { generation: 1, secretRef: { name: 'corp-ca' }, passphraseSecretRef: { name: 'opens-source' } };
      const spec: CaSpec = { imported: [entry], passphraseSecretRef: { name: 'opens-copy' } };
      const want = (generation: number, more: CaSpec['rotation'] = {}): Promise<void> =>
        here.apply(ca('mesh', { ...spec, rotation: { generation, ...more } }));
      await want(1);
      const ports = Object.fromEntries(members.map(({ name, port }) => [name, port]));
      const certificates = MEMBERS.map((name) => certificate(name, 'mesh', { commonName: `Replication-${name}` }));
      await here.apply(...certificates, peer('mesh', ports, '5s'));
      await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: MEMBERS, ReplicationPeer: ['mesh'] });
      const imported =
        /^Generation 1 is "CN=Replication-Root-CA" of Secret \S+\/corp-ca, valid until .*; it was copied to Secret mesh-g1-[0-9a-f]{8}-[0-9a-f]{4}, and corp-ca is not needed any more$/;
      await here.eventUntil('ReplicationCA', 'mesh', 'GenerationImported', imported);
      const warned = await here.eventUntil(
        'ReplicationCA',
        'mesh',
        'NotDedicated',
        /lets in whoever has a certificate of it/,
      );
      expect(warned.type).toBe('Warning');
      // Nothing is said to wait because it is not as a minted one would be.
      expect(conditionOf(here.cas.get('mesh'), 'Rotating')).toMatchObject({ status: 'False', reason: 'Stable' });
      expect(here.cas.get('mesh')?.status?.generations).toMatchObject([
        { number: 1, imported: true, subject: 'CN=Replication-Root-CA' },
      ]);

      // What was copied is the same key under the other passphrase; the source is not looked at any more.
      const copy = here.generationSecret('mesh', 1);
      expect(textOf(copy, 'tls.crt')).toBe(await recipe.read('ca.crt'));
      const stored = { key: textOf(copy, 'tls.key'), opens: OPENS_COPY };
      const opened = await openssl(stored, 'pkey', '-in', 'key', '-passin', 'file:opens', '-pubout');
      expect(opened.stdout).toBe(await recipe.run(`openssl pkey -in ca.key -passin pass:${OPENS_SOURCE} -pubout`));
      for (const name of ['corp-ca', 'opens-source']) await here.deleteSecret(name);

      // Members still present what openssl made; it is known as of generation 1, by its signature.
      const edges = () => here.peers.get('mesh')?.status?.edges?.summary;
      await here.peers.until('every edge is seen to work', () => edges() === '6/6', PATIENCE);
      expect(MEMBERS.map((name) => presentedBy(here, name))).toEqual([1, 1, 1]);
      for (const member of members) {
        expect(await verifies(here.secret(member.name))).toBe('tls.crt: OK\n');
        const missing = { status: 'False', reason: 'NotPresented' };
        await here.condition('ClusterCertificate', member.name, 'Delivered', missing, PATIENCE);
        member.mount(member.name);
        await here.condition('ClusterCertificate', member.name, 'Delivered', { status: 'True' }, PATIENCE);
      }
      await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' }, PATIENCE);

      // There and back, then away.
      await want(2);
      await here.secrets.until(
        'Roll is under way',
        () => {
          const { rotation, roster } = here.ledger('mesh');
          return rotation?.stage === 'Roll' && [...roster.values()].some(({ grant }) => grant === 'Proven');
        },
        PATIENCE,
      );
      await want(1);
      await here.stable('mesh', 1, PATIENCE);
      await want(3);
      await here.stable('mesh', 3, PATIENCE);
      await here.secrets.until('the copy is gone', () => generationSecrets(here).length === 1, PATIENCE);
      expect(here.cas.get('mesh')?.status?.generations?.map(({ imported: mark }) => mark)).toEqual([undefined]);

      expect(await links.stop()).toEqual([]);
      expect(links.handshakes).toBeGreaterThan(200);
      const [own = null] = before;
      for (const member of members) {
        const files = own === null || member.files === null ? null : { ...own, ca: member.files.ca };
        await expect(handshake({ files }, member)).rejects.toThrow(
          /closed in the handshake|disconnected|ECONNRESET|alert/,
        );
      }
      expect(disorders(here, 'mesh', 1)).toEqual([]);
      expect(lapses(here)).toEqual([]);
    },
    TIMEOUT,
  );

  test('is adopted by a later number, too; what is written into an entry afterwards changes nothing', async () => {
    const here = await bed.scene();
    await using recipe = await Recipe.follow(ROOT);
    const imported = [{ generation: 5, secretRef: { name: 'corp-ca' }, dedicated: true }];
    await here.createSecret('corp-ca', await recipe.secret(FILES));
    await here.apply(ca('mesh', { imported, rotation: { generation: 5 } }), certificate('a', 'mesh'));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'] });
    expect(here.ledger('mesh')).toMatchObject({ signer: 5, highest: 5, generations: { 5: { imported: true } } });
    expect(await verifies(here.secret('a'))).toBe('tls.crt: OK\n');
    const { epoch } = here.ledger('mesh');
    await here.apply(
      ca('mesh', { imported: [{ generation: 5, secretRef: { name: 'nowhere' } }], rotation: { generation: 5 } }),
    );
    await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'False' });
    await here.apply(ca('mesh'));
    await here.condition('ReplicationCA', 'mesh', 'Rotating', { status: 'False', reason: 'Stable' });
    expect(here.ledger('mesh').epoch).toBe(epoch);
    expect(here.eventsOf('ReplicationCA', 'mesh').map(({ reason }) => reason)).not.toContain('NotDedicated');
    expect(conditionOf(here.cas.get('mesh'), 'Ready')).toMatchObject({ status: 'True' });
  });
});

test.concurrent(
  'a mesh whose ledger is lost for good starts anew under the CA that it has: no handshake fails',
  async () => {
    const here = await bed.scene();
    await using mesh = await Mesh.start(here, ['a', 'b'], { lagMs: () => randomInt(400) });
    await using links = new Links(Object.values(mesh.members));
    await lose(here, ledgerSecretName('mesh'));
    await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'True', reason: 'LedgerMissing' });
    const generation = here.generationSecret('mesh', 1);
    const saved = { 'tls.crt': textOf(generation, 'tls.crt'), 'tls.key': textOf(generation, 'tls.key') };
    await here.createSecret('saved', saved);
    for (const name of ['a', 'b']) await here.delete('ClusterCertificate', name);
    await here.delete('ReplicationCA', 'mesh');
    await here.cas.until('the CA is gone', () => here.cas.get('mesh') === undefined, PATIENCE);
    const before = here.secret('a').metadata.uid;
    for (const name of ['a', 'b', generation.metadata.name]) await here.deleteSecret(name);
    const imported = [{ generation: 1, secretRef: { name: 'saved' }, dedicated: true }];
    await here.apply(ca('mesh', { imported }), certificate('a', 'mesh'), certificate('b', 'mesh'));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a', 'b'] }, PATIENCE);
    expect(here.secret('a').metadata.uid).not.toBe(before);
    for (const name of ['a', 'b'])
      await here.condition('ClusterCertificate', name, 'Delivered', { status: 'True' }, PATIENCE);
    expect(textOf(here.generationSecret('mesh', 1), 'tls.crt')).toBe(saved['tls.crt']);
    // And it goes on from there.
    await here.apply(ca('mesh', { imported, rotation: { generation: 2 } }));
    await here.stable('mesh', 2, PATIENCE);
    expect(await links.stop()).toEqual([]);
    expect(links.handshakes).toBeGreaterThan(50);
  },
  TIMEOUT,
);

/** What is wrong with a Secret, and what the user is told of it. */
const REFUSALS: readonly {
  readonly what: string;
  /** Default: ca.crt and ca.key of a good root. */
  readonly script?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly passphrase?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly reason?: string;
  readonly message: RegExp;
}[] = [
  {
    what: 'missing',
    files: {},
    message:
      /it does not exist\. Create it: kubectl -n \S+ create secret generic missing --from-file=tls\.crt=ca\.crt --from-file=tls\.key=ca\.key\. Nothing/,
  },
  {
    what: 'other-keys',
    files: { 'ca.crt': 'ca.crt', 'ca.key': 'ca.key' },
    message: /it has no key tls\.crt\. Create it: kubectl/,
  },
  { what: 'keyless', files: { 'tls.crt': 'ca.crt' }, message: /it has no key tls\.key\. Create it: kubectl/ },
  {
    what: 'foreign-key',
    script: `${ROOT}; openssl ecparam -genkey -name prime256v1 -out ca.key`,
    message: /the private key does not belong to the certificate of "CN=Replication-Root-CA"; put the two together/,
  },
  {
    what: 'leaf',
    script: `${ROOT}; ${leavesOf(['east'])}; mv east.crt ca.crt; mv east.key ca.key`,
    message:
      /"CN=Replication-east" is no CA, but a certificate that "CN=Replication-Root-CA" has issued; put the certificate of the CA itself there/,
  },
  {
    what: 'chain',
    script: `${ROOT}; cat ca.crt ca.crt > two.crt; mv two.crt ca.crt`,
    message: /there are 2 certificates, but an imported CA is one self-signed root/,
  },
  {
    what: 'old-version',
    script: `openssl ecparam -genkey -name prime256v1 -out ca.key; openssl req -new -key ca.key -subj ${SUBJECT} -out ca.csr; openssl x509 -req -in ca.csr -signkey ca.key -days 9 -out ca.crt`,
    message:
      /is X\.509 version 1, which cannot say that it is a CA .* Issue it anew with the same key and name: printf/,
  },
  {
    what: 'text',
    script: 'echo hello > ca.crt; echo world > ca.key',
    message:
      /the certificate is not valid PEM: there is no BEGIN line\. Both must be PEM, the certificate of the root alone under tls\.crt and its key alone under tls\.key/,
  },
  {
    what: 'locked',
    script: `openssl genrsa -aes256 -passout pass:${OPENS_SOURCE} -out ca.key 2048; openssl req -new -x509 -key ca.key -passin pass:${OPENS_SOURCE} -out ca.crt -subj ${SUBJECT}`,
    reason: 'PassphraseUnavailable',
    message:
      /The key in Secret \S+\/locked, to be imported as generation 1, is encrypted\. Put its passphrase into a Secret and name that in passphraseSecretRef of this entry of spec\.imported\./,
  },
  {
    what: 'mislaid',
    passphrase: '',
    reason: 'PassphraseUnavailable',
    message: /Secret \S+\/opens-mislaid has no passphrase under key passphrase\. Create it/,
  },
  {
    what: 'wrong',
    script: `openssl genrsa -aes256 -passout pass:${OPENS_SOURCE} -out ca.key 2048; openssl req -new -x509 -key ca.key -passin pass:${OPENS_SOURCE} -out ca.crt -subj ${SUBJECT}`,
    passphrase: OPENS_COPY,
    reason: 'PassphraseUnavailable',
    message:
      /The passphrase \(Secret \S+\/opens-wrong\) does not open the key in Secret \S+\/wrong, to be imported as generation 1\. Put the right one there\./,
  },
  {
    what: 'ours',
    labels: { 'app.kubernetes.io/managed-by': 'replicert' },
    message: /it is kept by Replicert itself, and two meshes never share a CA\./,
  },
];

describe.concurrent('a CA that must not sign is refused', () => {
  test(
    'with Secret, rule and remedy; nothing is minted; and taken once it is put right',
    async () => {
      const here = await bed.scene();
      for (const { what, script = ROOT, files = FILES, passphrase, labels } of REFUSALS) {
        await using recipe = await Recipe.follow(script);
        if (Object.keys(files).length > 0) await here.createSecret(what, await recipe.secret(files));
        if (labels !== undefined) await here.patchSecret(what, { metadata: { labels } });
        if (passphrase) await here.createSecret(`opens-${what}`, { passphrase });
        const opens = passphrase === undefined ? {} : { passphraseSecretRef: { name: `opens-${what}` } };
        await here.apply(
          ca(`mesh-${what}`, { imported: [{ generation: 1, secretRef: { name: what }, dedicated: true, ...opens }] }),
        );
        await here.apply(certificate(`member-${what}`, `mesh-${what}`));
      }
      for (const { what, reason = 'ImportRefused', message } of REFUSALS) {
        const whole =
          reason === 'ImportRefused'
            ? new RegExp(
                `^Secret \\S+/${what} cannot be imported as generation 1: .*Nothing is minted in its place\\.$`,
              )
            : message;
        await here.stalled('ReplicationCA', `mesh-${what}`, reason, whole);
        await here.stalled('ReplicationCA', `mesh-${what}`, reason, message);
        expect(await here.eventUntil('ReplicationCA', `mesh-${what}`, 'Stalled', message)).toMatchObject({
          type: 'Warning',
        });
        expect(here.cas.get(`mesh-${what}`)?.status?.rotation?.next).toMatch(message);
        expect(here.ledger(`mesh-${what}`)).toMatchObject({ epoch: 1, signer: null, generations: {} });
      }
      expect(generationSecrets(here)).toEqual([]);

      await using good = await Recipe.follow(ROOT);
      const data = await good.secret(FILES);
      await here.createSecret('missing', data);
      await here.createSecret('opens-mislaid', { passphrase: 'of no use, for the key is not encrypted' });
      for (const { what } of REFUSALS.filter((each) => each.what !== 'missing'))
        await here.patchSecret(what, {
          metadata: { labels: { 'app.kubernetes.io/managed-by': null } },
          stringData: data,
        });
      await here.ready(
        {
          ReplicationCA: REFUSALS.map(({ what }) => `mesh-${what}`),
          ClusterCertificate: REFUSALS.map(({ what }) => `member-${what}`),
        },
        60_000,
      );
    },
    TIMEOUT,
  );

  test(
    'as the next generation: what is served goes on, members join, and the rotation begins once there is one that goes with the other',
    async () => {
      const here = await bed.scene();
      await using recipe = await Recipe.follow(`
        ${ROOT}
        printf 'basicConstraints=critical,CA:TRUE\\nsubjectKeyIdentifier=%s\\n' "$(openssl x509 -in ca.crt -noout -ext subjectKeyIdentifier | tail -1 | tr -d ' ')" > same.ext
        openssl ecparam -genkey -name prime256v1 -out other.key
        openssl req -new -key other.key -subj '/CN=Other' -out other.csr
        openssl x509 -req -in other.csr -signkey other.key -days 9 -extfile same.ext -out same-id.crt
        openssl req -new -x509 -key other.key -subj '${SUBJECT}' -out same-name.crt
        openssl req -new -x509 -key ca.key -subj '/CN=Other' -out same-key.crt
        openssl req -new -x509 -key other.key -subj '/CN=Other' -out good.crt`);
      const secrets = [
        ['first', 'ca.crt', 'ca.key'],
        ['same', 'ca.crt', 'ca.key'],
        ['same-id', 'same-id.crt', 'other.key'],
        ['same-name', 'same-name.crt', 'other.key'],
        ['same-key', 'same-key.crt', 'ca.key'],
        ['good', 'good.crt', 'other.key'],
      ] as const;
      for (const [name, crt, key] of secrets)
        await here.createSecret(name, await recipe.secret({ 'tls.crt': crt, 'tls.key': key }));
      await using member = await Member.start(here, 'a');
      const first = { generation: 1, secretRef: { name: 'first' }, dedicated: true };
      await here.apply(
        ca('mesh', { imported: [first] }),
        certificate('a', 'mesh'),
        peer('mesh', { a: member.port }, '5s'),
      );
      await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'] });
      await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' }, PATIENCE);
      const want = (name: string): Promise<void> =>
        here.apply(
          ca('mesh', {
            imported: [first, { generation: 2, secretRef: { name }, dedicated: true }],
            rotation: { generation: 2 },
          }),
        );
      for (const [name, reason, message] of [
        ['nowhere', 'ImportRefused', /Secret \S+\/nowhere cannot be imported as generation 2: it does not exist\./],
        [
          'same',
          'BundleUnsafe',
          /Generation 2 cannot be trusted beside the others: it is the very certificate of generation 1, so that nothing would be dropped\. Put another CA into Secret \S+\/same, or take generation 2 out of spec\.imported to have one minted\./,
        ],
        [
          'same-id',
          'BundleUnsafe',
          /have the same subject key identifier but different keys; .*Put another CA into Secret \S+\/same-id/,
        ],
        ['same-name', 'BundleUnsafe', /have the same subject; .*Put another CA into Secret \S+\/same-name/],
        ['same-key', 'BundleUnsafe', /have the same key; .*Put another CA into Secret \S+\/same-key/],
      ] as const) {
        await want(name);
        await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'True', reason, message });
        await here.condition('ReplicationCA', 'mesh', 'Ready', { status: 'True', reason: 'Serving' });
        await here.condition('ReplicationCA', 'mesh', 'Rotating', {
          status: 'False',
          reason: 'RotationPending',
          message,
        });
        await here.eventUntil('ReplicationCA', 'mesh', 'Stalled', message);
        await here.apply(certificate(`joins-at-${name}`, 'mesh'));
        await here.ready({ ClusterCertificate: [`joins-at-${name}`] });
        // Whoever is still in the roster when a rotation begins is waited for.
        await here.delete('ClusterCertificate', `joins-at-${name}`);
        await here.secrets.until(`joins-at-${name} has left`, () => here.ledger('mesh').roster.size === 1);
      }
      expect(generationSecrets(here).map(([number]) => number)).toEqual([1]);
      expect(here.ledger('mesh')).toMatchObject({ signer: 1, highest: 1, rotation: null });
      await want('good');
      await here.stable('mesh', 2, PATIENCE);
      await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'False' });
      expect(here.ledger('mesh').generations[2]).toMatchObject({ imported: true });
      expect(await verifies(here.secret('a'))).toBe('tls.crt: OK\n');
      expect(lapses(here)).toEqual([]);
    },
    TIMEOUT,
  );

  test("a copy that a former operator has left behind unnamed is in nobody's way", async () => {
    const here = await bed.scene();
    await using recipe = await Recipe.follow(ROOT);
    await here.apply(ca('mesh', { imported: [{ generation: 1, secretRef: { name: 'corp-ca' }, dedicated: true }] }));
    await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'True', reason: 'ImportRefused' });
    // As it dies after the copy and before the ledger names that.
    const data = await recipe.secret(FILES);
    const own = generationSecret(
      { namespace: here.namespace, name: 'mesh' },
      1,
      parseCertificate(data['tls.crt'] ?? ''),
      data['tls.key'] ?? '',
      '-dead',
    );
    await bed.client.create(SECRETS, own);
    await here.createSecret('corp-ca', data);
    await here.ready({ ReplicationCA: ['mesh'] }, 60_000);
    await here.eventUntil(
      'ReplicationCA',
      'mesh',
      'GenerationRemoved',
      new RegExp(`^Secret ${own.metadata.name} of generation 1 is deleted`),
    );
    await here.secrets.until('the copy is alone', () => generationSecrets(here).length === 1);
    expect(here.ledger('mesh').generations[1]?.secretName).toBe(here.generationSecret('mesh', 1).metadata.name);
  });

  test('that comes too late for its number says so', async () => {
    const here = await bed.scene();
    await here.apply(ca('mesh'), certificate('a', 'mesh'));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: ['a'] });
    await here.apply(ca('mesh', { imported: [{ generation: 1, secretRef: { name: 'corp-ca' } }] }));
    const message =
      /^Generation 1 was minted before spec\.imported named a CA for it, which changes nothing now\. Give that CA generation 2 and set spec\.rotation\.generation to it, or take the entry out\.$/;
    await here.condition('ReplicationCA', 'mesh', 'Rotating', { status: 'False', reason: 'RotationPending', message });
    expect(conditionOf(here.cas.get('mesh'), 'Stalled')).toMatchObject({ status: 'False' });
  });
});
