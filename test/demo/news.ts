import { type Line, type Span, span, type Tone } from './text.ts';
import {
  bytes,
  clock,
  count,
  generation,
  generations,
  type MemberView,
  type Stage,
  tallyOf,
  type View,
} from './view.ts';

/** What is worth a line of its own between two moments; a log of them is the whole story of a rotation. */
export function news(before: View | null, after: View): Line[] {
  const lines: Line[] = [];
  const tell = (...spans: Span[]): void => void lines.push([span(`  ${clock(after.at)}  `, 'dim'), ...spans]);

  const stage = stageNews(before, after);
  if (stage !== null) tell(span(stage, 'bold'));
  for (const member of after.members) {
    const earlier = before?.members.find(({ name }) => name === member.name);
    const change = changeOf(earlier, member);
    if (change !== null) tell(span(member.name.padEnd(8), 'bold'), span(change.padEnd(36)), ...work(member));
    for (const { to, errors } of member.edges) {
      const known = earlier?.edges.find((edge) => edge.to === to)?.errors ?? {};
      for (const [error, times] of Object.entries(errors)) {
        if ((known[error] ?? 0) < times) tell(span(`${member.name} -> ${to} FAILED: ${error}`, 'bad'));
      }
    }
    if (member.lost > (earlier?.lost ?? 0)) tell(span(`${member.name} LOST ${member.lost} blocks`, 'bad'));
  }
  return lines;
}

function stageNews(before: View | null, after: View): string | null {
  const { rotation, signer } = after;
  const was = before?.rotation ?? null;
  if (rotation === null) {
    if (was === null || signer === null) return null;
    return `Stable   all were seen to refuse G${was.from}: its key is gone, G${signer} is left`;
  }
  if (rotation.stage === was?.stage && rotation.back === was.back) return null;
  const { from, to } = rotation;
  if (rotation.back) return `${rotation.stage.padEnd(8)} back to G${to}: ${BACK[rotation.stage]}`;
  switch (rotation.stage) {
    case 'Append':
      return `Append   G${to} is made: all are to trust G${from} and G${to}`;
    case 'Roll':
      return `Roll     all were seen to trust G${to}: it signs now, leaf by leaf`;
    case 'Drop':
      return `Drop     all were seen to present a leaf of G${to}: G${from} leaves the bundles`;
  }
}

const BACK: Readonly<Record<Stage, string>> = {
  Append: 'it is to be trusted again, beside the other',
  Roll: 'it signs again, leaf by leaf',
  Drop: 'the other leaves the bundles',
};

function changeOf(earlier: MemberView | undefined, { trusts, presents }: MemberView): string | null {
  if (trusts === null) return null;
  const same = earlier !== undefined && generations(earlier.trusts) === generations(trusts);
  if (same && earlier.presents === presents) return null;
  return `trusts ${generations(trusts)}, presents ${generation(presents)}`;
}

function work({ edges }: MemberView): Span[] {
  const { handshakes, failed, ackedBytes } = tallyOf(edges);
  const tone: Tone = failed === 0 ? 'plain' : 'bad';
  return [
    span(`${count(handshakes)} handshakes, `),
    span(`${count(failed)} failed`, tone),
    span(`, ${bytes(ackedBytes)}`),
  ];
}
