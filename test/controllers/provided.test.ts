/** When Secrets that bring leaves are read, what is found in them, and which of them is delivered. */
import { beforeEach, describe, expect, test } from 'vitest';
import { parseObject } from '../../src/api/parse.ts';
import { leafDemands } from '../../src/controllers/shared/effective.ts';
import { candidateFor, isBrought, lackOf, obstacleOf, ProvidedLeaves } from '../../src/controllers/shared/provided.ts';
import { encodePrivateKey, generatePrivateKey } from '../../src/pki/keys.ts';
import type { SigningAuthority } from '../../src/pki/issue.ts';
import { ApiError } from '../../src/runtime/errors.ts';
import type { KubeObject, ObjectRef, Resource } from '../../src/runtime/client.ts';
import { authority, DAY, type Leaf, leafOf, NOW, serialOf } from '../pki/support.ts';

const { signal } = new AbortController();
const MEMBER = 'storage/east';
const one = await authority('One');
const two = await authority('Two');

const METADATA = { name: 'east', namespace: 'storage', uid: 'u', resourceVersion: '1', generation: 1 };
const certificateOf = (spec: object) => {
  const parsed = parseObject('ClusterCertificate', {
    metadata: METADATA,
    spec: { caRef: { name: 'mesh' }, ...spec },
  });
  if (!parsed.ok) throw new Error(parsed.problems.join('; '));
  return parsed.object;
};
const bringing = (...names: readonly string[]) =>
  certificateOf({ provided: names.map((name) => ({ secretRef: { name } })) });

let secrets: Map<string, { version: number; data: Record<string, string>; labels?: Record<string, string> }>;
let reads: string[];
let told: string[];
let provided: ProvidedLeaves;
beforeEach(() => {
  secrets = new Map();
  reads = [];
  told = [];
  const get = <T = KubeObject>(_: Resource, { namespace, name }: ObjectRef): Promise<T> => {
    reads.push(name);
    const found = secrets.get(name);
    if (found === undefined) return Promise.reject(new ApiError('get Secret', 404, 'NotFound', 'not found', null));
    const data = Object.entries(found.data).map(([key, text]): [string, string] => [
      key,
      Buffer.from(text).toString('base64'),
    ]);
    const metadata = {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid: name,
      resourceVersion: String(found.version),
      labels: found.labels,
    };
    const secret: KubeObject = { metadata, data: Object.fromEntries(data) };
    return Promise.resolve(secret as T);
  };
  const version = (secret: string): string | null => {
    const name = secret.slice(secret.indexOf('/') + 1);
    const found = secrets.get(name);
    return found === undefined ? null : `${name}/${found.version}`;
  };
  provided = new ProvidedLeaves({ get }, { version }, (ca) => told.push(ca));
});

function put(name: string, { certificate: { pem }, key }: Leaf, labels: Record<string, string> = {}): void {
  const version = (secrets.get(name)?.version ?? 0) + 1;
  secrets.set(name, { version, labels, data: { 'tls.crt': pem, 'tls.key': encodePrivateKey(key, 'PKCS8') } });
}

const mesh = (() => {
  const parsed = parseObject('ReplicationCA', { metadata: { ...METADATA, name: 'mesh' }, spec: {} });
  if (!parsed.ok) throw new Error(parsed.problems.join('; '));
  return parsed.object;
})();
const judge = (certificate = bringing('a', 'b'), now = NOW) =>
  provided.judge(certificate, leafDemands(certificate, mesh), now, signal);

