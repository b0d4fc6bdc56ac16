/**
 * VAST clusters as the vendor's document describes them, at their usual port, which replicate all the time, while somebody puts into their
 * boxes what is in the Secrets: issued, looked at by the document's commands, rotated and turned back where a root of two is honoured, and
 * held where it is not. No link may break.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { testBed } from '../controllers/bed.ts';
import { expectGoodMember, openssl } from '../controllers/openssl.ts';
import { disorders, generationSecrets, lapses, rounds } from '../controllers/rotating.ts';
import { ca, certificate, peerAt, type Scene, textOf } from '../controllers/scene.ts';
import { run } from '../control-plane/run.ts';
import type { Failure } from '../mesh/endpoint.ts';
import { failuresOf } from '../mesh/spawn.ts';
import { proves } from '../targets/claims.ts';
import { SyncedFiles } from './synced.ts';
import { type Honours, nextAddress, uploadOf, VastCluster } from './vast.ts';

const bed = testBed(5);
const TIMEOUT = 300_000;
/** For one rotation: less than a test has, or what was waited for would never be told. */
const WAIT_MS = 120_000;
const PASSPHRASE = 'open-sesame-of-vast';
bed.operators.conceal(PASSPHRASE);

type CaSpec = NonNullable<Parameters<typeof ca>[1]>;
const SPEC: CaSpec = { profile: 'vast', commonName: 'Replication-Root-CA', passphraseSecretRef: { name: 'ca-pass' } };
const STAGED = { strategy: 'Staged' } as const;

/** Clusters with what their Secrets hold, and the peer that looks at them: it names no port. */
class Arrays {
  readonly here: Scene;
  readonly clusters: readonly VastCluster[];
  readonly #files: readonly SyncedFiles[];
  readonly #stack: AsyncDisposableStack;

  private constructor(
    here: Scene,
    clusters: readonly VastCluster[],
    files: readonly SyncedFiles[],
    stack: AsyncDisposableStack,
  ) {
    this.here = here;
    this.clusters = clusters;
    this.#files = files;
    this.#stack = stack;
  }

  static async start(here: Scene, names: readonly string[], honours: Honours): Promise<Arrays> {
    await here.createSecret('ca-pass', { passphrase: PASSPHRASE });
    await here.apply(ca('mesh', SPEC), ...names.map((name) => certificate(name, 'mesh')));
    await here.ready({ ReplicationCA: ['mesh'], ClusterCertificate: names }, 60_000);
    const hosts = new Map(names.map((name) => [name, nextAddress()]));
    // What has started is ended if something else does not.
    await using stack = new AsyncDisposableStack();
    const files: SyncedFiles[] = [];
    const clusters: VastCluster[] = [];
    for (const [name, host] of hosts) {
      const peers = Object.fromEntries([...hosts].filter(([each]) => each !== name));
      const cluster = stack.use(new VastCluster(name, host, peers, honours));
      const { kubeconfig } = bed.cluster;
      const options = { kubeconfig, namespace: here.namespace, secret: name, lag: [0, 800] } as const;
      const synced = stack.use(await SyncedFiles.of(options));
      await cluster.upload(await uploadOf(synced.dir));
      synced.follow(async () => cluster.upload(await uploadOf(synced.dir)));
      files.push(synced);
      clusters.push(cluster);
    }
    await here.apply(peerAt('mesh', Object.fromEntries([...hosts].map(([name, host]) => [name, { host }])), '5s'));
    await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' }, 60_000);
    return new Arrays(here, clusters, files, stack.move());
  }

  /** What broke, and how many links were tried in all. */
  get links() {
    const reports = this.clusters.flatMap(({ replication }) => replication.latest ?? []);
    const handshakes = reports.flatMap(({ edges }) => Object.values(edges).map(({ handshakes: { ok } }) => ok));
    return { broken: reports.flatMap(failuresOf), least: Math.min(...handshakes) };
  }

  /** The first of those that failed, on every edge. */
  get failures(): readonly Failure[] {
    const reports = this.clusters.flatMap(({ replication }) => replication.latest ?? []);
    return reports.flatMap(({ edges }) => Object.values(edges).flatMap(({ failures }) => failures));
  }

  /** Waits for more handshakes on each edge. @returns how many of those have failed */
  async quiet(): Promise<number> {
    const count = () =>
      this.clusters
        .flatMap(({ replication }) => Object.values(replication.latest?.edges ?? {}))
        .map((edge) => edge.handshakes);
    // What has failed before is in the next report.
    await sleep(2_000);
    const before = count();
    const enough = () =>
      count().every(({ ok, failed }, i) => ok + failed > (before[i]?.ok ?? 0) + (before[i]?.failed ?? 0) + 5);
    await vi.waitUntil(enough, { timeout: 30_000 });
    const sum = (all: ReturnType<typeof count>) => all.reduce((total, { failed }) => total + failed, 0);
    return sum(count()) - sum(before);
  }

