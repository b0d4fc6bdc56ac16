/** What each component is started with, and the files it wants to find. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Ports {
  readonly etcd: number;
  readonly etcdPeer: number;
  readonly api: number;
}

/** Bearer tokens, made anew for each control plane. */
export interface Tokens {
  readonly admin: string;
  readonly controllerManager: string;
}

export function newTokens(): Tokens {
  const token = (): string => randomBytes(24).toString('hex');
  return { admin: token(), controllerManager: token() };
}

const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  // One line per request, written when it has been answered: enough to count writes by user, verb and object.
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
};

/** Writes what the API server reads at its start; all in `dir`, readable by the owner alone. */
export async function writeServerFiles(dir: string, tokens: Tokens): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const users = [
    `${tokens.admin},admin,admin,"system:masters"`,
    // Its own controllers' accounts would cost a second at every start; what they may do is not under test.
    `${tokens.controllerManager},system:kube-controller-manager,kube-controller-manager,"system:masters"`,
  ];
  const files: ReadonlyArray<readonly [name: string, content: string | Buffer]> = [
    ['service-account.key', privateKey.export({ type: 'sec1', format: 'pem' })],
    ['service-account.pub', publicKey.export({ type: 'spki', format: 'pem' })],
    ['tokens.csv', `${users.join('\n')}\n`],
    ['audit-policy.json', JSON.stringify(AUDIT_POLICY)],
  ];
  await Promise.all(files.map(([name, content]) => writeFile(join(dir, name), content, { mode: 0o600 })));
}

/** A kubeconfig with one cluster, one user, one context; JSON is YAML too. */
export function kubeconfig(server: string, caFile: string, token: string): string {
  const name = 'replicert-test';
  return JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name, cluster: { server, 'certificate-authority': caFile } }],
      users: [{ name, user: { token } }],
      contexts: [{ name, context: { cluster: name, user: name, namespace: 'default' } }],
      'current-context': name,
    },
    null,
    2,
  );
}

export function etcdArguments(dir: string, ports: Ports, fsync: boolean): string[] {
  const client = `http://127.0.0.1:${ports.etcd}`;
  const peer = `http://127.0.0.1:${ports.etcdPeer}`;
  return [
    '--name=default',
    `--data-dir=${join(dir, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--log-level=warn',
    ...(fsync ? [] : ['--unsafe-no-fsync']),
  ];
}

export function apiServerArguments(dir: string, ports: Ports): string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${ports.api}`,
    `--cert-dir=${join(dir, 'pki')}`,
    `--token-auth-file=${join(dir, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(dir, 'service-account.pub')}`,
    `--service-account-signing-key-file=${join(dir, 'service-account.key')}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    // A loopback address may not become an endpoint of the `kubernetes` service, and nothing here needs one.
    '--endpoint-reconciler-type=none',
    `--audit-policy-file=${join(dir, 'audit-policy.json')}`,
    `--audit-log-path=${join(dir, 'audit.log')}`,
    // Blocking: a request that was answered is in the log. And no rotation while somebody counts.
    '--audit-log-mode=blocking',
    '--audit-log-maxsize=10000',
    '--profiling=false',
  ];
}

export function controllerManagerArguments(dir: string): string[] {
  return [
    `--kubeconfig=${join(dir, 'controller-manager.kubeconfig')}`,
    `--controllers=${[
      'namespace-controller',
      'garbage-collector-controller',
      'serviceaccount-controller',
      'serviceaccount-token-controller',
      'root-ca-certificate-publisher-controller',
      'clusterrole-aggregation-controller',
    ].join(',')}`,
    `--service-account-private-key-file=${join(dir, 'service-account.key')}`,
    `--root-ca-file=${join(dir, 'ca.crt')}`,
    '--leader-elect=false',
    '--secure-port=0',
    '--kube-api-qps=200',
    '--kube-api-burst=400',
    '--concurrent-namespace-syncs=20',
  ];
}
