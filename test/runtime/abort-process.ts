/**
 * Gives up writes that are under way, many at a time and at every moment of theirs, as passes do at their deadline. The parent sees whether
 * this process gets to its end. Each write says `gave up`, whatever became of it.
 */
import { loadClient } from '../../src/runtime/http-client.ts';

const [, , kubeconfig, namespace] = process.argv;
if (kubeconfig === undefined || namespace === undefined) throw new Error('two arguments');

const CONFIG_MAP = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' };
const client = loadClient({ kubeconfig });

for (let round = 0; round < 40; round++) {
  const abort = new AbortController();
  const writes = Array.from({ length: 20 }, async (_, n) => {
    const body = { data: { n: `${round} ${n}` } };
    const { signal } = abort;
    await client.patch(CONFIG_MAP, { namespace, name: 'target' }, { type: 'merge', body }, { signal }).catch(() => {});
  });
  await new Promise((resolve) => setTimeout(resolve, round % 7));
  abort.abort();
  await Promise.all(writes);
}
// The connection is as good as before.
const { metadata } = await client.get(CONFIG_MAP, { namespace, name: 'target' });
process.stdout.write(`${metadata.name}\n`);
process.exit(0);
