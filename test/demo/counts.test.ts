import { describe, expect, test } from 'vitest';
import { hasArrived, sentOver, StageCounts } from './counts.ts';
import { memberOf, rolling } from './scene.ts';
import type { Stage, View } from './view.ts';

const at = (stage: Stage | null, ok: number, ackedBytes = 0, sentBytes = 0): View => {
  const edges = memberOf('east').edges.map((edge) => ({
    ...edge,
    handshakes: { ok, failed: 0 },
    ackedBytes,
    sentBytes,
  }));
  return rolling({
    rotation: stage === null ? null : { from: 1, to: 2, stage, back: false },
    members: [memberOf('east', { edges })],
  });
};

test('handshakes count for the stage in which they were made', () => {
  const counts = new StageCounts();
  for (const view of [at(null, 100), at('Append', 110), at('Append', 130), at('Roll', 140), at(null, 145)])
    counts.add(view);
  expect(counts.of('east', 'west')).toEqual({ Append: 30, Roll: 5, Drop: 0 });
  expect(counts.of('east', 'nobody')).toEqual({ Append: 0, Roll: 0, Drop: 0 });
});

describe('what had been sent', () => {
  test('has arrived when all of it is acknowledged, whatever was sent since', () => {
    expect(hasArrived(at(null, 0, 0, 4096), at(null, 0, 4096, 8192))).toBe(true);
    expect(hasArrived(at(null, 0, 0, 4097), at(null, 0, 4096, 8192))).toBe(false);
  });

  test('is known by edge', () => {
    expect(sentOver(at(null, 0, 0, 4096), 'east', 'west')).toBe(4096);
    expect(sentOver(at(null, 0, 0, 4096), 'west', 'east')).toBe(0);
  });
});
