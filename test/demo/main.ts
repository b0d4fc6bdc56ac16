/** `make demo`: see HELP. */
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { Company } from './company.ts';
import { DemoFailure } from './failure.ts';
import { NAMESPACE, ROOT, Scenario, shownPath } from './scenario.ts';
import { Screen } from './screen.ts';
import { span } from './text.ts';
import { type Check, exitCodeOf, judge } from './verdict.ts';

const HELP = `The CA of three replicating clusters is rotated under them, and not one handshake may fail.

usage: make demo [KEEP=1]        or: node test/demo/main.ts [--keep]

A real control plane, the operator under its own RBAC, three replication endpoints that require client certificates and
hand over counted data all the time, and a rotation by kubectl patch. All of it ends with the demo, however that ends.

  --keep, KEEP=1   leave everything running after the rotation, until Ctrl-C

Exit status: 0 only if the rotation completed, no handshake failed, no byte was lost and the old CA is refused by all;
1 if not, or if a step failed (then the logs are kept); 2 unusable options; 130 ended by Ctrl-C.
`;
const LOGS = join(ROOT, '.work', 'demo-logs');

/** Asked to end from outside. */
class Ended extends Error {
  override readonly name = 'Ended';
}

process.exitCode = await main();

async function main(): Promise<number> {
  let keep = (process.env['KEEP'] ?? '') !== '' && process.env['KEEP'] !== '0';
  try {
    const { values } = parseArgs({ options: { keep: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } });
    if (values.help === true) {
      process.stdout.write(HELP);
      return 0;
    }
    keep ||= values.keep === true;
  } catch (error) {
    process.stderr.write(`demo: ${messageOf(error)}\n${HELP}`);
    return 2;
  }
  return demo(keep);
}

async function demo(keep: boolean): Promise<number> {
  const screen = new Screen(process.stdout, process.env);
  const ending = endingBySignal();
  const began = performance.now();
  screen.line([span('Replicert demo', 'bold'), span(': the CA of three clusters is rotated while they replicate')]);
  let plane: ControlPlane | null = null;
  let company: Company | null = null;
  let scenario: Scenario | null = null;
  let verdict: number | null = null;
  try {
    plane = await startControlPlane({ log: (line) => screen.line([span(`  control plane: ${line}`, 'dim')]) });
    screen.line(`  control plane ready after ${((performance.now() - began) / 1000).toFixed(1)} s: ${plane.server}`);
    const dir = join(plane.dir, 'demo');
    await mkdir(join(dir, 'logs'), { recursive: true });
    company = new Company(join(dir, 'logs'), (failure) => ending.abort(failure));
    scenario = new Scenario({ plane, company, screen, dir, signal: ending.signal });
    const checks = judge(await scenario.play());
    verdict = exitCodeOf(checks);
    summarise(screen, checks, performance.now() - began);
    if (verdict !== 0) await keepLogs(screen, plane);
    if (keep) {
      invite(screen, plane);
      await scenario.idle();
    }
  } catch (error) {
    if (!(error instanceof Ended)) {
      verdict = 1;
      explain(screen, error);
      if (plane !== null) await keepLogs(screen, plane);
    }
  } finally {
    screen.keepTable();
    screen.line();
    await company?.end();
    await scenario?.close();
    await plane?.stop();
  }
  if (ending.signal.reason instanceof Ended) screen.line('demo: ended; everything has been taken down');
  return verdict ?? 130;
}

/** Aborted with Ended by the first signal. A second one does not wait: what we started ends when we are gone. */
function endingBySignal(): AbortController {
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => (ending.signal.aborted ? process.exit(130) : ending.abort(new Ended(name))));
  }
  // Nobody reads us any more.
  process.stdout.on('error', () => ending.abort(new Ended('EPIPE')));
  return ending;
}

function summarise(screen: Screen, checks: readonly Check[], ms: number): void {
  const width = Math.max(...checks.map(({ name }) => name.length));
  screen.keepTable();
  screen.line();
  for (const { name, ok, findings } of checks) {
    for (const [i, finding] of findings.entries()) {
      const mark = i > 0 ? span('     ') : ok ? span('  ✓  ', 'good') : span('  ✗  ', 'bad');
      screen.line([mark, span((i > 0 ? '' : name).padEnd(width + 2), 'bold'), span(finding)]);
    }
  }
  const failed = checks.filter(({ ok }) => !ok).map(({ name }) => name);
  screen.line();
  screen.line(
    failed.length === 0
      ? [span('demo: passed', 'good'), span(` in ${(ms / 1000).toFixed(0)} s`)]
      : [span('demo: FAILED', 'bad'), span(`: ${failed.join(', ')}`)],
  );
}

function explain(screen: Screen, error: unknown): void {
  screen.keepTable();
  screen.line();
  screen.line([span('demo: FAILED', 'bad'), span(`: ${messageOf(error)}`)]);
  if (error instanceof DemoFailure) screen.line(`  next: ${error.next}`);
}

/** The logs outlive the control plane, in whose folder they are; they hold no keys. */
async function keepLogs(screen: Screen, plane: ControlPlane): Promise<void> {
  await rm(LOGS, { recursive: true, force: true });
  await cp(join(plane.dir, 'demo', 'logs'), LOGS, { recursive: true });
  await cp(join(plane.dir, 'logs'), LOGS, { recursive: true });
  screen.line(`  logs: ${shownPath(LOGS)}`);
}

function invite(screen: Screen, { kubeconfig, binaries }: ControlPlane): void {
  const lines = [
    '',
    'Everything goes on running. In another terminal:',
    '',
    `  export KUBECONFIG=${kubeconfig}`,
    `  alias kubectl=${binaries.kubectl}`,
    `  kubectl get replicert -n ${NAMESPACE}`,
    `  kubectl events -n ${NAMESPACE} --for rca/mesh`,
    `  kubectl patch -n ${NAMESPACE} rca mesh --type=merge -p '{"spec":{"rotation":{"generation":3}}}'`,
    '',
    'Ctrl-C here ends it.',
  ];
  for (const line of lines) screen.line(line);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
