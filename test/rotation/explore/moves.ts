/**
 * Everything that can happen next in the explored world: one small step each, in any order. What was begun may be finished much later or
 * never, so a crash before or after any write is in here without being named: it is what is under way and never finished.
 */
import { Decider, type Planner } from './planner.ts';
import {
  askedIn,
  committed,
  dueWrite,
  landed,
  looks,
  mayRestart,
  overwritten,
  renewalOf,
  runs,
  stamped,
  usable,
  written,
} from './rules.ts';
import {
  bit,
  type Content,
  FRESH,
  FUTURE,
  GRANTS,
  has,
  listed,
  type Member,
  NOBODY,
  sameContent,
  type Seen,
  type Sight,
  STALE,
  type State,
  underWay,
  withMember,
  type Write,
  shownSet,
} from './state.ts';
import { type Budget, limitedBudgets, type World } from './world.ts';

/** One step: who does what to whom. */
export interface Step {
  readonly what: string;
  readonly member: number;
  readonly told: readonly string[];
}

/** Called for each state that may come next; `broken` says what is wrong with the step itself. */
export type Visit = (next: State, what: string, member: number, told: readonly string[], broken: string | null) => void;

const NOTHING_TOLD: readonly string[] = [];

export class Moves {
  readonly world: World;
  readonly decider: Decider;
  readonly #limited: readonly Budget[];

  constructor(world: World, planner: Planner) {
    this.world = world;
    this.decider = new Decider(planner, world);
    this.#limited = limitedBudgets(world);
  }

  initial(): State {
    const { members, joiners, newborn, unprobed, brings } = this.world;
    const content = { leaf: 1, id: 1, bundle: bit(1) };
    const issued: Member = {
      ...NOBODY,
      certificate: true,
      entry: { leaf: 1, bundle: bit(1), since: 1, grant: 0 },
      secret: { ...content, epoch: 1, revision: 1 },
      loaded: content,
    };
    const first = newborn ? { ...NOBODY, certificate: true } : issued;
    return {
      head: {
        epoch: 1,
        highest: newborn ? 0 : 1,
        generations: newborn ? 0 : bit(1),
        signer: newborn ? 0 : 1,
        bundle: newborn ? 0 : bit(1),
        rotation: null,
        held: false,
      },
      members: Array.from({ length: members + joiners }, (_, i) => ({
        ...(i < members ? first : NOBODY),
        probed: i >= unprobed,
        brings: i < brings,
        ready: i < brings && !newborn ? bit(1) : 0,
      })),
      wanted: { pin: 0, paused: false, approved: { generation: 0, stage: 0 }, deleting: false },
      due: 0,
      lastProof: 1,
      commit: null,
      spent: this.#limited.map(() => 0),
    };
  }

  /** All steps out of a state. */
  visit(state: State, visit: Visit): void {
    this.#operator(state, visit);
    this.#users(state, visit);
    for (let i = 0; i < state.members.length; i++) {
      const member = state.members[i];
      if (member === undefined) continue;
      this.#secretWrites(state, i, member, visit);
      this.#probes(state, i, member, visit);
      this.#loads(state, i, member, visit);
      this.#usersOf(state, i, member, visit);
    }
  }

