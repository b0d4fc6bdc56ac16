import type { Dialogue } from './dialogue.ts';

/** How a server was left by a client that it had accepted. */
export type Parting =
  | { readonly kind: 'letIn' }
  /** It has said no, and why; for people. */
  | { readonly kind: 'denied'; readonly message: string };

/** What a client and a server say to each other around TLS. */
export interface Protocol {
  /** From the connection to where TLS begins. Null: TLS is there from the first byte on. */
  readonly begin: (() => Dialogue<void>) | null;
  /**
   * Within TLS, once the server has accepted the certificate: where it counts a client that just goes away as a broken one. Null: it does not.
   * Such a server counts a refused certificate as well, shuts out a host with too many of them, and forgives all of them with a login.
   */
  readonly leave: (() => Dialogue<Parting>) | null;
}
