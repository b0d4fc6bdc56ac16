/** The canonical form of a state (see state.ts) as bytes, and back. */
import {
  bit,
  type Content,
  count,
  type Entry,
  type Generations,
  type Head,
  type Member,
  type Probe,
  sawNothing,
  type Seen,
  type Sight,
  type State,
  type Vouch,
  type Write,
} from './state.ts';

/** What fits into the form. A world that outgrows it ends with an error; nothing is cut silently. */
const MAX_GENERATION = 7;
const MAX_BYTES = 1024;

const scratch = new Uint8Array(MAX_BYTES * 2);
const canonical = new Uint8Array(MAX_BYTES);
let at = 0;

/** Ledger epochs as a set, then for each epoch how many of them are not above it. */
let thresholds = 0;
let present = 0;
const generationNames = new Uint8Array(32);
let renamed = false;

const leafNames = new Map<number, number>();
const revisionNames = new Map<number, number>();

function put(byte: number): void {
  scratch[at++] = byte;
}

function putEpoch(epoch: number): void {
  const passed = count(thresholds & ((2 << epoch) - 1));
  scratch[at++] = epoch > present ? passed + 1 : passed;
}

function putGeneration(generation: number): void {
  scratch[at++] = renamed ? (generationNames[generation] ?? 0) : generation;
}

function putGenerations(generations: Generations): void {
  if (!renamed) {
    scratch[at++] = generations;
    return;
  }
  let result = 0;
  for (let rest = generations; rest !== 0; rest &= rest - 1) {
    result |= bit(generationNames[31 - Math.clz32(rest & -rest)] ?? 0);
  }
  scratch[at++] = result;
}

function nameOf(names: Map<number, number>, value: number): number {
  let name = names.get(value);
  if (name === undefined) {
    name = names.size + 1;
    names.set(value, name);
  }
  return name;
}

// ---- Which numbers are in use ------------------------------------------------------------------------------------

function epochsOf(state: State): number {
  const { head, commit, members } = state;
  let set = bit(head.epoch) | bit(state.lastProof);
  if (head.rotation !== null) set |= bit(head.rotation.provenEpoch);
  for (const { entry } of members) if (entry !== null) set |= bit(entry.since);
  if (commit !== null) {
    // The epoch that the update itself would make is above all others and is not among them.
    if (commit.head.rotation !== null && commit.head.rotation.provenEpoch <= head.epoch)
      set |= bit(commit.head.rotation.provenEpoch);
    for (const entry of commit.entries) if (entry !== null && entry.since <= head.epoch) set |= bit(entry.since);
  }
  return set;
}

function generationsOfHead({ highest, generations, signer, bundle, rotation }: Head): Generations {
  let set = bit(highest) | generations | bit(signer) | bundle;
  if (rotation !== null) set |= bit(rotation.from) | bit(rotation.to);
  return set;
}

const ofContent = (content: Content | null): Generations => (content === null ? 0 : bit(content.leaf) | content.bundle);
const ofSeen = (seen: Seen | null): Generations => (seen === null ? 0 : bit(seen.leaf) | seen.trusts | seen.refuses);

function generationsOf({ head, members, wanted, due, commit }: State): Generations {
  let set = generationsOfHead(head) | bit(wanted.pin) | bit(wanted.approved.generation) | due;
  if (commit !== null) {
    set |= generationsOfHead(commit.head);
    for (const entry of commit.entries) if (entry !== null) set |= bit(entry.leaf) | entry.bundle;
  }
  for (const member of members) {
    const { entry, probe, write } = member;
    if (entry !== null) set |= bit(entry.leaf) | entry.bundle;
    set |= ofContent(member.secret) | ofContent(member.loaded) | ofSeen(member.sight);
    for (const content of member.coming) set |= ofContent(content);
    for (const content of member.old) set |= ofContent(content);
    set |= member.ready;
    if (member.vouch !== null) set |= bit(member.vouch.generation);
    if (probe !== null) set |= probe.asked | ofSeen(probe.seen);
    if (write !== null) set |= bit(write.leaf) | write.bundle;
    if (member.oldSecret !== null) set |= ofContent(member.oldSecret.secret);
    if (member.oldSight !== null) set |= ofSeen(member.oldSight.sight);
  }
  return set & ~1;
}

function nameGenerations(set: Generations): void {
  const n = count(set);
  renamed = set !== bit(n + 1) - 2;
  if (n > MAX_GENERATION) throw new Error(`${n} generations in one state, more than ${MAX_GENERATION}`);
  if (!renamed) return;
  let name = 0;
  generationNames.fill(0);
  for (let g = 1; g < 31; g++) if ((set & bit(g)) !== 0) generationNames[g] = ++name;
}

// ---- Encoding ----------------------------------------------------------------------------------------------------

