import { expect, test } from 'vitest';
import type { MapEdge } from '../answer';
import { distanceTo, pointOn, routeEdges } from './route';

const edge = (source: string, target: string): MapEdge => ({
  source, target, kind: 'call', calls: 1, errors: 0, error_rate: 0, rate: 1, inferred: false, examples: [], p50_ms: 1, p95_ms: 1, p99_ms: 1,
});
const positions = { a: { x: 0, y: 0 }, b: { x: 300, y: 0 }, c: { x: 300, y: 100 }, d: { x: 600, y: 0 } };

test('calls leave on the right and arrive on the left; calls back arrive on the right', () => {
  const [ab, da] = routeEdges([edge('a', 'b'), edge('d', 'a')], positions, 100, 40);
  expect(ab!.from.x).toBe(50);
  expect(ab!.to.x).toBeLessThan(250);
  expect(ab!.heading).toBe(1);
  expect(da!.from.x).toBe(550);
  expect(da!.to.x).toBeGreaterThan(50);
  expect(da!.heading).toBe(-1);
});

test('edges of one node do not share a port and keep the order of their ends', () => {
  const curves = routeEdges([edge('a', 'c'), edge('a', 'b')], positions, 100, 40);
  const start = (target: string) => curves.find((curve) => curve.edge.target === target)!.from.y;
  expect(start('b')).toBeLessThan(start('c'));
});

test('edges to nodes that are not shown are left out, self calls are loops', () => {
  const curves = routeEdges([edge('a', 'ghost'), edge('a', 'a')], positions, 100, 40);
  expect(curves).toHaveLength(1);
  expect(distanceTo(curves[0]!, pointOn(curves[0]!, 0.5))).toBeCloseTo(0, 6);
});
