import { expect, test } from 'vitest';
import { light } from '../theme/token';
import { Waterfall, type Bar } from './waterfall';

/** `parents[i]` is the place of span i's parent; depth first. */
function bars(parents: number[], more: (i: number) => Partial<Bar> = () => ({})): Bar[] {
  const made = parents.map<Bar>((parent, i) => ({ start: i, duration: 1, error: false, kind: 'SERVER', parent, below: 0, color: 0, critical: false, marks: [], ...more(i) }));
  for (let i = made.length - 1; i > 0; i--) if (made[i]!.parent >= 0) made[made[i]!.parent]!.below += made[i]!.below + 1;
  return made;
}
const view = (list: Bar[], total = 100) => new Waterfall(list, total, light, ['#000000']);
const shown = (w: Waterfall) => [...w.rows.subarray(0, w.count)];

test('folding hides what is below and nothing else', () => {
  const w = view(bars([-1, 0, 1, 1, 0]));
  expect(shown(w)).toEqual([0, 1, 2, 3, 4]);
  w.toggle(1);
  expect(shown(w)).toEqual([0, 1, 4]);
  expect(w.rowOf(4)).toBe(2);
  expect(w.rowOf(2)).toBe(-1);
  expect(w.reveal(3)).toBe(3);
});

test('a large trace opens folded to failures, the critical path and long spans', () => {
  const parents = Array.from({ length: 400 }, (_, i) => (i === 0 ? -1 : i % 4 === 1 ? 0 : i - 1));
  const w = view(bars(parents, (i) => ({ error: i === 200, critical: i === 4, duration: i === 40 ? 900 : 1 })), 1000);
  for (const kept of [0, 200, 4, 40]) expect(w.rowOf(kept), `span ${kept}`).toBeGreaterThanOrEqual(0);
  expect(w.count).toBeLessThan(120);
  w.expandAll();
  expect(w.count).toBe(400);
});

test('the next failure is found going round, in both directions', () => {
  const w = view(bars([-1, 0, 0, 0], (i) => ({ error: i === 1 || i === 3 })));
  const seek = (step: 1 | -1) => (w.selected = w.next((bar) => bar.error, step));
  expect([seek(1), seek(1), seek(1), seek(-1)]).toEqual([1, 3, 1, 3]);
  expect(w.next(() => false)).toBe(-1);
});

test('the window of time stays inside the trace', () => {
  const w = view(bars([-1]));
  w.window(-5, 500);
  expect([w.from, w.until]).toEqual([0, 100]);
  w.window(50, 50);
  expect(w.until).toBeGreaterThan(w.from);
});
