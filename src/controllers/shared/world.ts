/**
 * Everything the controllers know, in one place: one view per kind, a few indexes, and the rules which change makes which
 * object be looked at again. Handlers only mark keys; what to do is decided from the whole, never from an event.
 */
import {
  CLUSTER_CERTIFICATE,
  type Kind,
  ledgerSecretName,
  type MemberKey,
  REPLICATION_CA,
  REPLICATION_PEER,
  trustConfigMapName,
} from '../../api/names.ts';
import type { ClusterCertificate, ReplicationPeer } from '../../api/objects.ts';
import { type Client, type KubeObject, keyOf, type ObjectRef } from '../../runtime/client.ts';
import { caKeyOf, passwordSecretsOf, providedSecretsOf, secretNameOf } from './effective.ts';
import type { Log } from './log.ts';
import { Lookup } from './lookup.ts';
import { type Kept, keepObject, memberKeys, objectOf, onlyStatusChanged } from './kept.ts';
import {
  type Claims,
  isProblem,
  keepConfigMap,
  keepSecret,
  type KeptConfigMap,
  type KeptSecret,
  type MemberSecret,
  type OutputObject,
  type TrustConfigMap,
  type UnclaimedSecret,
} from './kept-secrets.ts';
import { CONFIG_MAPS, OURS, SECRETS } from './resources.ts';
import { Pace } from './pace.ts';
import { UserSecrets } from './user-secrets.ts';
import { type Seen, View } from './view.ts';

/** Where keys are sent that something happened to. `low`: it was merely there at the start. `after`: milliseconds that it may wait. */
export interface Mark {
  (kind: Kind, key: string, options?: { readonly low?: boolean; readonly after?: number }): void;
}

export interface WorldOptions {
  readonly client: Pick<Client, 'listPage' | 'watch'>;
  readonly namespaces: readonly string[];
  readonly mark: Mark;
  readonly log: Log;
}

/** Many joiners become one write of the ledger, many Secrets one look at the whole. */
const JOIN_WINDOW = 30;
const SECRET_WINDOW = 500;
/** Secrets can be a thousand times as large as ours are. */
const SECRET_PAGE = 100;

export class World {
  readonly cas: View<Kept<'ReplicationCA'>>;
  readonly certificates: View<Kept<'ClusterCertificate'>>;
  readonly peers: View<Kept<'ReplicationPeer'>>;
  readonly secrets: View<KeptSecret>;
  readonly configMaps: View<KeptConfigMap>;
  readonly userSecrets: UserSecrets;
  readonly pace = new Pace();
  /** ClusterCertificates that were seen to go, as they were, until what is left of them has been dealt with. */
  readonly deleted = new Map<string, ClusterCertificate>();
  readonly #namespaces: ReadonlySet<string>;
  /** Those in which everything has been read once. */
  readonly #read = new Set<string>();
  readonly #settled = Promise.withResolvers<void>();
  readonly #mark: Mark;
  readonly #certificatesByCa = new Lookup();
  readonly #certificatesBySecret = new Lookup();
  readonly #certificatesByUserSecret = new Lookup();
  readonly #secretsByCa = new Lookup();
  readonly #outputsByCertificate = new Lookup();
  readonly #peersByMember = new Lookup();