describe('a Secret is read', () => {
  test('once for each of its versions; whoever decides is told of what is new, and of nothing else', async () => {
    put('a', await leafOf(one));
    const [first] = (await judge()) ?? [];
    expect(first).toMatchObject({ secret: 'a', refusal: null, missing: false });
    expect(reads).toEqual(['a', 'b']);
    expect(told).toEqual(['storage/mesh']);
    await judge();
    expect(reads).toEqual(['a', 'b']);
    put('a', await leafOf(one, { serial: serialOf('another') }));
    const [second] = (await judge()) ?? [];
    expect(second?.leaves?.[0]?.certificate.fingerprint).not.toBe(first?.leaves?.[0]?.certificate.fingerprint);
    expect(reads).toEqual(['a', 'b', 'a']);
    secrets.set('a', { ...(secrets.get('a') ?? { data: {} }), version: 9 });
    await judge();
    expect(reads, 'written, with the same in it').toEqual(['a', 'b', 'a', 'a']);
    expect(told).toEqual(['storage/mesh', 'storage/mesh']);
    expect(provided.of(MEMBER)).toMatchObject([{ secret: 'a' }, { secret: 'b', missing: true }]);
  });

  test('again when the spec demands something else, and when its time has come or is over', async () => {
    put('a', await leafOf(one, { notBefore: NOW + 1_000, notAfter: NOW + DAY }));
    const refusal = async (now: number, certificate = bringing('a')) => (await judge(certificate, now))?.[0]?.refusal;
    expect(await refusal(NOW)).toMatch(
      /^Secret storage\/a: "CN=member" is not valid before .*; wait, or correct the clock\.$/,
    );
    expect(await refusal(NOW + 999)).toMatch(/is not valid before/);
    expect(reads).toEqual(['a']);
    expect(await refusal(NOW + 1_000)).toBeNull();
    expect(await refusal(NOW + DAY - 1)).toBeNull();
    expect(reads).toEqual(['a', 'a']);
    expect(await refusal(NOW + DAY)).toMatch(/expired at/);
    const named = certificateOf({ provided: [{ secretRef: { name: 'a' } }], dnsNames: ['else.example'] });
    expect(await refusal(NOW + 1_000, named)).toMatch(/lacks the DNS name else\.example/);
  });

  test('never when none is named any more: what was known is forgotten', async () => {
    put('a', await leafOf(one));
    await judge();
    expect(await judge(certificateOf({}))).toBeNull();
    expect(provided.of(MEMBER)).toBeNull();
  });
});

test('nothing is judged while it cannot be said what is asked for, and what was known counts no more', async () => {
  put('a', await leafOf(one));
  await judge();
  expect(await provided.judge(bringing('a'), null, NOW, signal)).toBeNull();
  expect(provided.of(MEMBER)).toBeNull();
});

describe('it is refused', () => {
  test.each<readonly [string, Record<string, string> | null, RegExp]>([
    [
      'when there is none',
      null,
      /^Secret storage\/a: it does not exist; create it: kubectl -n storage create secret tls a /,
    ],
    [
      'without a key',
      { 'tls.crt': 'x' },
      /^Secret storage\/a: it has no key tls\.key; put the leaf and its key there\.$/,
    ],
    ['with other keys', { cert: 'x' }, /it has no key tls\.crt/],
    [
      'that is no PEM',
      { 'tls.crt': 'x', 'tls.key': 'y' },
      /not valid PEM: there is no BEGIN line; both must be PEM, the leaf alone under tls\.crt/,
    ],
  ])('%s', async (_, data, message) => {
    if (data !== null) secrets.set('a', { version: 1, data });
    const [found] = (await judge(bringing('a'))) ?? [];
    expect(found).toMatchObject({ leaves: null, missing: data === null });
    expect(found?.refusal).toMatch(message);
  });

  test('that is kept by us: one member would be given the key of another', async () => {
    put('a', await leafOf(one), { 'app.kubernetes.io/managed-by': 'replicert' });
    expect((await judge(bringing('a')))?.[0]?.refusal).toMatch(
      /it is kept by Replicert itself; bring the leaf in a Secret/,
    );
  });
});

