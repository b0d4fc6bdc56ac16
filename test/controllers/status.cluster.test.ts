import { afterAll, beforeAll, expect, test } from 'vitest';
import { API_VERSION, CLUSTER_CERTIFICATE } from '../../src/api/names.ts';
import { keepObject } from '../../src/controllers/shared/kept.ts';
import { writeStatus } from '../../src/controllers/shared/status.ts';
import { isConflict, type KubeObject, type ObjectMeta } from '../../src/runtime/client.ts';
import { loadClient } from '../../src/runtime/http-client.ts';
import { testCluster } from '../support/cluster.ts';

const cluster = testCluster();
const client = loadClient({ kubeconfig: cluster.kubeconfig, userAgent: 'operator' });
const keep = keepObject('ClusterCertificate');
let namespace = '';
beforeAll(async () => {
  namespace = await cluster.namespace('status');
});
afterAll(() => client.close());

/** Written by `gitops` with server-side apply, so that what it owns is looked after. */
function apply(name: string, spec: object): Promise<KubeObject> {
  const metadata = { name, labels: { team: 'storage' }, annotations: { note: 'ours' } };
  const body = { apiVersion: API_VERSION, kind: CLUSTER_CERTIFICATE.kind, metadata, spec };
  return client.patch(CLUSTER_CERTIFICATE, { namespace, name }, { type: 'apply', body, fieldManager: 'gitops' });
}

/** Writes a status on top of what was read. */
const write = (raw: KubeObject, status: object): Promise<boolean> => {
  const kept = keep(raw, undefined);
  const view = { remember: (answer: KubeObject) => keep(answer, kept) };
  return writeStatus(client, CLUSTER_CERTIFICATE, view, kept, status, new AbortController().signal);
};

const read = (name: string): Promise<KubeObject> => client.get(CLUSTER_CERTIFICATE, { namespace, name });

/** What a status is not to touch. */
function besides(object: KubeObject): object {
  const { metadata, status: _status, ...rest } = object;
  const { resourceVersion: _version, ...others } = metadata;
  const managers: unknown = others['managedFields'];
  const fields = Array.isArray(managers)
    ? managers.filter((each: { subresource?: string }) => each.subresource === undefined)
    : [];
  return { ...rest, metadata: { ...others, managedFields: fields } satisfies ObjectMeta };
}

test('a status is written alone: nothing else of the object changes, nor who owns it', async () => {
  const before = await apply('alone', { caRef: { name: 'mesh' }, dnsNames: ['a.example.com'] });
  expect(await write(before, { observedGeneration: 1, issuer: 'G1' })).toBe(true);
  const after = await read('alone');
  expect(after['status']).toMatchObject({ observedGeneration: 1, issuer: 'G1' });
  expect(besides(after)).toEqual(besides(before));
  // Whoever applies the same again changes nothing, and takes nothing of the status.
  expect(await apply('alone', { caRef: { name: 'mesh' }, dnsNames: ['a.example.com'] })).toEqual(after);
});

test('the same status is not written again', async () => {
  const before = await apply('same', { caRef: { name: 'mesh' } });
  await write(before, { issuer: 'G1' });
  const after = await read('same');
  expect(await write(after, { issuer: 'G1' })).toBe(false);
  expect(await read('same')).toEqual(after);
});

test('a status that answers to what is not there any more is a Conflict', async () => {
  const before = await apply('outrun', { caRef: { name: 'mesh' } });
  await apply('outrun', { caRef: { name: 'mesh' }, dnsNames: ['b.example.com'] });
  await expect(write(before, { observedGeneration: 1 })).rejects.toSatisfy(isConflict);
});
