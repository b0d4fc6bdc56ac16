/**
 * What a kubelet does for one Secret volume, without a node: follows one Secret and writes it into a folder, late.
 *
 *   node test/mesh/kubelet.ts --kubeconfig FILE --namespace NS --secret NAME --dir DIR [--lag-min 200] [--lag-max 3000]
 *
 * Prints `{"secret": ..., "resourceVersion": ...}` for every version written. A deleted Secret changes nothing: files
 * stay as they are, as in a pod.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { loadClient } from '../../src/runtime/http-client.ts';
import { Informer } from '../../src/runtime/informer.ts';
import type { KubeObject } from '../../src/runtime/objects.ts';
import { syncSecretToDir } from './files.ts';

const SECRETS = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' } as const;

interface Version {
  readonly resourceVersion: string;
  readonly data: Readonly<Record<string, Buffer>>;
}

function versionOf({ metadata, data }: KubeObject): Version {
  const encoded = typeof data === 'object' && data !== null ? Object.entries(data) : [];
  return {
    resourceVersion: metadata.resourceVersion ?? '',
    data: Object.fromEntries(encoded.map(([name, value]) => [name, Buffer.from(String(value), 'base64')])),
  };
}

const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string' },
    namespace: { type: 'string' },
    secret: { type: 'string' },
    dir: { type: 'string' },
    'lag-min': { type: 'string', default: '200' },
    'lag-max': { type: 'string', default: '3000' },
  },
});
const { kubeconfig, namespace, secret, dir } = values;
if (kubeconfig === undefined || namespace === undefined || secret === undefined || dir === undefined) {
  throw new Error(
    'usage: kubelet.ts --kubeconfig FILE --namespace NS --secret NAME --dir DIR [--lag-min MS] [--lag-max MS]',
  );
}
const lag = (): number => randomInt(Number(values['lag-min']), Number(values['lag-max']) + 1);

let newest: Version | null = null;
let writing = false;

/** After each lag the version that is newest by then is written: some versions are never seen, as in a real pod. */
async function write(folder: string): Promise<void> {
  if (writing) return;
  writing = true;
  for (let written: Version | null = null; written !== newest; ) {
    await sleep(lag());
    written = newest;
    if (written === null) continue;
    await syncSecretToDir(written.data, folder);
    process.stdout.write(`${JSON.stringify({ secret, resourceVersion: written.resourceVersion })}\n`);
  }
  writing = false;
}

const informer = new Informer<Version>({
  client: loadClient({ kubeconfig }),
  resource: SECRETS,
  namespace,
  keep: versionOf,
  onChange: ({ key, after }) => {
    if (key !== `${namespace}/${secret}` || after === undefined) return;
    newest = after;
    void write(dir);
  },
});
process.on('SIGTERM', () => process.exit(0));
informer.start();
