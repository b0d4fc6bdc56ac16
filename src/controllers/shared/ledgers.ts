import type { Ledger } from '../../api/ledger.ts';
import { ledgerSecretName } from '../../api/names.ts';
import { type Client, isNotFound, keyOf, type ObjectRef } from '../../runtime/client.ts';
import { FreshRead } from './freshly.ts';
import { isProblem, type KeptSecret, type LedgerSecret, ledgerSecret, SECRETS } from './secrets.ts';
import type { View } from './view.ts';

/**
 * The ledgers of all CAs. Reading live costs one request for metadata, shared by everybody who asks at the same time;
 * content is fetched only when it changed.
 */
export class Ledgers {
  readonly #client: Client;
  readonly #secrets: View<KeptSecret>;
  readonly #reads = new Map<string, FreshRead<LedgerSecret | null>>();

  constructor(client: Client, secrets: View<KeptSecret>) {
    this.#client = client;
    this.#secrets = secrets;
  }

  /** As the watch shows it: good enough to decide whether there is anything to do, not to act on. */
  cached(ca: ObjectRef): LedgerSecret | null {
    const kept = this.#secrets.get(keyOf(refOf(ca)));
    return kept?.kind === 'ledger' ? kept : null;
  }

  /** As it is on the API server, by a read that begins after this call. Null when there is none. */
  live(ca: ObjectRef): Promise<LedgerSecret | null> {
    const key = keyOf(ca);
    let read = this.#reads.get(key);
    if (read === undefined) {
      read = new FreshRead(() => this.#read(ca));
      this.#reads.set(key, read);
    }
    return read.ask();
  }

  async #read(ca: ObjectRef): Promise<LedgerSecret | null> {
    const ref = refOf(ca);
    try {
      const { metadata } = await this.#client.getMetadata(SECRETS, ref);
      const cached = this.cached(ca);
      if (
        cached !== null &&
        cached.meta.uid === metadata.uid &&
        cached.meta.resourceVersion === metadata.resourceVersion
      )
        return cached;
      const kept = this.#secrets.remember(await this.#client.get(SECRETS, ref));
      return kept.kind === 'ledger' ? kept : null;
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  async create(ca: ObjectRef, ledger: Ledger, signal: AbortSignal): Promise<void> {
    this.#secrets.remember(await this.#client.create(SECRETS, ledgerSecret(ca, ledger), { signal }));
  }

  /** One update that fails with a Conflict when anybody else wrote since `read`. */
  async commit(ca: ObjectRef, read: LedgerSecret, ledger: Ledger, signal: AbortSignal): Promise<LedgerSecret> {
    const object = ledgerSecret(ca, ledger, read.meta.resourceVersion);
    const kept = this.#secrets.remember(await this.#client.update(SECRETS, object, { signal }));
    if (kept.kind !== 'ledger' || isProblem(kept.ledger))
      throw new Error(`the ledger of ${keyOf(ca)} did not come back as it was written`);
    return kept;
  }
}

function refOf(ca: ObjectRef): ObjectRef {
  return { namespace: ca.namespace, name: ledgerSecretName(ca.name) };
}
