// The service map on a canvas: draws, zooms, pans, and tells what is under a point. Knows no framework and no API.
// Quiet by default, loud on failure: grey edges, coloured only where calls fail, and every colour has a sign beside it.
import type { MapEdge, MapNode, ServiceMap } from '../answer';
import { level, millis, rate } from '../number';
import type { Theme } from '../theme/token';
import { markOf, type Mark } from './change';
import { GLYPHS } from './glyph';
import { edgeId } from './id';
import type { Point, Positions } from './layout';
import { distanceTo, pointOn, routeEdges, type Curve } from './route';
import { clip, font, prepare } from './surface';

export const NODE_HEIGHT = 50;
const NODE_WIDTH_MIN = 136;
const NODE_WIDTH_MAX = 176;
const NAME_SIZE = 13.5;
const FIGURE_SIZE = 12;
const SCALE_MIN = 0.06;
const SCALE_MAX = 3;
const FIT_SCALE_MAX = 1.15;

/** What is picked or under the pointer. */
export type Target = { node: string } | { edge: MapEdge } | null;

export class MapView {
  scale = 1;
  left = 0;
  top = 0;
  nodeWidth = NODE_WIDTH_MIN;
  /** Called after every movement of the viewport, so that the list twin can follow. */
  onMove: () => void = () => {};
  #nodes: MapNode[] = [];
  #edges: MapEdge[] = [];
  #positions: Positions = {};
  #curves: Curve[] = [];
  #selected: string | null = null;
  #hovered: Target = null;
  #near = new Set<string>();
  #find = '';
  #failingOnly = false;
  #frame = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private theme: Theme,
  ) {}

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.paint();
  }

  setData(map: ServiceMap, positions: Positions, nodeWidth: number): void {
    this.#nodes = map.nodes;
    this.#edges = map.edges;
    this.#positions = positions;
    this.nodeWidth = nodeWidth;
    this.#curves = routeEdges(map.edges, positions, nodeWidth, NODE_HEIGHT);
    // The picked edge's figures are another object after a refresh.
    if (this.#hovered && 'edge' in this.#hovered) this.#hovered = null;
    this.#focus();
    this.paint();
  }

  /** `selected` is a node's id or an edge's; null shows everything alike. */
  setSelected(selected: string | null): void {
    this.#selected = selected;
    this.#focus();
    this.paint();
  }

  setFilter(find: string, failingOnly: boolean): void {
    this.#find = find.trim().toLowerCase();
    this.#failingOnly = failingOnly;
    this.paint();
  }

  /** True when it changed, so that a caller can move its tool tip. */
  setHovered(target: Target): boolean {
    const same = JSON.stringify(nameOf(target)) === JSON.stringify(nameOf(this.#hovered));
    if (same) return false;
    this.#hovered = target;
    this.#focus();
    this.paint();
    return true;
  }

  /** Shows the whole map, at most a little larger than its natural size. */
  fit(): void {
    const points = Object.values(this.#positions);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!points.length || !width || !height) return;
    const pad = Math.min(36, width * 0.04);
    const bottom = 46; // The legend's strip.
    const x0 = Math.min(...points.map((p) => p.x)) - this.nodeWidth / 2;
    // Curves that go around a column's right side reach beyond its nodes.
    const reach = this.#curves.map((curve) => pointOn(curve, 0.5).x + 22);
    const x1 = Math.max(...points.map((p) => p.x + this.nodeWidth / 2), ...reach);
    const y0 = Math.min(...points.map((p) => p.y)) - NODE_HEIGHT / 2;
    const y1 = Math.max(...points.map((p) => p.y)) + NODE_HEIGHT / 2;
    this.scale = Math.max(SCALE_MIN, Math.min(FIT_SCALE_MAX, (width - pad * 2) / (x1 - x0), (height - pad - bottom) / (y1 - y0)));
    this.left = (width - (x1 + x0) * this.scale) / 2;
    this.top = (height - bottom + pad - (y1 + y0) * this.scale) / 2;
    this.#moved();
  }

  pan(dx: number, dy: number): void {
    this.left += dx;
    this.top += dy;
    this.#moved();
  }

  /** Zooms by a factor around a point of the canvas. */
  zoom(factor: number, at: Point): void {
    const scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, this.scale * factor));
    this.left = at.x - ((at.x - this.left) * scale) / this.scale;
    this.top = at.y - ((at.y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.#moved();
  }

  /** Moves the viewport as little as needed to show a node. */
  reveal(id: string): void {
    const at = this.#positions[id];
    if (!at) return;
    const margin = 24;
    const halfWidth = (this.nodeWidth / 2) * this.scale + margin;
    const halfHeight = (NODE_HEIGHT / 2) * this.scale + margin;
    const x = at.x * this.scale + this.left;
    const y = at.y * this.scale + this.top;
    const inside = (value: number, half: number, size: number) => Math.max(half, Math.min(size - half, value)) - value;
    const dx = inside(x, halfWidth, this.canvas.clientWidth);
    const dy = inside(y, halfHeight, this.canvas.clientHeight);
    if (dx || dy) this.pan(dx, dy);
  }

  /** The node, or else the edge, at a point of the canvas. */
  pick(at: Point): Target {
    const point = { x: (at.x - this.left) / this.scale, y: (at.y - this.top) / this.scale };
    for (const node of this.#nodes) {
      const p = this.#positions[node.id];
      if (p && Math.abs(point.x - p.x) <= this.nodeWidth / 2 && Math.abs(point.y - p.y) <= NODE_HEIGHT / 2) return { node: node.id };
    }
    let best: Curve | null = null;
    let least = 7 / this.scale;
    for (const curve of this.#curves) {
      const distance = distanceTo(curve, point);
      if (distance < least) [best, least] = [curve, distance];
    }
    return best ? { edge: best.edge } : null;
  }

  /** Draws at the next frame, once however often it is asked. */
  paint(): void {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  draw(): void {
    const surface = prepare(this.canvas, this.theme.bg);
    if (!surface) return;
    const { c, width, height } = surface;
    c.translate(this.left, this.top);
    c.scale(this.scale, this.scale);
    const seen = { x0: -this.left / this.scale, y0: -this.top / this.scale, x1: (width - this.left) / this.scale, y1: (height - this.top) / this.scale };
    const [above, below] = partition(this.#curves, (curve) => this.#isLit(curve.edge));
    for (const curve of [...below, ...above]) if (isSeen(curve, seen)) this.#drawEdge(c, curve);
    for (const node of this.#nodes) {
      const p = this.#positions[node.id];
      if (!p || p.x + this.nodeWidth < seen.x0 || p.x - this.nodeWidth > seen.x1 || p.y + NODE_HEIGHT < seen.y0 || p.y - NODE_HEIGHT > seen.y1) continue;
      this.#drawNode(c, node, p);
    }
    for (const curve of this.#curves) if (isSeen(curve, seen)) this.#drawChip(c, curve);
  }

  #moved(): void {
    this.onMove();
    this.paint();
  }

  /** The nodes that stay bright: the picked or hovered one with its neighbours. */
  #focus(): void {
    this.#near.clear();
    for (const edge of this.#edges) {
      if (!this.#isLit(edge)) continue;
      this.#near.add(edge.source);
      this.#near.add(edge.target);
    }
    const node = this.#activeNode();
    if (node) this.#near.add(node);
  }

  #activeNode(): string | null {
    if (this.#selected) return this.#positions[this.#selected] ? this.#selected : null;
    return this.#hovered && 'node' in this.#hovered ? this.#hovered.node : null;
  }

  #isLit(edge: MapEdge): boolean {
    if (this.#hovered && 'edge' in this.#hovered && this.#hovered.edge === edge) return true;
    if (this.#selected === edgeId(edge)) return true;
    const node = this.#activeNode();
    return node !== null && (edge.source === node || edge.target === node);
  }

  #drawEdge(c: CanvasRenderingContext2D, curve: Curve): void {
    const { edge } = curve;
    const { tone } = markOf(edge);
    const lit = this.#isLit(edge);
    const dimmed = this.#near.size > 0 && !lit;
    if (this.#failingOnly && level(edge.error_rate) === 0 && !lit) return;
    const calls = Math.max(edge.rate, edge.before?.rate ?? 0);
    const width = Math.min(6, 1.1 + Math.log10(1 + calls * 10) * 0.9) + (tone === 'error' ? 0.6 : 0);
    c.globalAlpha = dimmed ? 0.13 : lit || tone === 'error' ? 1 : tone === 'warning' || tone === 'good' ? 0.9 : edge.change === 'same' ? 0.4 : 0.62;
    const quiet = lit ? this.theme.accent : edge.kind === 'messaging' ? this.theme.async : this.theme.edge;
    c.strokeStyle = this.#ink({ tone, text: '' }, quiet);
    c.fillStyle = c.strokeStyle;
    c.lineWidth = width;
    c.setLineDash(tone === 'quiet' ? [1, 7] : edge.inferred ? [2, 4] : edge.kind === 'messaging' ? [8, 5] : []);
    c.beginPath();
    c.moveTo(curve.from.x, curve.from.y);
    c.bezierCurveTo(curve.control1.x, curve.control1.y, curve.control2.x, curve.control2.y, curve.to.x, curve.to.y);
    c.stroke();
    c.setLineDash([]);
    const tip = curve.to.x + 7 * curve.heading;
    const size = 5.5 + width * 0.8;
    c.beginPath();
    c.moveTo(tip, curve.to.y);
    c.lineTo(tip - size * curve.heading, curve.to.y - size * 0.55);
    c.lineTo(tip - size * curve.heading, curve.to.y + size * 0.55);
    c.fill();
    c.globalAlpha = 1;
  }

  /** What marks an edge (failing, or how it changed), or the figures of the one under the pointer. */
  #drawChip(c: CanvasRenderingContext2D, curve: Curve): void {
    const { edge } = curve;
    const mark = markOf(edge);
    const lit = this.#isLit(edge);
    const pointed = this.#selected === edgeId(edge) || (this.#hovered !== null && 'edge' in this.#hovered && this.#hovered.edge === edge);
    if (this.scale < 0.5 || (!pointed && (mark.text === '' || (this.#near.size > 0 && !lit)))) return;
    const figures = `${rate(edge.rate)}/s · p95 ${millis(edge.p95_ms)}`;
    const text = pointed ? [figures, mark.text].filter(Boolean).join(' · ') : mark.text;
    const at = pointOn(curve, 0.5);
    c.font = font(600, 11.5);
    const width = c.measureText(text).width + 12;
    c.fillStyle = mark.tone === 'error' ? this.theme.errBg : mark.tone === 'warning' ? this.theme.warnBg : this.theme.panel;
    c.strokeStyle = this.#ink(mark, this.theme.control);
    c.lineWidth = 1;
    c.beginPath();
    c.roundRect(at.x - width / 2, at.y - 8.5, width, 17, 8.5);
    c.fill();
    c.stroke();
    c.fillStyle = this.#ink(mark, this.theme.text);
    c.textAlign = 'center';
    c.textBaseline = 'middle';
    c.fillText(text, at.x, at.y + 0.5);
  }

  #drawNode(c: CanvasRenderingContext2D, node: MapNode, at: Point): void {
    const { theme } = this;
    const mark = markOf(node);
    const found = this.#find !== '' && node.name.toLowerCase().includes(this.#find);
    const picked = this.#selected === node.id;
    const dimmed = (this.#near.size > 0 && !this.#near.has(node.id)) || (this.#find !== '' && !found);
    const x = at.x - this.nodeWidth / 2;
    const y = at.y - NODE_HEIGHT / 2;
    // A dimmed node still hides the edges that pass behind it.
    c.fillStyle = mark.tone === 'error' && !dimmed ? theme.errBg : theme.panel;
    c.strokeStyle = picked ? theme.accent : this.#ink(mark, theme.line);
    c.lineWidth = picked ? 2.5 : mark.text ? 1.6 : 1.1;
    if (node.kind === 'external' || mark.tone === 'quiet') c.setLineDash([5, 3]);
    const corners = node.kind === 'queue' ? NODE_HEIGHT / 2 : node.kind === 'database' ? [5, 5, 16, 16] : 8;
    c.beginPath();
    c.roundRect(x, y, this.nodeWidth, NODE_HEIGHT, corners);
    c.fill();
    c.globalAlpha = dimmed ? 0.35 : 1;
    c.stroke();
    c.setLineDash([]);
    if (found) {
      c.strokeStyle = theme.accent;
      c.lineWidth = 2.5;
      c.beginPath();
      c.roundRect(x - 4, y - 4, this.nodeWidth + 8, NODE_HEIGHT + 8, 12);
      c.stroke();
    }
    if (dimmed) c.globalAlpha = 0.3;
    this.#drawLabel(c, node, mark, x, y);
    c.globalAlpha = 1;
  }

  #drawLabel(c: CanvasRenderingContext2D, node: MapNode, mark: Mark, x: number, y: number): void {
    const { theme } = this;
    if (this.scale < 0.2) return;
    c.save();
    c.translate(x + 18, y + NODE_HEIGHT / 2);
    c.strokeStyle = this.#ink(mark, node.kind === 'queue' ? theme.async : theme.ok);
    c.lineWidth = 1.6;
    c.stroke(new Path2D(GLYPHS[node.kind]));
    c.restore();
    const inner = this.nodeWidth - 34 - 10;
    c.fillStyle = theme.text;
    c.textAlign = 'left';
    c.textBaseline = 'alphabetic';
    if (this.scale < 0.42) {
      // Too small for figures: the name alone, larger.
      c.font = font(600, 17);
      c.fillText(clip(c, node.name, inner), x + 34, y + 31);
      return;
    }
    c.font = font(600, NAME_SIZE);
    c.fillText(clip(c, node.name, inner), x + 34, y + 21.5);
    c.font = font(600, FIGURE_SIZE);
    const markWidth = mark.text ? c.measureText(mark.text).width + 8 : 0;
    if (mark.text) {
      c.fillStyle = this.#ink(mark, theme.text);
      c.textAlign = 'right';
      c.fillText(mark.text, x + this.nodeWidth - 10, y + 39);
      c.textAlign = 'left';
    }
    c.font = font(400, FIGURE_SIZE);
    c.fillStyle = theme.mute;
    const figures = node.p95_ms === null ? `${rate(node.rate)}/s` : `${rate(node.rate)}/s  ${millis(node.p95_ms)}`;
    c.fillText(clip(c, figures, inner - markWidth), x + 34, y + 39);
  }

  #ink(mark: Mark, otherwise: string): string {
    const { err, warn, good, mute } = this.theme;
    const inks = { error: err, warning: warn, good, quiet: mute, plain: otherwise };
    return inks[mark.tone];
  }
}

/** One width for all nodes: the longest name fits, within bounds. */
export function nodeWidthFor(names: string[]): number {
  const c = document.createElement('canvas').getContext('2d');
  if (!c) return NODE_WIDTH_MIN;
  c.font = font(600, NAME_SIZE);
  const longest = Math.max(0, ...names.map((name) => c.measureText(name).width));
  return Math.round(Math.min(NODE_WIDTH_MAX, Math.max(NODE_WIDTH_MIN, longest + 48)));
}

function nameOf(target: Target): string | null {
  if (!target) return null;
  return 'node' in target ? target.node : edgeId(target.edge);
}

function partition<T>(items: T[], test: (item: T) => boolean): [T[], T[]] {
  const yes: T[] = [];
  const no: T[] = [];
  for (const item of items) (test(item) ? yes : no).push(item);
  return [yes, no];
}

function isSeen(curve: Curve, seen: { x0: number; y0: number; x1: number; y1: number }): boolean {
  const xs = [curve.from.x, curve.control1.x, curve.control2.x, curve.to.x];
  const ys = [curve.from.y, curve.control1.y, curve.control2.y, curve.to.y];
  return Math.max(...xs) > seen.x0 && Math.min(...xs) < seen.x1 && Math.max(...ys) > seen.y0 && Math.min(...ys) < seen.y1;
}
