import { expect, test } from 'vitest';
import { acknowledgersOf } from '../../src/controllers/shared/managers.ts';

const entry = (manager: string, time: string, members: Readonly<Record<string, object>>) => ({
  manager,
  operation: 'Apply',
  time,
  fieldsV1: { 'f:spec': { 'f:members': members } },
});
const peer = (...managedFields: readonly unknown[]) => ({ metadata: { name: 'mesh', managedFields } });
const ACKNOWLEDGED = { 'f:acknowledged': { 'f:by': {} }, 'f:name': {} };

test('the field manager that wrote acknowledged last, by member', () => {
  const found = acknowledgersOf(
    peer(
      entry('flux', '2026-10-05T10:00:00Z', { 'k:{"name":"a"}': ACKNOWLEDGED, 'k:{"name":"b"}': { 'f:name': {} } }),
      entry('kubectl-edit', '2026-10-05T11:00:00Z', { 'k:{"name":"a"}': ACKNOWLEDGED }),
      entry('argo', '2026-10-05T09:00:00Z', { 'k:{"name":"a"}': ACKNOWLEDGED, 'k:{"name":"c"}': ACKNOWLEDGED }),
    ),
  );
  expect([...found]).toEqual([
    ['a', 'kubectl-edit'],
    ['c', 'argo'],
  ]);
});

test.each([
  ['none', { metadata: { name: 'mesh' } }],
  ['of another shape', peer(null, 7, {}, { manager: 'x' }, entry('x', '', { nonsense: ACKNOWLEDGED }))],
])('managed fields %s name nobody', (_, raw) => {
  expect([...acknowledgersOf(raw)]).toEqual([]);
});
