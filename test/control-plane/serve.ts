/**
 * The keeper of one control plane: a process of its own session that starts etcd, kube-apiserver and
 * kube-controller-manager, says on standard output how it goes (one JSON `Message` per line), and, as soon as its
 * standard input closes, kills them by process id and removes their folder. The input is a pipe from whoever wants the
 * control plane, so it closes however that process ends, SIGKILL included.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Binaries } from './cache.ts';
import {
  apiServerArguments,
  controllerManagerArguments,
  etcdArguments,
  kubeconfig,
  newTokens,
  type Ports,
  writeServerFiles,
} from './components.ts';
import { applyCrds } from './kubectl.ts';
import { tail } from './run.ts';

export interface Order {
  readonly binaries: Binaries;
  /** An empty folder that is the keeper's from now on. */
  readonly dir: string;
  readonly fsync: boolean;
  /** A folder of CRDs to install before the controller manager looks around; null: none. */
  readonly crds: string | null;
}

export type Component = 'etcd' | 'kube-apiserver' | 'kube-controller-manager';

export type Message =
  | { readonly type: 'started'; readonly component: Component; readonly pid: number }
  | { readonly type: 'ready'; readonly server: string }
  | { readonly type: 'died'; readonly component: Component; readonly message: string }
  | { readonly type: 'failed'; readonly message: string };

const READY_WITHIN_MS = 90_000;
const ATTEMPTS = 5;

class PortTaken extends Error {}

const order = JSON.parse(process.argv[2] ?? 'null') as Order;
const children = new Map<Component, ChildProcess>();
let ready = false;
let stopping = false;

process.stdin.resume();
process.stdin.once('close', () => void stop(0));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void stop(0));
// Our reader may be gone before we are.
process.stdout.on('error', () => undefined);

await main();

async function main(): Promise<void> {
  try {
    const server = await bringUp();
    ready = true;
    say({ type: 'ready', server });
  } catch (error) {
    if (stopping) return;
    say({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
    await stop(1);
  }
}

/** Starts everything; ports that somebody took between our look and their use are exchanged for others. */
async function bringUp(): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await bringUpOn(await freePorts());
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === ATTEMPTS || stopping) throw error;
      await killChildren();
      await rm(join(order.dir, 'etcd'), { recursive: true, force: true });
    }
  }
}

async function bringUpOn(ports: Ports): Promise<string> {
  const { dir, binaries, fsync, crds } = order;
  const server = `https://127.0.0.1:${ports.api}`;
  const tokens = newTokens();
  await mkdir(join(dir, 'logs'), { recursive: true });
  await writeServerFiles(dir, tokens);

  launch('etcd', binaries.etcd, etcdArguments(dir, ports, fsync));
  launch('kube-apiserver', binaries['kube-apiserver'], apiServerArguments(dir, ports));
  await untilReady(server);

  const admin = join(dir, 'kubeconfig');
  const caFile = join(dir, 'ca.crt');
  await writeFile(admin, kubeconfig(server, caFile, tokens.admin), { mode: 0o600 });
  const manager = kubeconfig(server, caFile, tokens.controllerManager);
  await writeFile(join(dir, 'controller-manager.kubeconfig'), manager, { mode: 0o600 });
  // The garbage collector looks for new resources only twice a minute, so ours come before its first look.
  if (crds !== null) await applyCrds(binaries.kubectl, admin, crds);
  launch('kube-controller-manager', binaries['kube-controller-manager'], controllerManagerArguments(dir));
  return server;
}

function launch(component: Component, binary: string, args: readonly string[]): void {
  const log = openSync(logFile(component), 'w', 0o600);
  const child = spawn(binary, args, { stdio: ['ignore', log, log], cwd: order.dir, env: { HOME: order.dir } });
  closeSync(log);
  children.set(component, child);
  child.once('error', (error) => say({ type: 'failed', message: `${component}: ${error.message}` }));
  child.once('exit', (code, signal) => void reportDeath(component, code === null ? String(signal) : `${code}`));
  if (child.pid !== undefined) say({ type: 'started', component, pid: child.pid });
}

async function reportDeath(component: Component, how: string): Promise<void> {
  // While it starts, bringUp looks itself, and may have a remedy.
  if (!ready || stopping) return;
  say({ type: 'died', component, message: `${component} ended (${how}):\n${tail(await logOf(component))}` });
}

/** Waits for `/readyz`, over the certificate that the API server has made itself; throws when a component ends first. */
async function untilReady(server: string): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS;
  while (!(await isReady(server))) {
    for (const [component, child] of children) {
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) continue;
      const log = await logOf(component);
      if (/address already in use/.test(log)) throw new PortTaken(`${component}: address already in use`);
      throw new Error(`${component} ended before the API server was ready:\n${tail(log)}`);
    }
    if (performance.now() > deadline) {
      throw new Error(`the API server was not ready in time:\n${tail(await logOf('kube-apiserver'))}`);
    }
    await sleep(50);
  }
}

async function isReady(server: string): Promise<boolean> {
  const ca = await publishCa();
  if (ca === null) return false;
  return new Promise((resolve) => {
    const asking = request(`${server}/readyz`, { ca, agent: false, timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asking.on('timeout', () => asking.destroy());
    asking.on('error', () => resolve(false));
    asking.end();
  });
}

/** The API server signs its certificate with a CA made for it, and keeps both in one file. */
async function publishCa(): Promise<string | null> {
  const chain = await readFile(join(order.dir, 'pki', 'apiserver.crt'), 'utf8').catch(() => '');
  const blocks = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? [];
  const ca = blocks.find((block) => new X509Certificate(block).ca);
  if (ca === undefined) return null;
  await writeFile(join(order.dir, 'ca.crt'), ca);
  return ca;
}

/** Ports that are free now. Somebody may take one before its user binds it: see bringUp. */
async function freePorts(): Promise<Ports> {
  const servers = await Promise.all(
    [0, 1, 2].map(
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer().once('error', reject);
          server.listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const [etcd = 0, etcdPeer = 0, api = 0] = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return { etcd, etcdPeer, api };
}

async function stop(code: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  // Nothing here outlives the folder, so nothing is worth a graceful end.
  await killChildren();
  await rm(order.dir, { recursive: true, force: true, maxRetries: 3 });
  process.exit(code);
}

async function killChildren(): Promise<void> {
  const running = [...children.values()].filter((child) => child.exitCode === null && child.signalCode === null);
  children.clear();
  await Promise.all(
    running.map(
      (child) =>
        new Promise<void>((resolve) => {
          if (child.pid === undefined) return resolve();
          child.once('exit', () => resolve());
          child.kill('SIGKILL');
        }),
    ),
  );
}

function logFile(component: Component): string {
  return join(order.dir, 'logs', `${component}.log`);
}

function logOf(component: Component): Promise<string> {
  return readFile(logFile(component), 'utf8').catch(() => '(no log)');
}

function say(message: Message): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
