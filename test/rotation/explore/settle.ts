/** A fair run: nobody makes trouble any more, everybody does what the status asks for. It must end Stable, and then write nothing. */
import { decode, encode } from './codec.ts';
import { hash, hashHigh, hashLow } from './hash.ts';
import { HashSet } from './hashes.ts';
import type { Moves } from './moves.ts';
import { askedIn, committed, dueWrite, landed, runs, stamped, truth, written } from './rules.ts';
import { bit, GRANTS, has, type Member, sameContent, shownSet, type State } from './state.ts';

const MAX_ROUNDS = 80;

export class Settling {
  readonly #moves: Moves;
  /** States that are known to settle. */
  readonly #good = new HashSet(1 << 16);
  rounds = 0;

  constructor(moves: Moves) {
    this.#moves = moves;
  }

  /** Why a fair run from this state does not end as it should, or null. */
  check(start: State): string | null {
    const path: [number, number][] = [];
    let state = relented(start);
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.rounds++;
      state = this.#withdrawn(this.#approved(looked(state)));
      const form = encode(state);
      hash(form);
      const [high, low] = [hashHigh, hashLow];
      if (this.#good.has(high, low)) return this.#remember(path);
      path.push([high, low]);
      state = decode(form);
      const [first] = this.#moves.decider.decide(state);
      if (first !== undefined && first.next === null) return `in a fair run the planner fails: ${first.broken}`;
      const next = this.#write(first === undefined ? state : committed(state, first.next));
      if (next === state) return unsettled(state) ?? this.#remember(path);
      state = next;
    }
    return `a fair run does not come to rest: ${JSON.stringify(state.head)}`;
  }

  #remember(path: readonly [number, number][]): null {
    for (const [high, low] of path) this.#good.add(high, low);
    return null;
  }

  /** Whatever runs is approved, where that is asked for. */
  #approved(state: State): State {
    const { rotation } = state.head;
    const { approval, lockstep } = this.#moves.world;
    if (rotation === null || (approval.length === 0 && !lockstep)) return state;
    return { ...state, wanted: { ...state.wanted, approved: { generation: rotation.to, stage: 2 } } };
  }

  /** What must not be appended is given up, as the status asks. */
  #withdrawn(state: State): State {
    const { rotation } = state.head;
    if (rotation === null || rotation.backward || !this.#moves.world.alike) return state;
    return { ...state, wanted: { ...state.wanted, pin: rotation.from } };
  }

  #write(state: State): State {
    const writes = state.members.map((member) => dueWrite(state, member));
    if (writes.every((write) => write === null)) return state;
    const members = state.members.map((member, i) => {
      const write = writes[i] ?? null;
      return write === null ? member : written(member, write, this.#moves.world.coming);
    });
    return { ...state, members };
  }
}

/** Users want what can be had, bring back what is missing, and nothing of old is under way. */
function relented(state: State): State {
  const { head, wanted } = state;
  const { rotation, generations, signer, highest } = head;
  const usable =
    wanted.pin === 0 ||
    wanted.pin > highest ||
    (rotation === null ? wanted.pin === signer : has(generations, wanted.pin));
  const members = state.members.map((member): Member => {
    const missing = !member.certificate && member.entry !== null && !member.departed;
    return {
      ...member,
      barred: member.barred && member.departed,
      hidden: false,
      peer: true,
      probe: null,
      write: null,
      oldSecret: null,
      oldSight: null,
      ...(missing ? { certificate: true, uidKnown: false } : {}),
    };
  });
  const pin = usable ? wanted.pin : 0;
  return { ...state, members, wanted: { ...wanted, pin, paused: false }, commit: null };
}

/** Everybody loads its files and is looked at; leaves that are missing are brought; a soak passes. */
function looked(state: State): State {
  const asked = askedIn(state);
  const members = state.members.map((each): Member => {
    const member = each.brings ? { ...each, ready: state.head.generations } : each;
    const { secret } = member;
    if (secret === null) return member;
    const { leaf, id, bundle } = secret;
    const now: Member = runs(member)
      ? { ...member, loaded: { leaf, id, bundle }, coming: [], old: [], restarted: false }
      : { ...member, coming: [], old: [], restarted: false };
    if (!now.probed) return vouched(state, now);
    if (GRANTS[now.entry?.grant ?? 0] === 'Reopened' && now.brings)
      return { ...vouched(state, now), sight: landed(stamped(state, secret), truth(now, asked)) };
    return { ...now, sight: landed(stamped(state, secret), truth(now, asked)) };
  });
  const { rotation } = state.head;
  if (rotation?.proven !== 1) return { ...state, members };
  return { ...state, members, head: { ...state.head, rotation: { ...rotation, proven: 2 } } };
}

/** Somebody sees that a member which cannot be probed uses its Secret, and says so. */
function vouched({ head: { rotation } }: State, member: Member): Member {
  const { secret, loaded } = member;
  if (rotation === null || secret === null || loaded === null) return member;
  return { ...member, vouch: { revision: secret.revision, generation: rotation.to, stage: rotation.stage } };
}

/** What is amiss although nothing moves any more. */
function unsettled({ head, members, wanted }: State): string | null {
  const { rotation, signer, generations, bundle } = head;
  if (wanted.deleting) return null;
  if (rotation !== null) return `a fair run rests in the middle of a rotation: ${JSON.stringify(rotation)}`;
  if (wanted.pin !== 0 && wanted.pin !== signer)
    return `a fair run rests with signer ${signer}, but ${wanted.pin} is wanted`;
  if (generations !== bit(signer) || bundle !== bit(signer))
    return `a fair run rests with generations ${shownSet(generations)}, bundle ${shownSet(bundle)}, signer ${signer}`;
  for (const { certificate, barred, entry, secret, loaded } of members) {
    if (!certificate || barred) {
      if (entry !== null) return 'a fair run rests with somebody in the roster who is gone';
      continue;
    }
    if (secret === null || loaded === null || !sameContent(secret, loaded))
      return 'a fair run rests with a member that was given no files';
    if (secret.leaf !== signer || secret.bundle !== bit(signer))
      return `a fair run rests with a member that has a leaf of G${secret.leaf}`;
  }
  return null;
}