  constructor({ client, namespaces, mark, log }: WorldOptions) {
    this.#mark = mark;
    this.#namespaces = new Set(namespaces);
    const onStanding = (namespace: string): void => this.#onStanding(namespace);
    const common = { client, namespaces, onStanding, log };
    this.cas = new View({
      ...common,
      resource: REPLICATION_CA,
      keep: keepObject('ReplicationCA'),
      onChange: (c) => this.#onCa(c),
    });
    this.certificates = new View({
      ...common,
      resource: CLUSTER_CERTIFICATE,
      keep: keepObject('ClusterCertificate'),
      onChange: (c) => this.#onCertificate(c),
    });
    this.peers = new View({
      ...common,
      resource: REPLICATION_PEER,
      keep: keepObject('ReplicationPeer'),
      onChange: (c) => this.#onPeer(c),
    });
    const claims: Claims = {
      certificate: (key) => objectOf(this.certificates.get(key)),
      hasCa: (key) => this.cas.get(key) !== undefined,
    };
    this.secrets = new View({
      ...common,
      resource: SECRETS,
      labelSelector: OURS,
      pageSize: SECRET_PAGE,
      keep: (raw) => keepSecret(raw, claims),
      onChange: (c) => this.#onSecret(c),
    });
    this.configMaps = new View({
      ...common,
      resource: CONFIG_MAPS,
      labelSelector: OURS,
      keep: (raw) => keepConfigMap(raw, claims),
      onChange: (c) => this.#onConfigMap(c),
    });
    this.userSecrets = new UserSecrets(client, (secret) => this.#onUserSecret(secret), log);
  }

  #onUserSecret(secret: string): void {
    for (const certificate of this.#certificatesByUserSecret.get(secret)) this.#mark('ClusterCertificate', certificate);
  }

  get #views() {
    return [this.secrets, this.configMaps, this.cas, this.peers, this.certificates] as const;
  }

  start(): void {
    for (const view of [this.cas, this.peers, this.certificates]) view.start();
  }

  /** Takes up a Secret that was there before whoever asks for it was known, and was not read then. */
  takeUp(raw: KubeObject): KeptSecret {
    const kept = this.secrets.remember(raw, { anew: true });
    if (kept.kind === 'member') this.#markRotationOf(kept);
    return kept;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#views, this.userSecrets].map((each) => each.stop()));
  }

  /** What has not been read yet: kind and namespace. */
  get unread(): readonly string[] {
    return this.#views.flatMap((view) => view.unread);
  }

  get synced(): boolean {
    return this.#views.every((view) => view.synced);
  }

