/**
 * A state of the explored world, and its canonical form. Everything is immutable; what did not change is shared.
 *
 * Numbers grow without end in a life (epochs, generations, leaves, revisions), yet the world closes, because the canonical form keeps
 * only what can matter of them:
 *
 * - Epochs are only compared, and only with the epochs in the ledger. So every epoch becomes the number of ledger epochs that are
 *   not above it. A ledger epoch to come is above all that there are, so no later comparison changes.
 * - Generations are renumbered in their order. What is compared is which is which and which is higher; new ones are higher than all.
 * - Leaves and revisions of a member are compared for equality only, and renumbered in the order in which they are met.
 * - Members are sorted by all that is known of them: names mean nothing. The planner takes the first of those who wait for a grant; the
 *   explorer gives it their rosters in every order, so each naming of the members is explored.
 *
 * That the planner compares nothing else is checked while exploring (renaming.ts).
 */

/** What members are called, by their place. */
export const NAMES = 'abcdefgh';

/** Set of generations: bit n is generation n. */
export type Generations = number;

/** What a Secret holds, a mount shows or a process has loaded. */
export interface Content {
  readonly leaf: number;
  /** Which leaf: compared for equality, within one member. */
  readonly id: number;
  readonly bundle: Generations;
}

export interface Secret extends Content {
  readonly epoch: number;
  readonly revision: number;
}

/** What a probe saw; leaf 0: it saw no leaf. */
export interface Seen {
  readonly leaf: number;
  readonly id: number;
  readonly trusts: Generations;
  readonly refuses: Generations;
}

export const FRESH = 0;
export const STALE = 1;
export const FUTURE = 2;

/** Evidence as it stands in the status of a peer. */
export interface Sight extends Seen {
  readonly epoch: number;
  readonly revision: number;
  readonly age: typeof FRESH | typeof STALE | typeof FUTURE;
}

/** Somebody's word that a member uses this revision of its Secret, for one stage of the rotation to one generation. */
export interface Vouch {
  readonly revision: number;
  readonly generation: number;
  /** 0 Append, 1 Roll, 2 Drop. */
  readonly stage: 0 | 1 | 2;
}

/** A probe under way: stamped when it began, seen later, written down later still. */
export interface Probe {
  readonly epoch: number;
  readonly revision: number;
  readonly asked: Generations;
  readonly seen: Seen | null;
}

/** A write of the member's Secret under way: it fails as soon as anybody else has written. id 0: a new leaf. */
export interface Write {
  readonly epoch: number;
  readonly leaf: number;
  readonly id: number;
  readonly bundle: Generations;
}

/** What a roster entry may say of its grant. */
export const GRANTS = [null, 'Open', 'Proven', 'Reversed', 'Reopened'] as const;

export interface Entry {
  /** 0: never given a Secret. */
  readonly leaf: number;
  readonly bundle: Generations;
  readonly since: number;
  /** Place in GRANTS. */
  readonly grant: number;
}

export interface Member {
  /** Its ClusterCertificate exists. */
  readonly certificate: boolean;
  /** The roster knows the UID that the certificate has. */
  readonly uidKnown: boolean;
  /** Its namespace is not watched. */
  readonly hidden: boolean;
  /** It is in a ReplicationPeer. */
  readonly peer: boolean;
  /** Its ClusterCertificate may not be served: it is being deleted, or the CA does not allow it any more. */
  readonly barred: boolean;
  /** It is named in spec.rotation.departed. */
  readonly departed: boolean;
  readonly entry: Entry | null;
  readonly secret: Secret | null;
  /** What its process really uses; null: no process takes part in the mesh. */
  readonly loaded: Content | null;
  /** Versions of the Secret that were overwritten before it loaded them, oldest first: its mount may bring them yet. */
  readonly coming: readonly Content[];
  /** Versions that it has loaded or passed over, oldest first: it may start again with them. */
  readonly old: readonly Content[];
  /** It runs on files of old: the present version has come already, so it is one of old as soon as it is overwritten. */
  readonly restarted: boolean;
  /** It can be probed. Otherwise somebody has to vouch for it. */
  readonly probed: boolean;
  readonly vouch: Vouch | null;
  /** Its user brings its leaves, one for each generation, again and again the same. */
  readonly brings: boolean;
  /** Generations of which its leaf lies ready; of those that are there. */
  readonly ready: Generations;
  readonly sight: Sight | null;
  readonly probe: Probe | null;
  readonly write: Write | null;
  /** What a watch that is stuck shows of it instead of the truth. */
  readonly oldSecret: { readonly certificate: boolean; readonly secret: Secret | null } | null;
  readonly oldSight: { readonly sight: Sight | null } | null;
}

