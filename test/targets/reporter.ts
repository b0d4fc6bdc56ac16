/** Writes what the tests of a run have proven into the table of docs/targets/README.md; what other files prove stays as it is. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import type { Claim } from './claims.ts';
import { claimsOf, TABLE, withTable } from './table.ts';

const PAGE = join(import.meta.dirname, '..', '..', TABLE);

export default class TargetsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const page = readFileSync(PAGE, 'utf8');
    const ran = new Set(modules.map(({ relativeModuleId }) => relativeModuleId));
    const others = claimsOf(page).filter(({ file }) => !ran.has(file));
    const proven = modules.flatMap((module) => provenIn(module.relativeModuleId, [...module.children.allTests()]));
    // As they are read from the sources: by file.
    const claims = [...others, ...proven].toSorted((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0));
    writeFileSync(PAGE, withTable(page, claims));
  }
}

type Told = Pick<TestCase, 'name' | 'meta'> & { result(): { readonly state: string } };

/** What tests of one file claim and have passed for. Of several tests of one name (in loops) one must have passed, and none may have failed. */
export function provenIn(file: string, tests: readonly Told[]): readonly Claim[] {
  const claims = new Map<string, { readonly claim: Claim; readonly states: Set<string> }>();
  for (const test of tests) {
    const { system, aspects = [] } = test.meta().proves ?? {};
    for (const aspect of aspects) {
      const claim = { system: system ?? '', aspect, file, test: test.name };
      const known = claims.get(JSON.stringify(claim)) ?? { claim, states: new Set() };
      known.states.add(test.result().state);
      claims.set(JSON.stringify(claim), known);
    }
  }
  return [...claims.values()].flatMap(({ claim, states }) =>
    states.has('passed') && [...states].every((state) => state === 'passed' || state === 'skipped') ? [claim] : [],
  );
}
