/** Reads everything that there is in namespace `ns` of the API server at argv[2], whose CA comes on stdin, and says what that took. */
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
const kept = [...world.secrets.list()];
console.log(JSON.stringify({ secrets: kept.length, maxRssMiB: Math.round(process.resourceUsage().maxRSS / 1024) }));
process.exit(0);
