import { describe, expect, test } from 'vitest';
import { layout, type LayoutEdge, type LayoutNode, type LayoutOptions, type Positions } from './layout';

const options: LayoutOptions = { nodeWidth: 160, nodeHeight: 44, columnGap: 84, rowGap: 20, viewWidth: 1000, viewHeight: 760 };

const nodes = (...ids: string[]): LayoutNode[] => ids.map((id) => ({ id, entry: false }));
const edges = (...pairs: string[]): LayoutEdge[] =>
  pairs.map((pair) => {
    const [source, target] = pair.split('>') as [string, string];
    return { source, target, weight: 1 };
  });

/** A made-up mesh, the same at every run. */
function mesh(n: number, m: number): { nodes: LayoutNode[]; edges: LayoutEdge[] } {
  let seed = 7;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const ids = Array.from({ length: n }, (_, i) => `s${i}`);
  const made = new Map<string, LayoutEdge>();
  while (made.size < m) {
    const a = Math.floor(random() ** 1.5 * n);
    const b = Math.min(n - 1, a + 1 + Math.floor(random() * n * 0.4));
    const [source, target] = random() < 0.06 ? [ids[b]!, ids[a]!] : [ids[a]!, ids[b]!];
    if (source !== target) made.set(`${source}>${target}`, { source, target, weight: 1 + random() * 100 });
  }
  return { nodes: nodes(...ids), edges: [...made.values()] };
}

function expectNoOverlap(positions: Positions): void {
  const all = Object.entries(positions);
  for (const [i, [name, p]] of all.entries()) {
    for (const [other, q] of all.slice(i + 1)) {
      const overlap = Math.abs(p.x - q.x) < options.nodeWidth && Math.abs(p.y - q.y) < options.nodeHeight;
      expect(overlap, `${name} and ${other}`).toBe(false);
    }
  }
}

describe('layout', () => {
  test('callers stand left of who they call, the entry leftmost', () => {
    const p = layout(nodes('db', 'cart', 'web', 'pay'), edges('web>cart', 'web>pay', 'cart>db', 'pay>db'), options);
    expect(p['web']!.x).toBeLessThan(p['cart']!.x);
    expect(p['cart']!.x).toBeLessThan(p['db']!.x);
    expect(Object.values(p).every((at) => at.x >= p['web']!.x)).toBe(true);
  });

  test('a large mesh has no overlaps, mostly points right, and comes out the same every time', () => {
    const g = mesh(60, 180);
    const first = layout(g.nodes, g.edges, options);
    expectNoOverlap(first);
    expect(layout(g.nodes, g.edges, options)).toEqual(first);
    const back = g.edges.filter((edge) => first[edge.target]!.x < first[edge.source]!.x).length;
    expect(back / g.edges.length).toBeLessThan(0.15);
  });

  test('cycles, self calls, strangers and single nodes are all placed', () => {
    const p = layout(nodes('a', 'b', 'c', 'alone'), edges('a>b', 'b>c', 'c>a', 'a>a', 'a>stranger'), options);
    expect(Object.keys(p).sort()).toEqual(['a', 'alone', 'b', 'c']);
    expectNoOverlap(p);
    expect(layout([], [], options)).toEqual({});
    expect(layout(nodes('one'), [], options)).toEqual({ one: { x: 80, y: 22 } });
  });

  test('a deep shop in a small viewport keeps its entry left and never puts a callee left of its only caller', () => {
    const deep = edges('web>gate', 'gate>pay', 'gate>cart', 'gate>user', 'pay>q', 'q>worker', 'worker>mail', 'mail>smtp', 'worker>ship', 'pay>paydb', 'cart>redis', 'user>userdb', 'ship>shipdb');
    const ids = [...new Set(deep.flatMap((edge) => [edge.source, edge.target]))];
    const p = layout(nodes(...ids), deep, { ...options, viewWidth: 700 });
    for (const edge of deep) expect(p[edge.target]!.x, `${edge.source} calls ${edge.target}`).toBeGreaterThanOrEqual(p[edge.source]!.x);
    expect(p['gate']!.x).toBeGreaterThan(p['web']!.x);
    expect(p['pay']!.x).toBeGreaterThan(p['gate']!.x);
  });

  test('edges without traffic still order their ends', () => {
    const quiet = edges('a>b', 'b>c').map((edge) => ({ ...edge, weight: 0 }));
    const p = layout(nodes('c', 'b', 'a'), quiet, options);
    expect(p['a']!.x).toBeLessThan(p['b']!.x);
    expect(p['b']!.x).toBeLessThan(p['c']!.x);
  });
});

describe('refresh', () => {
  const g = mesh(24, 50);
  const before = layout(g.nodes, g.edges, options);

  test('moves nothing while the nodes are the same, whatever the traffic does', () => {
    const busier = g.edges.map((edge, i) => ({ ...edge, weight: edge.weight * (i % 5) }));
    expect(layout(g.nodes, busier, options, before)).toEqual(before);
    expect(layout(g.nodes, busier.slice(5), options, before)).toEqual(before);
  });

  test('fits a newcomer in beside its caller and leaves everybody else alone', () => {
    const after = layout([...g.nodes, { id: 'new', entry: false }], [...g.edges, ...edges('s3>new')], options, before);
    for (const node of g.nodes) expect(after[node.id]).toEqual(before[node.id]);
    expect(after['new']!.x).toBeGreaterThan(before['s3']!.x);
    expectNoOverlap(after);
  });

  test('who is gone leaves a gap and no trace', () => {
    const after = layout(g.nodes.slice(1), g.edges, options, before);
    expect(after['s0']).toBeUndefined();
    expect(after['s5']).toEqual(before['s5']);
  });

  test('many newcomers are worth a new layout', () => {
    const half = g.nodes.slice(0, 8);
    expect(layout(g.nodes, g.edges, options, layout(half, g.edges, options))).toEqual(before);
  });
});
