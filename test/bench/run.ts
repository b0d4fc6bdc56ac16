/** One measurement: a control plane, an operator, N certificates; then quiet, a restart, and single certificates. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLUSTER_CERTIFICATE, REPLICATION_CA } from '../../src/api/names.ts';
import type { Client } from '../../src/runtime/client.ts';
import { loadClient } from '../../src/runtime/http-client.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { Audit, isUpkeep, isWrite, type Request, tally } from './audit.ts';
import { limitMemory } from './cgroup.ts';
import {
  countOutcome,
  createAuthority,
  createCertificate,
  forEachConcurrently,
  measureSecretCreates,
  ReadyWatch,
} from './load.ts';
import { round } from './machine.ts';
import { installOperator, OPERATOR_USER, type OperatorOptions, OperatorProcess } from './operator.ts';
import { cpuBetween, cpuSeconds, residentMemory, sampleCpu } from './processes.ts';

export interface MeasureOptions {
  readonly count: number;
  readonly entry: string;
  readonly flags: readonly string[];
  readonly profile: string | null;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Milliseconds. */
interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface Result {
  readonly count: number;
  /** Plain Secret creates per second on this API server before there was an operator: what the machine can do at best. */
  readonly secretCreatesPerSecond: number;
  readonly burst: {
    /** From the first create sent to the last certificate seen Ready. */
    readonly seconds: number;
    readonly perSecond: number;
    /** From the first create sent to the last one answered. */
    readonly createSeconds: number;
    /** Per certificate: from the answer to its create until it was seen Ready. */
    readonly latencyMs: Latency;
    /** From the first create sent until the operator had nothing more to do; events are written last. */
    readonly settledSeconds: number;
    /** All requests of the operator from the first create until it had settled, Lease and watches left out. */
    readonly requests: Readonly<Record<string, number>>;
    readonly objectWritesPerCertificate: number;
    readonly eventsPerCertificate: number;
    readonly readsPerCertificate: number;
    /** Processor seconds by process, from the first create to the last Ready. */
    readonly cpuSeconds: Readonly<Record<string, number>>;
  };
  /** Resident memory of the operator, MB (1e6 bytes). */
  readonly memoryMB: {
    /** What it was limited to, as its container is; null: no limit could be set, and Node takes what the machine has. */
    readonly limitMiB: number | null;
    readonly beforeBurst: number;
    readonly afterBurst: number;
    readonly peak: number;
    readonly afterIdle: number;
    readonly afterRestart: number;
    readonly peakAfterRestart: number;
  };
  readonly idle: {
    readonly seconds: number;
    /** Lease and watches left out: nothing should be left. */
    readonly requests: Readonly<Record<string, number>>;
    readonly upkeep: Readonly<Record<string, number>>;
    readonly cpuSeconds: number;
  };
  readonly restart: {
    /** From SIGTERM until the process was gone. */
    readonly stopSeconds: number;
    /** From the start of the process until it was elected. */
    readonly leadingSeconds: number;
    /** From the start of the process until its last request other than Lease and watches, and its last busy tenth of a second. */
    readonly idleSeconds: number;
    readonly writes: Readonly<Record<string, number>>;
    readonly reads: Readonly<Record<string, number>>;
  };
  /** Single certificates, one started every so often, on the warm operator with `count` others. */
  readonly paced: { readonly count: number; readonly perSecond: number; readonly latencyMs: Latency };
  readonly complaints: { readonly count: number; readonly first: readonly string[] };
}

const NAMESPACE = 'bench';
const CA = 'bench';
const CRDS = join(import.meta.dirname, '..', '..', 'crds');
const YARDSTICK = 1_500;
const IDLE_SECONDS = 60;
/** What a pod of it should be limited to. */
const MEMORY_LIMIT_MIB = 256;
const PACED = { count: 200, perSecond: 20 };

export async function measure({ count, entry, flags, profile, say, signal }: MeasureOptions): Promise<Result> {
  say(`${count} certificates: starting etcd (with fsync) and kube-apiserver`);
  const plane = await startControlPlane({ fsync: true, crds: CRDS, log: say });
  const client = loadClient({ kubeconfig: plane.kubeconfig, userAgent: 'replicert-bench' });
  const limit = await limitMemory(MEMORY_LIMIT_MIB);
  try {
    return await new Measurement(plane, client, { entry, flags, limit, profile }, say, signal).run(count);
  } finally {
    await limit?.remove();
    await client.close();
    await plane.stop();
  }
}

type Program = Pick<OperatorOptions, 'entry' | 'flags' | 'limit' | 'profile'>;

class Measurement {
  readonly #plane: ControlPlane;
  readonly #client: Client;
  readonly #audit: Audit;
  readonly #program: Program;
  readonly #say: (line: string) => void;
  readonly #signal: AbortSignal;

