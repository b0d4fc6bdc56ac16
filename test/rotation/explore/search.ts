/** Breadth-first search through all states of a world, so that the first thing found wrong is found by a shortest way. */
import { brokenLink, wrongState, wrongStep } from './checks.ts';
import { decode, encode } from './codec.ts';
import { hash, hashHigh, hashLow } from './hash.ts';
import { HashSet } from './hashes.ts';
import { Moves, type Step } from './moves.ts';
import type { Planner } from './planner.ts';
import { Settling } from './settle.ts';
import type { State } from './state.ts';
import type { World } from './world.ts';

export interface Result {
  readonly world: string;
  /** Distinct states, up to what means nothing. */
  readonly states: number;
  readonly transitions: number;
  /** Length of the longest of the shortest ways to a state. */
  readonly depth: number;
  /** Nothing is left to explore. Otherwise the search was cut at so many states. */
  readonly closed: boolean;
  readonly plans: number;
  readonly seconds: number;
  readonly counterexample: Counterexample | null;
}

export interface Counterexample {
  readonly wrong: string;
  readonly steps: readonly Step[];
  /** The states between the steps, with the first and the last. */
  readonly states: readonly State[];
}

interface Wrong {
  readonly what: string;
  /** Place of the state in which, or after which, it is found. */
  readonly at: number;
  /** Hash of the state after the step that is wrong; null: the state itself is. */
  readonly after: readonly [number, number] | null;
}

/** The states of one depth, one after the other. */
class Frontier {
  #bytes = new Uint8Array(1 << 16);
  #ends: number[] = [];
  #end = 0;

  get size(): number {
    return this.#ends.length;
  }

  push(form: Uint8Array): void {
    if (this.#end + form.length > this.#bytes.length) {
      const bytes = new Uint8Array(this.#bytes.length * 2);
      bytes.set(this.#bytes);
      this.#bytes = bytes;
    }
    this.#bytes.set(form, this.#end);
    this.#end += form.length;
    this.#ends.push(this.#end);
  }

  state(i: number): State {
    return decode(this.#bytes, i === 0 ? 0 : (this.#ends[i - 1] ?? 0));
  }
}

class Parents {
  #list = new Uint32Array(1 << 16);

  set(child: number, parent: number): void {
    if (child >= this.#list.length) {
      const list = new Uint32Array(this.#list.length * 2);
      list.set(this.#list);
      this.#list = list;
    }
    this.#list[child] = parent;
  }

  of(child: number): number {
    return this.#list[child] ?? 0;
  }
}

export interface Limits {
  readonly states: number;
  readonly seconds?: number;
}

/** Explores a world until everything is seen, something is wrong, or a limit is reached. */
export function explore(world: World, planner: Planner, limits: Limits): Result {
  const began = performance.now();
  const moves = new Moves(world, planner);
  const settling = new Settling(moves);
  const seen = new HashSet(1 << 16);
  const parents = new Parents();
  let transitions = 0;
  let depth = 0;
  let closed = true;
  const found: { wrong: Wrong | null } = { wrong: null };

  let level = new Frontier();
  const first = encode(moves.initial());
  hash(first);
  seen.add(hashHigh, hashLow);
  level.push(first);
  let index = 0;
  search: while (level.size > 0) {
    const next = new Frontier();
    for (let i = 0; i < level.size; i++, index++) {
      const state = level.state(i);
      const what = settling.check(state);
      if (what !== null) {
        found.wrong = { what, at: index, after: null };
        break search;
      }
      const parent = index;
      moves.visit(state, (after, _what, _member, _told, broken) => {
        transitions++;
        if (found.wrong !== null) return;
        if (broken !== null) {
          found.wrong = { what: `the planner fails: ${broken}`, at: parent, after: null };
          return;
        }
        const bad =
          (after.head.epoch === state.head.epoch ? null : wrongStep(state, after, world)) ??
          wrongState(after) ??
          brokenLink(after, world);
        const form = encode(after);
        hash(form);
        const [high, low] = [hashHigh, hashLow];
        if (bad !== null) {
          found.wrong = { what: bad, at: parent, after: [high, low] };
          return;
        }
        if (!seen.add(high, low)) return;
        parents.set(seen.size - 1, parent);
        next.push(form);
      });
      if (found.wrong !== null) break search;
      if (
        seen.size >= limits.states ||
        (i % 256 === 0 && (performance.now() - began) / 1000 > (limits.seconds ?? Number.POSITIVE_INFINITY))
      ) {
        closed = false;
        break search;
      }
    }
    if (next.size > 0) depth++;
    level = next;
  }
  return {
    world: world.name,
    states: seen.size,
    transitions,
    depth,
    closed: closed && found.wrong === null,
    plans: moves.decider.asked,
    seconds: (performance.now() - began) / 1000,
    counterexample: found.wrong === null ? null : replay(moves, seen, parents, found.wrong),
  };
}

/** Walks the way to what is wrong once more, with names that stay the same. */
function replay(moves: Moves, seen: HashSet, parents: Parents, wrong: Wrong): Counterexample {
  const way: (readonly [number, number])[] = wrong.after === null ? [] : [wrong.after];
  for (let i = wrong.at; i !== 0; i = parents.of(i)) way.unshift(seen.at(i));
  const steps: Step[] = [];
  let state = moves.initial();
  const states: State[] = [state];
  let what = wrong.what;
  for (const [place, [high, low]] of way.entries()) {
    const from = state;
    const next: { state: State; step: Step }[] = [];
    moves.visit(from, (after, name, member, told, broken) => {
      if (next.length > 0 || broken !== null) return;
      hash(encode(after));
      if (hashHigh === high && hashLow === low) next.push({ state: after, step: { what: name, member, told } });
    });
    const [only] = next;
    if (only === undefined) throw new Error(`the way to a counterexample is lost after ${steps.length} steps`);
    const { state: after, step } = only;
    steps.push(step);
    states.push(after);
    // Names and numbers of what is wrong are those of this walk.
    if (place === way.length - 1 && wrong.after !== null)
      what =
        (after.head.epoch === from.head.epoch ? null : wrongStep(from, after, moves.world)) ??
        wrongState(after) ??
        brokenLink(after, moves.world) ??
        what;
    state = decode(encode(after, true));
  }
  return { wrong: what, steps, states };
}
