import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

/** Put together here, so that this file is not its own finding. */
const FORBIDDEN: ReadonlyArray<readonly [what: string, pattern: RegExp]> = [
  ["a path of somebody's machine", new RegExp(String.raw`(^|[\s"'\`(=:])/(?:home|Users|root|work)/[\w.-]+`, 'm')],
  ["a path of somebody's Windows machine", /\b[A-Z]:\\Users\\/],
  ['a package registry', new RegExp(['registry.npm', 'js.org|registry.yarn', 'pkg.com|proxy.golang', '.org'].join(''))],
  [
    'a focused or disabled check',
    new RegExp(['@ts-', 'ignore|@ts-', 'nocheck|ox', 'lint-disable|biome-', 'ignore'].join('')),
  ],
  ['a private key', new RegExp(['BEGIN (?:[A-Z]+ )?PRIVATE', ' KEY-----\\s*\\n[A-Za-z0-9+/=\\s]{64,}'].join(''))],
];

/** What is wrong with a text, in words for people. */
function findings(text: string): string[] {
  return FORBIDDEN.filter(([, pattern]) => pattern.test(text)).map(([what]) => what);
}

describe('tracked files', () => {
  const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' }).split('\0').filter(Boolean);

  test('name no machine, no registry, and hold no key and no silenced check', () => {
    expect(tracked.length).toBeGreaterThan(0);
    const texts = tracked.filter((file) => existsSync(join(ROOT, file)));
    const found = texts.flatMap((file) =>
      findings(readFileSync(join(ROOT, file), 'utf8')).map((what) => `${file}: ${what}`),
    );
    expect(found).toEqual([]);
  });
});

describe('findings', () => {
  const key = 'A'.repeat(80);
  test.each([
    [`const file = '${['', 'home', 'jane', 'project'].join('/')}';`],
    [`see ${['', 'root', '.cache'].join('/')}`],
    [`"resolved": "https://${['registry', 'npmjs', 'org'].join('.')}/zod"`],
    [`// ${['@ts', 'ignore'].join('-')}`],
    [`-----BEGIN ${['PRIVATE', 'KEY'].join(' ')}-----\n${key}\n`],
    [`-----BEGIN EC ${['PRIVATE', 'KEY'].join(' ')}-----\n${key}\n`],
  ])('shows %j', (text) => {
    expect(findings(text)).toHaveLength(1);
  });

  test.each([
    ['~/.cache/replicert, $HOME/.kube/config, /etc/ssl, github.com/home/work'],
    ['new WorkQueue(), src/work/x.ts'],
    [`throw new Error('no -----BEGIN ${['PRIVATE', 'KEY'].join(' ')}----- in it')`],
  ])('lets %j pass', (text) => {
    expect(findings(text)).toEqual([]);
  });
});
