/**
 * The matrix before a cut (design rule 6): before a member's bundle or leaf changes, what it will present is held against what the others
 * have loaded and will load, and what they present and will present against what it will load, by every kind of verifier. Both roles of
 * every edge are the same pair of cells, for a member has one leaf and one trust store for listening and dialling.
 *
 * What the member presents and has loaded *now* is no reason: a link that is broken already may be healed by the change.
 */
import type { RosterEntry } from '../api/ledger.ts';
import { type Content, sameBundle } from './content.ts';
import type { Blocker, Facts, MemberKey } from './facts.ts';
import { rfc3339 } from './time.ts';

/** Something that members present or trust, and two of those that do: so that nobody is held against itself. */
interface Held<T> {
  readonly what: T;
  readonly by: MemberKey[];
}

/** What the members of a mesh present, and what they trust: in use as far as it is seen, in their Secrets, and decided. */
export interface Inventory {
  readonly leaves: readonly Held<number>[];
  readonly bundles: readonly Held<readonly number[]>[];
}

/** Goes once through the roster: a cut is then checked against few groups instead of a thousand members. */
export function inventory(facts: Facts, roster: ReadonlyMap<MemberKey, RosterEntry>): Inventory {
  const leaves: Held<number>[] = [];
  const bundles: Held<readonly number[]>[] = [];
  for (const [member, entry] of roster) {
    if (entry.leaf === null) continue;
    const secret = facts.certificates.get(member)?.secret ?? null;
    add(leaves, entry.leaf, member, (a, b) => a === b);
    add(bundles, entry.bundle, member, sameBundle);
    if (secret === null) continue;
    if (secret.leaf !== null) add(leaves, secret.leaf, member, (a, b) => a === b);
    if (secret.bundle !== null) add(bundles, secret.bundle, member, sameBundle);
    for (const { evidence } of facts.witnesses.get(member) ?? []) {
      const seen = evidence?.revision === secret.revision ? (evidence.presents?.generation ?? null) : null;
      if (seen !== null) add(leaves, seen, member, (a, b) => a === b);
    }
  }
  return { leaves, bundles };
}

function add<T>(held: Held<T>[], what: T, member: MemberKey, same: (a: T, b: T) => boolean): void {
  const known = held.find((each) => same(each.what, what));
  if (known === undefined) held.push({ what, by: [member] });
  else if (known.by.length < 2 && !known.by.includes(member)) known.by.push(member);
}

/**
 * The first cell that fails when `member` is given `content`; null when none does. With no member: when everybody is, as at the beginning
 * of a stage.
 */
export function cut(
  facts: Facts,
  { leaves, bundles }: Inventory,
  content: Content,
  member: MemberKey | null,
  now: number,
): Blocker | null {
  const expired = facts.generations.get(content.leaf)?.notAfter ?? Number.POSITIVE_INFINITY;
  const changesLeaf = leaves.some(({ what, by }) => what !== content.leaf && (member === null || by.includes(member)));
  if (changesLeaf && now >= expired) return outlived(content.leaf, expired);
  const self = member ?? 'any member';
  const partner = (by: readonly MemberKey[]): MemberKey | undefined => by.find((each) => each !== member);
  for (const { what, by } of leaves) {
    const other = partner(by);
    const why = other === undefined ? null : objection(facts, what, content.bundle);
    if (other !== undefined && why !== null) return broken(other, self, what, content.bundle, why);
  }
  for (const { what, by } of bundles) {
    const other = partner(by);
    const why = other === undefined ? null : objection(facts, content.leaf, what);
    if (other !== undefined && why !== null) return broken(self, other, content.leaf, what, why);
  }
  // Both changed: what everybody comes to in the end.
  const why = objection(facts, content.leaf, content.bundle);
  return why === null ? null : broken(self, 'any other member', content.leaf, content.bundle, why);
}

/**
 * Why nobody may be given a content, though all are given it at one time: leaves that are accepted nowhere. Null: nothing is against it.
 */
export function unfit(facts: Facts, { leaf, bundle }: Content, now: number): Blocker | null {
  const expired = facts.generations.get(leaf)?.notAfter ?? Number.POSITIVE_INFINITY;
  if (now >= expired) return outlived(leaf, expired);
  const why = objection(facts, leaf, bundle);
  return why === null ? null : broken('any member', 'any other member', leaf, bundle, why);
}

function outlived(generation: number, expired: number): Blocker {
  return {
    reason: 'WouldBreak',
    message: `Leaves of generation ${generation} are accepted nowhere: it expired at ${rfc3339(expired)}. Nobody is changed to it. Set spec.rotation.generation to the other generation of the rotation.`,
  };
}

function objection({ verifies }: Facts, leaf: number, bundle: readonly number[]): string | null {
  return bundle.includes(leaf) ? verifies(leaf, bundle) : 'it does not hold that generation';
}

function broken(from: string, to: string, leaf: number, bundle: readonly number[], why: string): Blocker {
  return {
    reason: 'WouldBreak',
    message: `The change would break ${from} -> ${to}, both ways: a leaf of generation ${leaf} against the bundle ${bundle.join(' + ')}: ${why}. Nothing is changed.`,
  };
}
