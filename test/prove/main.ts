/** `make prove`; see HELP. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { proofIn } from '../support/proof.ts';

const vitest = (project: string, file: string): readonly string[] => ['vitest', 'run', '--project', project, file];

const PROOFS: readonly {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}[] = [
  { name: 'exploration', command: ['node', 'test/rotation/explore/main.ts'] },
  { name: 'bugs', command: vitest('unit', 'test/rotation/explore/seeds.test.ts') },
  {
    name: 'crashes',
    command: vitest('cluster', 'test/controllers/crash.cluster.test.ts'),
    env: { PROVE: 'all' },
  },
  {
    name: 'soak',
    command: vitest('cluster', 'test/controllers/soak.cluster.test.ts'),
    env: { ROTATIONS: process.env['ROTATIONS'] ?? '200' },
  },
];

const HELP = `Runs the long proofs, one after the other, whatever becomes of one of them, and says in the end how much each has proven.

usage: node test/prove/main.ts [${PROOFS.map(({ name }) => name).join(' | ')}]...

None named: all. The environment's ROTATIONS says how many the soak has (200).
`;

/** Which of them, by name; none named: all. */
function chosen(): typeof PROOFS {
  let names: readonly string[];
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' } },
    });
    if (values.help === true) {
      process.stdout.write(HELP);
      process.exit();
    }
    names = positionals;
    const unknown = names.find((each) => PROOFS.every(({ name }) => name !== each));
    if (unknown !== undefined) throw new Error(`there is no proof '${unknown}'`);
  } catch (error) {
    process.stderr.write(`prove: ${error instanceof Error ? error.message : String(error)}\n${HELP}`);
    process.exit(2);
  }
  return PROOFS.filter(({ name }) => names.length === 0 || names.includes(name));
}

/** Shows all that it says. */
async function run([program = '', ...args]: readonly string[], env: Readonly<Record<string, string>>) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let output = '';
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    from.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      to.write(text);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { output, passed: code === 0 };
}

const told: string[] = [];
for (const { name, command, env = {} } of chosen()) {
  const began = performance.now();
  const { output, passed } = await run(command, env);
  const minutes = ((performance.now() - began) / 60_000).toFixed(1);
  told.push(
    `${name}: ${passed ? 'passed' : 'FAILED'} after ${minutes} min`,
    ...proofIn(output).map((each) => `  ${each}`),
  );
  if (!passed) process.exitCode = 1;
}
process.stdout.write(`\n${told.join('\n')}\n`);
