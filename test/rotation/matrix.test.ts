import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { RosterEntry } from '../../src/api/ledger.ts';
import type { MemberKey } from '../../src/api/names.ts';
import type { Facts } from '../../src/rotation/facts.ts';
import { cut, inventory } from '../../src/rotation/matrix.ts';
import { plan } from '../../src/rotation/plan.ts';
import { A, B, C, SimulatedMesh } from './world.ts';

let mesh: SimulatedMesh;
beforeEach(() => {
  mesh = new SimulatedMesh([A, B, C]);
  mesh.settle();
  mesh.wish = { ...mesh.wish, generation: 2 };
});

const WHY = 'verifiers that take the last CA refuse it';
/** Verifiers that find a leaf of this generation only where its CA stands alone. */
const confusedBy =
  (generation: number): Facts['verifies'] =>
  (leaf, bundle) =>
    leaf === generation && bundle.length > 1 ? WHY : null;

describe('a cell that fails', () => {
  test.each(['Append', 'Roll'] as const)('%s: nobody is granted, and each is told the edge and the reason', (stage) => {
    mesh.until(
      ({ rotation, roster }) => rotation?.stage === stage && [...roster.values()].every(({ grant }) => grant === null),
    );
    mesh.look(A, B, C);
    const facts = { ...mesh.facts(), verifies: confusedBy(stage === 'Append' ? 1 : 2) };
    const { step, held } = plan(facts, mesh.now);
    expect(step.kind).toBe('rest');
    expect([...held.keys()]).toEqual([A, B, C]);
    expect(held.get(A)).toMatchObject({ reason: 'WouldBreak', contrary: false });
    expect(held.get(A)?.message).toMatch(
      /^The change would break \S+ -> \S+, both ways: a leaf of generation \d against the bundle 1 \+ 2: verifiers that take the last CA refuse it\. Nothing is changed\.$/,
    );
    expect(held.get(A)?.message).toContain(A);
  });

  test('a stage that would break a link is not entered, whatever is proven', () => {
    mesh.wish = { ...mesh.wish, approval: { required: ['Roll'], upTo: null } };
    mesh.until(({ rotation }) => rotation?.provenSince != null);
    const { step, hold } = plan({ ...mesh.facts(), verifies: confusedBy(2) }, mesh.now);
    expect(step.kind).toBe('rest');
    expect(hold?.kind).toBe('unsafe');
    expect(hold?.kind === 'unsafe' && hold.message).toMatch(/generation 2 against the bundle 1 \+ 2/);
  });

  test('a leaf that is seen and should not be there', () => {
    mesh.until(({ rotation }) => rotation?.stage === 'Drop');
    const { ledger, certificates } = mesh.facts();
    mesh.look(A, B, C);
    const member = mesh.member(B);
    if (member.evidence !== null)
      member.evidence = { ...member.evidence, presents: { fingerprint: 'old', generation: 1 } };
    const facts = mesh.facts();
    const found = cut(facts, inventory(facts, ledger.roster), { leaf: 2, bundle: [2] }, A, mesh.now);
    expect(found?.message).toMatch(
      /^The change would break ns\/b -> ns\/a, both ways: a leaf of generation 1 against the bundle 2: it does not hold/,
    );
    expect(certificates.size).toBe(3);
  });

  test('a generation that has expired signs nothing any more', () => {
    mesh.until(({ rotation }) => rotation?.stage === 'Roll');
    mesh.until(({ roster }) => [...roster.values()].some(({ grant }) => grant === 'Proven'));
    mesh.wish = { ...mesh.wish, generation: 1 };
    mesh.pass();
    const late = Math.max(...[...mesh.facts().generations.values()].map(({ notAfter }) => notAfter));
    const facts = mesh.facts();
    const found = cut(facts, inventory(facts, mesh.ledger.roster), { leaf: 1, bundle: [1, 2] }, A, late);
    expect(found?.message).toMatch(/^Leaves of generation 1 are accepted nowhere: it expired at /);
    expect(cut(facts, inventory(facts, mesh.ledger.roster), { leaf: 1, bundle: [1, 2] }, A, late - 1)).toBeNull();
  });
});

test('groups find what every pair of members, looked at one by one, finds', () => {
  const number = fc.constantFrom(1, 2);
  const bundle = fc.constantFrom([1], [2], [1, 2]);
  const entry = fc.record({ leaf: fc.option(number), bundle });
  const property = fc.property(
    fc.array(entry, { minLength: 1, maxLength: 5 }),
    entry,
    fc.array(fc.tuple(number, bundle), { maxLength: 3 }),
    (entries, { leaf, bundle: coming }, refused) => {
      const roster = new Map(
        entries.map((each, i): [MemberKey, RosterEntry] => [`ns/${i}`, { uid: 'u', since: 1, grant: null, ...each }]),
      );
      const verifies: Facts['verifies'] = (of, under) =>
        refused.some(([g, b]) => g === of && b.join() === under.join()) ? 'no' : null;
      const facts: Facts = { ...mesh.facts(), certificates: new Map(), witnesses: new Map(), verifies };
      const content = { leaf: leaf ?? 1, bundle: coming };
      const works = (of: number, under: readonly number[]) => under.includes(of) && verifies(of, under) === null;
      const stock = inventory(facts, roster);
      for (const self of roster.keys()) {
        const others = [...roster].filter(([key, each]) => key !== self && each.leaf !== null).map(([, each]) => each);
        const expected =
          works(content.leaf, content.bundle) &&
          others.every((each) => works(each.leaf ?? 0, content.bundle) && works(content.leaf, each.bundle));
        expect(cut(facts, stock, content, self, mesh.now) === null).toBe(expected);
      }
    },
  );
  fc.assert(property, { numRuns: 2_000 });
});