  /** Resolves when every namespace has been read, or cannot be: one without rights does not hold the others. Rejects when aborted. */
  async whenSettled(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort);
    try {
      await Promise.race([this.#settled.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Whether everything in this namespace has been read: absence means nothing before. */
  reads(namespace: string): boolean {
    return this.#read.has(namespace);
  }

  /** Why a namespace that is to be watched is not seen as it is, and what to do; null: it is seen, or not to be watched. */
  unreadable(namespace: string): string | null {
    if (!this.#namespaces.has(namespace)) return null;
    const found = this.#views.flatMap((view) => view.unreadable(namespace) ?? []);
    const [first] = found;
    if (this.reads(namespace) && first === undefined) return null;
    if (first !== undefined && found.every(({ forbidden }) => !forbidden))
      return `The operator cannot read namespace ${namespace}: ${first.message}. Mend what keeps the API server from giving that list, e.g. an object there that is far too large.`;
    return `The operator cannot read namespace ${namespace}. Give it its rights there: kubectl apply -n ${namespace} -f deploy/watched-namespace.yaml.`;
  }

  /** Namespaces that are to be watched and have not been read. */
  get unreadNamespaces(): readonly string[] {
    return [...this.#namespaces].filter((namespace) => !this.reads(namespace));
  }

  #onStanding(namespace: string): void {
    // What of them is read depends on the certificates and CAs that there are.
    if (this.certificates.watches(namespace) && this.cas.watches(namespace)) {
      this.configMaps.startIn(namespace);
      this.secrets.startIn(namespace);
    }
    const came = !this.reads(namespace) && this.#views.every((view) => view.watches(namespace));
    if (came) this.#read.add(namespace);
    if (this.unreadNamespaces.every((each) => this.#views.some((view) => view.unreadable(each) !== null)))
      this.#settled.resolve();
    for (const { meta } of this.cas.list()) this.#mark('ReplicationCA', keyOf(meta), { low: true });
    if (!came) return;
    // What was marked before nobody could look at yet, and elsewhere there may be who waits for what is here.
    for (const { meta } of this.certificates.list()) this.#mark('ClusterCertificate', keyOf(meta), { low: true });
    for (const { meta } of this.peers.list()) this.#mark('ReplicationPeer', keyOf(meta), { low: true });
  }

  /** Whether a ReplicationCA lives in this namespace. */
  hasCa(namespace: string): boolean {
    for (const { meta } of this.cas.list()) if (meta.namespace === namespace) return true;
    return false;
  }

  /** Keys of the ClusterCertificates that name this CA. */
  certificatesOf(ca: string): ReadonlySet<string> {
    return this.#certificatesByCa.get(ca);
  }

  /** Keys of the ClusterCertificates that ask for this Secret (`namespace/name`). */
  certificatesWanting(secret: string): ReadonlySet<string> {
    return this.#certificatesBySecret.get(secret);
  }

  /** The published bundle of a CA, when it is there and ours. */
  trust({ namespace, name }: ObjectRef): TrustConfigMap | null {
    const kept = this.configMaps.get(`${namespace}/${trustConfigMapName(name)}`);
    return kept?.kind === 'trust' ? kept : null;
  }

  /** A further object, when it is ours. */
  output(kind: OutputObject['object'], key: string): OutputObject | null {
    const kept = kind === 'ConfigMap' ? this.configMaps.get(key) : this.secrets.get(key);
    return kept?.kind === 'output' ? kept : null;
  }

  /** The further objects that were made for a certificate, as watches have shown them. */
  *outputsOf(certificate: string): Iterable<OutputObject> {
    for (const at of this.#outputsByCertificate.get(certificate)) {
      const slash = at.indexOf('/');
      const kept = this.output(at.startsWith('ConfigMap/') ? 'ConfigMap' : 'Secret', at.slice(slash + 1));
      if (kept?.certificate === certificate) yield kept;
    }
  }

  /** Our Secrets that belong to this CA: members', generations', ledger. */
  *secretsOf(ca: string): Iterable<KeptSecret> {
    for (const key of this.#secretsByCa.get(ca)) {
      const kept = this.secrets.get(key);
      if (kept !== undefined) yield kept;
    }
  }

  /** The peers beside a CA that name this member. */
  *peersNaming(member: string, namespace: string): Iterable<ReplicationPeer> {
    for (const key of this.#peersByMember.get(member)) {
      const peer = objectOf(this.peers.get(key));
      if (peer !== null && peer.metadata.namespace === namespace) yield peer;
    }
  }

  #onCa({ key, before, after, initial, own }: Seen<Kept<'ReplicationCA'>>): void {
    const statusOnly = onlyStatusChanged(before, after);
    if (own && statusOnly) return;
    this.#mark('ReplicationCA', key, { low: initial });
    if (statusOnly) return;
    for (const certificate of this.certificatesOf(key)) this.#mark('ClusterCertificate', certificate, { low: initial });
    this.#markPeersOf(key, initial);
  }

  #onCertificate({ key, before, after, initial, own }: Seen<Kept<'ClusterCertificate'>>): void {
    const statusOnly = onlyStatusChanged(before, after);
    if (own && statusOnly) return;
    this.#mark('ClusterCertificate', key, { low: initial });
    if (statusOnly) return;
    const [old, now] = [objectOf(before), objectOf(after)];
    if (after !== undefined) this.deleted.delete(key);
    else if (old !== null) this.deleted.set(key, old);
    this.#certificatesByCa.move(key, old === null ? [] : [caKeyOf(old)], now === null ? [] : [caKeyOf(now)]);
    this.#certificatesBySecret.move(key, wantedSecrets(old), wantedSecrets(now));
    const used = userSecrets(now);
    this.#certificatesByUserSecret.move(key, userSecrets(old), used);
    if (used.length > 0 && now !== null) this.userSecrets.watch(now.metadata.namespace);
    for (const ca of new Set([old, now].filter((each) => each !== null).map(caKeyOf))) {
      this.#mark('ReplicationCA', ca, { low: initial, after: this.pace.rest(ca, JOIN_WINDOW) });
    }
    if (initial) return;
    for (const secret of [...wantedSecrets(old), ...wantedSecrets(now)]) {
      for (const rival of this.certificatesWanting(secret)) this.#mark('ClusterCertificate', rival);
    }
    for (const peer of this.#peersByMember.get(key)) this.#mark('ReplicationPeer', peer);
  }

  #onPeer({ key, before, after, initial, own }: Seen<Kept<'ReplicationPeer'>>): void {
    const [old, now] = [objectOf(before), objectOf(after)];
    const evidenceOnly = onlyStatusChanged(before, after);
    if (!own || !evidenceOnly) this.#mark('ReplicationPeer', key, { low: initial });
    if (!evidenceOnly) this.#peersByMember.move(key, memberKeys(old), memberKeys(now));
    const members = new Set([...memberKeys(old), ...memberKeys(now)]);
    for (const member of evidenceOnly ? changedEvidence(old, now) : members)
      this.#mark('ClusterCertificate', member, { low: initial });
    for (const ca of new Set([...members].map((member) => this.#caOf(member)))) {
      if (ca !== null) this.#mark('ReplicationCA', ca, { low: initial });
    }
  }

  #caOf(member: string): string | null {
    const certificate = objectOf(this.certificates.get(member));
    return certificate === null ? null : caKeyOf(certificate);
  }

  #onSecret(seen: Seen<KeptSecret>): void {
    const { key, before, after, initial, own } = seen;
    this.#secretsByCa.move(key, before === undefined ? [] : [before.ca], after === undefined ? [] : [after.ca]);
    const kept = after ?? before;
    if (kept === undefined) return;
    // What a CA lives on may only look like something else: its labels are put back then.
    if (
      (before?.kind === 'generation' || before?.kind === 'ledger') &&
      (after?.kind !== before.kind || after.ca !== before.ca)
    )
      this.#mark('ReplicationCA', before.ca);
    this.#onOutput(seen);
    switch (kept.kind) {
      case 'member':
      case 'unclaimed':
        // The pass that wrote it goes on from there.
        if (!own) this.#mark('ClusterCertificate', kept.certificate, { low: initial });
        // A Secret that is gone may have stood in the way of another certificate.
        if (after === undefined)
          for (const other of this.certificatesWanting(key)) this.#mark('ClusterCertificate', other);
        if (!initial) this.#markRotationOf(kept);
        break;
      case 'output':
        break;
      case 'ledger':
      case 'unclaimedLedger':
        this.#onLedger(kept.ca, before, after, initial, own);
        break;
      case 'generation':
        this.#mark('ReplicationCA', kept.ca, { low: initial });
        if (!initial)
          for (const certificate of this.certificatesOf(kept.ca))
            this.#mark('ClusterCertificate', certificate, { low: true });
        break;
      case 'stray':
        for (const certificate of this.certificatesWanting(key))
          this.#mark('ClusterCertificate', certificate, { low: initial });
        break;
    }
  }

  #onConfigMap(seen: Seen<KeptConfigMap>): void {
    const { key, before, after } = seen;
    if (before?.kind === 'trust' || after?.kind === 'trust') this.#mark('ReplicationCA', key.replace(/-trust$/, ''));
    this.#onOutput(seen);
  }

  #onOutput({ key, before, after, initial, own }: Seen<KeptSecret> | Seen<KeptConfigMap>): void {
    const ours = [before, after].filter((each) => each?.kind === 'output');
    for (const { object, certificate } of ours) {
      const at = `${object}/${key}`;
      if (after?.kind === 'output') this.#outputsByCertificate.move(at, [certificate], [after.certificate]);
      else this.#outputsByCertificate.move(at, [certificate], []);
      if (!own) this.#mark('ClusterCertificate', certificate, { low: initial });
    }
    const [kept] = ours;
    if (kept !== undefined && !initial) this.#markRotationOf(kept);
  }

  #markRotationOf(kept: MemberSecret | UnclaimedSecret | OutputObject): void {
    const { ca, certificate } = kept;
    for (const peer of this.#peersByMember.get(certificate)) this.#mark('ReplicationPeer', peer);
    if (!this.#concerns(ca, kept)) return;
    const ledger = this.#ledgerOf(ca);
    this.#mark('ReplicationCA', ca, { after: ledger?.rotation == null ? this.pace.rest(ca, SECRET_WINDOW) : 0 });
  }

  /**
   * Whether a CA is to look at a Secret that says that it is a member's of it. Whoever may write Secrets in some watched namespace can
   * have any number of them say so. Beside the CA each one counts: it may be a witness against a ledger that was restored.
   */
  #concerns(ca: string, { meta, certificate }: MemberSecret | UnclaimedSecret | OutputObject): boolean {
    if (this.certificatesOf(ca).has(certificate)) return true;
    const authority = this.cas.get(ca);
    if (authority === undefined) return false;
    return meta.namespace === authority.meta.namespace || this.#ledgerOf(ca)?.roster.has(certificate) === true;
  }

  /** Of a thousand members, only those are looked at whose decision changed. */
  #onLedger(
    ca: string,
    before: KeptSecret | undefined,
    after: KeptSecret | undefined,
    initial: boolean,
    own: boolean,
  ): void {
    const [old, now] = [readLedger(before), readLedger(after)];
    if (!own || now?.rotation !== null) this.#mark('ReplicationCA', ca, { low: initial });
    if (initial) return;
    if (JSON.stringify([old?.signer, old?.generations]) !== JSON.stringify([now?.signer, now?.generations])) {
      for (const certificate of this.certificatesOf(ca)) this.#mark('ClusterCertificate', certificate, { low: true });
    }
    for (const [member, entry] of now?.roster ?? []) {
      const known = old?.roster.get(member);
      if (known === undefined || known.since !== entry.since || known.uid !== entry.uid || known.leaf !== entry.leaf) {
        this.#mark('ClusterCertificate', member);
      }
    }
    if (old?.rotation !== null || now?.rotation !== null) this.#markPeersOf(ca, false);
  }

  #markPeersOf(ca: string, low: boolean): void {
    const peers = new Set<string>();
    for (const member of this.certificatesOf(ca)) for (const peer of this.#peersByMember.get(member)) peers.add(peer);
    for (const peer of peers) this.#mark('ReplicationPeer', peer, { low });
  }

  #ledgerOf(ca: string) {
    const [namespace, name = ''] = ca.split('/');
    return readLedger(this.secrets.get(`${namespace}/${ledgerSecretName(name)}`));
  }
}

