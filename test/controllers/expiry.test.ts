import { beforeEach, expect, test } from 'vitest';
import { expiring } from '../../src/controllers/replicationca/expiry.ts';
import { NOW, SimulatedMesh } from '../rotation/world.ts';

const YEAR = 365 * 24 * 3_600_000;
const ENDS = NOW + 9 * YEAR;

let mesh: SimulatedMesh;
beforeEach(() => {
  mesh = new SimulatedMesh(['ns/a', 'ns/b']);
  mesh.settle();
  mesh.wish = { ...mesh.wish, renewBefore: YEAR };
});
const names = (now: number): readonly string[] => expiring(mesh.facts(), mesh.ledger, now).map(({ name }) => name);

test('nobody before the signer should be left, then the leaves and the signer, soonest first', () => {
  expect(names(ENDS - YEAR - 1)).toEqual([]);
  expect(names(ENDS - YEAR)).toEqual(['ns/a', 'ns/b', 'G1']);
  const { secret } = mesh.member('ns/b');
  if (secret !== null) mesh.member('ns/b').secret = { ...secret, leafNotAfter: NOW };
  expect(names(ENDS - YEAR)).toEqual(['ns/b', 'ns/a', 'G1']);
  expect(expiring(mesh.facts(), mesh.ledger, ENDS - YEAR).at(-1)).toEqual({ name: 'G1', notAfter: ENDS });
});

test('in a rotation that is stuck: who still has a leaf of the old generation', () => {
  mesh.wish = { ...mesh.wish, generation: 2 };
  mesh.until(({ rotation, roster }) => rotation?.stage === 'Roll' && roster.get('ns/a')?.grant === 'Proven');
  const old = (now: number) => {
    const facts = mesh.facts();
    const generations = new Map(facts.generations);
    generations.set(2, { issuedAt: NOW, notAfter: ENDS + 9 * YEAR });
    return expiring({ ...facts, generations }, mesh.ledger, now).map(({ name }) => name);
  };
  expect(old(ENDS - YEAR)).toEqual(['ns/b', 'G1']);
  mesh.until(({ rotation }) => rotation?.stage === 'Drop');
  expect(old(ENDS - YEAR), 'nobody has one any more').toEqual([]);
});
