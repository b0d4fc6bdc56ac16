import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memberOf, rolling } from './scene.ts';
import { table } from './table.ts';
import { lengthOf, paint } from './text.ts';
import type { View } from './view.ts';

const drawn = (view: View, width = 100): string[] => table(view, width).map((line) => paint(line, false));

describe('the table', () => {
  test('shows where the rotation stands, who trusts and presents what, and the counts', () => {
    expect(drawn(rolling())).toEqual([
      '',
      '  Append ✓ ── Roll ● ── Drop ○   G1 → G2   1/3   00:23',
      '',
      '  CLUSTER   TRUSTS    PRESENTS   HANDSHAKES   FAILED   REPLICATED',
      '  east      G1 + G2   G1              1,234        0     16.0 MiB',
      '  west      G1 + G2   G2              1,234        0     16.0 MiB',
      '  north     G1 + G2   G1              1,234        0     16.0 MiB',
      '',
      '  3,702 handshakes, 0 failed, 48.0 MiB replicated',
    ]);
  });

  test('says what is waited for', () => {
    expect(drawn(rolling({ waitingFor: 'east is dark' })).at(-1)).toBe('  waiting: east is dark');
  });

  test('shows a mesh at rest, and one of which nothing is known yet', () => {
    expect(drawn(rolling({ rotation: null, phase: 'Stable', at: 61_000 }))[1]).toBe('  Stable   signer G2   01:01');
    const blank = memberOf('east', { trusts: null, presents: null, edges: [] });
    const lines = drawn(rolling({ rotation: null, phase: '', signer: null, members: [blank] }));
    expect(lines[1]).toBe('  Pending   signer -   00:23');
    expect(lines[4]).toBe('  east      -         -                   0        0        0 KiB');
  });

  test.each([
    [60, 'CLUSTER   TRUSTS    PRESENTS   HANDSHAKES   FAILED'],
    [45, 'CLUSTER   TRUSTS    PRESENTS   FAILED'],
  ])('of %i columns leaves out what matters least, and never the failures', (width, titles) => {
    expect(drawn(rolling(), width)[3]?.trim()).toBe(titles);
  });

  test('never takes more columns than there are', () => {
    const view = fc.record({
      waitingFor: fc.string({ maxLength: 200 }),
      progress: fc.string({ maxLength: 12 }),
      name: fc.string({ minLength: 1, maxLength: 63 }),
      trusts: fc.option(fc.array(fc.integer({ min: 1, max: 999_999 }), { maxLength: 3 })),
    });
    fc.assert(
      fc.property(view, fc.integer({ min: 20, max: 200 }), ({ waitingFor, progress, name, trusts }, width) => {
        const lines = table(rolling({ waitingFor, progress, members: [memberOf(name, { trusts })] }), width);
        for (const line of lines) expect(lengthOf(line)).toBeLessThanOrEqual(width);
      }),
    );
  });

  test('marks a failure in red, by a terminal that has colours', () => {
    const [edge] = memberOf('east').edges;
    const broken = memberOf('east', {
      edges: edge === undefined ? [] : [{ ...edge, handshakes: { ok: 1, failed: 3 } }],
    });
    const line = table(rolling({ members: [broken] }), 100)[4] ?? [];
    expect(paint(line, true)).toContain('\u001B[1;31m3\u001B[0m');
  });
});
