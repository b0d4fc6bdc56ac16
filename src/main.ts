/** The operator's process: reads its options, looks, is elected, acts; ends in good order, or at once when it has lost the lease. */
import { pino } from 'pino';
import { Operator } from './controllers/operator.ts';
import { HELP, OptionError, type Options, readOptions } from './options.ts';
import { loadClient } from './runtime/http-client.ts';
import { checkKubeconfig } from './runtime/credentials.ts';
import { EventRecorder } from './runtime/events.ts';
import { serveHealth } from './runtime/health.ts';
import { LeaderElection } from './runtime/leader.ts';

/** Longest graceful end; after that the process goes as it is, which is safe: every write stands alone. */
const STOP_TIMEOUT = 10_000;

async function run(options: Options): Promise<void> {
  // From the very beginning: a pod is also stopped while it starts.
  const signal = new Promise<string>((resolve) => {
    // Not once: a second signal must not cut the end short.
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => resolve(name));
  });
  if (options.kubeconfig !== undefined) {
    await checkKubeconfig(options.kubeconfig).catch((error: unknown) => {
      throw new OptionError(`--kubeconfig: ${error instanceof Error ? error.message : String(error)}`);
    });
  }
  const log = pino({ level: options.logLevel, base: { identity: options.identity } });
  const client = loadClient({ kubeconfig: options.kubeconfig, userAgent: 'replicert-operator' });
  const stop = new AbortController();

  const election = new LeaderElection({
    client,
    namespace: options.leaseNamespace,
    name: options.leaseName,
    identity: options.identity,
    leaseDurationMs: options.leaseDurationMs,
    renewDeadlineMs: (options.leaseDurationMs * 2) / 3,
    retryPeriodMs: Math.min(2_000, options.leaseDurationMs / 5),
    onElected: () => {
      log.info({ lease: `${options.leaseNamespace}/${options.leaseName}` }, 'leading');
      void operator.act(stop.signal);
    },
    onLost: (reason) => {
      log.fatal({ reason }, 'the lease is lost: another replica may act now, this one ends');
      process.exit(1);
    },
    log,
  });
  const fenced = client.fenced(election.mayWrite);
  const events = new EventRecorder({
    client: fenced,
    reportingController: 'replicert.io/operator',
    reportingInstance: options.identity.slice(0, 128),
    capacity: 10_000,
    busy: () => operator.busy,
    log,
  });
  const operator = new Operator({ client: fenced, events, namespaces: options.namespaces, log });
  const health = await serveHealth(options.healthPort, {
    sick: () => election.hung ?? operator.hung,
    notReady: () =>
      operator.synced
        ? null
        : `not read yet: ${operator.unread.slice(0, 8).join(', ')}. Does each namespace exist, with the RoleBinding of deploy/watched-namespace.yaml in it?`,
  });
  log.info({ namespaces: options.namespaces, healthPort: health.port }, 'started');
  operator.look();
  election.start();

  log.info({ signal: await signal }, 'stopping');
  setTimeout(() => process.exit(1), STOP_TIMEOUT).unref();
  stop.abort();
  await operator.stop();
  await events.stop();
  await election.stop();
  await health.close();
  log.info('stopped');
  // What is left are connections on which nobody waits.
  process.exit(0);
}

try {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === null) process.stdout.write(HELP);
  else await run(options);
} catch (error) {
  if (error instanceof OptionError) {
    process.stderr.write(`replicert-operator: ${error.message}. See --help.\n`);
    process.exitCode = 2;
  } else {
    process.stderr.write(`replicert-operator: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
