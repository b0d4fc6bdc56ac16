import { cut, type Line, lengthOf, pad, type Span, span } from './text.ts';
import { bytes, clock, count, generation, type MemberView, STAGES, tallyOf, type View, allEdges } from './view.ts';

interface Column {
  readonly title: string;
  readonly side: 'left' | 'right';
  readonly cell: (member: MemberView, view: View) => Line;
}

const COLUMNS: readonly Column[] = [
  { title: 'CLUSTER', side: 'left', cell: ({ name }) => [span(name, 'bold')] },
  { title: 'TRUSTS', side: 'left', cell: ({ trusts }, view) => joined((trusts ?? []).map((n) => one(n, view))) },
  { title: 'PRESENTS', side: 'left', cell: ({ presents }, view) => [one(presents, view)] },
  { title: 'HANDSHAKES', side: 'right', cell: ({ edges }) => [span(count(tallyOf(edges).handshakes))] },
  { title: 'FAILED', side: 'right', cell: ({ edges }) => [failures(tallyOf(edges).failed)] },
  { title: 'REPLICATED', side: 'right', cell: ({ edges }) => [span(bytes(tallyOf(edges).ackedBytes))] },
];
const GAP = '   ';
/** A terminal narrower than the table loses the bytes first, then the count of what went well. */
const DISPENSABLE = ['REPLICATED', 'HANDSHAKES'];

/** The live table, each line at most `width` characters. */
export function table(view: View, width: number): Line[] {
  let columns = COLUMNS;
  for (const title of DISPENSABLE) {
    if (rows(view, columns).every((line) => lengthOf(line) <= width)) break;
    columns = columns.filter((column) => column.title !== title);
  }
  return [[], headline(view), [], ...rows(view, columns), [], footer(view)].map((line) => cut(line, width));
}

function rows(view: View, columns: readonly Column[]): Line[] {
  const cells: Line[][] = [
    columns.map(({ title }) => [span(title, 'dim')]),
    ...view.members.map((member) => columns.map(({ cell }) => cell(member, view))),
  ];
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => lengthOf(row[i] ?? [])), i === 1 ? 7 : 0));
  return cells.map((row) =>
    row.flatMap(
      (cell, i): Line => [span(i === 0 ? '  ' : GAP), ...pad(cell, widths[i] ?? 0, columns[i]?.side ?? 'left')],
    ),
  );
}

/** `Append ✓ ── Roll ● ── Drop ○` and where that stands. */
function headline(view: View): Line {
  const { rotation, phase, progress, signer, at } = view;
  if (rotation === null) {
    const tone = signer === null ? 'dim' : 'good';
    return [
      span('  '),
      span(phase === '' ? 'Pending' : phase, tone),
      span(`   signer ${generation(signer)}   ${clock(at)}`),
    ];
  }
  const reached = STAGES.indexOf(rotation.stage);
  const stages = STAGES.flatMap((stage, i): Span[] => [
    span(i === 0 ? '  ' : ' ── ', 'dim'),
    i < reached ? span(`${stage} ✓`, 'good') : i === reached ? span(`${stage} ●`, 'bold') : span(`${stage} ○`, 'dim'),
  ]);
  const way = `   G${rotation.from} → G${rotation.to}`;
  return [...stages, span(way), span(progress === '' ? '' : `   ${progress}`), span(`   ${clock(at)}`)];
}

function footer(view: View): Line {
  const { handshakes, failed, ackedBytes } = tallyOf(allEdges(view));
  if (view.waitingFor !== '') return [span('  waiting: ', 'dim'), span(view.waitingFor, 'dim')];
  return [
    span(`  ${count(handshakes)} handshakes, `, 'dim'),
    span(`${count(failed)} failed`, failed === 0 ? 'dim' : 'bad'),
    span(`, ${bytes(ackedBytes)} replicated`, 'dim'),
  ];
}

const failures = (failed: number): Span => span(count(failed), failed === 0 ? 'good' : 'bad');

/** The generation that comes and the one that goes are told apart at a glance. */
function one(number: number | null, { rotation, signer }: View): Span {
  const newest = rotation?.to ?? signer;
  return span(generation(number), number === null ? 'dim' : number === newest ? 'new' : 'old');
}

const joined = (spans: readonly Span[]): Line =>
  spans.length === 0 ? [span('-', 'dim')] : spans.flatMap((each, i) => (i === 0 ? [each] : [span(' + ', 'dim'), each]));
