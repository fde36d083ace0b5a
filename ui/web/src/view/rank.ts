// Chooses the column of every node: cycles are broken where least is called, then the longest path counts, then
// over-full columns give away who moves cheapest. Knows no pixels and no rows.

export interface Link {
  from: number;
  to: number;
  weight: number;
}

/** The other end of a link, and how much the link counts. */
interface End {
  node: number;
  weight: number;
}

/** What a call without traffic counts: less than a busy one, more than nothing. */
const QUIET = 0.5;
/** How many rows the fullest column should have, given so many columns; some slack keeps columns from being forced full. */
const SLACK = 1.18;
const COLUMNS_MIN = 3;
/** How much more calls from left to right count than size. */
const FORWARD_WEIGHT = 2;

/**
 * Columns 0.. for nodes 0..n. `scale` says how large so many columns and rows can be shown.
 *
 * Every number of columns up to the longest path's is tried: fewer show larger, but fold calls into one column or
 * backwards, and what cannot be followed from left to right is worth less than its size.
 */
export function columnsOf(entries: boolean[], links: Link[], scale: (columns: number, rows: number) => number): number[] {
  const n = entries.length;
  const order = acyclicOrder(entries, links);
  const rank = new Array<number>(n);
  order.forEach((node, i) => (rank[node] = i));
  const out: End[][] = Array.from({ length: n }, () => []);
  const into: End[][] = Array.from({ length: n }, () => []);
  for (const { from, to, weight } of links) {
    const [a, b] = rank[from]! < rank[to]! ? [from, to] : [to, from];
    out[a]!.push({ node: b, weight: weight + QUIET });
    into[b]!.push({ node: a, weight: weight + QUIET });
  }
  const longest = longestPath(order, into);
  const natural = Math.max(...longest) + 1;
  let best: number[] = [];
  let bestScore = -Infinity;
  for (const column of foldings(longest, natural)) {
    for (let v = 0; v < n; v++) if (into[v]!.length === 0 && (entries[v] || out[v]!.length > 1)) column[v] = 0;
    pullLeaves(column, out, into);
    balance(column, out, into);
    const tidy = closeGaps(column);
    const used = Math.max(...tidy) + 1;
    const fullest = Math.max(...Array.from({ length: used }, (_, c) => tidy.filter((each) => each === c).length));
    const score = scale(used, fullest) * forwardShare(tidy, out) ** FORWARD_WEIGHT;
    if (score > bestScore + 1e-9) [best, bestScore] = [tidy, score];
  }
  return best;
}

/** The share of traffic that goes from one column to a later one. */
function forwardShare(column: number[], out: End[][]): number {
  let forward = 0;
  let all = 0;
  out.forEach((callees, v) => {
    for (const { node, weight } of callees) {
      all += weight;
      if (column[node]! > column[v]!) forward += weight;
    }
  });
  return all ? forward / all : 1;
}

/** Ways to fold a long chain into fewer columns: the head is kept, the tail stands together in the last one. */
function foldings(longest: number[], natural: number): number[][] {
  const ways: number[][] = [];
  for (let columns = natural; columns >= Math.min(COLUMNS_MIN, natural); columns--) {
    ways.push(longest.map((each) => Math.min(columns - 1, each)));
  }
  return ways;
}

/** Eades, Lin and Smyth's greedy order: heavy edges point forward, light ones may point back. */
function acyclicOrder(entries: boolean[], links: Link[]): number[] {
  const n = entries.length;
  const out = new Float64Array(n);
  const into = new Float64Array(n);
  const touching: Link[][] = Array.from({ length: n }, () => []);
  for (const link of links) {
    // A call of weight nothing is a call all the same.
    out[link.from]! += link.weight + 0.01;
    into[link.to]! += link.weight + 0.01;
    touching[link.from]!.push(link);
    touching[link.to]!.push(link);
  }
  const alive = new Set(Array.from({ length: n }, (_, i) => i));
  const head: number[] = [];
  const tail: number[] = [];
  const take = (node: number) => {
    alive.delete(node);
    for (const link of touching[node]!) {
      if (link.from === node) into[link.to]! -= link.weight + 0.01;
      else out[link.from]! -= link.weight + 0.01;
    }
  };
  const nothing = 1e-6;
  while (alive.size) {
    let changed = true;
    while (changed) {
      changed = false;
      for (const node of [...alive]) {
        if (into[node]! < nothing) head.push(node);
        else if (out[node]! < nothing) tail.unshift(node);
        else continue;
        take(node);
        changed = true;
      }
    }
    let best = -1;
    let bestScore = -Infinity;
    for (const node of alive) {
      const score = out[node]! - into[node]! + (entries[node] ? 1e6 : 0);
      if (score > bestScore) [best, bestScore] = [node, score];
    }
    if (best >= 0) {
      head.push(best);
      take(best);
    }
  }
  return [...head, ...tail];
}

