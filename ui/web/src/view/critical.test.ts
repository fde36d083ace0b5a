import { expect, test } from 'vitest';
import { CriticalLine } from './critical';

const line = new CriticalLine([
  { at: 0, from: 0, until: 2 },
  { at: 3, from: 2, until: 5 },
  { at: 1, from: 5, until: 6 },
  { at: 0, from: 6, until: 9 },
]);
const shown = (first: number, last?: number) => line.of(first, last).map((piece) => [piece.at, piece.from]);

test('a span has the pieces of its own, in order of time', () => {
  expect(shown(0)).toEqual([[0, 0], [0, 6]]);
  expect(shown(2)).toEqual([]);
  expect(shown(9)).toEqual([]);
});

test('a folded span has also those of what is below', () => {
  expect(shown(1, 3)).toEqual([[1, 5], [3, 2]]);
  expect(shown(0, 3)).toHaveLength(line.size);
});
