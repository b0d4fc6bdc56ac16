/** `make bench`: what the operator needs to issue certificates, on a real API server whose etcd flushes to disk. See HELP. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { bundle, nodeFlags, sourceEntry } from '../support/bundle.ts';
import { describeMachine } from './machine.ts';
import { reportOf } from './report.ts';
import { measure, type Result } from './run.ts';

const HELP = `Issues N ClusterCertificates (ECDSA P-256) under one CA and says what that takes.

usage: make bench ARGS="[options]", or: node test/bench/main.ts [options]

  --count N[,N...]  how many certificates; each number gets a control plane of its own. Default: 1000
  --json FILE       where everything that was measured is written. Default: .work/bench.json
  --no-bundle       run the operator from its sources. Default: --bundle, as it is shipped
  --profile DIR     let the operator write CPU profiles there (*.cpuprofile), which slows it down
  --help            this text

The API server, etcd (with fsync), the operator and the load share this machine; the table says who used how much of it.
The operator runs as a process of its own under exactly the permissions of deploy/*.yaml. Everything ends with this program.
`;

const OPTIONS = {
  count: { type: 'string', default: '1000' },
  json: { type: 'string', default: '.work/bench.json' },
  bundle: { type: 'boolean', default: true },
  profile: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

try {
  const { values } = parseArgs({ allowNegative: true, options: OPTIONS });
  const counts = values.count.split(',').map(Number);
  if (counts.some((count) => !Number.isInteger(count) || count < 1))
    throw new Error(`--count ${values.count}: must be whole numbers of at least 1, separated by commas`);
  if (values.help) process.stdout.write(HELP);
  else await main(values, counts);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n${HELP}`);
  process.exitCode = 2;
}

async function main(
  values: ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'],
  counts: readonly number[],
): Promise<void> {
  const stop = new AbortController();
  // Ctrl-C in a terminal reaches the operator as well; what is left of the run is torn down by its own `finally`.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stop.abort(new Error(`ended by ${signal}`)));
  }
  const say = (line: string): void => void process.stderr.write(`bench: ${line}\n`);
  try {
    const entry = values.bundle ? await bundle() : sourceEntry;
    const flags = await nodeFlags();
    const machine = await describeMachine();
    const results: Result[] = [];
    try {
      for (const count of counts) {
        results.push(await measure({ count, entry, flags, profile: values.profile ?? null, say, signal: stop.signal }));
      }
    } finally {
      // What was measured before a later count failed is not lost.
      if (results.length > 0) {
        const report = { at: new Date().toISOString(), bundled: values.bundle, flags, machine, results };
        process.stdout.write(reportOf(report));
        await mkdir(dirname(values.json), { recursive: true });
        await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
        say(`all figures are in ${values.json}`);
      }
    }
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
