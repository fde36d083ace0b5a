// The name of an edge in addresses and lists: two ends may have an edge of each kind.

export function edgeId(edge: { source: string; target: string; kind: string }): string {
  return `${edge.source}→${edge.target}·${edge.kind}`;
}