export interface Route {
  readonly from: number;
  readonly to: number;
  readonly backward: boolean;
  /** 0 Append, 1 Roll, 2 Drop. */
  readonly stage: 0 | 1 | 2;
  /** 0: not everything is proven; 1: it is, and the soak runs; 2: the soak is over. */
  readonly proven: 0 | 1 | 2;
  readonly provenEpoch: number;
  /** Links may be down. */
  readonly interrupted: boolean;
  /** In Prepare: it was turned round before, so members may have had something of the generation to come. */
  readonly turned: boolean;
}

/** The ledger without its roster, which stands with the members. */
export interface Head {
  readonly epoch: number;
  readonly highest: number;
  readonly generations: Generations;
  /** 0: none was minted. */
  readonly signer: number;
  readonly bundle: Generations;
  readonly rotation: Route | null;
  readonly held: boolean;
}

/** A ledger as the planner wants it to be. */
export interface NextLedger {
  readonly head: Head;
  readonly entries: readonly (Entry | null)[];
  readonly uidKnown: readonly boolean[];
}

/** What the user wants. */
export interface Wanted {
  /** spec.rotation.generation; 0: unset. */
  readonly pin: number;
  readonly paused: boolean;
  /** spec.rotation.approval.upTo: 1 Roll, 2 Drop, of the rotation to this generation; stage 0: nothing is approved. */
  readonly approved: { readonly generation: number; readonly stage: 0 | 1 | 2 };
  readonly deleting: boolean;
}

export interface State {
  readonly head: Head;
  readonly members: readonly Member[];
  readonly wanted: Wanted;
  /** Generations near their end. */
  readonly due: Generations;
  /** The epoch in which something was proven last, or the stage began: by the world's own count, whatever the ledger says of it. */
  readonly lastProof: number;
  /** A ledger update under way; it fails as soon as anybody else has written the ledger. */
  readonly commit: NextLedger | null;
  /** What is used up of the world's budgets, in the order of the world's list. */
  readonly spent: readonly number[];
}

export const NOBODY: Member = {
  certificate: false,
  uidKnown: true,
  hidden: false,
  peer: true,
  barred: false,
  departed: false,
  entry: null,
  secret: null,
  loaded: null,
  coming: [],
  old: [],
  restarted: false,
  probed: true,
  vouch: null,
  brings: false,
  ready: 0,
  sight: null,
  probe: null,
  write: null,
  oldSecret: null,
  oldSight: null,
};

export function bit(generation: number): Generations {
  return 1 << generation;
}

export function has(generations: Generations, generation: number): boolean {
  return (generations & (1 << generation)) !== 0;
}

/** The generations of a set, lowest first. */
export function listed(generations: Generations): number[] {
  const list: number[] = [];
  for (let g = 0; generations >> g !== 0; g++) if (has(generations, g)) list.push(g);
  return list;
}

export function count(bits: number): number {
  let n = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) n++;
  return n;
}

export function sameContent(a: Content, b: Content): boolean {
  return a.leaf === b.leaf && a.id === b.id && a.bundle === b.bundle;
}

export function sawNothing({ leaf, trusts, refuses }: Seen): boolean {
  return leaf === 0 && (trusts | refuses) === 0;
}

export function withMember(state: State, index: number, member: Member): State {
  const members = state.members.slice();
  members[index] = member;
  return { ...state, members };
}

/** Operations of the operator that are under way. */
export function underWay({ commit, members }: State): number {
  let n = commit === null ? 0 : 1;
  for (const { probe, write } of members) n += (probe === null ? 0 : 1) + (write === null ? 0 : 1);
  return n;
}

/** For people. */
export const shownSet = (generations: Generations): string =>
  generations === 0
    ? 'nothing'
    : listed(generations)
        .map((number) => `G${number}`)
        .join('+');
