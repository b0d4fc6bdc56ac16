/** Two RabbitMQ brokers with a federated exchange, each the upstream of the other by AMQP over mutual TLS. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test } from 'vitest';
import { testBed } from '../controllers/bed.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { RABBITMQ, Rabbitmq } from './rabbitmq.ts';
import { ROTATION_TIMEOUT, rotateLive } from './rotation.ts';
import { Stomp } from './stomp.ts';
import { Wire } from './wire.ts';

const why = await lacking(...RABBITMQ);

describe.skipIf(why !== null)(`RabbitMQ${why === null ? '' : ` ${why}`}`, () => {
  const bed = testBed(why === null ? 1 : 0);
  const timeout = ROTATION_TIMEOUT;

  test('rotations break no federation and lose no record', {
    timeout,
    ...proves('rabbitmq', 'material', 'reload', 'rotation', 'rollback'),
  }, async () => {
    await using stack = new AsyncDisposableStack();
    const wires: Wire[] = [];
    let client: Stomp | null = null;
    stack.defer(() => client?.close());
    await rotateLive<Rabbitmq>(bed, {
      profile: 'rabbitmq',
      certificate: (name) => ({ dnsNames: [hostOf(name)] }),
      names: ['a', 'b'],
      start: async (name, files, [first]) => {
        const server = await Rabbitmq.start(name, files);
        const wire = stack.use(await Wire.make());
        await wire.connect(server.port);
        wires.push(wire);
        if (first !== undefined) await federate([first, server], wires);
        return server;
      },
      load: async (server, all) => {
        await server.reload();
        const before = all.map(linksOf);
        for (const wire of wires) wire.cut();
        while (all.some((each, i) => linksOf(each) === before[i])) await sleep(20);
      },
      write: async (record, [first]) => {
        client ??= await Stomp.connect(first?.stomp ?? 0);
        await client.send('/exchange/records', record);
      },
      read: async (server, take, signal) => {
        const reader = await Stomp.connect(server.stomp);
        reader.onMessage = take;
        await reader.subscribe('/amq/queue/arrived');
        while (!signal.aborted) await sleep(100);
        reader.close();
      },
      trouble: /ALERT|certificate/,
      refusal: /TLS server: In state (certify|wait_cert) at .* generated SERVER ALERT: Fatal - Unknown CA/,
      longestLag: 20_000,
    });
  });
});

const hostOf = (name: string): string => `${name}.mesh.test`;

/** Lets each be the upstream of the other; what was handed over once is not handed on. */
async function federate(brokers: readonly [Rabbitmq, Rabbitmq], wires: readonly Wire[]): Promise<void> {
  const [a, b] = brokers;
  for (const [i, broker] of brokers.entries()) {
    const { dir } = broker.instance;
    const files = `cacertfile=${dir}/tls/ca.crt&certfile=${dir}/tls/tls.crt&keyfile=${dir}/tls/tls.key`;
    const host = hostOf((broker === a ? b : a).instance.name);
    const port = wires[1 - i]?.port ?? 0;
    const uri = `amqps://guest:guest@127.0.0.1:${port}?${files}&verify=verify_peer&server_name_indication=${host}`;
    broker.instance.write('definitions.json', JSON.stringify(definitionsOf(uri)));
    await broker.control('import_definitions', `${dir}/definitions.json`);
  }
  for (const broker of brokers) while (linksOf(broker) === 0) await sleep(50);
}

/** An exchange, a queue for what arrives there, and where else it comes from. */
function definitionsOf(uri: string) {
  const vhost = '/';
  const lasting = { vhost, durable: true, auto_delete: false, arguments: {} };
  const binding = { vhost, source: 'records', destination: 'arrived', destination_type: 'queue', routing_key: '' };
  const upstream = { vhost, component: 'federation-upstream', name: 'other', value: { uri, 'reconnect-delay': 1 } };
  const policy = { vhost, name: 'records', pattern: '^records$', 'apply-to': 'exchanges', priority: 0 };
  return {
    exchanges: [{ ...lasting, name: 'records', type: 'fanout', internal: false }],
    queues: [{ ...lasting, name: 'arrived' }],
    bindings: [{ ...binding, arguments: {} }],
    parameters: [upstream],
    policies: [{ ...policy, definition: { 'federation-upstream-set': 'all' } }],
  };
}

/** How often a broker was connected with its upstream. */
const linksOf = ({ instance }: Rabbitmq): number => instance.log().split(/Federation .* connected to /).length - 1;
