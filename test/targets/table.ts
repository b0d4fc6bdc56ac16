/** The table of docs/targets/README.md: a row for each target system, and in each cell the tests that prove it. */
import { PROFILES } from '../../src/api/fields.ts';
import { ASPECTS, type Claim } from './claims.ts';

/** Where it stands. */
export const TABLE = 'docs/targets/README.md';
const HEAD = ['system', ...Object.values(ASPECTS)];
const UP = '../../';

/** The lines of the table. Claims of the same cell keep their order. */
export function tableOf(claims: readonly Claim[]): string {
  const rows = PROFILES.map((system) => [
    `[${system}](${system}.md)`,
    ...Object.keys(ASPECTS).map((aspect) =>
      claims
        .filter((claim) => claim.system === system && claim.aspect === aspect)
        .map(({ file, test }) => `[${test}](${UP}${file})`)
        .join('<br>'),
    ),
  ]);
  return [HEAD, HEAD.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

/** What the table of a page says. */
export function claimsOf(page: string): readonly Claim[] {
  return rowsOf(page).flatMap((row) => {
    const [name = '', ...cells] = row.split(' | ');
    const system = /\[(.+?)\]/.exec(name)?.[1] ?? '';
    return Object.keys(ASPECTS).flatMap((aspect, i) =>
      [...(cells[i] ?? '').matchAll(/\[(.+?)\]\((?:\.\.\/)*(.+?)\)/g)].map(([, test = '', file = '']) => ({
        system,
        aspect,
        file,
        test,
      })),
    );
  });
}

/** The page with another table. */
export function withTable(page: string, claims: readonly Claim[]): string {
  return page.replace(/^\| system \|(?:.*\n\|)*.*\n/m, () => tableOf(claims));
}

const rowsOf = (page: string): readonly string[] => page.split('\n').filter((line) => line.startsWith('| ['));
