/** What outputs are made of, and what of them is kept. The whole life of them is in outputs.cluster.test.ts. */
import { beforeAll, describe, expect, test } from 'vitest';
import { emptyLedger } from '../../src/api/ledger.ts';
import { ANNOTATIONS, API_VERSION } from '../../src/api/names.ts';
import type { OutputSpec } from '../../src/api/outputs.ts';
import { parseObject } from '../../src/api/parse.ts';
import { Outputs } from '../../src/controllers/clustercertificate/outputs.ts';
import { leafWish, type LeafWish, type ObjectWish } from '../../src/controllers/shared/effective.ts';
import { secretFact } from '../../src/controllers/shared/facts.ts';
import { sha256 } from '../../src/controllers/shared/digest.ts';
import { Refusal } from '../../src/controllers/shared/refusal.ts';
import { keepOutput, keepSecret, NO_CLAIMS } from '../../src/controllers/shared/kept-secrets.ts';
import { memberMetadata } from '../../src/controllers/shared/manifests.ts';
import type { Material } from '../../src/outputs/output.ts';
import type { Profile } from '../../src/profiles/index.ts';
import { encodeBundle } from '../../src/pki/bundle.ts';
import { encodePrivateKey } from '../../src/pki/keys.ts';
import { ApiError, type KubeObject } from '../../src/runtime/client.ts';
import { member, SECRET } from '../outputs/support.ts';
import { P256 } from '../pki/support.ts';

let material: Material;
beforeAll(async () => {
  material = await member(P256);
});

function parsed<K extends 'ClusterCertificate' | 'ReplicationCA'>(kind: K, name: string, spec: object) {
  const metadata = { name, namespace: 'ns', uid: `uid-${name}` };
  const object = parseObject(kind, { apiVersion: API_VERSION, kind, metadata, spec });
  if (!object.ok) throw new Error(object.problems.join());
  return object.object;
}

const certificate = (spec: object = {}) => parsed('ClusterCertificate', 'a', { caRef: { name: 'mesh' }, ...spec });
const wishOf = (spec: object = {}): LeafWish => leafWish(certificate(spec), parsed('ReplicationCA', 'mesh', {}));

const STORES: KubeObject = {
  metadata: { name: 'stores', namespace: 'ns', uid: 'u', resourceVersion: '7' },
  data: { password: Buffer.from(SECRET).toString('base64'), broken: Buffer.from('a\tb').toString('base64') },
};

/** An API server with one password Secret. */
const client = {
  get: <T = KubeObject>(_: unknown, { name }: { readonly name: string }): Promise<T> =>
    name === 'stores'
      ? Promise.resolve(STORES as T)
      : Promise.reject(new ApiError('get Secret', 404, 'NotFound', 'there is none')),
};
const outputs = new Outputs(client, { version: () => null });
const make = (wish: LeafWish) => outputs.make('ns', wish, material, AbortSignal.timeout(5_000));

async function refusalOf(wish: LeafWish): Promise<string> {
  const made = make(wish);
  await expect(made).rejects.toBeInstanceOf(Refusal);
  return made.then(
    () => '',
    (error: unknown) => (error instanceof Refusal ? `${error.reason}: ${error.message}` : ''),
  );
}

test('a profile has outputs of its own, which the user cannot take the key of', async () => {
  const wish = wishOf({ outputs: [{ type: 'DER' }] });
  const profile: Profile = {
    ...wish.profile,
    outputs: ({ mesh, name, subject }) => [
      {
        key: 'tlshd.conf',
        encode: ({ chain: [leaf] }) => Buffer.from(`# ${mesh} ${name} ${subject.commonName} ${leaf.fingerprint}\n`),
      },
    ],
  };
  const { secret } = await make({ ...wish, profile });
  expect([...secret.keys()]).toEqual(['tlshd.conf', 'key.der']);
  expect(Buffer.from(secret.get('tlshd.conf') ?? '', 'base64').toString()).toBe(
    `# ns/mesh a a ${material.chain[0].fingerprint}\n`,
  );
  const taken = { ...wishOf({ outputs: [{ type: 'DER', key: 'tlshd.conf' }] }), profile };
  expect(await refusalOf(taken)).toMatch(
    /^InvalidSpec: Key tlshd\.conf .* profile generic writes itself\. Set another key/,
  );
});

describe('a password', () => {
  const store = (passwordSecretRef: object) => wishOf({ outputs: [{ type: 'PKCS12KeyStore', passwordSecretRef }] });
  test('is read from the Secret and the key that are named, and its version is told', async () => {
    const { secret, passwords } = await make(store({ name: 'stores' }));
    expect([...secret.keys()]).toEqual(['keystore.p12']);
    expect([...passwords]).toEqual([['stores', 'u/7']]);
  });

  test.each([
    [{ name: 'none' }, /^PasswordUnavailable: Secret ns\/none with the password .* --from-file=password=\.\.\.$/],
    [{ name: 'stores', key: 'jks' }, /^PasswordUnavailable: Secret ns\/stores has no key jks, /],
    [
      { name: 'stores', key: 'broken' },
      /^PasswordUnavailable: Secret ns\/stores has no usable password under key broken: /,
    ],
    [{ name: 'stores', key: 'constructor' }, /^PasswordUnavailable: Secret ns\/stores has no key constructor, /],
  ])('%j is refused with the next step, and not repeated', async (ref, said) => {
    expect(await refusalOf(store(ref))).toMatch(said);
  });
});