describe('a member that has two leaves', () => {
  const NAMES = ['*.node.dc1.consul', '*.service.dc1.consul'];
  const database = (...names: readonly string[]) =>
    certificateOf({
      profile: 'a9s',
      a9s: { service: 'MariaDB', consulDomain: 'consul' },
      provided: names.map((name) => ({ secretRef: { name } })),
    });
  const pairOf = async (client: SigningAuthority, server = client) => {
    const made = async (signer: SigningAuthority, seed: string) => {
      const key = await generatePrivateKey({ algorithm: 'RSA', size: 2048 });
      return leafOf(signer, {
        key,
        subject: { commonName: '*.node.dc1.consul' },
        dnsNames: NAMES,
        serial: serialOf(seed),
      });
    };
    return { client: await made(client, 'client'), server: await made(server, 'server') };
  };
  const filesOf = ({ certificate: { pem }, key }: Leaf, name: string): Record<string, string> => ({
    [`${name}.crt`]: pem,
    [`${name}.key`]: encodePrivateKey(key, 'PKCS8'),
  });
  const store = (name: string, data: Record<string, string>): void => {
    secrets.set(name, { version: (secrets.get(name)?.version ?? 0) + 1, data });
  };
  const refusal = async (): Promise<string | null | undefined> => (await judge(database('a')))?.[0]?.refusal;

  test('has both in one Secret, under the keys that they have in its own', async () => {
    expect(await refusal()).toMatch(
      /create secret generic a --from-file=tls\.crt --from-file=tls\.key --from-file=server\.crt --from-file=server\.key\.$/,
    );
    const { client, server } = await pairOf(one);
    store('a', filesOf(client, 'tls'));
    expect(await refusal()).toBe(
      'Secret storage/a: server.crt: it has no key server.crt; put the leaf and its key there.',
    );
    store('a', { ...filesOf(client, 'tls'), ...filesOf(server, 'server') });
    expect(await refusal()).toBeNull();
    const chosen = candidateFor((await judge(database('a'))) ?? [], one.certificate);
    expect(chosen?.leaves.map(({ name, certificate }) => [name, certificate.fingerprint])).toEqual([
      ['client', client.certificate.fingerprint],
      ['server', server.certificate.fingerprint],
    ]);
    if (chosen === null) throw new Error('there is one');
    const taken = await provided.take(database('a'), chosen, NOW, signal);
    expect(taken.map(({ key }) => encodePrivateKey(key, 'PKCS8'))).toEqual(
      [client, server].map(({ key }) => encodePrivateKey(key, 'PKCS8')),
    );
    store('a', { ...filesOf(client, 'tls'), ...filesOf((await pairOf(one)).server, 'server') });
    await expect(provided.take(database('a'), chosen, NOW, signal)).rejects.toThrow('has just changed');
  });

  test('is given neither when one of them is refused, or the two are one', async () => {
    const { client, server } = await pairOf(one);
    store('a', { ...filesOf(client, 'tls'), ...filesOf(client, 'server') });
    expect(await refusal()).toBe(
      'Secret storage/a: tls.crt and server.crt hold the same certificate, but these must be different ones; have another issued.',
    );
    store('a', { ...filesOf(client, 'tls'), ...filesOf(server, 'server'), 'server.key': 'x' });
    expect(await refusal()).toMatch(/^Secret storage\/a: server\.crt: .*its key alone under server\.key\.$/);
    const brief = await leafOf(one, {
      key: server.key,
      subject: { commonName: '*.node.dc1.consul' },
      dnsNames: NAMES,
      notAfter: NOW + DAY,
    });
    store('a', { ...filesOf(client, 'tls'), ...filesOf(brief, 'server') });
    expect(await judge(database('a'))).toMatchObject([{ refusal: null, until: NOW + DAY }]);
    const [expired] = (await judge(database('a'), NOW + DAY)) ?? [];
    expect(expired?.leaves).toBeNull();
    expect(expired?.refusal).toMatch(/expired/);
  });

  test('has both of one generation', async () => {
    const { client, server } = await pairOf(one, two);
    store('a', { ...filesOf(client, 'tls'), ...filesOf(server, 'server') });
    const brought = (await judge(database('a'))) ?? [];
    for (const { certificate } of [one, two]) expect(candidateFor(brought, certificate)).toBeNull();
    const generations = new Map([
      [1, one.certificate],
      [2, two.certificate],
    ]);
    expect(lackOf(MEMBER, brought, 1, generations)).toMatch(
      /The leaf in Secret storage\/a \(server\.crt\) is of G2\. Have one issued by "CN=One"/,
    );
  });
});

