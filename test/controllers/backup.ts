/** What goes wrong with Secrets, and what brings them back. */
import type { Client } from '../../src/runtime/client.ts';
import { type LiveSecret, type Scene, SECRETS } from './scene.ts';

/** As if somebody deleted it and took our finalizer away. */
export async function lose(here: Scene, name: string): Promise<void> {
  await here.deleteSecret(name);
  await here.patchSecret(name, { metadata: { finalizers: [] } });
  await here.secrets.until(`Secret ${name} is gone`, () => here.secrets.get(name) === undefined);
}

/** As a backup tool does it: everything but what the API server sets; with other `data` where that is given. */
export async function restore(
  client: Client,
  backup: LiveSecret,
  data: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { name, namespace, labels, annotations, finalizers } = backup.metadata;
  const metadata = { name, namespace, labels, annotations, finalizers };
  const { type, immutable = false } = backup;
  await client.create(SECRETS, { metadata, type, immutable, data: { ...backup.data, ...data } });
}
