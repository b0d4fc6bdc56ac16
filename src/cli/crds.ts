/** Writes the CRDs, what kustomize is to know of them, and docs/reference.md; with --check, says what is stale and exits with 1. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { customResourceDefinition, kustomizeSchema } from '../api/crd.ts';
import { GROUP, KINDS } from '../api/names.ts';
import { DEFINITIONS } from '../api/objects.ts';
import { referenceText } from './reference.ts';

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
    ({ check } = parseArgs({ options: { check: { type: 'boolean', default: false } } }).values);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    console.error(`crds: ${what}\nusage: node src/cli/crds.ts [--check]`);
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