test('between two stores everybody else has a turn, and whoever asks for many is told to stop in between', async () => {
  const store = (n: number) => ({
    type: 'PKCS12KeyStore',
    key: `${n}.p12`,
    alias: `a${n}`,
    passwordSecretRef: { name: 'stores' },
  });
  const many = wishOf({ outputs: Array.from({ length: 16 }, (_, n) => store(n)) });
  let turns = 0;
  let made = false;
  const turn = (): void => {
    turns += 1;
    if (!made) setImmediate(turn);
  };
  turn();
  const all = await Promise.all([make(many), make(many)]);
  made = true;
  expect(all.map(({ secret }) => secret.size)).toEqual([16, 16]);
  expect(turns).toBeGreaterThan(32);

  const stop = new AbortController();
  const stopped = outputs.make('ns', many, material, stop.signal);
  setImmediate(() => setImmediate(() => stop.abort(new Error('enough'))));
  await expect(stopped).rejects.toThrow('enough');
});

test('a ConfigMap gets no key, whatever a spec says that the API server has not checked', async () => {
  const specs: readonly OutputSpec[] = [{ type: 'CombinedPEM' }, { type: 'DER' }, { type: 'PKCS8' }, { type: 'SEC1' }];
  for (const spec of specs) {
    const object: ObjectWish = { kind: 'ConfigMap', name: 'x', labels: {}, annotations: {}, outputs: [spec] };
    expect(await refusalOf({ ...wishOf(), objects: [object] })).toMatch(/^InvalidSpec: .* holds a private key/);
  }
});

/** The Secret of a, as it is stored. */
function stored(data: Record<string, string>, listed = Object.keys(data).join(',')): KubeObject {
  const { labels, annotations } = memberMetadata({ namespace: 'ns', name: 'mesh' }, 'a', 'uid-a', 'Retain', 7);
  const pem = {
    'tls.crt': material.chain[0].pem,
    'tls.key': encodePrivateKey(material.key, 'PKCS8'),
    'ca.crt': encodeBundle(material.bundle),
  };
  const files = Object.entries(pem).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  return {
    metadata: {
      name: 'a',
      namespace: 'ns',
      uid: 's',
      resourceVersion: '1',
      labels,
      annotations: { ...annotations, ...(listed === '' ? {} : { [ANNOTATIONS.outputs]: listed }) },
    },
    type: 'kubernetes.io/tls',
    data: { ...Object.fromEntries(files), ...data },
  };
}

const claims = (spec: object = {}) => ({ certificate: () => certificate(spec), hasCa: () => true });

function keptOf(raw: KubeObject) {
  const kept = keepSecret(raw, claims());
  if (kept.kind !== 'member' || 'problem' in kept.content) throw new Error('it was not read');
  return { ...kept, revision: kept.content.revision };
}

describe('of outputs in a Secret', () => {
  test('digests are kept, and another content is another revision', () => {
    const [bare, one, other] = [stored({}), stored({ 'key.der': 'AAAA' }), stored({ 'key.der': 'BBBB' })].map(keptOf);
    expect([...(one?.outputs ?? [])]).toEqual([['key.der', sha256('AAAA')]]);
    expect(new Set([bare, one, other].map((each) => each?.revision)).size).toBe(3);
    expect(keptOf(stored({ 'key.der': 'AAAA' })).revision).toBe(one?.revision);
    // What nobody has listed is somebody's else, and is left alone.
    expect(keptOf(stored({ theirs: 'AAAA' }, '')).revision).toBe(bare?.revision);
  });

  test('one that is gone is seen to be gone', () => {
    expect([...keptOf(stored({}, 'key.der')).outputs]).toEqual([['key.der', '']]);
  });

  test('no more is kept than can be ours, whatever the list says', () => {
    const many = Array.from({ length: 100_000 }, (_, n) => `k${n}`).join(',');
    expect(keptOf(stored({}, many)).outputs.size).toBeLessThanOrEqual(64);
    expect(keptOf(stored({}, `${'k'.repeat(64)},a/b,,ok`)).outputs).toEqual(new Map([['ok', '']]));
    expect(JSON.stringify([...keptOf(stored({}, 'x'.repeat(200_000))).outputs]).length).toBeLessThan(10);
  });

  test('key, leaf and bundle are none, for what is not asked for is deleted', () => {
    expect([...keptOf(stored({}, 'tls.key,tls.crt,ca.crt,key.der')).outputs.keys()]).toEqual(['key.der']);
  });
});

test('of a further object that nobody asks for, only its place is kept', () => {
  const outputObjects = [{ kind: 'ConfigMap', name: 'a', outputs: [{ type: 'Bundle' }] }];
  const raw = { ...stored({}, 'ca.crt'), data: { 'ca.crt': 'text' }, binaryData: {} };
  const asked = keepOutput('ConfigMap', raw, claims({ outputObjects }));
  expect([...asked.outputs]).toEqual([['ca.crt', sha256(Buffer.from('text').toString('base64'))]]);
  for (const kept of [keepOutput('ConfigMap', raw, NO_CLAIMS), keepOutput('Secret', raw, claims({ outputObjects }))]) {
    expect(kept).toMatchObject({ certificate: 'ns/a', epoch: 7, labels: {} });
    expect(kept.outputs.size).toBe(0);
  }
});

test('a change counts as written when every further object has it', () => {
  const kept = keptOf(stored({}));
  const ledger = emptyLedger('2026-01-01T00:00:00Z');
  const outputObjects = [{ kind: 'Secret', name: 'a', outputs: [{ type: 'Bundle' }] }];
  const object = keepOutput('Secret', stored({}), claims({ outputObjects }));
  const epochWith = (...objects: Parameters<typeof secretFact>[1]) =>
    secretFact(kept, objects, ledger, new Map())?.epoch;
  expect(epochWith()).toBe(7);
  expect(epochWith(object, { ...object, epoch: 9 })).toBe(7);
  expect(epochWith(object, { ...object, epoch: 6 })).toBe(6);
  expect(epochWith(object, null)).toBe(0);
});