function readLedger(kept: KeptSecret | undefined) {
  return kept?.kind === 'ledger' && !isProblem(kept.ledger) ? kept.ledger : null;
}

function wantedSecrets(certificate: ClusterCertificate | null): readonly string[] {
  return certificate === null ? [] : [`${certificate.metadata.namespace}/${secretNameOf(certificate)}`];
}

/** Secrets of the user's from which it takes something. */
function userSecrets(certificate: ClusterCertificate | null): readonly string[] {
  if (certificate === null) return [];
  const { metadata, spec } = certificate;
  const names = new Set([...passwordSecretsOf(spec.outputs, spec.outputObjects), ...providedSecretsOf(spec)]);
  return [...names].map((name) => `${metadata.namespace}/${name}`);
}

/** Members of which something else is seen than before: `Delivered` of their certificates follows. */
function changedEvidence(before: ReplicationPeer | null, after: ReplicationPeer | null): ReadonlySet<MemberKey> {
  const told = (peer: ReplicationPeer | null) =>
    new Map(
      peer?.status?.members?.map((seen) => [
        seen.certificate,
        JSON.stringify([seen.presents, seen.revision, seen.reason, seen.message]),
      ]),
    );
  const [old, now] = [told(before), told(after)];
  const changed = new Set<MemberKey>();
  for (const member of [...memberKeys(before), ...memberKeys(after)])
    if (old.get(member) !== now.get(member)) changed.add(member);
  return changed;
}