  get refusedUploads(): readonly string[] {
    return this.#files.flatMap(({ failures }) => failures);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // All at one time: none is to see another go.
    await Promise.all(this.clusters.map((each) => each[Symbol.asyncDispose]()));
    await this.#stack.disposeAsync();
  }
}

const want = (here: Scene, rotation: NonNullable<CaSpec['rotation']>) => here.apply(ca('mesh', { ...SPEC, rotation }));

test("a stand-in by the vendor's document takes what is issued, its commands show it, and rotations break no link", {
  timeout: TIMEOUT,
  ...proves('vast', 'material', 'reload', 'probe'),
}, async () => {
  const here = await bed.scene();
  const names = ['vast1', 'vast2', 'vast3'];
  await using arrays = await Arrays.start(here, names, 'all');

  // The CA: RSA 4096, under a passphrase.
  const key = textOf(here.generationSecret('mesh', 1), 'tls.key');
  expect(key).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----/);
  const opened = await openssl(
    { key, opens: PASSPHRASE },
    'pkey',
    '-in',
    'key',
    '-passin',
    'file:opens',
    '-noout',
    '-text',
  );
  expect(opened.stdout).toMatch(/^(RSA )?Private-Key: \(4096 bit/m);

  // A leaf: RSA 2048, both ends, no intermediates.
  const secret = here.secret('vast1');
  await expectGoodMember(secret);
  const files = Object.fromEntries(
    ['tls.crt', 'tls.key', 'ca.crt', 'tls-chain.crt'].map((name) => [name, textOf(secret, name)]),
  );
  const { stdout: text } = await openssl(files, 'x509', '-in', 'tls.crt', '-noout', '-text');
  expect(text).toMatch(/Issuer: CN ?= ?Replication-Root-CA G1\n/);
  expect(text).toMatch(/Subject: CN ?= ?Replication-vast1\n/);
  expect(text).toContain('Public-Key: (2048 bit)');
  expect(text).toMatch(/Netscape Cert Type: *\n *SSL Client, SSL Server\n/);
  expect(text).toMatch(/X509v3 Key Usage: critical\n *Digital Signature,/);
  expect(text).toMatch(
    /X509v3 Extended Key Usage: *\n *TLS Web Server Authentication, TLS Web Client Authentication\n/,
  );

  // The document's two commands; what the port shows is what the Secret says that it shows.
  const at = ['s_client', '-connect', `${arrays.clusters[0]?.host}:49002`];
  const shown = await openssl(files, ...at, '-showcerts');
  expect(shown.stdout + shown.stderr).toMatch(/verify error:num=19:/);
  expect(shown.stderr).toMatch(/SSL alert number 40/);
  const blocks = shown.stdout.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g) ?? [];
  expect(blocks.slice(0, 2).join('')).toBe(files['tls-chain.crt']);
  const other = { key: textOf(here.secret('vast2'), 'tls.key'), cert: textOf(here.secret('vast2'), 'tls.crt') };
  const whole = await openssl(
    { ...other, ca: files['ca.crt'] ?? '' },
    ...at,
    '-key',
    'key',
    '-cert',
    'cert',
    '-CAfile',
    'ca',
  );
  expect(whole.stdout).toMatch(/Verify return code: 0 \(ok\)|^Verification: OK$/m);
  expect(whole.stdout + whole.stderr).not.toMatch(/error|alert/i);

  // Whether two are honoured nobody knows who has not tried it.
  await want(here, { generation: 2 });
  const message =
    /^A rotation gives .* Generation 2 is not made\. Try it as docs\/targets\/vast\.md.*set spec\.rotation\.strategy: Staged/;
  await here.condition('ReplicationCA', 'mesh', 'Stalled', { status: 'True', reason: 'BundleNotHonoured', message });
  await here.apply(certificate('vast4', 'mesh'));
  await here.ready({ ClusterCertificate: ['vast4'] });
  await here.delete('ClusterCertificate', 'vast4');
  await here.secrets.until('vast4 has left', () => here.ledger('mesh').roster.size === names.length, 30_000);
  expect(generationSecrets(here).map(([number]) => number)).toEqual([1]);
  expect(here.ledger('mesh').rotation).toBeNull();

  await want(here, { generation: 2, ...STAGED });
  await here.stable('mesh', 2, WAIT_MS);
  await want(here, { generation: 3, ...STAGED });
  await here.cas.until(
    'one member presents generation 3',
    () =>
      here.ledger('mesh').rotation?.stage === 'Roll' &&
      [...here.ledger('mesh').roster.values()].some(({ leaf }) => leaf === 3),
    WAIT_MS,
  );
  await want(here, { generation: 2, ...STAGED });
  await here.stable('mesh', 2, WAIT_MS);

  const { broken, least } = arrays.links;
  console.log(
    `VAST: at least ${least} handshakes on each of 6 edges, ${arrays.clusters.map(({ uploads }) => uploads).join(', ')} uploads`,
  );
  expect(broken).toEqual([]);
  expect(least).toBeGreaterThan(50);
  expect(arrays.refusedUploads).toEqual([]);
  expect(disorders(here, 'mesh', 1)).toEqual([]);
  expect(lapses(here).filter((lapse) => !lapse.includes('BundleNotHonoured'))).toEqual([]);

  // Whoever still has what generation 1 signed is not let in any more.
  for (const { host } of arrays.clusters) {
    const at = ['s_client', '-connect', `${host}:49002`, '-key', 'tls.key', '-cert', 'tls.crt'];
    expect((await openssl(files, ...at)).stderr).toMatch(/alert unknown ca/);
  }
});

