/** Reads everything that there is in namespace `ns` of the API server at argv[2], whose CA comes on stdin, and says what that took. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { World } from '../../src/controllers/shared/world.ts';
import { createClient } from '../../src/runtime/http-client.ts';

const ca = await text(process.stdin);
const server = process.argv[2] ?? '';
const client = createClient({ credentials: async () => ({ server, headers: {}, tls: { ca } }) });
const log = { debug: () => {}, info: () => {}, warn: console.error, error: console.error };
const world = new World({ client, namespaces: ['ns'], mark: () => {}, log });
world.start();
await world.whenSettled(AbortSignal.timeout(60_000));
const views = [world.secrets, world.configMaps, world.cas, world.certificates, world.peers];
const kept = views.reduce((sum, view) => sum + [...view.list()].length, 0);
// Not what getrusage says: to that the memory of the process that started this one counts as well.
const [, peakKiB] = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile('/proc/self/status', 'utf8')) ?? [];
console.log(JSON.stringify({ kept, maxRssMiB: Math.round(Number(peakKiB) / 1024) }));
process.exit(0);
