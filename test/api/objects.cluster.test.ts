import { afterAll, beforeAll, expect, test } from 'vitest';
import { API_VERSION, type Kind } from '../../src/api/names.ts';
import { DEFINITIONS } from '../../src/api/objects.ts';
import { loadClient } from '../../src/runtime/http-client.ts';
import { testCluster } from '../support/cluster.ts';
import { objection, ROWS } from './objects.ts';
import type { Row } from './objects/row.ts';

const cluster = testCluster();
const client = loadClient({ kubeconfig: cluster.kubeconfig });
let namespace = '';
beforeAll(async () => {
  namespace = await cluster.namespace('schema');
});
afterAll(() => client.close());

/** What the API server has against a row: its message, or null. */
async function refusal({ kind, name, spec, before }: Row, index: number): Promise<string | null> {
  const { resource } = DEFINITIONS[kind];
  const metadata = { name: name ?? `row-${index}`, namespace };
  const object = { apiVersion: API_VERSION, kind, metadata };
  if (before === undefined) return message(client.create(resource, { ...object, spec }));
  const { metadata: created } = await client.create(resource, { ...object, spec: before });
  return message(client.update(resource, { ...object, metadata: created, spec }));
}

async function message(request: Promise<unknown>): Promise<string | null> {
  return request.then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

test.concurrent.each(ROWS.map((row, index): [string, string, Row, number] => [row.kind, row.what, row, index]))(
  '%s, %s',
  async (_kind, _what, row, index) => {
    const said = await refusal(row, index);
    expect(objection(row, said, ({ says, server = says }) => server)).toBeNull();
  },
);

const condition = {
  type: 'Ready',
  status: 'True',
  reason: 'Issued',
  message: '',
  lastTransitionTime: '2026-10-05T00:00:00Z',
};

/** A good status, and ways to spoil it, by the field that is wrong then. */
const STATUSES: readonly [Kind, object, object, Readonly<Record<string, object>>][] = [
  [
    'ClusterCertificate',
    { caRef: { name: 'vast' } },
    { conditions: [condition], bundleSha256: 'a'.repeat(64), secretName: 'vast1' },
    {
      'status.conditions[0].reason': { conditions: [{ ...condition, reason: 'not a word' }] },
      'status.conditions[0].lastTransitionTime': {
        conditions: [{ ...condition, lastTransitionTime: '2026-02-30T00:00:00Z' }],
      },
      'status.bundleSha256': { bundleSha256: 'A'.repeat(64) },
      'status.secretName': { secretName: '-' },
    },
  ],
];

test.concurrent.each(STATUSES)('the status of %s is held to its patterns', async (kind, spec, good, spoilt) => {
  const { resource, status } = DEFINITIONS[kind];
  const name = `status-of-${kind.toLowerCase()}`;
  await client.create(resource, { apiVersion: API_VERSION, kind, metadata: { name, namespace }, spec });
  const write = (body: object): Promise<string | null> =>
    message(
      client.patch(resource, { namespace, name }, { type: 'merge', body: { status: body } }, { subresource: 'status' }),
    );
  expect(status.safeParse(good)).toMatchObject({ success: true });
  expect(await write(good)).toBeNull();
  for (const [field, change] of Object.entries(spoilt)) {
    expect(status.safeParse({ ...good, ...change })).toMatchObject({ success: false });
    expect(await write(change)).toContain(field);
  }
});