  constructor(plane: ControlPlane, client: Client, program: Program, say: (line: string) => void, signal: AbortSignal) {
    this.#plane = plane;
    this.#client = client;
    this.#audit = new Audit(plane.auditLog, OPERATOR_USER);
    this.#program = program;
    this.#say = say;
    this.#signal = signal;
  }

  async run(count: number): Promise<Result> {
    const kubeconfig = await installOperator(this.#plane, NAMESPACE);
    const start = (name: string): OperatorProcess => {
      const logFile = join(this.#plane.dir, 'logs', `${name}.log`);
      return new OperatorProcess({ ...this.#program, kubeconfig, namespace: NAMESPACE, logFile });
    };
    this.#say(`yardstick: creating ${YARDSTICK} plain Secrets`);
    const secretCreatesPerSecond = round(await measureSecretCreates(this.#client, NAMESPACE, YARDSTICK), 0);

    const running: OperatorProcess[] = [];
    try {
      const first = start('operator');
      running.push(first);
      await first.leading(this.#signal);
      await this.#createAuthority();
      await this.#quiet(first.pid, performance.now());
      const beforeBurst = residentMemory(first.pid).now;
      const burst = await this.#burst(count, first.pid);
      const { now: afterBurst, peak } = residentMemory(first.pid);
      const idle = await this.#idle(first.pid);
      const afterIdle = residentMemory(first.pid).now;

      this.#say('restart');
      const stopping = performance.now();
      await first.stop();
      const stopSeconds = seconds(performance.now() - stopping);
      const mark = await this.#audit.mark();
      const second = start('operator-restarted');
      running.push(second);
      await second.leading(this.#signal);
      const leadingSeconds = seconds(performance.now() - second.startedAt);
      const idleAt = await this.#quiet(second.pid, second.startedAt);
      const requests = (await this.#audit.since(mark)).filter((request) => !isUpkeep(request));
      const after = residentMemory(second.pid);

      const paced = await this.#paced(count);
      const complaints = [...(await first.complaints()), ...(await second.complaints())];
      return {
        count,
        secretCreatesPerSecond,
        burst,
        memoryMB: {
          limitMiB: this.#program.limit?.mebibytes ?? null,
          beforeBurst: megabytes(beforeBurst),
          afterBurst: megabytes(afterBurst),
          peak: megabytes(peak),
          afterIdle: megabytes(afterIdle),
          afterRestart: megabytes(after.now),
          peakAfterRestart: megabytes(after.peak),
        },
        idle,
        restart: {
          stopSeconds,
          leadingSeconds,
          idleSeconds: seconds(idleAt - second.startedAt),
          writes: tally(requests.filter(isWrite)),
          reads: tally(requests.filter((request) => !isWrite(request))),
        },
        paced,
        complaints: { count: complaints.length, first: complaints.slice(0, 5) },
      };
    } finally {
      // In good order, so that profiles are written; a failure to do so must not hide what failed before.
      await Promise.allSettled(running.slice(-1).map((operator) => operator.stop()));
      await Promise.all(running.map((operator) => operator.kill()));
    }
  }

  async #createAuthority(): Promise<void> {
    const watch = await new ReadyWatch(this.#client, REPLICATION_CA, NAMESPACE).start(this.#signal);
    try {
      await createAuthority(this.#client, NAMESPACE, CA);
      await watch.ready(CA);
    } finally {
      await watch.stop();
    }
  }

  async #burst(count: number, operator: number): Promise<Result['burst']> {
    const nameOf = (index: number): string => `member-${index}`;
    const created = new Map<string, number>();
    const watch = await new ReadyWatch(this.#client, CLUSTER_CERTIFICATE, NAMESPACE).start(this.#signal);
    try {
      const { 'kube-apiserver': apiserver, etcd, 'kube-controller-manager': manager } = this.#plane.processes;
      const processes = new Map([
        ['operator', operator],
        ['kube-apiserver', apiserver],
        ['etcd', etcd],
        ['kube-controller-manager', manager],
        ['load', process.pid],
      ]);
      const mark = await this.#audit.mark();
      const cpuBefore = sampleCpu(processes);
      const began = performance.now();
      let createdAt = began;
      const creating = forEachConcurrently(count, async (index) => {
        await createCertificate(this.#client, NAMESPACE, CA, nameOf(index));
        createdAt = performance.now();
        created.set(nameOf(index), createdAt);
      });
      // Whoever waits for certificates must not wait for those that could not be created.
      const failed = creating.then(() => new Promise<never>(() => {}));
      await Promise.race([failed, this.#allReady(watch, count, created)]);
      const cpuAfter = sampleCpu(processes);
      await creating;
      const readyAt = [...created.keys()].map((name) => watch.readyAt(name) ?? Number.NaN);
      const elapsed = Math.max(...readyAt) - began;
      const latencies = [...created].map(([name, at]) => Math.max(0, (watch.readyAt(name) ?? Number.NaN) - at));
      const settledAt = await this.#quiet(operator, began);
      const requests = (await this.#audit.since(mark)).filter((request) => !isUpkeep(request));
      const outcome = await countOutcome(this.#client, NAMESPACE);
      if (outcome.secrets !== count)
        throw new Error(`${count} certificates are Ready, but there are ${outcome.secrets} Secrets`);
      const writes = requests.filter(isWrite);
      const events = writes.filter(({ resource }) => resource === 'events').length;
      return {
        seconds: seconds(elapsed),
        perSecond: round(count / (elapsed / 1_000), 1),
        createSeconds: seconds(createdAt - began),
        latencyMs: latencyOf(latencies),
        settledSeconds: seconds(settledAt - began),
        requests: tally(requests),
        objectWritesPerCertificate: round((writes.length - events) / count, 3),
        eventsPerCertificate: round(events / count, 3),
        readsPerCertificate: round((requests.length - writes.length) / count, 3),
        cpuSeconds: Object.fromEntries(
          [...cpuBetween(cpuBefore, cpuAfter)].map(([name, used]) => [name, round(used, 2)]),
        ),
      };
    } finally {
      await watch.stop();
    }
  }

  async #allReady(
    watch: { readonly count: number },
    count: number,
    created: ReadonlyMap<string, number>,
  ): Promise<void> {
    let toldAt = performance.now();
    let progressAt = toldAt;
    let seen = 0;
    while (watch.count < count) {
      await sleep(20, undefined, { signal: this.#signal });
      const now = performance.now();
      if (watch.count > seen) {
        seen = watch.count;
        progressAt = now;
      }
      if (now - progressAt > 60_000)
        throw new Error(`no certificate has become Ready for a minute; ${seen} of ${count} are`);
      if (now - toldAt < 1_000) continue;
      toldAt = now;
      this.#say(`${created.size} created, ${seen} Ready`);
    }
  }

  /** Certificates one after the other, at a rate that keeps nobody busy: what one user waits for. */
  async #paced(before: number): Promise<Result['paced']> {
    const { count, perSecond } = PACED;
    this.#say(`${count} single certificates, ${perSecond} per second, beside ${before} others`);
    const latencies: number[] = [];
    const watch = await new ReadyWatch(this.#client, CLUSTER_CERTIFICATE, NAMESPACE).start(this.#signal);
    try {
      const began = performance.now();
      const issue = async (index: number): Promise<void> => {
        const name = `single-${index}`;
        await sleep(Math.max(0, began + (index * 1_000) / perSecond - performance.now()), undefined, {
          signal: this.#signal,
        });
        await createCertificate(this.#client, NAMESPACE, CA, name);
        const created = performance.now();
        await watch.ready(name);
        latencies.push((watch.readyAt(name) ?? Number.NaN) - created);
      };
      await Promise.all(Array.from({ length: count }, (_, index) => issue(index)));
      return { count, perSecond, latencyMs: latencyOf(latencies) };
    } finally {
      await watch.stop();
    }
  }

  async #idle(operator: number): Promise<Result['idle']> {
    this.#say(`idle for ${IDLE_SECONDS} s`);
    const mark = await this.#audit.mark();
    const cpu = cpuSeconds(operator);
    await sleep(IDLE_SECONDS * 1_000, undefined, { signal: this.#signal });
    const requests = await this.#audit.since(mark);
    return {
      seconds: IDLE_SECONDS,
      requests: tally(requests.filter((request) => !isUpkeep(request))),
      upkeep: tally(requests.filter(isUpkeep)),
      cpuSeconds: round(cpuSeconds(operator) - cpu, 2),
    };
  }

  /**
   * Waits until the operator was seen to be quiet for two seconds: no request but Lease and watches, less than a fifth of a core.
   * Returns when that began, by performance.now(); `since` where it never was anything else.
   */
  async #quiet(operator: number, since: number): Promise<number> {
    const lookingSince = performance.now();
    let busyAt = since;
    let mark = await this.#audit.mark();
    let cpu = cpuSeconds(operator);
    for (;;) {
      await sleep(100, undefined, { signal: this.#signal });
      const now = performance.now();
      const end = await this.#audit.mark();
      const requests: readonly Request[] = await this.#audit.since(mark, end);
      mark = end;
      const used = cpuSeconds(operator);
      if (used - cpu >= 0.02 || requests.some((request) => !isUpkeep(request))) busyAt = now;
      cpu = used;
      if (now - Math.max(busyAt, lookingSince) > 2_000) return busyAt;
    }
  }
}

function latencyOf(latencies: readonly number[]): Latency {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN, 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function seconds(milliseconds: number): number {
  return round(milliseconds / 1_000, 2);
}

function megabytes(bytes: number): number {
  return round(bytes / 1e6, 0);
}
