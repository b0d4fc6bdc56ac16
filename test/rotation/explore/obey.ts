/** What a decision of the planner must not do against the user's word, whatever the evidence is. */
import { count, GRANTS, has, listed, type Member, NAMES, type NextLedger, type State } from './state.ts';

export interface Settings {
  readonly concurrent: number | `${number}%`;
  readonly soak: boolean;
  /** Stages that wait for approval; in lockstep the last one does anyway. */
  readonly approval: readonly ('Roll' | 'Drop')[];
  /** Members honour one CA only: leaf and bundle change together. Of its two stages, Prepare is 0 and Swap is 2. */
  readonly lockstep: boolean;
  /** All generations have one subject and no key id: verifiers take one for the other. None may ever be appended. */
  readonly alike: boolean;
}

const takesSlot = (grant: number): boolean => grant !== 0 && GRANTS[grant] !== 'Proven';
const underWay = (grant: number): boolean => GRANTS[grant] === 'Open' || GRANTS[grant] === 'Reopened';

/**
 * @param shown the members as the watches show them
 * @returns what is wrong with the decision, or null
 */
export function disobeyed(state: State, shown: readonly Member[], next: NextLedger, settings: Settings): string | null {
  const { wanted } = state;
  const members = shown;
  const [was, is] = [state.head.rotation, next.head.rotation];
  const granted = next.entries.some(
    (entry, i) => entry !== null && underWay(entry.grant) && entry.since !== members[i]?.entry?.since,
  );
  const turned = was !== null && is !== null && was.from === is.to;
  const started = state.head.signer !== 0 && next.head.highest !== state.head.highest;
  const left = was !== null && !turned && is?.stage !== was.stage;
  const same = (head: State['head']): string => JSON.stringify({ ...head, epoch: 0 });
  const changed =
    same(state.head) !== same(next.head) ||
    members.some(
      ({ entry, uidKnown }, i) =>
        JSON.stringify(entry) !== JSON.stringify(next.entries[i]) || uidKnown !== next.uidKnown[i],
    );
  if (!changed) return 'it writes the ledger although nothing changes';
  const moves = granted
    ? 'grants'
    : turned
      ? 'turns round'
      : started
        ? 'starts a rotation'
        : left
          ? 'leaves a stage'
          : null;

  if (moves !== null && wanted.paused) return `it ${moves} although the rotation is paused`;
  if (moves !== null && wanted.deleting) return `it ${moves} although the CA is being deleted`;
  for (const [i, entry] of next.entries.entries()) {
    const member = members[i];
    if (member === undefined || entry === null || !underWay(entry.grant) || entry.since === member.entry?.since)
      continue;
    if (member.brings && member.secret?.leaf !== entry.leaf && !has(member.ready, entry.leaf))
      return `it grants ${NAMES.charAt(i)} a leaf of G${entry.leaf}, which nobody has brought`;
  }
  const { pin } = wanted;
  if (was !== null && pin !== 0 && pin <= state.head.highest && pin !== was.from && pin !== was.to && moves !== null)
    return `it ${moves} although G${pin} is wanted, which is gone`;
  if (turned && pin !== is.to) return `it turns round to G${is.to}, but G${pin} is wanted`;
  if (settings.lockstep && turned && !is.backward && is.stage !== 0)
    return `it turns round into Swap: nobody is as before, and nobody was asked`;
  if (started && pin !== 0 && pin <= state.head.highest) return `it starts a rotation, but G${pin} is wanted`;
  if (started && pin === 0 && state.head.held) return 'it starts a rotation by itself after one was rolled back';
  if (started && pin === 0 && !has(state.due, state.head.signer)) return 'it starts a rotation that nobody wants';

  // Nobody has had anything of it yet.
  const abandoned = settings.lockstep && left && is === null && was.stage === 0 && !was.turned;
  if (abandoned && pin !== was.from) return `it gives the rotation up, but G${pin} is wanted`;
  if (left && !was.backward && !abandoned) {
    if (settings.soak && was.proven !== 2) return 'it leaves a stage before its soak is over';
    const stage = is === null ? null : is.stage === 1 ? 'Roll' : 'Drop';
    const { generation, stage: upTo } = wanted.approved;
    const asked = stage !== null && (settings.lockstep || settings.approval.includes(stage));
    if (asked && !(generation === was.to && upTo >= (is?.stage ?? 0)))
      return `it enters ${stage} although that was not approved`;
    const stuck = members.findIndex(({ certificate, barred }, i) => certificate && barred && next.entries[i] != null);
    if (settings.lockstep && is !== null && stuck >= 0)
      return `all are to change at one time, but ${NAMES.charAt(stuck)} cannot`;
  }
  if (is !== null && (turned || started || left) && is.proven !== 0) return 'a stage begins as proven';

  const before = members.filter(({ entry }) => entry !== null && takesSlot(entry.grant)).length;
  const after = next.entries.filter((entry) => entry !== null && takesSlot(entry.grant)).length;
  const most = limit(settings.concurrent, next.entries.filter((entry) => entry !== null).length);
  if (!settings.lockstep && after > Math.max(most, before))
    return `${after} grants are under way, at most ${most} may be`;

  for (const [i, { entry, certificate, barred, hidden, departed }] of members.entries()) {
    if (entry === null || (next.entries[i] ?? null) !== null) continue;
    if (certificate && !hidden && !(barred && departed))
      return `${NAMES.charAt(i)} is dropped from the roster although it is there`;
    if (hidden && !departed) return `${NAMES.charAt(i)} is dropped from the roster although nobody looks`;
    if (was !== null && entry.leaf !== 0 && !departed)
      return `${NAMES.charAt(i)} is dropped from the roster in a rotation, but nobody says that it has departed`;
  }

  const gone = state.head.generations & ~next.head.generations;
  if (gone !== 0 && count(gone) > 1) return `generations ${listed(gone).join(', ')} are destroyed at once`;
  return null;
}

function limit(concurrent: Settings['concurrent'], members: number): number {
  if (typeof concurrent === 'number') return concurrent;
  return Math.max(1, Math.ceil((Number.parseInt(concurrent, 10) * members) / 100));
}
