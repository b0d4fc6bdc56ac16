/** Counterexamples and counts, for people. */
import type { World } from './world.ts';
import type { Counterexample, Result } from './search.ts';
import { GRANTS, NAMES, sawNothing, shownSet, type Member, type State } from './state.ts';

const STAGES = ['Append', 'Roll', 'Drop'] as const;
const AGES = ['', ' (stale)', ' (from the future)'] as const;

export function tellCounterexample({ wrong, steps, states }: Counterexample): string {
  const lines = steps.flatMap(({ what, member, told }, i) => {
    const who = member < 0 ? '' : `${NAMES.charAt(member)}: `;
    return [`  ${String(i + 1).padStart(3)}  ${who}${what}`, ...told.map((note) => `         ${note}`)];
  });
  const last = states.at(-1);
  return [wrong, ...lines, ...(last === undefined ? [] : tellState(last))].join('\n');
}

function tellState({ head, members, wanted }: State): string[] {
  const { rotation, signer, bundle, epoch } = head;
  const stage =
    rotation === null
      ? 'Stable'
      : `${STAGES[rotation.stage]} ${rotation.backward ? 'back ' : ''}from G${rotation.from} to G${rotation.to}`;
  const pin = wanted.pin === 0 ? 'nothing' : `G${wanted.pin}`;
  return [
    `  then the ledger is at epoch ${epoch}: ${stage}, signer G${signer}, bundle ${shownSet(bundle)}; ${pin} is wanted`,
    ...members.flatMap((member, i) => tellMember(NAMES.charAt(i), member)),
  ];
}

function tellMember(name: string, { certificate, barred, entry, secret, loaded, sight }: Member): string[] {
  if (!certificate && entry === null && secret === null) return [];
  const files = (content: { leaf: number; id?: number; bundle: number } | null): string =>
    content === null
      ? 'nothing'
      : `G${content.leaf}${content.id === undefined ? '' : `#${content.id}`} trusting ${shownSet(content.bundle)}`;
  const roster =
    entry === null
      ? 'not in the roster'
      : `roster ${entry.leaf === 0 ? 'nothing yet' : files(entry)} since ${entry.since}${entry.grant === 0 ? '' : `, ${GRANTS[entry.grant]}`}`;
  const eyes =
    sight === null
      ? 'never seen'
      : `seen at ${sight.epoch}${sight.revision === secret?.revision ? '' : ' before its last write'}${AGES[sight.age]}: ${sawNothing(sight) ? 'nothing' : `presents G${sight.leaf}#${sight.id}, trusts ${shownSet(sight.trusts)}, refuses ${shownSet(sight.refuses)}`}`;
  return [
    `    ${name}${certificate ? (barred ? ' (barred)' : '') : ' (deleted)'}: ${roster}; Secret ${files(secret)}${secret === null ? '' : ` of ${secret.epoch}`}; loaded ${files(loaded)}; ${eyes}`,
  ];
}

export function tellResult({
  world,
  states,
  transitions,
  depth,
  closed,
  seconds,
  plans,
}: Omit<Result, 'counterexample'>): string {
  const number = (n: number): string => Math.round(n).toLocaleString('en').padStart(12);
  return `${world.padEnd(28)}${number(states)} states${number(transitions)} transitions${number(plans)} plans  depth ${String(depth).padStart(3)}  ${closed ? 'closed' : 'cut   '} ${seconds.toFixed(1).padStart(7)} s`;
}

export function tellWorld(world: World): string {
  const { members, joiners, unprobed, brings, underWay, standing, stuck, watches, coming, old, concurrent, may } =
    world;
  const budgets = Object.entries(may).map(([what, n]) => (n === Number.POSITIVE_INFINITY ? what : `${what} ${n}x`));
  return [
    `${members} members${joiners > 0 ? `, ${joiners} may join` : ''}${unprobed > 0 ? `, ${unprobed} cannot be probed` : ''}${brings > 0 ? `, the leaves of ${brings} are brought` : ''}`,
    underWay > 0 ? `at most ${underWay} under way of a replica that stands still (${standing.join(', ')})` : '',
    stuck > 0 ? `${stuck} stuck watches (${watches.join(', ')})` : '',
    coming + old > 0 ? `${coming} late versions, ${old} old ones` : '',
    `maxConcurrent ${concurrent}${world.soak ? ', a soak' : ''}`,
    world.approval.length > 0 ? `approval of ${world.approval.join(', ')}` : '',
    world.newborn ? 'from the beginning' : '',
    world.alike ? 'generations alike' : '',
    budgets.join(', '),
  ]
    .filter((part) => part !== '')
    .join('; ');
}

export function tellSum(results: readonly Omit<Result, 'counterexample'>[]): string {
  const sum = (of: (result: Omit<Result, 'counterexample'>) => number): string =>
    results.reduce((all, result) => all + of(result), 0).toLocaleString('en');
  const cut = results.filter(({ closed }) => !closed).length;
  const depth = Math.max(...results.map((result) => result.depth));
  return `${results.length} worlds, ${results.length - cut} explored to their end, ${cut} cut: ${sum(({ states }) => states)} distinct states, ${sum(({ transitions }) => transitions)} transitions, depth up to ${depth}`;
}
