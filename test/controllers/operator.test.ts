import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Operator } from '../../src/controllers/operator.ts';
import type { Client } from '../../src/runtime/client.ts';
import { EventRecorder } from '../../src/runtime/events.ts';

test('an operator that is stopped while it still reads ends in good order', async () => {
  const log = pino({ level: 'silent' });
  const client = { listPage: () => new Promise(() => {}), clockOffset: null } as unknown as Client;
  const events = new EventRecorder({
    client,
    reportingController: 'replicert.io/operator',
    reportingInstance: 'one',
    capacity: 10,
    log,
  });
  const operator = new Operator({ client, events, namespaces: ['ns'], log });
  const stop = new AbortController();
  const acting = operator.act(stop.signal);
  stop.abort();
  await expect(acting).resolves.toBeUndefined();
  await events.stop();
});