function putHead({ epoch, highest, generations, signer, bundle, rotation, held }: Head): void {
  putEpoch(epoch);
  putGeneration(highest);
  putGenerations(generations);
  putGeneration(signer);
  putGenerations(bundle);
  put(held ? 1 : 0);
  if (rotation === null) return put(0);
  const { from, to, backward, stage, proven, provenEpoch, interrupted, turned } = rotation;
  put(1 + stage + proven * 4 + (backward ? 16 : 0) + (interrupted ? 32 : 0) + (turned ? 64 : 0));
  putGeneration(from);
  putGeneration(to);
  putEpoch(provenEpoch);
}

function putEntry(entry: Entry): void {
  putGeneration(entry.leaf);
  putGenerations(entry.bundle);
  putEpoch(entry.since);
  put(entry.grant);
}

function putContent({ leaf, id, bundle }: Content): void {
  putGeneration(leaf);
  put(leaf === 0 ? 0 : nameOf(leafNames, id));
  putGenerations(bundle);
}

function putSeen({ leaf, id, trusts, refuses }: Seen): void {
  putGeneration(leaf);
  put(leaf === 0 ? 0 : nameOf(leafNames, id));
  putGenerations(trusts);
  putGenerations(refuses);
}

/** A member that is dark is looked at again and again: what was not seen is always of now. */
function putSight(sight: Sight): void {
  if (sawNothing(sight)) {
    put(0);
    put(sight.age * 64);
    return;
  }
  putEpoch(sight.epoch);
  put(nameOf(revisionNames, sight.revision) + sight.age * 64);
  putSeen(sight);
}

function putVouch({ revision, generation }: Vouch): void {
  put(nameOf(revisionNames, revision));
  putGeneration(generation);
}

function putMember(member: Member, next: Entry | null, nextUidKnown: boolean): void {
  const { entry, secret, loaded, coming, old, restarted, sight, probe, write, oldSecret, oldSight } = member;
  leafNames.clear();
  revisionNames.clear();
  put(
    (member.certificate ? 1 : 0) |
      (member.uidKnown ? 2 : 0) |
      (member.hidden ? 4 : 0) |
      (member.peer ? 8 : 0) |
      (member.departed ? 16 : 0) |
      (entry === null ? 0 : 32) |
      (secret === null ? 0 : 64) |
      (loaded === null ? 0 : 128),
  );
  put(
    (sight === null ? 0 : 1) |
      (probe === null ? 0 : 2) |
      (probe === null || probe.seen === null ? 0 : 4) |
      (write === null ? 0 : 8) |
      (oldSecret === null ? 0 : 16) |
      (oldSight === null ? 0 : 32) |
      (next === null ? 0 : 64) |
      (nextUidKnown ? 128 : 0),
  );
  put(
    (member.probed ? 1 : 0) +
      (member.vouch === null ? 0 : 2 + member.vouch.stage * 4) +
      (member.barred ? 16 : 0) +
      (member.brings ? 32 : 0),
  );
  if (member.brings) putGenerations(member.ready);
  put(coming.length * 16 + old.length + (restarted ? 8 : 0));
  if (entry !== null) putEntry(entry);
  if (secret !== null) {
    putContent(secret);
    putEpoch(secret.epoch);
    put(nameOf(revisionNames, secret.revision));
  }
  if (member.vouch !== null) putVouch(member.vouch);
  if (loaded !== null) putContent(loaded);
  for (const content of coming) putContent(content);
  for (const content of old) putContent(content);
  if (sight !== null) putSight(sight);
  if (probe !== null) {
    putEpoch(probe.epoch);
    put(nameOf(revisionNames, probe.revision));
    putGenerations(probe.asked);
    if (probe.seen !== null) putSeen(probe.seen);
  }
  if (write !== null) {
    putEpoch(write.epoch);
    putGeneration(write.leaf);
    put(write.id === 0 ? 0 : nameOf(leafNames, write.id));
    putGenerations(write.bundle);
  }
  if (oldSecret !== null) {
    put((oldSecret.certificate ? 1 : 0) | (oldSecret.secret === null ? 0 : 2));
    if (oldSecret.secret !== null) {
      putContent(oldSecret.secret);
      putEpoch(oldSecret.secret.epoch);
      put(nameOf(revisionNames, oldSecret.secret.revision));
    }
  }
  if (oldSight !== null) {
    put(oldSight.sight === null ? 0 : 1);
    if (oldSight.sight !== null) putSight(oldSight.sight);
  }
  if (next !== null) putEntry(next);
}