test.each([
  ['the first', 'first', /NotTrusted/],
  ['none: an error at the upload', 'none', /NotPresented|NotTrusted/],
] as const)(
  'clusters that honour of two roots %s: the first one holds all, and the way back is open',
  { timeout: TIMEOUT },
  async (_, honours, reason) => {
    const here = await bed.scene();
    const names = ['vast1', 'vast2', 'vast3'];
    await using arrays = await Arrays.start(here, names, honours);
    await want(here, { generation: 2, ...STAGED });
    const waiting = () => here.cas.get('mesh')?.status?.rotation?.waitingFor?.find((each) => reason.test(each.reason));
    await here.cas.until('one does not trust the new CA', waiting, 60_000);
    await rounds(here, 'mesh', 5);
    const { roster } = here.ledger('mesh');
    const given = [...roster.values()].flatMap(({ grant }) => grant ?? []);
    expect(given).toEqual(['Open']);

    await want(here, { generation: 1, ...STAGED });
    await here.stable('mesh', 1, WAIT_MS);
    await sleep(1_000);
    const { broken, least } = arrays.links;
    expect(broken).toEqual([]);
    expect(least).toBeGreaterThan(20);
  },
);

const BEGIN = /-----BEGIN CERTIFICATE-----/g;

test('clusters that honour one root only change in lockstep: links are down in the announced gap and at no other time', {
  ...proves('vast', 'lockstep'),
  timeout: TIMEOUT,
}, async () => {
  const here = await bed.scene();
  const names = ['vast1', 'vast2', 'vast3'];
  await using arrays = await Arrays.start(here, names, 'none');
  const leaves = () => names.map((name) => textOf(here.secret(name), 'tls.crt'));
  const issued = leaves();
  const lockstep = (generation: number, approved: number) =>
    want(here, {
      generation,
      strategy: 'Lockstep',
      approval: { required: ['Swap'], upTo: { generation: approved, stage: 'Swap' } },
    });

  // Nothing is to be uploaded, and nothing is down, until that is wanted.
  await lockstep(2, 1);
  const message =
    /From then on, all 3 members get another CA and leaf at one time, .* are down until all have\. To give it, set spec\.rotation\.approval/;
  await here.condition('ReplicationCA', 'mesh', 'Rotating', { reason: 'WaitingForApproval', message }, 60_000);
  await here.condition('ReplicationPeer', 'mesh', 'Verified', { status: 'True' });
  expect(here.cas.get('mesh')?.status).toMatchObject({ phase: 'Preparing', bundle: { generations: [1] } });
  expect(leaves()).toEqual(issued);
  expect(arrays.links.broken).toEqual([]);

  await lockstep(2, 2);
  await here.stable('mesh', 2, TIMEOUT);
  expect(await arrays.quiet()).toBe(0);
  const [gap] = gapsOf(here);
  expect(arrays.failures.length).toBeGreaterThan(0);
  expect(arrays.failures.filter((failure) => !within(failure, gap))).toEqual([]);
  const told = here.cas.historyOf('mesh').flatMap(({ status }) => status?.conditions ?? []);
  const interrupted = told.find(({ type, reason }) => type === 'Rotating' && reason === 'Interrupted');
  expect(interrupted?.message).toMatch(/^Swap from G1 to G2: links .* are down, since \S+ at the earliest/);
  await here.eventUntil(
    'ReplicationCA',
    'mesh',
    'InterruptionEnded',
    /links were down at most from \S+ to \S+, \d+ s$/,
  );

  // Turned round in the gap: all go back.
  await lockstep(3, 3);
  await here.secrets.until('the gap has begun', () => here.ledger('mesh').rotation?.stage === 'Swap', 60_000);
  await lockstep(2, 3);
  await here.stable('mesh', 2, TIMEOUT);
  expect(await arrays.quiet()).toBe(0);
  expect(arrays.failures.filter((failure) => !gapsOf(here).some((each) => within(failure, each)))).toEqual([]);

  expect(arrays.refusedUploads).toEqual([]);
  expect(disorders(here, 'mesh', names.length)).toEqual([]);
  expect(lapses(here)).toEqual([]);
  const bundles = here.secrets.versions.flatMap(({ object }) =>
    names.includes(object.metadata.name) ? textOf(object, 'ca.crt') : [],
  );
  expect(bundles.length).toBeGreaterThan(6);
  expect(bundles.filter((bundle) => bundle.match(BEGIN)?.length !== 1)).toEqual([]);
});

