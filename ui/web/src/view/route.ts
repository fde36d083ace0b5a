// Routes the edges of a map as cubic curves: they leave on the right and arrive on the left, spread over each side in
// the order of their other ends, so that they do not knot at the node. Calls back to the left arc above or below.
import type { MapEdge } from '../answer';
import type { Point, Positions } from './layout';

export interface Curve {
  edge: MapEdge;
  from: Point;
  control1: Point;
  control2: Point;
  to: Point;
  /** Which way the arrow's tip points: 1 right, -1 left. */
  heading: 1 | -1;
}

/** Room for the arrow between a curve's end and the node. */
const TIP = 7;

export function routeEdges(edges: MapEdge[], positions: Positions, width: number, height: number): Curve[] {
  const drawn = edges.filter((edge) => positions[edge.source] && positions[edge.target]);
  const at = (id: string) => positions[id]!;
  const startY = spread(drawn, (edge) => edge.source, (edge) => at(edge.target).y, at, height);
  const endY = spread(drawn, (edge) => edge.target, (edge) => at(edge.source).y, at, height);
  return drawn.map((edge) => {
    const s = at(edge.source);
    const t = at(edge.target);
    const from = { x: s.x + width / 2, y: startY.get(edge)! };
    if (edge.source === edge.target) return loop(edge, s, width, height);
    if (t.x - width / 2 - TIP > from.x) {
      const to = { x: t.x - width / 2 - TIP, y: endY.get(edge)! };
      const bend = Math.max(40, (to.x - from.x) * 0.5);
      return { edge, from, control1: { x: from.x + bend, y: from.y }, control2: { x: to.x - bend, y: to.y }, to, heading: 1 };
    }
    return backwards(edge, s, t, from.y, endY.get(edge)!, width, height);
  });
}

/** Where on its side of the node each edge ends: spread over the side, in the order of the other ends. */
function spread(
  edges: MapEdge[],
  end: (edge: MapEdge) => string,
  otherY: (edge: MapEdge) => number,
  at: (id: string) => Point,
  height: number,
): Map<MapEdge, number> {
  const byNode = new Map<string, MapEdge[]>();
  for (const edge of edges) {
    const list = byNode.get(end(edge));
    if (list) list.push(edge);
    else byNode.set(end(edge), [edge]);
  }
  const places = new Map<MapEdge, number>();
  for (const [id, list] of byNode) {
    list.sort((a, b) => otherY(a) - otherY(b));
    const room = Math.min(height - 14, (list.length - 1) * 9);
    list.forEach((edge, i) => places.set(edge, at(id).y + (list.length > 1 ? (i / (list.length - 1) - 0.5) * room : 0)));
  }
  return places;
}

/** To the same column: around the right side. Further left: from the left side, in an arc that clears the rows between. */
function backwards(edge: MapEdge, s: Point, t: Point, startY: number, endY: number, width: number, height: number): Curve {
  if (Math.abs(t.x - s.x) < width) {
    const from = { x: s.x + width / 2, y: startY };
    const to = { x: t.x + width / 2 + TIP, y: endY };
    const bend = 30 + Math.min(50, Math.abs(to.y - from.y) * 0.18);
    return { edge, from, control1: { x: from.x + bend, y: from.y }, control2: { x: to.x + bend, y: to.y }, to, heading: -1 };
  }
  const from = { x: s.x - width / 2, y: startY };
  const to = { x: t.x + width / 2 + TIP, y: endY };
  const bend = Math.max(40, (from.x - to.x) * 0.5);
  const lift = Math.abs(from.y - to.y) < height ? height * 0.9 : 0;
  return { edge, from, control1: { x: from.x - bend, y: from.y + lift }, control2: { x: to.x + bend, y: to.y + lift }, to, heading: -1 };
}

function loop(edge: MapEdge, at: Point, width: number, height: number): Curve {
  const from = { x: at.x + width / 2 - 34, y: at.y - height / 2 };
  const to = { x: at.x + width / 2 + TIP, y: at.y - 4 };
  return { edge, from, control1: { x: from.x, y: from.y - 34 }, control2: { x: to.x + 34, y: to.y - 22 }, to, heading: -1 };
}

/** The point at `t` (0..1) of a curve. */
export function pointOn(curve: Curve, t: number): Point {
  const u = 1 - t;
  const mix = (axis: 'x' | 'y') =>
    u * u * u * curve.from[axis] + 3 * u * u * t * curve.control1[axis] + 3 * u * t * t * curve.control2[axis] + t * t * t * curve.to[axis];
  return { x: mix('x'), y: mix('y') };
}

/** The least distance from a point to a curve, by sampling. */
export function distanceTo(curve: Curve, point: Point): number {
  let least = Infinity;
  for (let i = 0; i <= 24; i++) {
    const on = pointOn(curve, i / 24);
    least = Math.min(least, Math.hypot(on.x - point.x, on.y - point.y));
  }
  return least;
}
