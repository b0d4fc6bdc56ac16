/** What people see of the kinds through kubectl and kustomize. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { testCluster } from '../support/cluster.ts';

const cluster = testCluster();
let namespace = '';
const kubectl = async (args: readonly string[], input?: string): Promise<string> => {
  const { code, stdout, stderr } = await cluster.kubectl(args, input === undefined ? {} : { input });
  return code === 0 ? stdout : `exit ${code}: ${stderr}`;
};
const objects = () => [
  { kind: 'ReplicationCA', metadata: { name: 'vast' }, spec: {} },
  { kind: 'ClusterCertificate', metadata: { name: 'vast1' }, spec: { caRef: { name: 'vast' } } },
  { kind: 'ClusterCertificate', metadata: { name: 'alice' }, spec: { caRef: { name: 'drbd', namespace: 'other' } } },
  {
    kind: 'ReplicationPeer',
    metadata: { name: 'vast' },
    spec: { members: [{ name: 'vast1', endpoints: [{ host: '172.31.1.1', port: 49_002 }] }] },
  },
];
const condition = (type: string, status: string) => ({
  type,
  status,
  reason: 'Because',
  message: 'so it is',
  lastTransitionTime: '2026-10-05T00:00:00Z',
  observedGeneration: 1,
});

beforeAll(async () => {
  namespace = await cluster.namespace('kubectl');
  await cluster.apply(
    ...objects().map(({ metadata, ...rest }) => ({
      apiVersion: 'replicert.io/v1alpha1',
      metadata: { ...metadata, namespace },
      ...rest,
    })),
  );
});

/** The cells of `kubectl get`, row by row. */
async function table(...args: string[]): Promise<string[][]> {
  const text = await kubectl(['get', '-n', namespace, ...args]);
  return text
    .trim()
    .split('\n')
    .map((line) => line.split(/\s{2,}/).filter((cell) => cell !== ''));
}

async function setStatus(kind: string, name: string, status: object): Promise<void> {
  const patch = JSON.stringify({ status });
  const said = await kubectl([
    'patch',
    '-n',
    namespace,
    kind,
    name,
    '--subresource=status',
    '--type=merge',
    '-p',
    patch,
  ]);
  expect(said).toContain('patched');
}

describe('kubectl get', () => {
  test('shows a rotation at a glance', async () => {
    await setStatus('rca', 'vast', {
      phase: 'Rolling',
      signer: 2,
      signerName: 'G2',
      progress: '1/3',
      blockedBy: 'vast2/Unreachable',
      expires: '2036-10-02',
    });
    expect(await table('rca')).toEqual([
      ['NAME', 'PHASE', 'SIGNER', 'PROGRESS', 'WAITING-FOR', 'EXPIRES', 'AGE'],
      ['vast', 'Rolling', 'G2', '1/3', 'vast2/Unreachable', '2036-10-02', expect.any(String)],
    ]);
  });

  test('shows what a certificate is and whether it was delivered', async () => {
    const conditions = [condition('Ready', 'True'), condition('Delivered', 'Unknown')];
    await setStatus('ccert', 'vast1', { conditions, issuer: 'G2', expires: '2029-10-04' });
    expect(await table('ccert', 'vast1')).toEqual([
      ['NAME', 'READY', 'CA', 'ISSUER', 'DELIVERED', 'EXPIRES', 'AGE'],
      ['vast1', 'True', 'vast', 'G2', 'Unknown', '2029-10-04', expect.any(String)],
    ]);
  });

  test('shows which edges are seen to work', async () => {
    const edges = { total: 6, verified: 4, summary: '4/6', failingTotal: 2 };
    await setStatus('rpeer', 'vast', {
      conditions: [condition('Verified', 'False')],
      edges,
      blockedBy: 'vast2/NotTrusted',
    });
    expect(await table('rpeer')).toEqual([
      ['NAME', 'VERIFIED', 'EDGES', 'BLOCKED-BY', 'AGE'],
      ['vast', 'False', '4/6', 'vast2/NotTrusted', expect.any(String)],
    ]);
  });

  test('shows of what nobody has looked at yet that it waits for the operator', async () => {
    const { status } = JSON.parse(await kubectl(['get', '-n', namespace, 'ccert', 'alice', '-o', 'json'])) as {
      status: object;
    };
    expect(status).toEqual({
      observedGeneration: 0,
      conditions: [
        {
          type: 'Ready',
          status: 'Unknown',
          reason: 'Pending',
          message: 'Waiting for the operator.',
          lastTransitionTime: '1970-01-01T00:00:00Z',
        },
      ],
    });
  });

  test('finds all kinds under one word', async () => {
    const names = (await kubectl(['get', 'replicert', '-n', namespace, '-o', 'name'])).trim().split('\n').sort();
    expect(names).toEqual([
      'clustercertificate.replicert.io/alice',
      'clustercertificate.replicert.io/vast1',
      'replicationca.replicert.io/vast',
      'replicationpeer.replicert.io/vast',
    ]);
  });

  test('selects certificates by their CA', async () => {
    const byCa = async (selector: string) =>
      (await kubectl(['get', 'ccert', '-n', namespace, '-o', 'name', '--field-selector', selector])).trim();
    expect(await byCa('spec.caRef.name=vast')).toBe('clustercertificate.replicert.io/vast1');
    expect(await byCa('spec.caRef.name=drbd,spec.caRef.namespace=other')).toBe('clustercertificate.replicert.io/alice');
  });
});

