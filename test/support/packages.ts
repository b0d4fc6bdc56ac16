/**
 * Programs that tests use as judges or as the systems that certificates are for, and the Debian packages that they are in. What is
 * missing is installed where that may be done: by root, on a system with apt-get. Elsewhere the tests that need it are skipped, by name.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withLock } from '../control-plane/lock.ts';
import { run } from '../control-plane/run.ts';

/** Package by program, where Debian has it. */
const PACKAGES = {
  openssl: 'openssl',
  python3: 'python3',
  go: 'golang-go',
  java: 'default-jre-headless',
  javac: 'default-jdk-headless',
  keytool: 'default-jre-headless',
  certtool: 'gnutls-bin',
  'gnutls-serv': 'gnutls-bin',
  'gnutls-cli': 'gnutls-bin',
  'redis-server': 'redis-server',
  stunnel4: 'stunnel4',
  postgres: 'postgresql',
  psql: 'postgresql-client',
  mariadbd: 'mariadb-server-core',
  mariadb: 'mariadb-client-core',
  'nats-server': 'nats-server',
  etcd: 'etcd-server',
  'rabbitmq-server': 'rabbitmq-server',
  'libgalera_smm.so': 'galera-4',
  garbd: 'galera-arbitrator-4',
} as const;
export type Program = keyof typeof PACKAGES;

/**
 * Makes sure of programs: for the top of a test file, before its tests are named.
 * @returns null when all are there, else why tests that need them are skipped: to end their names with, which the end of the output repeats
 */
export async function lacking(...programs: readonly Program[]): Promise<string | null> {
  const before = missing(programs);
  if (before.length === 0) return null;
  if (process.getuid?.() === 0 && isThere('apt-get'))
    await withLock(
      join(tmpdir(), 'replicert-packages.lock'),
      () => undefined,
      () => install(missing(programs)),
    );
  const after = missing(programs);
  if (after.length === 0) return null;
  return `(skipped: ${after.join(', ')} not on PATH, install ${packagesOf(after).join(' ')})`;
}

/** Where a program is that `lacking` has found, on PATH or where Debian puts servers. */
export function pathOf(program: string): string {
  const folders = ['/usr/sbin', '/usr/lib/galera', ...globSync('/usr/lib/postgresql/*/bin').toSorted().toReversed()];
  return folders.map((folder) => join(folder, program)).find(existsSync) ?? program;
}

const isThere = (program: string): boolean =>
  pathOf(program) !== program || spawnSync('sh', ['-c', `command -v "$1"`, 'sh', program]).status === 0;

const missing = (programs: readonly Program[]): readonly Program[] => programs.filter((program) => !isThere(program));

const packagesOf = (programs: readonly Program[]): readonly string[] => [
  ...new Set(programs.map((program) => PACKAGES[program])),
];

async function install(programs: readonly Program[]): Promise<void> {
  if (programs.length === 0) return;
  const packages = packagesOf(programs);
  process.stderr.write(`installing ${packages.join(' ')} for tests ...\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const wait = ['-qq', '-o', 'DPkg::Lock::Timeout=600'];
  const allowServices = forbidServices();
  try {
    for (const args of [
      ['update', ...wait],
      ['install', '-y', '--no-install-recommends', ...wait, ...packages],
    ]) {
      const { code, stderr } = await run('apt-get', args, { env });
      if (code !== 0) {
        console.warn(`apt-get ${args[0]} failed: ${stderr.trim()}`);
        return;
      }
    }
  } finally {
    allowServices();
  }
}

const POLICY = '/usr/sbin/policy-rc.d';

/** The programs are wanted, not the services that some packages start. @returns undoes it */
function forbidServices(): () => void {
  if (existsSync(POLICY)) return () => undefined;
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  return () => rmSync(POLICY);
}
