import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import type { Clock } from './clock.ts';

/** What a connection to the API server is made with. Equal contents mean that the connection can be kept. */
export interface TlsMaterial {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly servername?: string | undefined;
  readonly rejectUnauthorized?: boolean | undefined;
}

export interface Credentials {
  /** Base URL, e.g. `https://10.0.0.1:443`. */
  readonly server: string;
  /** Sent with every request: the bearer token, impersonation. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsMaterial;
}

/** Where credentials come from. `fresh` asks to pass by every cache, because the server has just refused what it gave last. */
export type CredentialSource = (fresh: boolean) => Promise<Credentials>;

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The service account of this pod. The kubelet replaces the token in its file long before it expires. */
export function inClusterCredentials(
  env: Readonly<Record<string, string | undefined>>,
  directory = SERVICE_ACCOUNT,
): CredentialSource {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'];
  if (host === undefined || port === undefined) {
    throw new Error(
      'no credentials for an API server: KUBERNETES_SERVICE_HOST is unset, so this is no pod; name a kubeconfig file instead',
    );
  }
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return async () => {
    const [ca, token] = await Promise.all([
      readFile(`${directory}/ca.crt`, 'utf8'),
      readFile(`${directory}/token`, 'utf8'),
    ]);
    return { server, headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } };
  };
}

/**
 * A kubeconfig file and the cluster of its current context. client-node is loaded here and not above because it costs 50 MB and half a
 * second, which a pod need not pay.
 * @throws Error with one line that names the file and what is wrong with it
 */
async function openKubeconfig(file: string) {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    config.loadFromFile(file);
  } catch (error) {
    const [line = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new Error(`kubeconfig ${file} cannot be read: ${line}`, { cause: error });
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null)
    throw new Error(`kubeconfig ${file}: its current context names no cluster; set current-context`);
  if (!URL.canParse(cluster.server))
    throw new Error(
      `kubeconfig ${file}: server ${JSON.stringify(cluster.server)} of cluster ${cluster.name} is no URL`,
    );
  if (cluster.proxyUrl !== undefined) {
    throw new Error(
      `kubeconfig ${file}: proxy-url is not supported; use a context that reaches the API server directly`,
    );
  }
  return { config, cluster };
}

/**
 * Whether a file is a kubeconfig that names a cluster, for whoever starts: what is wrong from the beginning gets no better by trying again.
 * Its credentials are not tried.
 * @throws Error with one line that names the file and what is wrong with it
 */
export async function checkKubeconfig(file: string): Promise<void> {
  await openKubeconfig(file);
}

/** The current context of a kubeconfig file: client certificates, tokens, token files, exec plug-ins, OIDC. */
export function kubeconfigCredentials(file: string): CredentialSource {
  let held: ReturnType<typeof openKubeconfig> | null = null;

  return async (fresh) => {
    if (fresh) held = null; // its authenticators remember tokens: only a new one asks again
    held ??= openKubeconfig(file);
    const { config, cluster } = await held.catch((error: unknown) => {
      held = null;
      throw error;
    });
    const options: RequestOptions & { servername?: string } = {};
    await config.applyToHTTPSOptions(options);
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value);
    if (typeof options.auth === 'string')
      headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    return {
      server: cluster.server,
      headers,
      tls: {
        ca: pemOf(options.ca),
        cert: pemOf(options.cert),
        key: pemOf(options.key),
        servername: options.servername,
        rejectUnauthorized: options.rejectUnauthorized,
      },
    };
  };
}

function pemOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : Buffer.isBuffer(value) ? value.toString('utf8') : undefined;
}

/** How long credentials are used without looking again. Kubelets renew a token at 80 % of its life, which is never this short. */
const LOOK_AGAIN_MS = 60_000;
/** The least between two forced reloads, so that a revoked account does not start an exec plug-in per request. */
const FORCE_AGAIN_MS = 5_000;

/** Credentials as the last look found them. One look at a time, shared by all who wait for it. */
export class CredentialCache {
  readonly #source: CredentialSource;
  readonly #clock: Clock;
  #held: Credentials | null = null;
  #heldSince = 0;
  #forcedAt = Number.NEGATIVE_INFINITY;
  #look: Promise<Credentials> | null = null;

  constructor(source: CredentialSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** The credentials to use now; a plain value in the usual case, because this is asked for every request. */
  current(): Credentials | Promise<Credentials> {
    if (this.#held !== null && this.#clock.monotonic() - this.#heldSince < LOOK_AGAIN_MS) return this.#held;
    return this.#reload(false);
  }

  /** Others than those just refused, or null when there are none to be had at the moment. */
  async instead(refused: Credentials): Promise<Credentials | null> {
    if (this.#held !== null && this.#held !== refused) return this.#held;
    const now = this.#clock.monotonic();
    if (now - this.#forcedAt < FORCE_AGAIN_MS && this.#look === null) return null;
    this.#forcedAt = now;
    return this.#reload(true);
  }

  #reload(fresh: boolean): Promise<Credentials> {
    this.#look ??= this.#source(fresh)
      .then((found) => {
        this.#held = found;
        return found;
      })
      .catch((error: unknown) => {
        if (this.#held === null || fresh) throw error;
        return this.#held; // a file that is just being replaced is no reason to stop
      })
      .finally(() => {
        this.#heldSince = this.#clock.monotonic();
        this.#look = null;
      });
    return this.#look;
  }
}