describe('kubectl explain', () => {
  test.each([
    ['rca.spec.rotation.maxConcurrent', 'Default: 1. Example: 10%'],
    ['ccert.spec.privateKey.size', 'Default: 3072 for RSA, 256 for ECDSA'],
    ['rpeer.spec.members.endpoints.host', 'every address of a name is probed. Required. Example: 172.31.1.1'],
    ['rpeer.status.members.trusts.listening', 'Generations whose leaves it accepts'],
  ])('%s', async (field, words) => {
    expect((await kubectl(['explain', field])).replaceAll(/\s+/g, ' ')).toContain(words);
  });
});

describe('the API server', () => {
  const manifest = (spec: object) =>
    JSON.stringify({
      apiVersion: 'replicert.io/v1alpha1',
      kind: 'ReplicationCA',
      metadata: { name: 'other', namespace },
      spec,
    });
  const dryRun = ['create', '--dry-run=server', '-o', 'json', '-f', '-'];

  test('refuses a field that it does not know where the client asks for that', async () => {
    const said = await kubectl([...dryRun, '--validate=strict'], manifest({ paused: true }));
    expect(said).toContain('unknown field "spec.paused"');
  });

  test('leaves absent what is absent, and leaves out null and what it does not know', async () => {
    const said = await kubectl(
      [...dryRun, '--validate=ignore'],
      manifest({ paused: true, commonName: null, rotation: { maxConcurrent: 2 } }),
    );
    expect(JSON.parse(said)).toMatchObject({ spec: { rotation: { maxConcurrent: 2 } } });
    expect(said).not.toMatch(/paused|commonName/);
  });

  test('merges members of a peer by name when two appliers share it', async () => {
    const applied = (host: string) =>
      JSON.stringify({
        apiVersion: 'replicert.io/v1alpha1',
        kind: 'ReplicationPeer',
        metadata: { name: 'shared', namespace },
        spec: { members: [{ name: host, endpoints: [{ host, port: 1 }] }] },
      });
    const apply = ['apply', '--server-side', '-f', '-'];
    await kubectl([...apply, '--field-manager=one'], applied('a'));
    await kubectl([...apply, '--field-manager=two'], applied('b'));
    const names = await kubectl(['get', 'rpeer', 'shared', '-n', namespace, '-o', 'jsonpath={.spec.members[*].name}']);
    expect(names.split(' ').sort()).toEqual(['a', 'b']);
  });
});

