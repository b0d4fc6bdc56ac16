/** Three etcd members whose peers prove themselves to each other, through a rotation and one that is turned round. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test } from 'vitest';
import { testBed } from '../controllers/bed.ts';
import { lacking } from '../support/packages.ts';
import { proves } from '../targets/claims.ts';
import { ETCD, Etcd } from './etcd.ts';
import { ROTATION_TIMEOUT, rotateLive } from './rotation.ts';
import { Wire } from './wire.ts';

const why = await lacking(...ETCD);

describe.skipIf(why !== null)(`etcd${why === null ? '' : ` ${why}`}`, () => {
  const bed = testBed(why === null ? 1 : 0);
  const timeout = ROTATION_TIMEOUT;

  test('rotations cost no quorum and lose no record', {
    timeout,
    ...proves('etcd', 'material', 'reload', 'rotation', 'rollback'),
  }, async () => {
    await using stack = new AsyncDisposableStack();
    const wires: Wire[] = [];
    await rotateLive<Etcd>(bed, {
      profile: 'etcd',
      // Of the dialled, for Go looks at no common name; and of those who dial, whose address etcd looks for in their certificate.
      certificate: () => ({ ipAddresses: ['127.0.0.1'] }),
      names: ['a', 'b', 'c'],
      start: async (name, files, members) => {
        const wire = stack.use(await Wire.make());
        wires.push(wire);
        return Etcd.start(name, files, { wire, members });
      },
      load: async (server, all) => {
        await server.reload();
        for (const wire of wires) wire.cut();
        await Promise.all(all.map(healthy));
      },
      restarts: true,
      write,
      read,
      trouble: /x509:|tls: /,
      refusal: /rejected connection.*tls: failed to verify client certificate/,
      longestLag: 20_000,
    });
  });
});

async function healthy(server: Etcd): Promise<void> {
  while (!(await isHealthy(server))) await sleep(50);
}

const isHealthy = (server: Etcd): Promise<boolean> =>
  server.serves().then(
    () => true,
    () => false,
  );

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** At one member after the other until one takes it, as clients do; the key is made once, however often that is asked. */
async function write(record: string, members: readonly Etcd[]): Promise<void> {
  const key = base64(`records/${record}`);
  const transaction = {
    compare: [{ key, target: 'CREATE', create_revision: '0' }],
    success: [{ request_put: { key, value: base64(record) } }],
  };
  for (let i = 0; ; i += 1) {
    try {
      await members[i % members.length]?.call('kv/txn', transaction);
      return;
    } catch (error) {
      if (i > 100) throw error;
      await sleep(20);
    }
  }
}

interface Watched {
  readonly result?: {
    readonly events?: readonly { readonly kv: { readonly value: string; readonly mod_revision: string } }[];
  };
}

/** From the member's own data; from where it was, after a restart of that member. */
async function read(server: Etcd, take: (record: string) => void, signal: AbortSignal): Promise<void> {
  let next = 1;
  while (!signal.aborted) {
    const range = { key: base64('records/'), range_end: base64('records0'), start_revision: next };
    try {
      for await (const line of server.follow('watch', { create_request: range }, signal)) {
        for (const { kv } of (line as Watched).result?.events ?? []) {
          take(Buffer.from(kv.value, 'base64').toString());
          next = Number(kv.mod_revision) + 1;
        }
      }
    } catch {
      await sleep(20);
    }
  }
}
