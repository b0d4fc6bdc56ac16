/** What a world is: who is in it, and what may happen how often. */
import type { Settings } from './obey.ts';

/** What may happen in a world, and how often: a number of times in one life, or Infinity. What is not listed never happens. */
export interface Budgets {
  // -- users
  /** spec.rotation.generation is changed: to any number of the ledger, or to a new one. */
  readonly pin?: number;
  /** It is changed to one that is used up, or removed. */
  readonly mispin?: number;
  /** The rotation is paused, or goes on. */
  readonly pause?: number;
  /** A stage is approved, or the approval is taken back. */
  readonly approve?: number;
  /** Somebody vouches for a member, as long as it is true; or the word expires. */
  readonly vouch?: number;
  /** A leaf that its user is to bring lies ready, or does not any more. */
  readonly bring?: number;
  /** A new ClusterCertificate appears. */
  readonly join?: number;
  /** A ClusterCertificate is deleted (pruned, by mistake or not). */
  readonly prune?: number;
  /** A deleted ClusterCertificate is applied again: another UID. */
  readonly restore?: number;
  /** A member is named in spec.rotation.departed, or is no longer. */
  readonly depart?: number;
  /** A ClusterCertificate may not be served any more, or may be again. */
  readonly bar?: number;
  /** A namespace is taken out of the watch, or into it again. */
  readonly hide?: number;
  /** A member is taken out of its ReplicationPeer, or into it again. */
  readonly unpeer?: number;
  /** A member's Secret is deleted. */
  readonly loseSecret?: number;
  /** The ReplicationCA is deleted. */
  readonly deleteCa?: number;
  // -- time
  /** A generation comes near its end. */
  readonly due?: number;
  /** A leaf is renewed or repaired: new key, new leaf of the same generation. */
  readonly renew?: number;
  /** Evidence grows stale. */
  readonly stale?: number;
  /** A clock jumps back: evidence is from the future. */
  readonly future?: number;
  // -- evidence
  /** A probe sees nothing: the member is dark. */
  readonly blind?: number;
  /** A probe sees the leaf, but not, of one generation or of all, whether it is trusted. */
  readonly inconclusive?: number;
  /** Evidence is wiped from status. */
  readonly wipe?: number;
  // -- members
  /** A member loads leaf and bundle one by one. */
  readonly apart?: number;
  /** A member's mount is late: it loads a version of the Secret that was overwritten since. */
  readonly late?: number;
  /** A member starts again with earlier files. */
  readonly restart?: number;
}

export type Budget = keyof Budgets;

export interface World extends Settings {
  readonly name: string;
  /** Members at the beginning, and those who may join. */
  readonly members: number;
  readonly joiners: number;
  /** Members that nobody can probe: somebody has to vouch for them. */
  readonly unprobed: number;
  /** Members whose users bring their leaves. */
  readonly brings: number;
  /** How many operations of a replica that stands still may be under way at one time, and which. */
  readonly underWay: number;
  readonly standing: readonly ('commit' | 'write' | 'probe')[];
  /** How many objects watches may show as they were at one time, and of what: Secrets, or what was seen of a member. */
  readonly stuck: number;
  readonly watches: readonly ('secret' | 'sight')[];
  /** Overwritten versions that a mount may still bring. */
  readonly coming: number;
  /** Earlier versions that a member may start again with. */
  readonly old: number;
  /** It begins before the first generation is minted. */
  readonly newborn: boolean;
  readonly may: Budgets;
}

/** The budgets that are not without bound, in the order in which states count them. */
export function limitedBudgets({ may }: World): readonly Budget[] {
  return Object.entries(may)
    .filter(([, most]) => most > 0 && most < Number.POSITIVE_INFINITY)
    .map(([budget]) => budget as Budget);
}
