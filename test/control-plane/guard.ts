/**
 * Runs a command that must not outlive whoever asked for it: `node guard.ts <command> [args...]`.
 *
 * The starter holds the other end of our standard input and runs us detached, so we lead a process group of our own.
 * When that pipe closes, for whatever reason (also SIGKILL), the whole group is killed.
 */
import { spawn } from 'node:child_process';

const [command, ...args] = process.argv.slice(2);
if (command === undefined) throw new Error('usage: guard.ts <command> [args...]');

process.stdin.resume();
process.stdin.once('close', () => process.kill(-process.pid, 'SIGKILL'));

const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
child.once('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(127);
});
child.once('exit', (code) => process.exit(code ?? 1));
