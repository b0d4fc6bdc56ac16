import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';

/** How the operator is run. */
export interface Options {
  readonly kubeconfig: string | undefined;
  readonly namespaces: readonly string[];
  readonly leaseNamespace: string;
  readonly leaseName: string;
  readonly leaseDurationMs: number;
  readonly identity: string;
  readonly healthPort: number;
  readonly logLevel: string;
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'];

export const HELP = `replicert-operator: rotates the private CA of replication meshes on evidence from real handshakes

Usage: replicert-operator --namespaces NS[,NS...] [options]

Each option can be given as an environment variable instead; an option on the command line wins.

  --namespaces NS[,NS...]   REPLICERT_NAMESPACES       namespaces to watch; the operator needs the
                                                       RoleBinding of deploy/watched-namespace.yaml in each. Required
  --kubeconfig FILE         REPLICERT_KUBECONFIG       cluster to work on. Default: the one this pod runs in
  --lease-namespace NS      REPLICERT_LEASE_NAMESPACE  namespace of the leader election's Lease.
                                                       Default: POD_NAMESPACE, else the first watched one
  --lease-name NAME         REPLICERT_LEASE_NAME       name of the Lease. Default: replicert-operator
  --lease-duration SECONDS  REPLICERT_LEASE_DURATION   how long a dead leader blocks the next one, 5 to 300. Default: 15
  --identity NAME           REPLICERT_IDENTITY         name of this process in Lease and events. Default: the host name and a number
  --health-port PORT        REPLICERT_HEALTH_PORT      port of /healthz and /readyz; 0 picks a free one. Default: 8081
  --log-level LEVEL         REPLICERT_LOG_LEVEL        debug, info, warn or error. Default: info
  --help                                               this text

Signals: SIGTERM and SIGINT end the passes under way, release the Lease and exit with 0.
Exit status: 0 stopped as asked; 1 failed, or the Lease was lost; 2 unusable options.
`;

/** An option that cannot be used; the message names it and what it takes. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
}

/**
 * Reads command line and environment.
 * @returns null when help was asked for
 * @throws OptionError
 */
export function readOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Options | null {
  const text = { type: 'string' } as const;
  let values: Partial<Record<string, string | boolean>>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        namespaces: text,
        kubeconfig: text,
        'lease-namespace': text,
        'lease-name': text,
        'lease-duration': text,
        identity: text,
        'health-port': text,
        'log-level': text,
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error));
  }
  if (values['help'] === true) return null;
  const given = (name: string): string | undefined => {
    const value = values[name] ?? environment[`REPLICERT_${name.toUpperCase().replaceAll('-', '_')}`];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const namespaces = [
    ...new Set(
      (given('namespaces') ?? '')
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== ''),
    ),
  ];
  const wrong = namespaces.find((name) => !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name));
  if (wrong !== undefined) throw new OptionError(`--namespaces: ${JSON.stringify(wrong)} is no name of a namespace`);
  const [first] = namespaces;
  if (first === undefined)
    throw new OptionError('--namespaces is required: the namespaces to watch, separated by commas');
  const logLevel = given('log-level') ?? 'info';
  if (!LOG_LEVELS.includes(logLevel))
    throw new OptionError(`--log-level must be one of ${LOG_LEVELS.join(', ')}, not ${JSON.stringify(logLevel)}`);
  const kubeconfig = given('kubeconfig');
  if (kubeconfig !== undefined && !existsSync(kubeconfig))
    throw new OptionError(`--kubeconfig: there is no file ${kubeconfig}`);
  if (kubeconfig === undefined && environment['KUBERNETES_SERVICE_HOST'] === undefined) {
    throw new OptionError('--kubeconfig is required: this process does not run in a pod');
  }
  return {
    kubeconfig,
    namespaces,
    leaseNamespace: given('lease-namespace') ?? environment['POD_NAMESPACE'] ?? first,
    leaseName: given('lease-name') ?? 'replicert-operator',
    leaseDurationMs: whole('lease-duration', given('lease-duration') ?? '15', 5, 300) * 1000,
    identity: given('identity') ?? `${hostname()}-${process.pid}`,
    healthPort: whole('health-port', given('health-port') ?? '8081', 0, 65_535),
    logLevel,
  };
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new OptionError(`--${name} must be a whole number from ${least} to ${most}, not ${JSON.stringify(text)}`);
  }
  return value;
}
