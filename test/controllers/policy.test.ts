import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { CA_SECRET_TYPE, LEDGER_SECRET_TYPE, MEMBER_SECRET_TYPE, OUTPUT_SECRET_TYPE } from '../../src/api/names.ts';

interface Policy {
  readonly kind?: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly matchConditions: readonly { readonly expression: string }[];
    readonly validations: readonly { readonly expression: string }[];
  };
}

test('the policy of deploy/ lets the operator make every type of Secret that it makes, and no other', async () => {
  const text = await readFile(join(import.meta.dirname, '..', '..', 'deploy', 'operator.yaml'), 'utf8');
  const policy = parseAllDocuments(text)
    .map((document) => document.toJS() as Policy)
    .find(({ kind, metadata }) => kind === 'ValidatingAdmissionPolicy' && metadata.name.endsWith('-secrets'));
  const expressions = policy?.spec.matchConditions.map((each) => each.expression) ?? [];
  const types = expressions.flatMap((each) => /in \[([^\]]*)\]/.exec(each)?.[1]?.split(', ') ?? []);
  const ours = [MEMBER_SECRET_TYPE, OUTPUT_SECRET_TYPE, CA_SECRET_TYPE, LEDGER_SECRET_TYPE];
  expect(types.toSorted()).toEqual(ours.map((type) => `'${type}'`).toSorted());
  // Whatever meets the conditions is denied.
  expect(policy?.spec.validations.map((each) => each.expression)).toEqual(['false']);
});
