import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Audit } from './audit.ts';

const line = (name: string): string =>
  `${JSON.stringify({
    verb: 'create',
    stage: 'ResponseComplete',
    user: { username: 'operator' },
    objectRef: { resource: 'secrets', name },
    responseStatus: { code: 201 },
    stageTimestamp: '2026-01-01T00:00:00.000000Z',
  })}\n`;

test('a request whose line is still being written comes after a place in the log, whole', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'replicert-audit-'));
  try {
    const file = join(dir, 'audit.log');
    const audit = new Audit(file, 'operator');
    const names = async (from: number, to?: number) => (await audit.since(from, to)).map(({ name }) => name);
    await writeFile(file, line('first') + line('second').slice(0, 40));
    const mark = await audit.mark();
    expect(await names(0, mark)).toEqual(['first']);
    expect(await names(0)).toEqual(['first']);
    await appendFile(file, line('second').slice(40) + line('third'));
    expect(await names(mark)).toEqual(['second', 'third']);
  } finally {
    await rm(dir, { recursive: true });
  }
});