function longestPath(order: number[], into: End[][]): number[] {
  const column = new Array<number>(order.length).fill(0);
  for (const node of order) for (const caller of into[node]!) column[node] = Math.max(column[node]!, column[caller.node]! + 1);
  return column;
}

/** Leaves stand one column right of their callers' mean, not at the far end. */
function pullLeaves(column: number[], out: End[][], into: End[][]): void {
  const last = Math.max(...column);
  for (let v = 0; v < column.length; v++) {
    if (out[v]!.length || !into[v]!.length) continue;
    const mean = into[v]!.reduce((sum, caller) => sum + column[caller.node]!, 0) / into[v]!.length;
    column[v] = Math.min(last, Math.round(mean) + 1);
  }
}

/** What a node in column `c` costs by the length and direction of its edges. */
function costAt(column: number[], v: number, c: number, out: End[][], into: End[][]): number {
  const span = (distance: number) => (distance > 0 ? (distance - 1) * 0.35 : distance === 0 ? 3.2 : 6 - distance);
  let cost = 0;
  for (const callee of out[v]!) cost += span(column[callee.node]! - c) * callee.weight;
  for (const caller of into[v]!) cost += span(c - column[caller.node]!) * caller.weight;
  return cost;
}

/** Whether moving a node to column `c` would bend a call that goes right now, or turn one within a column backwards. */
function turns(column: number[], v: number, c: number, out: End[][], into: End[][]): boolean {
  const now = column[v]!;
  // Positive: from left to right; nothing: within one column.
  const worse = (before: number, after: number) => Math.sign(after) < Math.sign(before);
  return (
    out[v]!.some(({ node }) => worse(column[node]! - now, column[node]! - c)) || into[v]!.some(({ node }) => worse(now - column[node]!, c - column[node]!))
  );
}

/** Evens out full columns and shortens edges, by moves that turn no call around. */
function balance(column: number[], out: End[][], into: End[][]): void {
  const n = column.length;
  const columns = Math.max(...column) + 1;
  const room = Math.max(3, Math.ceil((n / columns) * SLACK));
  const held = new Array<number>(columns).fill(0);
  for (const c of column) held[c]!++;
  const fixed = (v: number) => column[v] === 0 && into[v]!.length === 0;
  const move = (v: number, to: number) => {
    held[column[v]!]!--;
    held[to]!++;
    column[v] = to;
  };
  /** The cheapest column with room for a node, and what the move costs. */
  const cheapest = (v: number): [number, number] => {
    const now = costAt(column, v, column[v]!, out, into);
    let best: [number, number] = [-1, Infinity];
    for (let c = 0; c < columns; c++) {
      if (c === column[v] || held[c]! >= room || turns(column, v, c, out, into)) continue;
      const cost = costAt(column, v, c, out, into) - now;
      if (cost < best[1]) best = [c, cost];
    }
    return best;
  };
  for (let guard = 0; guard < n * 4; guard++) {
    const full = held.indexOf(Math.max(...held));
    if (held[full]! <= room) break;
    let best: [number, number, number] = [-1, -1, Infinity];
    for (let v = 0; v < n; v++) {
      if (column[v] !== full || fixed(v)) continue;
      const [to, cost] = cheapest(v);
      if (to >= 0 && cost < best[2]) best = [v, to, cost];
    }
    if (best[0] < 0) break;
    move(best[0], best[1]);
  }
  for (let pass = 0; pass < 2; pass++) {
    for (let v = 0; v < n; v++) {
      if (fixed(v)) continue;
      const [to, cost] = cheapest(v);
      if (to >= 0 && cost < -0.01) move(v, to);
    }
  }
}

/** Columns that were emptied are closed. */
function closeGaps(column: number[]): number[] {
  const used = [...new Set(column)].sort((a, b) => a - b);
  const place = new Map(used.map((c, i) => [c, i]));
  return column.map((c) => place.get(c)!);
}
