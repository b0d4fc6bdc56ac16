import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Operator } from '../../src/controllers/operator.ts';
import { EventRecorder } from '../../src/runtime/events.ts';
import { FakeApiServer } from '../runtime/fake-apiserver.ts';

test('an operator that is stopped while it still reads ends in good order', async () => {
  const server = await FakeApiServer.start();
  const client = server.client();
  const log = pino({ level: 'silent' });
  const events = new EventRecorder({
    client,
    reportingController: 'replicert.io/operator',
    reportingInstance: 'one',
    capacity: 10,
    log,
  });
  const operator = new Operator({ client, events, namespaces: ['ns'], log });
  const stop = new AbortController();
  operator.look();
  const acting = operator.act(stop.signal);
  await server.next(); // It reads, and nobody answers.
  stop.abort();
  await expect(acting).resolves.toBeUndefined();
  await operator.stop();
  await events.stop();
  await server.stop();
});
