// Places the nodes of a service map: callers left of who they call, few crossings, as large as the viewport allows.
// Deterministic, and faithful to earlier positions, so that a refresh moves nothing. `rank.ts` chooses columns,
// `order.ts` rows. Deliberately routes no edges: that is `route.ts`, which also works while somebody drags.
import { columnsOf, type Link } from './rank';
import { rowsOf } from './order';

export interface Point {
  x: number;
  y: number;
}

export interface LayoutNode {
  id: string;
  /** An entry: drawn in the first column whatever else calls it. */
  entry: boolean;
}

export interface LayoutEdge {
  source: string;
  target: string;
  /** How much this edge counts against the others; calls per second. */
  weight: number;
}

export interface LayoutOptions {
  /** Size of a node and the gaps between them, in the map's own units. */
  nodeWidth: number;
  nodeHeight: number;
  columnGap: number;
  rowGap: number;
  /** The viewport the map is shown in, in pixels. */
  viewWidth: number;
  viewHeight: number;
}

/** Centres by node id. */
export type Positions = Record<string, Point>;

/** Share of new nodes from which on everything is laid out anew instead of being fitted in. */
const NEW_SHARE_MAX = 0.34;
const STRETCH_MAX = 1.9;

export function layout(nodes: LayoutNode[], edges: LayoutEdge[], options: LayoutOptions, earlier: Positions = {}): Positions {
  if (nodes.length === 0) return {};
  const fresh = nodes.filter((node) => !earlier[node.id]);
  if (fresh.length / nodes.length > NEW_SHARE_MAX) return layoutAnew(nodes, edges, options);
  const kept: Positions = {};
  for (const node of nodes) {
    const at = earlier[node.id];
    if (at) kept[node.id] = at;
  }
  return fresh.length ? fitIn(fresh, edges, options, kept) : kept;
}

function layoutAnew(nodes: LayoutNode[], edges: LayoutEdge[], options: LayoutOptions): Positions {
  const index = new Map(nodes.map((node, i) => [node.id, i]));
  const links: Link[] = [];
  for (const edge of edges) {
    const from = index.get(edge.source);
    const to = index.get(edge.target);
    if (from === undefined || to === undefined || from === to) continue;
    links.push({ from, to, weight: Math.log1p(Math.max(0, edge.weight)) });
  }
  const pitch = options.nodeHeight + options.rowGap;
  const entries = nodes.map((node) => node.entry);
  const column = columnsOf(entries, links, (columns, rows) => scaleOf(columns, rows, options));
  const y = rowsOf(column, links, pitch);
  const step = options.nodeWidth + options.columnGap;
  const top = Math.min(...y);
  const stretch = stretchOf(Math.max(...column) + 1, Math.max(...y) - top + options.nodeHeight, options);
  const positions: Positions = {};
  nodes.forEach((node, i) => {
    positions[node.id] = { x: column[i]! * step + options.nodeWidth / 2, y: (y[i]! - top) * stretch + options.nodeHeight / 2 };
  });
  return positions;
}

/** A wide map leaves room above and below: rows may stand further apart, for straighter edges and readable chips. */
function stretchOf(columns: number, height: number, o: LayoutOptions): number {
  const scale = Math.min(1, o.viewWidth / (columns * (o.nodeWidth + o.columnGap) - o.columnGap));
  return Math.min(STRETCH_MAX, Math.max(1, o.viewHeight / scale / height));
}

/** How large a map of so many columns and rows can be shown; 1 is its natural size. */
function scaleOf(columns: number, rows: number, o: LayoutOptions): number {
  const width = columns * (o.nodeWidth + o.columnGap) - o.columnGap;
  const height = rows * (o.nodeHeight + o.rowGap) - o.rowGap;
  return Math.min(1, o.viewWidth / width, o.viewHeight / height);
}

/** Gives a few new nodes the free places nearest to whom they talk with; nobody else moves. */
function fitIn(fresh: LayoutNode[], edges: LayoutEdge[], o: LayoutOptions, kept: Positions): Positions {
  const positions = { ...kept };
  const step = o.nodeWidth + o.columnGap;
  const pitch = o.nodeHeight + o.rowGap;
  for (const node of fresh) {
    const callers = edges.filter((edge) => edge.target === node.id).flatMap((edge) => positions[edge.source] ?? []);
    const callees = edges.filter((edge) => edge.source === node.id).flatMap((edge) => positions[edge.target] ?? []);
    const around = [...callers, ...callees];
    const wanted = {
      x: callers.length ? Math.max(...callers.map((at) => at.x)) + step : callees.length ? Math.min(...callees.map((at) => at.x)) - step : o.nodeWidth / 2,
      y: around.length ? around.reduce((sum, at) => sum + at.y, 0) / around.length : o.nodeHeight / 2,
    };
    if (node.entry || wanted.x < o.nodeWidth / 2) wanted.x = o.nodeWidth / 2;
    positions[node.id] = nearestFree(wanted, Object.values(positions), o.nodeWidth, pitch);
  }
  return positions;
}

function nearestFree(wanted: Point, taken: Point[], width: number, pitch: number): Point {
  for (let ring = 0; ; ring++) {
    for (const sign of ring === 0 ? [1] : [1, -1]) {
      const at = { x: wanted.x, y: wanted.y + (sign * ring * pitch) / 2 };
      if (!taken.some((other) => Math.abs(other.x - at.x) < width && Math.abs(other.y - at.y) < pitch - 0.5)) return at;
    }
  }
}
