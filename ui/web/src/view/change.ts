// What a comparison of two ranges shows: signs, words and figures of each change, and the list of them, worst first.
// Knows no framework; canvas, panels and table take their words from here.
import type { Change, Compared, MapEdge, MapNode, Percentiles, ServiceMap } from '../answer';
import { level, millis, rate, share, SIGN } from '../number';
import { edgeId } from './id';

/** Worst first. */
export const CHANGES: Change[] = ['failing', 'slower', 'gone', 'new'];

export const CHANGE_SIGNS: Record<Change, string> = { failing: '▲', slower: '◷', gone: '−', new: '+', same: '' };

export const CHANGE_WORDS: Record<Change, string> = {
  failing: 'failing',
  slower: 'slower',
  gone: 'gone',
  new: 'new',
  same: 'as before',
};

/** How loud something is drawn; `good` is what was not there before. */
export type Tone = 'error' | 'warning' | 'good' | 'quiet' | 'plain';

/** How one node or edge is drawn, and the text beside it, so that nothing is told by colour alone. */
export interface Mark {
  tone: Tone;
  text: string;
}

const TONES: Record<Change, Tone> = { failing: 'error', slower: 'warning', gone: 'quiet', new: 'good', same: 'plain' };

/** By its change where two ranges are compared, else by its share of errors. */
export function markOf(of: Compared & { error_rate: number }): Mark {
  if (of.change) {
    const text = of.change === 'same' ? '' : `${CHANGE_SIGNS[of.change]} ${CHANGE_WORDS[of.change]}`;
    return { tone: TONES[of.change], text };
  }
  const bad = level(of.error_rate);
  if (bad === 0) return { tone: 'plain', text: '' };
  return { tone: bad === 2 ? 'error' : 'warning', text: `${SIGN[bad]} ${share(of.error_rate)}` };
}

type Figures = Percentiles & Compared & { rate: number; error_rate: number };

/** The figure that a change is about, before and after. */
export function changeText(of: Figures): string {
  const { before } = of;
  if (of.change === 'new' || !before) return `${rate(of.rate)}/s, p95 ${millis(of.p95_ms)}`;
  if (of.change === 'gone') return `was ${rate(before.rate)}/s`;
  if (of.change === 'failing') return `${share(before.error_rate)} → ${share(of.error_rate)} errors`;
  const by = (now: number | null, then: number | null) => (now !== null && then ? now / then : 0);
  const p50 = by(of.p50_ms, before.p50_ms) > by(of.p95_ms, before.p95_ms);
  return p50 ? `p50 ${millis(before.p50_ms)} → ${millis(of.p50_ms)}` : `p95 ${millis(before.p95_ms)} → ${millis(of.p95_ms)}`;
}

/** One line of the list of changes. */
export interface ChangeItem {
  id: string;
  change: Change;
  name: string;
  node: MapNode | null;
  text: string;
}

/** What changed, worst first; nodes before the edges that lead to them. */
export function changesOf(map: ServiceMap): ChangeItem[] {
  const names = new Map(map.nodes.map((node) => [node.id, node.name]));
  const item = (of: MapNode | MapEdge, id: string, name: string, node: MapNode | null): ChangeItem[] =>
    of.change && of.change !== 'same' ? [{ id, change: of.change, name, node, text: changeText(of) }] : [];
  const edgeName = (edge: MapEdge) => `${names.get(edge.source) ?? edge.source} → ${names.get(edge.target) ?? edge.target}`;
  const items = [
    ...map.nodes.flatMap((node) => item(node, node.id, node.name, node)),
    ...map.edges.flatMap((edge) => item(edge, edgeId(edge), edgeName(edge), null)),
  ];
  return items.sort((a, b) => CHANGES.indexOf(a.change) - CHANGES.indexOf(b.change));
}
