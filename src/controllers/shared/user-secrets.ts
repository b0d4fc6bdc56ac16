import { LABELS, MANAGED_BY } from '../../api/names.ts';
import type { Client, KubeObject } from '../../runtime/client.ts';
import { Informer } from '../../runtime/informer.ts';
import type { Log } from './log.ts';
import { SECRETS } from './resources.ts';

/**
 * The Secrets in which users keep passwords and leaves of their own: they carry none of our labels. In each namespace where one is asked for,
 * the metadata of all Secrets that are not ours is watched, for a watch of its own for each would need a thousand streams. Nothing that
 * they hold is kept.
 */
export class UserSecrets {
  readonly #client: Pick<Client, 'listPage' | 'watch'>;
  readonly #onChange: (secret: string) => void;
  readonly #log: Log;
  readonly #informers = new Map<string, Informer<string>>();

  /** @param onChange called with `namespace/name` of any Secret that changes in a namespace that is looked into */
  constructor(client: Pick<Client, 'listPage' | 'watch'>, onChange: (secret: string) => void, log: Log) {
    this.#client = client;
    this.#onChange = onChange;
    this.#log = log;
  }

  /** Begins to look into this namespace. */
  watch(namespace: string): void {
    if (this.#informers.has(namespace)) return;
    const informer = new Informer<string>({
      client: this.#client,
      resource: SECRETS,
      namespace,
      labelSelector: `${LABELS.managedBy}!=${MANAGED_BY}`,
      metadataOnly: true,
      keep: versionOf,
      onChange: ({ key }) => this.#onChange(key),
      log: this.#log,
    });
    this.#informers.set(namespace, informer);
    informer.start();
  }

  /** Says which version of a Secret (`namespace/name`) there is, as the watch shows it; null: it is not known, or there is none. */
  version(secret: string): string | null {
    return this.#informers.get(secret.slice(0, secret.indexOf('/')))?.get(secret) ?? null;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.stop()));
  }
}

/** Changes with every write of a Secret, and when it is made anew. */
export const versionOf = ({ metadata }: KubeObject): string => `${metadata.uid}/${metadata.resourceVersion}`;
