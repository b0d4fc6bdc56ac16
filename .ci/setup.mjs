// Makes node_modules what package-lock.json says, and does nothing when it is that already.
// Plain JavaScript without dependencies: it runs first, on any Node from 20.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const OLDEST_NODE = 24;
const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const lock = join(root, 'package-lock.json');
const stamp = join(root, 'node_modules', '.installed-lock.json');
// npm replaces node_modules: it must not itself run on the Node in there.
const outside = process.env.PATH.split(delimiter).filter((folder) => folder !== bin);

if (!isInstalled()) {
  process.stderr.write('setup: installing the npm packages of package-lock.json ...\n');
  const began = Date.now();
  const npm = spawnSync('npm', ['ci', '--loglevel=error', '--no-audit', '--no-fund', '--no-progress'], {
    cwd: root,
    // npm's "added n packages" is no result of anybody's command: standard output stays clean.
    stdio: ['ignore', 2, 2],
    env: { ...process.env, PATH: outside.join(delimiter) },
  });
  if (npm.status !== 0) fail(npm.error === undefined ? '`npm ci` failed' : `npm cannot be run: ${npm.error.message}`);
  copyFileSync(lock, stamp);
  process.stderr.write(`setup: done in ${Math.round((Date.now() - began) / 1000)} s\n`);
}
checkNode();

function isInstalled() {
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== readFileSync(lock, 'utf8')) return false;
  const { packages } = JSON.parse(readFileSync(lock, 'utf8'));
  return Object.entries(packages).every(
    ([path, about]) => path === '' || !isForHere(about) || existsSync(join(root, path, 'package.json')),
  );
}

// An optional package is needed when it is made for this platform; which C library it wants is left to npm.
function isForHere({ optional, os, cpu, libc }) {
  if (optional !== true) return true;
  return libc === undefined && os?.includes(process.platform) === true && cpu?.includes(process.arch) === true;
}

// On Linux the right Node is one of the packages; elsewhere the developer brings it.
function checkNode() {
  const path = [bin, ...outside].join(delimiter);
  const { stdout } = spawnSync('node', ['--version'], { encoding: 'utf8', env: { ...process.env, PATH: path } });
  const major = Number(/^v(\d+)\./.exec(stdout ?? '')?.[1] ?? 0);
  if (major >= OLDEST_NODE) return;
  const found = major === 0 ? 'no Node was found' : `Node ${major} was found`;
  fail(`Node ${OLDEST_NODE} or newer is needed and ${found}; on this platform it does not come with the npm packages`);
}

function fail(message) {
  process.stderr.write(`setup: ${message}\n`);
  process.exit(1);
}
