import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LABELS, REPLICATION_CA, ROLES } from '../../src/api/names.ts';
import { parseObject } from '../../src/api/parse.ts';
import type { ReplicationCA } from '../../src/api/objects.ts';
import type { Client, KubeObject } from '../../src/runtime/client.ts';
import { loadClient } from '../../src/runtime/http-client.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { kubectlEnvironment } from '../control-plane/kubectl.ts';
import { run, tail } from '../control-plane/run.ts';
import { DemoFailure } from './failure.ts';
import type { Credential } from './trial.ts';

const SECRET = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' } as const;

/** The cluster as its admin sees it: kubectl for what a user would type, and reads for what the demo watches. */
export class Cluster {
  readonly #plane: ControlPlane;
  readonly #namespace: string;
  readonly #show: (command: string) => void;
  readonly #signal: AbortSignal;
  readonly #client: Client;
  readonly #generations = new Map<string, number>();

  constructor(plane: ControlPlane, namespace: string, show: (command: string) => void, signal: AbortSignal) {
    this.#plane = plane;
    this.#namespace = namespace;
    this.#show = show;
    this.#signal = signal;
    this.#client = loadClient({ kubeconfig: plane.kubeconfig, userAgent: 'replicert-demo' });
  }

  /** Shows a kubectl command as a user would type it, runs it, and returns what it prints; throws when it fails. */
  async kubectl(...args: string[]): Promise<string> {
    const typed = `kubectl ${args.map(quote).join(' ')}`;
    this.#show(typed);
    const env = { ...kubectlEnvironment(this.#plane.dir), KUBECONFIG: this.#plane.kubeconfig };
    const { code, stdout, stderr } = await run(this.#plane.binaries.kubectl, args, { env, timeoutMs: 120_000 });
    // Ctrl-C reaches kubectl as well as us: then it has not failed.
    await nextTurn();
    this.#signal.throwIfAborted();
    if (code !== 0)
      throw new DemoFailure(`${typed}\n${tail(stderr)}`, 'see operator.log and kube-apiserver.log in the logs');
    return stdout;
  }

  async ca(name: string): Promise<ReplicationCA | null> {
    const [object] = (await this.#client.list(REPLICATION_CA, { namespace: this.#namespace })).items.filter(
      ({ metadata }) => metadata.name === name,
    );
    if (object === undefined) return null;
    const parsed = parseObject('ReplicationCA', object);
    if (!parsed.ok)
      throw new DemoFailure(`ReplicationCA ${name}: ${parsed.problems.join('; ')}`, 'correct the manifest');
    return parsed.object;
  }

  /** The members' Secrets now, by name. */
  async credentials(): Promise<ReadonlyMap<string, Credential>> {
    const labelSelector = `${LABELS.role}=${ROLES.member}`;
    const { items } = await this.#client.list(SECRET, { namespace: this.#namespace, labelSelector });
    const credentials = new Map(items.map((secret) => [secret.metadata.name, credentialOf(secret)]));
    for (const credential of credentials.values()) this.#learn(credential);
    return credentials;
  }

  /** The generation of a CA certificate, or of the CA that signed a leaf, of all that were ever seen in a Secret. */
  generationOf(fingerprint: string): number | null {
    return this.#generations.get(fingerprint) ?? null;
  }

  /** What one account asked of the API server, and what of it was forbidden, from the audit log. */
  async requestsOf(username: string): Promise<{ readonly total: number; readonly forbidden: readonly string[] }> {
    const lines = (await readFile(this.#plane.auditLog, 'utf8')).split('\n').slice(0, -1);
    const events = lines
      .map((line) => JSON.parse(line) as AuditEvent)
      .filter(({ user, stage }) => user.username === username && stage === 'ResponseComplete');
    const forbidden = events.filter(({ responseStatus }) => responseStatus?.code === 403);
    return { total: events.length, forbidden: forbidden.map(({ verb, requestURI }) => `${verb} ${requestURI}`) };
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  #learn({ bundle, certificate }: Credential): void {
    const leaf = new X509Certificate(certificate);
    for (const pem of bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []) {
      const ca = new X509Certificate(pem);
      const number = Number(/ G(\d+)$/m.exec(ca.subject)?.[1] ?? Number.NaN);
      if (Number.isNaN(number)) continue;
      this.#generations.set(fingerprint(ca), number);
      if (leaf.verify(ca.publicKey)) this.#generations.set(fingerprint(leaf), number);
    }
  }
}

interface AuditEvent {
  readonly verb: string;
  readonly stage: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly responseStatus?: { readonly code: number };
}

const fingerprint = (certificate: X509Certificate): string =>
  certificate.fingerprint256.replaceAll(':', '').toLowerCase();

function credentialOf({ metadata, data }: KubeObject): Credential {
  const decoded = (key: string): string => {
    const value: unknown = typeof data === 'object' && data !== null ? Reflect.get(data, key) : undefined;
    if (typeof value !== 'string') throw new DemoFailure(`Secret ${metadata.name} has no ${key}`, 'see operator.log');
    return Buffer.from(value, 'base64').toString();
  };
  return { bundle: decoded('ca.crt'), certificate: decoded('tls.crt'), key: decoded('tls.key') };
}

/** As a shell wants it. */
export const quote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
