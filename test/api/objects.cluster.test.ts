import { afterAll, beforeAll, expect, test } from 'vitest';
import { API_VERSION } from '../../src/api/names.ts';
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
