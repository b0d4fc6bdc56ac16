/** See HELP. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { customResourceDefinition, kustomizeSchema } from '../api/crd.ts';
import { GROUP, KINDS } from '../api/names.ts';
import { DEFINITIONS } from '../api/objects.ts';
import { referenceText } from './reference.ts';

const HELP = `Writes what is made from the schemas in src/api: crds/, docs/reference.md, and what kustomize is to know of them.

usage: node src/cli/crds.ts [--check]

  --check   write nothing; name what is stale

Exit status: 0 all is as the schemas say; 1 with --check, something is stale; 2 unusable options.
`;
const HEADER = '# Written by `node src/cli/crds.ts` from the schemas in src/api. Change those instead.\n';

/** The generated files: path below the repository -> text. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const crds = KINDS.map((kind) => ({
    file: `${GROUP}_${DEFINITIONS[kind].resource.plural}.yaml`,
    crd: customResourceDefinition(kind),
  }));
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: crds.map(({ file }) => file),
  };
  return new Map([
    ...crds.map(({ file, crd }): [string, string] => [`crds/${file}`, yaml(crd)]),
    // Not kustomization.yaml, which `kubectl apply -f crds/` would take for an object.
    ['crds/Kustomization', yaml(kustomization)],
    ['docs/reference.md', referenceText()],
    ['deploy/kustomize/schema.json', `${JSON.stringify(kustomizeSchema(), null, 2)}\n`],
  ]);
}

const yaml = (value: unknown): string => HEADER + stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });

/** Paths of generated files below `root` that are missing or differ from what the schemas say. */
export async function staleFiles(root: string): Promise<string[]> {
  const stale: string[] = [];
  for (const [path, text] of generatedFiles()) {
    const present = await readFile(join(root, path), 'utf8').catch(() => null);
    if (present !== text) stale.push(path);
  }
  return stale;
}

async function writeFiles(root: string): Promise<void> {
  for (const [path, text] of generatedFiles()) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}

if (import.meta.main) process.exitCode = await main(join(import.meta.dirname, '../..'));

async function main(root: string): Promise<number> {
  let check: boolean;
  try {
    const flag = { type: 'boolean', default: false } as const;
    const { values } = parseArgs({ options: { check: flag, help: { ...flag, short: 'h' } } });
    if (values.help) {
      process.stdout.write(HELP);
      return 0;
    }
    ({ check } = values);
  } catch (error) {
    process.stderr.write(`crds: ${error instanceof Error ? error.message : String(error)}\n${HELP}`);
    return 2;
  }
  if (!check) {
    await writeFiles(root);
    return 0;
  }
  const stale = await staleFiles(root);
  if (stale.length > 0) console.error(`stale, run "node src/cli/crds.ts": ${stale.join(', ')}`);
  return stale.length > 0 ? 1 : 0;
}