describe('of what is brought', () => {
  test('the newest of a generation is delivered, by its signature, and not one that says that it outlives its CA', async () => {
    put('a', await leafOf(one, { notBefore: NOW - 2_000 }));
    put('b', await leafOf(one, { notBefore: NOW - 1_000, serial: serialOf('b') }));
    put('c', await leafOf(two));
    const brought = (await judge(bringing('a', 'b', 'c', 'd'))) ?? [];
    expect(candidateFor(brought, one.certificate)?.secret).toBe('b');
    expect(candidateFor(brought, two.certificate)?.secret).toBe('c');
    expect(candidateFor(brought, (await authority('Three')).certificate)).toBeNull();

    const brief: SigningAuthority = await authority('One', undefined, { key: one.key, notAfter: NOW + DAY });
    expect(candidateFor(brought, brief.certificate)).toBeNull();
    const generations = new Map([
      [1, brief.certificate],
      [2, two.certificate],
    ]);
    expect(lackOf(MEMBER, brought, 1, generations)).toMatch(
      /^ClusterCertificate storage\/east brings no leaf of generation 1 that could be delivered\. Secret storage\/a: "CN=member" says that it is valid until .*; have one issued that ends no later\. Secret storage\/b: .* Secret storage\/d: it does not exist; .* The leaf in Secret storage\/c is of G2\. Have one issued by "CN=One", put it into a Secret, and name that in spec\.provided\.$/,
    );
  });

  test('what was chosen is read once more: it is not delivered when something else lies there', async () => {
    const leaf = await leafOf(one);
    put('a', leaf);
    const chosen = candidateFor((await judge(bringing('a'))) ?? [], one.certificate);
    if (chosen === null) throw new Error('there is one');
    const take = (now = NOW) => provided.take(bringing('a'), chosen, now, signal);
    expect((await take()).map(({ key }) => encodePrivateKey(key, 'PKCS8'))).toEqual([
      encodePrivateKey(leaf.key, 'PKCS8'),
    ]);
    await expect(take(NOW + 40 * DAY)).rejects.toThrow(/has just changed/);
    put('a', await leafOf(one, { serial: serialOf('another') }));
    await expect(take()).rejects.toThrow('Secret storage/a has just changed');
    secrets.delete('a');
    await expect(take()).rejects.toThrow('Secret storage/a has just changed');
  });
});

test('after a start nothing is told to be missing before somebody has looked', async () => {
  put('a', await leafOf(one));
  const generations = new Map([[1, one.certificate]]);
  const obstacle = (certificate = bringing('a')) =>
    obstacleOf(certificate, provided.of(MEMBER), 1, generations)?.reason ?? null;
  expect(obstacle()).toBe('WaitingForSecret');
  expect(obstacle(certificateOf({})), 'there is nothing to look at').toBe('LeafUnavailable');
  await judge(bringing('a'));
  expect(obstacle()).toBeNull();
  secrets.delete('a');
  await judge(bringing('a'));
  expect(obstacle()).toBe('LeafUnavailable');
});

test('a leaf is to be brought of what was imported, by who brings any, and of what has no key, by everybody', () => {
  const record = { secretName: 's', fingerprint: 'f', secretUid: 'u', passphraseRef: null };
  const [minted, imported, keyless] = [
    { ...record, imported: false, withoutKey: false },
    { ...record, imported: true, withoutKey: false },
    { ...record, imported: true, withoutKey: true },
  ];
  expect([minted, imported, keyless].map((each) => isBrought(bringing('a'), each))).toEqual([false, true, true]);
  expect([minted, imported, keyless].map((each) => isBrought(certificateOf({}), each))).toEqual([false, false, true]);
});
