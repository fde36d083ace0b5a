// Chooses the height of every node within its column: weighted means of the neighbours again and again, keeping the
// order with fewest crossings, then swaps of neighbours, then a relaxation that straightens edges.
import type { Link } from './rank';

/** Above so many edges crossings are not counted; the means alone give a fair order. */
const COUNTED_LINKS_MAX = 800;
const ROUNDS = 30;

interface Graph {
  column: number[];
  columns: number[][];
  y: number[];
  links: Link[];
  /** Neighbours with the weight of their pull. */
  near: [number, number][][];
  pitch: number;
}

/** Heights of the nodes' centres, `pitch` apart at least within a column. */
export function rowsOf(column: number[], links: Link[], pitch: number): number[] {
  const n = column.length;
  const graph: Graph = {
    column,
    columns: Array.from({ length: Math.max(...column) + 1 }, () => []),
    y: new Array<number>(n).fill(0),
    links,
    near: Array.from({ length: n }, () => []),
    pitch,
  };
  for (let v = 0; v < n; v++) graph.columns[column[v]!]!.push(v);
  for (const { from, to, weight } of links) {
    const pull = (1 + weight * 0.3) / Math.max(1, Math.abs(column[from]! - column[to]!));
    graph.near[from]!.push([to, pull]);
    graph.near[to]!.push([from, pull]);
  }
  graph.columns.forEach((nodes) => place(graph, nodes));
  sortByMeans(graph);
  if (links.length <= COUNTED_LINKS_MAX) swapNeighbours(graph);
  relax(graph);
  return graph.y;
}

function place(graph: Graph, nodes: number[]): void {
  const offset = -(nodes.length - 1) / 2;
  nodes.forEach((v, i) => (graph.y[v] = (offset + i) * graph.pitch));
}

/** The weighted mean height of a node's neighbours in other columns, or its own height. */
function meanOf(graph: Graph, v: number): number {
  let sum = 0;
  let weights = 0;
  for (const [u, pull] of graph.near[v]!) {
    if (graph.column[u] === graph.column[v]) continue;
    sum += graph.y[u]! * pull;
    weights += pull;
  }
  return weights ? sum / weights : graph.y[v]!;
}

function sortByMeans(graph: Graph): void {
  const counted = graph.links.length <= COUNTED_LINKS_MAX;
  let fewest = counted ? crossings(graph) : Infinity;
  let best = graph.columns.map((nodes) => [...nodes]);
  for (let round = 0; round < ROUNDS; round++) {
    const sweep = round % 2 ? [...graph.columns].reverse() : graph.columns;
    for (const nodes of sweep) {
      const means = new Map(nodes.map((v) => [v, meanOf(graph, v)]));
      nodes.sort((a, b) => means.get(a)! - means.get(b)!);
      place(graph, nodes);
    }
    if (!counted || round % 2 === 0) continue;
    const now = crossings(graph);
    if (now < fewest) {
      fewest = now;
      best = graph.columns.map((nodes) => [...nodes]);
    }
  }
  if (!counted) return;
  best.forEach((nodes, i) => (graph.columns[i] = nodes));
  graph.columns.forEach((nodes) => place(graph, nodes));
}

/** Whether two edges cross when drawn as straight lines between columns. */
function cross(graph: Graph, one: Link, other: Link): boolean {
  if (one.from === other.from || one.from === other.to || one.to === other.from || one.to === other.to) return false;
  const { column, y } = graph;
  const side = (link: Link, v: number) =>
    (column[link.to]! - column[link.from]!) * (y[v]! - y[link.from]!) - (y[link.to]! - y[link.from]!) * (column[v]! - column[link.from]!);
  return side(one, other.from) * side(one, other.to) < 0 && side(other, one.from) * side(other, one.to) < 0;
}

function crossings(graph: Graph): number {
  let found = 0;
  graph.links.forEach((one, i) => {
    for (let j = i + 1; j < graph.links.length; j++) if (cross(graph, one, graph.links[j]!)) found++;
  });
  return found;
}

function swapNeighbours(graph: Graph): void {
  const touching: Link[][] = graph.column.map(() => []);
  for (const link of graph.links) {
    touching[link.from]!.push(link);
    touching[link.to]!.push(link);
  }
  const around = (u: number, v: number) => {
    let found = 0;
    for (const link of new Set([...touching[u]!, ...touching[v]!])) for (const other of graph.links) if (cross(graph, link, other)) found++;
    return found;
  };
  const exchange = (u: number, v: number) => ([graph.y[u], graph.y[v]] = [graph.y[v]!, graph.y[u]!]);
  for (let pass = 0; pass < 2; pass++) {
    for (const nodes of graph.columns) {
      for (let i = 0; i + 1 < nodes.length; i++) {
        const [u, v] = [nodes[i]!, nodes[i + 1]!];
        const before = around(u, v);
        exchange(u, v);
        if (around(u, v) < before) [nodes[i], nodes[i + 1]] = [v, u];
        else exchange(u, v);
      }
    }
  }
}

/** Moves nodes towards their neighbours' mean, keeping order and distance, inside the tallest column's height. */
function relax(graph: Graph): void {
  const { y, pitch } = graph;
  const half = (Math.max(...graph.columns.map((nodes) => nodes.length - 1)) * pitch) / 2;
  for (let round = 0; round < ROUNDS; round++) {
    for (const nodes of graph.columns) {
      const wanted = nodes.map((v) => y[v]! + (meanOf(graph, v) - y[v]!) * 0.4);
      for (let i = 0; i < wanted.length; i++) wanted[i] = Math.max(wanted[i]!, i ? wanted[i - 1]! + pitch : -half);
      for (let i = wanted.length - 1; i >= 0; i--) wanted[i] = Math.min(wanted[i]!, i < wanted.length - 1 ? wanted[i + 1]! - pitch : half);
      nodes.forEach((v, i) => (y[v] = wanted[i]!));
    }
  }
}