function before(one: number, oneEnd: number, other: number, otherEnd: number): boolean {
  for (let i = one, j = other; i < oneEnd && j < otherEnd; i++, j++) {
    const difference = (scratch[i] ?? 0) - (scratch[j] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return oneEnd - one < otherEnd - other;
}

/**
 * The canonical form of a state: equal for states that differ only in what means nothing. It is valid until the next call.
 * @param keepOrder members stay where they are: the numbers are canonical, the names are kept
 * @returns a view of a buffer that is used again
 */
export function encode(state: State, keepOrder = false): Uint8Array {
  const { head, members, wanted, due, commit, spent } = state;
  thresholds = epochsOf(state);
  present = head.epoch;
  nameGenerations(generationsOf(state));
  at = 0;
  put((commit === null ? 0 : 1) | (wanted.deleting ? 2 : 0) | (wanted.paused ? 4 : 0) | (wanted.approved.stage << 3));
  put(members.length);
  putHead(head);
  putEpoch(state.lastProof);
  putGeneration(wanted.pin);
  putGeneration(wanted.approved.generation);
  putGenerations(due);
  if (commit !== null) putHead(commit.head);
  put(spent.length);
  for (const n of spent) put(n);
  const globalEnd = at;

  const starts: number[] = [];
  const ends: number[] = [];
  const order: number[] = [];
  for (let i = 0; i < members.length; i++) {
    const member = members[i];
    if (member === undefined) continue;
    starts.push(at);
    putMember(member, commit?.entries[i] ?? null, commit?.uidKnown[i] ?? false);
    ends.push(at);
    let place = i;
    while (
      !keepOrder &&
      place > 0 &&
      before(starts[i] ?? 0, ends[i] ?? 0, starts[order[place - 1] ?? 0] ?? 0, ends[order[place - 1] ?? 0] ?? 0)
    )
      place--;
    order.splice(place, 0, i);
  }
  if (at > MAX_BYTES) throw new Error(`a state of ${at} bytes`);
  canonical.set(scratch.subarray(0, globalEnd), 0);
  let end = globalEnd;
  for (const i of order) {
    const part = scratch.subarray(starts[i], ends[i]);
    canonical.set(part, end);
    end += part.length;
  }
  return canonical.subarray(0, end);
}

/**
 * All that the planner is shown of a state, as a text: equal texts mean equal facts. Names and numbers stand as they are.
 * @param shown the members as the watches show them
 */
export function encodeFacts(state: State, shown: readonly Member[]): string {
  const { head, wanted, due } = state;
  thresholds = epochsOf({ ...state, commit: null });
  present = head.epoch;
  renamed = false;
  at = 0;
  putHead(head);
  put(wanted.pin);
  put(due);
  put((wanted.deleting ? 2 : 0) | (wanted.paused ? 4 : 0) | (wanted.approved.stage << 3));
  put(wanted.approved.generation);
  for (const member of shown) {
    const { certificate, uidKnown, hidden, peer, barred, departed, entry, secret, sight, probed, vouch } = member;
    leafNames.clear();
    revisionNames.clear();
    put(
      (certificate ? 1 : 0) |
        (uidKnown ? 2 : 0) |
        (hidden ? 4 : 0) |
        (peer ? 8 : 0) |
        (departed ? 16 : 0) |
        (entry === null ? 0 : 32) |
        (secret === null ? 0 : 64) |
        (sight === null ? 0 : 128),
    );
    if (entry !== null) putEntry(entry);
    if (secret !== null) {
      putContent(secret);
      putEpoch(secret.epoch);
      put(nameOf(revisionNames, secret.revision));
    }
    if (sight !== null) putSight(sight);
    put((probed ? 1 : 0) + (vouch === null ? 0 : 2 + vouch.stage * 4) + (barred ? 16 : 0) + (member.brings ? 32 : 0));
    if (member.brings) put(member.ready);
    if (vouch !== null) putVouch(vouch);
  }
  return Buffer.from(scratch.buffer, 0, at).toString('latin1');
}

// ---- Decoding ----------------------------------------------------------------------------------------------------

let source: Uint8Array = canonical;

function take(): number {
  return source[at++] ?? 0;
}

function takeHead(): Head {
  const epoch = take();
  const highest = take();
  const generations = take();
  const signer = take();
  const bundle = take();
  const held = take() !== 0;
  const flags = take();
  if (flags === 0) return { epoch, highest, generations, signer, bundle, rotation: null, held };
  const from = take();
  const to = take();
  const provenEpoch = take();
  const route = flags - 1;
  return {
    epoch,
    highest,
    generations,
    signer,
    bundle,
    rotation: {
      from,
      to,
      backward: (route & 16) !== 0,
      stage: oneOf(route & 3),
      proven: oneOf((route >> 2) & 3),
      provenEpoch,
      interrupted: (route & 32) !== 0,
      turned: (route & 64) !== 0,
    },
    held,
  };
}

function oneOf(n: number): 0 | 1 | 2 {
  return n === 0 ? 0 : n === 1 ? 1 : 2;
}

function takeEntry(): Entry {
  const leaf = take();
  const bundle = take();
  const since = take();
  return { leaf, bundle, since, grant: take() };
}

function takeContent(): Content {
  const leaf = take();
  const id = take();
  return { leaf, id, bundle: take() };
}

function takeSecret() {
  const { leaf, id, bundle } = takeContent();
  const epoch = take();
  return { leaf, id, bundle, epoch, revision: take() };
}

function takeSeen(): Seen {
  const leaf = take();
  const id = take();
  const trusts = take();
  return { leaf, id, trusts, refuses: take() };
}

function takeSight(epochNow: number, revisionNow: number): Sight {
  const epoch = take();
  const stamp = take();
  if ((stamp & 63) === 0)
    return { leaf: 0, id: 0, trusts: 0, refuses: 0, epoch: epochNow, revision: revisionNow, age: oneOf(stamp >> 6) };
  const { leaf, id, trusts, refuses } = takeSeen();
  return { leaf, id, trusts, refuses, epoch, revision: stamp & 63, age: oneOf(stamp >> 6) };
}

function takeProbe(seen: boolean): Probe {
  const epoch = take();
  const revision = take();
  const asked = take();
  return { epoch, revision, asked, seen: seen ? takeSeen() : null };
}

function takeWrite(): Write {
  const epoch = take();
  const leaf = take();
  const id = take();
  return { epoch, leaf, id, bundle: take() };
}

interface Decoded {
  readonly member: Member;
  readonly next: Entry | null;
  readonly nextUidKnown: boolean;
}

function takeMember(epoch: number): Decoded {
  const a = take();
  const b = take();
  const c = take();
  const ready = (c & 32) === 0 ? 0 : take();
  const versions = take();
  const entry = (a & 32) === 0 ? null : takeEntry();
  const secret = (a & 64) === 0 ? null : takeSecret();
  const vouch = (c & 2) === 0 ? null : { revision: take(), generation: take(), stage: oneOf((c >> 2) & 3) };
  const loaded = (a & 128) === 0 ? null : takeContent();
  const coming: Content[] = [];
  for (let i = versions >> 4; i > 0; i--) coming.push(takeContent());
  const old: Content[] = [];
  for (let i = versions & 7; i > 0; i--) old.push(takeContent());
  const revision = secret?.revision ?? 0;
  const sight = (b & 1) === 0 ? null : takeSight(epoch, revision);
  const probe = (b & 2) === 0 ? null : takeProbe((b & 4) !== 0);
  const write = (b & 8) === 0 ? null : takeWrite();
  const oldSecret = (b & 16) === 0 ? null : takeOldSecret();
  const oldSight = (b & 32) === 0 ? null : { sight: take() === 0 ? null : takeSight(epoch, revision) };
  const next = (b & 64) === 0 ? null : takeEntry();
  return {
    member: {
      certificate: (a & 1) !== 0,
      uidKnown: (a & 2) !== 0,
      hidden: (a & 4) !== 0,
      peer: (a & 8) !== 0,
      barred: (c & 16) !== 0,
      departed: (a & 16) !== 0,
      entry,
      secret,
      loaded,
      coming,
      old,
      restarted: (versions & 8) !== 0,
      probed: (c & 1) !== 0,
      vouch,
      brings: (c & 32) !== 0,
      ready,
      sight,
      probe,
      write,
      oldSecret,
      oldSight,
    },
    next,
    nextUidKnown: (b & 128) !== 0,
  };
}

function takeOldSecret() {
  const flags = take();
  return { certificate: (flags & 1) !== 0, secret: (flags & 2) === 0 ? null : takeSecret() };
}

/** The state that `encode` made these bytes of. */
export function decode(bytes: Uint8Array, offset = 0): State {
  source = bytes;
  at = offset;
  const flags = take();
  const size = take();
  const head = takeHead();
  const lastProof = take();
  const pin = take();
  const approvedGeneration = take();
  const due = take();
  const nextHead = (flags & 1) === 0 ? null : takeHead();
  const spent: number[] = [];
  for (let i = take(); i > 0; i--) spent.push(take());
  const members: Member[] = [];
  const entries: (Entry | null)[] = [];
  const uidKnown: boolean[] = [];
  for (let i = 0; i < size; i++) {
    const decoded = takeMember(head.epoch);
    members.push(decoded.member);
    entries.push(decoded.next);
    uidKnown.push(decoded.nextUidKnown);
  }
  return {
    head,
    members,
    wanted: {
      pin,
      paused: (flags & 4) !== 0,
      approved: { generation: approvedGeneration, stage: oneOf(flags >> 3) },
      deleting: (flags & 2) !== 0,
    },
    due,
    lastProof,
    commit: nextHead === null ? null : { head: nextHead, entries, uidKnown },
    spent,
  };
}