  /** The state with one more of a budget used, or null when there is none left. */
  #spend(state: State, budget: Budget): State | null {
    const most = this.world.may[budget] ?? 0;
    if (most === 0) return null;
    if (most === Number.POSITIVE_INFINITY) return state;
    const place = this.#limited.indexOf(budget);
    const used = state.spent[place] ?? 0;
    if (used >= most) return null;
    const spent = state.spent.slice();
    spent[place] = used + 1;
    return { ...state, spent };
  }

  // ---- The ledger ------------------------------------------------------------------------------------------------

  #operator(state: State, visit: Visit): void {
    const { commit } = state;
    for (const alternative of this.decider.decide(state)) {
      if (alternative.next === null) {
        visit(state, 'the operator plans', -1, NOTHING_TOLD, alternative.broken);
        continue;
      }
      visit(
        committed(state, alternative.next),
        'the operator plans and updates the ledger',
        -1,
        alternative.told,
        null,
      );
      if (commit === null && this.#roomFor('commit', state))
        visit({ ...state, commit: alternative.next }, 'a replica plans and stands still', -1, alternative.told, null);
    }
    if (commit !== null) {
      visit(committed(state, commit), 'the replica that stood still updates the ledger', -1, NOTHING_TOLD, null);
      visit({ ...state, commit: null }, 'the replica that stood still dies', -1, NOTHING_TOLD, null);
    }
    const { rotation } = state.head;
    if (rotation !== null && rotation.proven === 1) {
      visit(
        { ...state, head: { ...state.head, rotation: { ...rotation, proven: 2 } } },
        'time passes: the soak is over',
        -1,
        NOTHING_TOLD,
        null,
      );
    }
  }

  #roomFor(operation: 'commit' | 'write' | 'probe', state: State): boolean {
    return this.world.standing.includes(operation) && underWay(state) < this.world.underWay;
  }

  // ---- The members' Secrets --------------------------------------------------------------------------------------

  #secretWrites(state: State, i: number, member: Member, visit: Visit): void {
    const write = dueWrite(state, member);
    if (write !== null) {
      visit(this.#written(state, i, member, write), 'its Secret is written', i, NOTHING_TOLD, null);
      if (member.write === null && this.#roomFor('write', state))
        visit(
          withMember(state, i, { ...member, write }),
          'a replica makes its Secret and stands still',
          i,
          NOTHING_TOLD,
          null,
        );
    }
    if (member.write !== null) {
      visit(
        this.#written(state, i, member, member.write),
        'the replica that stood still writes its Secret',
        i,
        NOTHING_TOLD,
        null,
      );
      visit(
        withMember(state, i, { ...member, write: null }),
        'the replica that stood still dies',
        i,
        NOTHING_TOLD,
        null,
      );
    }
    const renewal = write === null ? renewalOf(state, member) : null;
    if (renewal !== null) {
      const spent = this.#spend(state, 'renew');
      if (spent !== null) {
        visit(this.#written(spent, i, member, renewal), 'its leaf is renewed', i, NOTHING_TOLD, null);
        if (member.write === null && this.#roomFor('write', state))
          visit(
            withMember(spent, i, { ...member, write: renewal }),
            'a replica renews its leaf and stands still',
            i,
            NOTHING_TOLD,
            null,
          );
      }
    }
  }

  #written(state: State, i: number, member: Member, write: Write): State {
    return withMember(state, i, written(member, write, this.world.coming));
  }

  // ---- Evidence --------------------------------------------------------------------------------------------------

  #probes(state: State, i: number, member: Member, visit: Visit): void {
    const { probe, sight, secret } = member;
    const see = (from: State, seen: Seen, how: string): void => {
      if (secret === null) return;
      visit(
        withMember(from, i, { ...member, sight: landed(stamped(state, secret), seen) }),
        `it is probed${how}`,
        i,
        NOTHING_TOLD,
        null,
      );
    };
    if (secret !== null && member.probed) {
      const asked = askedIn(state);
      for (const { how, budget, seen } of looks(member, asked)) {
        const from = budget === null ? state : this.#spend(state, budget);
        if (from !== null) see(from, seen, how);
      }
      if (probe === null && this.#roomFor('probe', state)) {
        const shown = member.oldSecret?.secret ?? secret;
        visit(
          withMember(state, i, {
            ...member,
            probe: { epoch: state.head.epoch, revision: shown.revision, asked, seen: null },
          }),
          'a replica begins to probe it and stands still',
          i,
          NOTHING_TOLD,
          null,
        );
      }
    }
    if (probe !== null && probe.seen === null) {
      for (const { how, budget, seen } of looks(member, probe.asked)) {
        const from = budget === null ? state : this.#spend(state, budget);
        if (from !== null)
          visit(
            withMember(from, i, { ...member, probe: { ...probe, seen } }),
            `the probe of old looks at it${how}`,
            i,
            NOTHING_TOLD,
            null,
          );
      }
    }
    if (probe !== null && probe.seen !== null)
      visit(
        withMember(state, i, { ...member, probe: null, sight: landed(probe, probe.seen) }),
        'what the probe of old saw is written down',
        i,
        NOTHING_TOLD,
        null,
      );
    if (probe !== null)
      visit(withMember(state, i, { ...member, probe: null }), 'the probe of old is lost', i, NOTHING_TOLD, null);

    if (sight === null) return;
    const fade = (budget: Budget, after: Sight | null, what: string): void => {
      const from = this.#spend(state, budget);
      if (from !== null) visit(withMember(from, i, { ...member, sight: after }), what, i, NOTHING_TOLD, null);
    };
    fade('wipe', null, 'what was seen of it is wiped');
    if (sight.age === FRESH) {
      fade('stale', { ...sight, age: STALE }, 'time passes: what was seen of it is stale');
      fade('future', { ...sight, age: FUTURE }, 'the clock goes back: what was seen of it is from the future');
    }
  }

  // ---- What members do -------------------------------------------------------------------------------------------

  #loads(state: State, i: number, member: Member, visit: Visit): void {
    const { secret, loaded, coming, old } = member;
    if (!runs(member)) return;
    const load = (from: State, next: Partial<Member>, what: string): void =>
      visit(withMember(from, i, { ...member, ...next }), what, i, NOTHING_TOLD, null);
    if (secret !== null) {
      const current: Content = { leaf: secret.leaf, id: secret.id, bundle: secret.bundle };
      if (loaded === null) {
        load(state, { loaded: current, coming: [], restarted: false }, 'it starts with its files');
      } else if (!sameContent(loaded, current) || coming.length > 0) {
        load(
          state,
          { loaded: current, ...this.#passed(member, coming.length), restarted: false },
          'it loads its files',
        );
        const from = this.#spend(state, 'apart');
        const both = (loaded.id !== current.id || loaded.leaf !== current.leaf) && loaded.bundle !== current.bundle;
        if (from !== null && both) {
          load(
            from,
            { loaded: { ...current, bundle: loaded.bundle }, restarted: false },
            'it loads its leaf, not yet its bundle',
          );
          load(
            from,
            { loaded: { ...loaded, bundle: current.bundle }, restarted: false },
            'it loads its bundle, not yet its leaf',
          );
        }
      }
    }
    if (loaded === null) return;
    for (const [place, version] of coming.entries()) {
      const from = this.#spend(state, 'late');
      if (from === null) break;
      const what = 'late, it loads a version that was overwritten since';
      load(from, { loaded: version, ...this.#passed(member, place + 1) }, what);
    }
    for (const version of old) {
      const from = this.#spend(state, 'restart');
      if (from === null) break;
      if (sameContent(version, loaded) || !mayRestart(state, i, version, this.world.lockstep)) continue;
      const sight = member.sight !== null && usable(state, member, member.sight) ? null : member.sight;
      const probe = member.probe !== null && usable(state, member, member.probe) ? null : member.probe;
      const passed = this.#passed(member, coming.length);
      const what = `it starts again with files of old (G${version.leaf}, trusting ${shownSet(version.bundle)}); what was seen of it is void`;
      load(from, { loaded: version, ...passed, restarted: true, sight, probe }, what);
    }
  }

  /** The first so many of the versions to come have come, or never will. */
  #passed({ loaded, coming, old }: Member, so: number): Pick<Member, 'coming' | 'old'> {
    const keep = this.world.old;
    if (keep === 0) return { coming: coming.slice(so), old };
    const all = [...old, ...(loaded === null ? [] : [loaded]), ...coming.slice(0, so)];
    const distinct = all.filter((version, i) => all.findLastIndex((other) => sameContent(version, other)) === i);
    return { coming: coming.slice(so), old: distinct.slice(Math.max(0, distinct.length - keep)) };
  }

  // ---- What users do ---------------------------------------------------------------------------------------------

  #users(state: State, visit: Visit): void {
    const { head, wanted } = state;
    const pin = (budget: Budget, number: number): void => {
      const from = number === wanted.pin ? null : this.#spend(state, budget);
      if (from === null) return;
      const what = number === 0 ? 'the user removes the wanted generation' : `the user wants generation ${number}`;
      visit({ ...from, wanted: { ...wanted, pin: number } }, what, -1, NOTHING_TOLD, null);
    };
    for (const number of listed(head.generations)) pin('pin', number);
    pin('pin', head.highest + 1);
    pin('mispin', 0);
    for (let gone = 1; gone <= head.highest; gone++) {
      if (has(head.generations, gone)) continue;
      pin('mispin', gone);
      break;
    }
    const paused = this.#spend(state, 'pause');
    if (paused !== null) {
      const what = wanted.paused ? 'the user ends the pause' : 'the user pauses the rotation';
      visit({ ...paused, wanted: { ...wanted, paused: !wanted.paused } }, what, -1, NOTHING_TOLD, null);
    }
    const approving = this.#spend(state, 'approve');
    if (approving !== null) {
      const approve = (approved: State['wanted']['approved'], what: string): void =>
        visit({ ...approving, wanted: { ...wanted, approved } }, what, -1, NOTHING_TOLD, null);
      for (const generation of new Set([head.rotation?.to ?? head.highest + 1, wanted.pin])) {
        for (const stage of this.world.lockstep ? ([2] as const) : ([1, 2] as const)) {
          if (generation === 0 || (wanted.approved.generation === generation && wanted.approved.stage === stage))
            continue;
          approve(
            { generation, stage },
            `the user approves ${stage === 1 ? 'Roll' : this.world.lockstep ? 'Swap' : 'Drop'} of generation ${generation}`,
          );
        }
      }
      if (wanted.approved.stage !== 0) approve({ generation: 0, stage: 0 }, 'the user takes the approval back');
    }
    if (!wanted.deleting) {
      const from = this.#spend(state, 'deleteCa');
      if (from !== null)
        visit({ ...from, wanted: { ...wanted, deleting: true } }, 'the user deletes the CA', -1, NOTHING_TOLD, null);
    }
    if (head.signer !== 0 && !has(state.due, head.signer)) {
      const from = this.#spend(state, 'due');
      if (from !== null)
        visit(
          { ...from, due: from.due | bit(head.signer) },
          `time passes: generation ${head.signer} is near its end`,
          -1,
          NOTHING_TOLD,
          null,
        );
    }
  }

  #usersOf(state: State, i: number, member: Member, visit: Visit): void {
    const change = (budget: Budget, next: Partial<Member>, what: string): void => {
      const from = this.#spend(state, budget);
      if (from !== null) visit(withMember(from, i, { ...member, ...next }), what, i, NOTHING_TOLD, null);
    };
    const { certificate, barred, entry, departed } = member;
    const known = entry !== null || member.secret !== null;
    if (certificate) {
      // Whoever said beforehand that it is gone has said that its links do not matter.
      const gone = departed ? { loaded: null, coming: [], old: [], restarted: false } : {};
      change('prune', { certificate: false, barred: false, ...gone }, 'its ClusterCertificate is deleted');
      if (barred) change('bar', { barred: false }, 'it may be served again');
      else change('bar', { barred: true, ...gone }, 'it may not be served any more');
    } else if (known) {
      change('restore', { certificate: true, uidKnown: entry === null }, 'its ClusterCertificate is applied again');
    } else {
      change('join', { certificate: true }, 'it joins');
    }
    if (entry !== null || departed) {
      const gone = departed || (certificate && !barred) ? {} : { loaded: null, coming: [], old: [], restarted: false };
      change(
        'depart',
        { departed: !departed, ...gone },
        departed ? 'it is not named as departed any more' : 'it is named as departed',
      );
    }
    if (entry !== null || certificate) {
      change(
        'hide',
        { hidden: !member.hidden },
        member.hidden ? 'its namespace is watched again' : 'its namespace is not watched any more',
      );
      change('unpeer', { peer: !member.peer }, member.peer ? 'it is taken out of its peer' : 'it is in its peer again');
    }
    if (member.secret !== null)
      change(
        'loseSecret',
        { secret: null, write: null, coming: overwritten(member, this.world.coming) },
        'its Secret is deleted',
      );
    if (member.brings) {
      for (const number of listed(state.head.generations)) {
        const there = has(member.ready, number);
        const what = there ? `its leaf of G${number} is taken away` : `its leaf of G${number} is brought`;
        change('bring', { ready: member.ready ^ bit(number) }, what);
      }
    }
    this.#vouches(state, change, member);
    this.#watches(state, i, member, visit);
  }

  /** Who vouches tells the truth of that moment. When it ceases to be true, it is taken back first (mayRestart). */
  #vouches(
    { head: { rotation } }: State,
    change: (budget: Budget, next: Partial<Member>, what: string) => void,
    { secret, loaded, coming, vouch, entry, brings, probed }: Member,
  ): void {
    if (vouch !== null) change('vouch', { vouch: null }, 'the word for it expires');
    // Where a look tells as much a word adds nothing: that is explored with members that nobody can probe.
    if (this.world.brings > 0 && probed && !(brings && GRANTS[entry?.grant ?? 0] === 'Reopened')) return;
    if (rotation === null || secret === null || loaded === null) return;
    if (!sameContent(secret, loaded) || coming.length > 0) return;
    const { to: generation, stage } = rotation;
    if (vouch?.revision === secret.revision && vouch.generation === generation && vouch.stage === stage) return;
    change(
      'vouch',
      { vouch: { revision: secret.revision, generation, stage } },
      'somebody vouches that it uses its Secret',
    );
  }

  #watches(state: State, i: number, member: Member, visit: Visit): void {
    const { oldSecret, oldSight, certificate, secret, sight } = member;
    const put = (next: Partial<Member>, what: string): void =>
      visit(withMember(state, i, { ...member, ...next }), what, i, NOTHING_TOLD, null);
    const { stuck, watches } = this.world;
    const room = stuckIn(state) < stuck;
    if (oldSecret !== null) put({ oldSecret: null }, 'the watch shows its Secret again');
    else if (room && watches.includes('secret'))
      put({ oldSecret: { certificate, secret } }, 'the watch of its Secret is stuck');
    if (oldSight !== null) put({ oldSight: null }, 'the watch shows what was seen of it again');
    else if (room && watches.includes('sight'))
      put({ oldSight: { sight } }, 'the watch of what was seen of it is stuck');
  }
}

function stuckIn({ members }: State): number {
  let n = 0;
  for (const { oldSecret, oldSight } of members) n += (oldSecret === null ? 0 : 1) + (oldSight === null ? 0 : 1);
  return n;
}
