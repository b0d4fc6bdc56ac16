import { FINALIZER } from '../../api/names.ts';
import { type Client, isForbidden, isNotFound, type KubeObject, type Resource } from '../../runtime/client.ts';
import { finalizersOf, finalizerStep } from '../../runtime/finalizers.ts';
import type { Log } from './log.ts';

const ROLE_BINDINGS: Resource = {
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  plural: 'rolebindings',
  kind: 'RoleBinding',
};
/** The RoleBinding of deploy/watched-namespace.yaml. */
const NAME = 'replicert-operator';

/**
 * Keeps the operator's own RoleBinding in a namespace as long as a ReplicationCA lives there. A deleted namespace takes RoleBindings away
 * at once; without them nobody could let go of the finalizers on the CA's Secrets, and the namespace would hang for ever.
 */
export class Rights {
  readonly #client: Client;
  readonly #log: Log;
  /** What was last made sure of, by namespace: asked once per process and change. */
  readonly #held = new Map<string, boolean>();

  constructor(client: Client, log: Log) {
    this.#client = client;
    this.#log = log;
  }

  /** @param needed whether a ReplicationCA of ours is in the namespace */
  async settle(namespace: string, needed: boolean, signal: AbortSignal): Promise<void> {
    if (this.#held.get(namespace) === needed) return;
    const ref = { namespace, name: NAME };
    try {
      const { metadata } = await this.#client.get<KubeObject>(ROLE_BINDINGS, ref, { signal });
      const { uid, resourceVersion, deletionTimestamp } = metadata;
      const deleting = !needed || deletionTimestamp !== undefined;
      const finalizers = finalizersOf(metadata, FINALIZER);
      const step = finalizerStep({ uid, resourceVersion, deleting, finalizers }, FINALIZER);
      if (step.case === 'add' || step.case === 'cleanUp') {
        await this.#client.patch(ROLE_BINDINGS, ref, { type: 'json', operations: step.patch }, { signal });
      }
    } catch (error) {
      // Rights that were given in another way are not ours to keep.
      if (!isNotFound(error) && !isForbidden(error)) throw error;
      this.#log.debug({ namespace }, 'no RoleBinding replicert-operator to keep');
    }
    this.#held.set(namespace, needed);
  }
}