/** The times in which links may be down, as the ledger has them. */
function gapsOf(here: Scene): readonly (readonly [began: number, ended: number])[] {
  const gaps: [number, number][] = [];
  let began: number | null = null;
  for (const { rotation, history } of here.ledgers('mesh')) {
    if (rotation?.interruptedSince != null) began ??= Date.parse(rotation.interruptedSince);
    else if (began !== null) {
      gaps.push([began, Date.parse(history.at(-1)?.completedAt ?? '')]);
      began = null;
    }
  }
  return gaps;
}

const within = ({ began, ended }: Failure, gap: readonly [number, number] | undefined): boolean =>
  gap !== undefined && Date.parse(ended) >= gap[0] && Date.parse(began) <= gap[1];

test('its CA signs for its clusters and for nothing else', { timeout: TIMEOUT }, async () => {
  const here = await bed.scene();
  await here.createSecret('ca-pass', { passphrase: PASSPHRASE });
  await here.apply(ca('mesh', SPEC), ca('other'), certificate('vast1', 'mesh'), certificate('a', 'other'));
  await here.ready({ ReplicationCA: ['mesh', 'other'], ClusterCertificate: ['vast1', 'a'] }, 60_000);
  await here.apply(
    certificate('web', 'mesh', { profile: 'generic' }),
    certificate('vast2', 'other', { profile: 'vast' }),
    certificate('vast3', 'mesh', { privateKey: { algorithm: 'Ed25519' } }),
  );
  const only = /but a CA of profile vast signs for members of that profile only/;
  await here.stalled('ClusterCertificate', 'web', 'InvalidSpec', only);
  await here.stalled('ClusterCertificate', 'vast2', 'InvalidSpec', only);
  await here.stalled('ClusterCertificate', 'vast3', 'InvalidSpec', /takes RSA only\. Correct spec\.privateKey/);
  for (const name of ['web', 'vast2', 'vast3']) expect(here.secrets.get(name)).toBeUndefined();
  for (const name of ['mesh', 'other']) expect(here.ledger(name).roster.size).toBe(1);

  // A port that neither the peer nor a profile says.
  await here.apply(peerAt('other', { a: { host: '127.0.0.1' } }));
  await here.stalled(
    'ReplicationPeer',
    'other',
    'InvalidSpec',
    /^Member a names no port for 127\.0\.0\.1, and profile generic has no usual one\. Set spec/,
  );
  await here.apply(peerAt('mesh', { vast1: { host: '127.0.0.1', protocol: 'NATS' } }));
  await here.stalled(
    'ReplicationPeer',
    'mesh',
    'InvalidSpec',
    /^Member vast1 names no port for 127\.0\.0\.1, and profile vast has no usual one for protocol NATS\. Set spec/,
  );

  // Nobody can see whether a CA that was brought signs for others too.
  const made = await run('openssl', [
    'req',
    '-new',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    '-',
    '-subj',
    '/CN=Corp',
    '-addext',
    'keyUsage=critical,keyCertSign',
  ]);
  const [, key = '', crt = ''] = /(-----BEGIN PRIVATE[^]*KEY-----\n)([^]*)/.exec(made.stdout) ?? [];
  await here.createSecret('corp-ca', { 'tls.crt': crt, 'tls.key': key });
  const imported = [{ generation: 1, secretRef: { name: 'corp-ca' } }];
  await here.apply(ca('brought', { ...SPEC, imported }));
  await here.stalled(
    'ReplicationCA',
    'brought',
    'ImportRefused',
    /profile vast demands a CA that signs for this mesh and for nothing else/,
  );
  await here.apply(ca('brought', { ...SPEC, imported: [{ ...imported[0], dedicated: true } as (typeof imported)[0]] }));
  await here.ready({ ReplicationCA: ['brought'] }, 60_000);
  expect(textOf(here.generationSecret('brought', 1), 'tls.key')).toMatch(/^-----BEGIN ENCRYPTED/);
});
