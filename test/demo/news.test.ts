import { describe, expect, test } from 'vitest';
import { news } from './news.ts';
import { memberOf, rolling } from './scene.ts';
import { paint } from './text.ts';
import type { View } from './view.ts';

const told = (before: View | null, after: View): string[] =>
  news(before, after).map((line) => paint(line, false).trim());

describe('news', () => {
  test('there are none while nothing changes but the counts', () => {
    const busier = memberOf('east').edges.map((edge) => ({ ...edge, handshakes: { ok: 9_999, failed: 0 } }));
    const later = rolling({ members: [memberOf('east', { edges: busier }), ...rolling().members.slice(1)] });
    expect(told(rolling(), later)).toEqual([]);
  });

  test('tell what a cluster trusts and presents from now on, and how it works meanwhile', () => {
    const later = rolling({ members: [memberOf('east', { presents: 2 }), ...rolling().members.slice(1)] });
    expect(told(rolling(), later)).toEqual([
      '00:23  east    trusts G1 + G2, presents G2         1,234 handshakes, 0 failed, 16.0 MiB',
    ]);
  });

  test.each([
    ['Append', null, 'Append   G2 is made'],
    ['Roll', 'Append', 'Roll     all were seen to trust G2'],
    ['Drop', 'Roll', 'Drop     all were seen to present a leaf of G2'],
  ] as const)('tell that stage %s begins', (stage, was, text) => {
    const before = rolling({ rotation: was === null ? null : { from: 1, to: 2, stage: was, back: false } });
    expect(told(before, rolling({ rotation: { from: 1, to: 2, stage, back: false } })).join()).toContain(text);
  });

  test('tell that the rotation turns round, also where the stage keeps its name', () => {
    const back = rolling({ rotation: { from: 2, to: 1, stage: 'Roll', back: true } });
    expect(told(rolling(), back)).toEqual(['00:23  Roll     back to G1: it signs again, leaf by leaf']);
  });

  test('tell the end, but not that nothing has begun', () => {
    const stable = rolling({ rotation: null, phase: 'Stable' });
    expect(told(rolling(), stable).join()).toContain('refuse G1: its key is gone, G2 is left');
    expect(told(stable, stable)).toEqual([]);
  });

  test('name the edge of every new failure, and what was lost', () => {
    const broken = memberOf('east').edges.map((edge, i) => (i === 0 ? { ...edge, errors: { ECONNRESET: 2 } } : edge));
    const later = rolling({ members: [memberOf('east', { edges: broken, lost: 1 }), ...rolling().members.slice(1)] });
    expect(told(rolling(), later)).toEqual(['00:23  east -> west FAILED: ECONNRESET', '00:23  east LOST 1 blocks']);
    expect(told(later, later)).toEqual([]);
  });
});
