import type { Ledger } from '../../api/ledger.ts';
import { LEDGER_SECRET_TYPE, ledgerSecretName } from '../../api/names.ts';
import {
  type Client,
  isAlreadyExists,
  isInvalid,
  isNotFound,
  type KubeObject,
  keyOf,
  type ObjectRef,
} from '../../runtime/client.ts';
import { WaitingError } from '../../runtime/runner.ts';
import { FreshRead } from './freshly.ts';
import { Denials, isDenied } from './denials.ts';
import { Refusal } from './refusal.ts';
import { isProblem, type KeptSecret, type LedgerSecret } from './kept-secrets.ts';
import { ledgerLabels, ledgerSecret, relabel } from './manifests.ts';
import { SECRETS } from './resources.ts';
import type { World } from './world.ts';

/**
 * The ledgers of all CAs. Reading live costs one request for metadata, shared by everybody who asks at the same time;
 * content is fetched only when it changed.
 */
export class Ledgers {
  readonly #client: Client;
  readonly #secrets: World['secrets'];
  readonly #takeUp: (raw: KubeObject) => KeptSecret;
  readonly #denials = new Denials();
  readonly #reads = new Map<string, FreshRead<LedgerSecret | null>>();

  constructor(client: Client, world: Pick<World, 'secrets' | 'takeUp'>) {
    this.#client = client;
    this.#secrets = world.secrets;
    this.#takeUp = (raw) => world.takeUp(raw);
  }

  /** As the watch shows it: good enough to decide whether there is anything to do, not to act on. */
  cached(ca: ObjectRef): LedgerSecret | null {
    const kept = this.#secrets.get(keyOf(refOf(ca)));
    return kept?.kind === 'ledger' && kept.ca === keyOf(ca) ? kept : null;
  }

  /** As it is on the API server, by a read that begins after this call, with its labels put back if it lost them. Null when there is none. */
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
      const raw = await this.#client.get(SECRETS, ref);
      if (raw['type'] !== LEDGER_SECRET_TYPE) return null;
      const kept = this.#takeUp(await relabel(this.#client, raw, ledgerLabels(ca)));
      return kept.kind === 'ledger' ? kept : null;
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  async create(ca: ObjectRef, ledger: Ledger, signal: AbortSignal): Promise<void> {
    try {
      const object = ledgerSecret(ca, ledger);
      const created = await this.#attempt(ca, () => this.#client.create(SECRETS, object, { signal }));
      this.#secrets.remember(created);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const standing = await this.#client.get(SECRETS, refOf(ca), { signal });
      // Another one of us was faster: the next pass reads it.
      if (standing['type'] === LEDGER_SECRET_TYPE) throw error;
      throw new Refusal(
        'SecretConflict',
        `Secret ${keyOf(refOf(ca))}, in which the ledger is to be kept, exists and is not a ledger. It is never overwritten: delete or rename it.`,
        30_000,
      );
    }
  }

  /** One update that fails with a Conflict when anybody else wrote since `read`. */
  async commit(ca: ObjectRef, read: LedgerSecret, ledger: Ledger, signal: AbortSignal): Promise<LedgerSecret> {
    const object = ledgerSecret(ca, ledger, read.meta.resourceVersion);
    const kept = this.#secrets.remember(await this.#attempt(ca, () => this.#update(ca, object, signal)));
    if (kept.kind === 'unclaimedLedger') throw new WaitingError(`ReplicationCA ${keyOf(ca)} is gone`, 200);
    if (kept.kind !== 'ledger' || isProblem(kept.ledger))
      throw new Error(`the ledger of ${keyOf(ca)} did not come back as it was written`);
    return kept;
  }

  /** @throws Refusal if the API server has denied to change it a moment ago, so that nothing be made that it could not name */
  checkWritable(ca: ObjectRef): void {
    this.#denials.check(nameOf(ca));
  }

  #attempt<T>(ca: ObjectRef, write: () => Promise<T>): Promise<T> {
    return this.#denials.attempt(nameOf(ca), write);
  }

  async #update(ca: ObjectRef, object: KubeObject, signal: AbortSignal): Promise<KubeObject> {
    try {
      return await this.#client.update(SECRETS, object, { signal });
    } catch (error) {
      if (!isInvalid(error) || isDenied(error)) throw error;
      throw new Refusal(
        'LedgerInvalid',
        `Secret ${keyOf(refOf(ca))}, the ledger, cannot be changed (immutable?). Save it (kubectl get -o yaml), delete it and remove its finalizer, and create what was saved without \`immutable\`.`,
        30_000,
      );
    }
  }
}

function nameOf(ca: ObjectRef): string {
  return `Secret ${keyOf(refOf(ca))}, the ledger,`;
}

function refOf(ca: ObjectRef): ObjectRef {
  return { namespace: ca.namespace, name: ledgerSecretName(ca.name) };
}
