/** What a test file of the project `cluster` (`*.cluster.test.ts`) works with. */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, inject } from 'vitest';
import { kubectlEnvironment } from '../control-plane/kubectl.ts';
import { type Finished, run, tail } from '../control-plane/run.ts';
import type { SharedCluster } from './shared-cluster.ts';

export interface TestCluster {
  /** The admin's kubeconfig (a path). */
  readonly kubeconfig: string;
  readonly server: string;
  /** The API server's audit log (a path, JSON lines); null on a cluster that is not ours. */
  readonly auditLog: string | null;
  /** Runs kubectl as admin. Never rejects over an exit code: look at `code`. */
  kubectl(
    args: readonly string[],
    options?: { readonly input?: string; readonly kubeconfig?: string },
  ): Promise<Finished>;
  /** Applies objects (server-side) and throws kubectl's message if one is refused. */
  apply(...objects: readonly object[]): Promise<void>;
  /** A fresh namespace, deleted after the test file. Its default ServiceAccount may come a moment later. */
  namespace(prefix?: string): Promise<string>;
  /** A kubeconfig (a path) with a token of a ServiceAccount, which must exist: code runs under just its RBAC. */
  serviceAccountKubeconfig(namespace: string, name: string): Promise<string>;
  /** The lines of the audit log that a filter lets through; throws on a cluster that is not ours. */
  audit(filter: (event: AuditEvent) => boolean): Promise<AuditEvent[]>;
}

/**
 * For tests that take a control plane of our own: they start one, or read its audit log.
 * @returns null when this run has one, else why they are skipped: to end their names with, as in packages.ts
 */
export function lackingControlPlane(): string | null {
  return inject('cluster').auditLog === null ? '(skipped: needs a control plane of its own, unset KUBECONFIG)' : null;
}

/** What tests read of an audit event (audit.k8s.io/v1, level Metadata). */
interface AuditEvent {
  readonly verb: string;
  readonly stage: string;
  readonly requestURI: string;
  readonly user: { readonly username: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
  readonly userAgent?: string;
  readonly objectRef?: {
    readonly resource: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly subresource?: string;
    readonly apiGroup?: string;
  };
  readonly responseStatus?: { readonly code: number; readonly reason?: string };
  readonly requestReceivedTimestamp: string;
}

/**
 * The cluster of this run, or one that the test file has started itself. Call it at the top of a test file: it removes the file's
 * namespaces after its tests.
 */
export function testCluster(cluster: SharedCluster = inject('cluster')): TestCluster {
  const { kubeconfig, server, auditLog, dir, kubectl: binary } = cluster;
  const namespaces: string[] = [];

  const kubectl: TestCluster['kubectl'] = (args, { input, kubeconfig: other } = {}) =>
    run(binary, ['--kubeconfig', other ?? kubeconfig, ...args], {
      env: kubectlEnvironment(dir),
      ...(input === undefined ? {} : { input }),
    });
  const checked = async (args: readonly string[], input?: string): Promise<string> => {
    const { code, stdout, stderr } = await kubectl(args, input === undefined ? {} : { input });
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${tail(stderr)}`);
    return stdout;
  };

  afterAll(async () => {
    if (namespaces.length > 0)
      await checked(['delete', 'namespace', '--wait=false', '--ignore-not-found', ...namespaces]);
  });

  return {
    kubeconfig,
    server,
    auditLog,
    kubectl,
    async apply(...objects) {
      const list = { apiVersion: 'v1', kind: 'List', items: objects };
      await checked(['apply', '--server-side', '--force-conflicts', '-f', '-'], JSON.stringify(list));
    },
    async namespace(prefix = 'test') {
      const name = `${prefix}-${randomBytes(4).toString('hex')}`;
      await checked(['create', 'namespace', name]);
      namespaces.push(name);
      return name;
    },
    async serviceAccountKubeconfig(namespace, name) {
      const token = (await checked(['create', 'token', name, '-n', namespace, '--duration=24h'])).trim();
      const config = JSON.parse(
        await checked(['config', 'view', '--raw', '--minify', '--flatten', '-o', 'json']),
      ) as Kubeconfig;
      const context = config.contexts[0];
      if (context === undefined) throw new Error(`${kubeconfig} has no context`);
      const user = `${namespace}-${name}`;
      const file = join(await mkdtemp(join(dir, 'service-account-')), 'kubeconfig');
      const contexts = [{ name: context.name, context: { ...context.context, user, namespace } }];
      const content = JSON.stringify({ ...config, users: [{ name: user, user: { token } }], contexts });
      await writeFile(file, content, { mode: 0o600 });
      return file;
    },
    async audit(filter) {
      if (auditLog === null) throw new Error('the cluster that KUBECONFIG names shows no audit log');
      const found: AuditEvent[] = [];
      // Line by line: after a long run it is larger than a string may be. The last line may be still being written.
      let cut: string | null = null;
      for await (const line of createInterface({ input: createReadStream(auditLog) })) {
        if (cut !== null) throw new Error(`${auditLog} has a line that is no event: ${cut}`);
        const event = eventIn(line);
        if (event === null) cut = line;
        else if (filter(event)) found.push(event);
      }
      return found;
    },
  };
}

function eventIn(line: string): AuditEvent | null {
  try {
    return JSON.parse(line) as AuditEvent;
  } catch {
    return null;
  }
}

interface Kubeconfig {
  readonly contexts: ReadonlyArray<{ readonly name: string; readonly context: object }>;
}