test('kustomize merges members by name and follows changed names', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'replicert-kustomize-'));
  try {
    for (const file of ['schema.json', 'name-references.yaml']) {
      await copyFile(join(import.meta.dirname, '../../deploy/kustomize', file), join(dir, file));
    }
    const object = (kind: string, name: string, spec: object) => ({
      apiVersion: 'replicert.io/v1alpha1',
      kind,
      metadata: { name },
      spec,
    });
    const member = (name: string, host: string) => ({ name, certificateRef: { name }, endpoints: [{ host, port: 1 }] });
    const base = [
      object('ReplicationCA', 'vast', {
        passphraseSecretRef: { name: 'pass' },
        imported: [{ generation: 1, secretRef: { name: 'corp' }, passphraseSecretRef: { name: 'pass' } }],
        allowedNamespaces: ['a'],
      }),
      object('ClusterCertificate', 'vast1', { caRef: { name: 'vast' } }),
      object('ReplicationPeer', 'vast', { members: [member('vast1', 'a'), member('vast2', 'b')] }),
    ];
    await writeFile(join(dir, 'mesh.yaml'), base.map((each) => JSON.stringify(each)).join('\n---\n'));
    const patches = [
      object('ReplicationPeer', 'vast', { members: [{ name: 'vast1', endpoints: [{ host: 'c', port: 2 }] }] }),
      object('ReplicationCA', 'vast', {
        allowedNamespaces: ['b'],
        imported: [{ generation: 2, secretRef: { name: 'outside' } }],
      }),
    ];
    const kustomization = {
      resources: ['mesh.yaml'],
      namePrefix: 'eu-',
      openapi: { path: 'schema.json' },
      configurations: ['name-references.yaml'],
      secretGenerator: [
        { name: 'pass', literals: ['passphrase=test'] },
        { name: 'corp', literals: ['tls.crt=test'] },
      ],
      patches: patches.map((patch) => ({ patch: JSON.stringify(patch) })),
    };
    await writeFile(join(dir, 'kustomization.yaml'), JSON.stringify(kustomization));
    const documents = parseAllDocuments(await kubectl(['kustomize', dir]));
    const built = documents.map((document) => document.toJS() as unknown);
    const withHash: unknown = expect.stringMatching(/^eu-pass-[a-z0-9]+$/);
    const corp: unknown = expect.stringMatching(/^eu-corp-[a-z0-9]+$/);
    const entries: unknown = expect.arrayContaining([
      { generation: 1, secretRef: { name: corp }, passphraseSecretRef: { name: withHash } },
      { generation: 2, secretRef: { name: 'outside' } },
    ]);
    const both: unknown = expect.arrayContaining(['a', 'b']);
    expect(built).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          kind: 'ReplicationCA',
          spec: {
            passphraseSecretRef: { name: withHash },
            imported: entries,
            allowedNamespaces: both,
          },
        }),
        expect.objectContaining({ kind: 'ClusterCertificate', spec: { caRef: { name: 'eu-vast' } } }),
        expect.objectContaining({
          kind: 'ReplicationPeer',
          spec: {
            members: [
              { name: 'vast1', certificateRef: { name: 'eu-vast1' }, endpoints: [{ host: 'c', port: 2 }] },
              { name: 'vast2', certificateRef: { name: 'vast2' }, endpoints: [{ host: 'b', port: 1 }] },
            ],
          },
        }),
      ]),
    );
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('the folder of CRDs can be applied as a folder and as a kustomization', async () => {
  const crds = join(import.meta.dirname, '../../crds');
  const names = 'clustercertificates replicationcas replicationpeers'.split(' ').map((name) => `${name}.replicert.io`);
  for (const flag of ['-f', '-k']) {
    const said = await kubectl([
      'apply',
      '--server-side',
      '--force-conflicts',
      '--dry-run=server',
      '-o',
      'name',
      flag,
      crds,
    ]);
    expect(said.trim().split('\n').sort()).toEqual(
      names.map((name) => `customresourcedefinition.apiextensions.k8s.io/${name}`),
    );
  }
});
