// The bars of a waterfall on a canvas, which rows are folded, and the overview of the whole trace.
// Knows spans by place in their list; draws only rows in view, so that its cost does not grow with the trace.
import { duration } from '../number';
import type { Theme } from '../theme/token';
import type { CriticalLine } from './critical';
import { font, prepare } from './surface';

export const ROW = 22;
const SHARE_SHOWN = 0.02;
const FOLD_FROM = 200;

/** What the view has to know of a span. Times in nanoseconds since the trace's start. */
export interface Bar {
  start: number;
  duration: number;
  error: boolean;
  kind: string;
  parent: number;
  below: number;
  /** Place of its service's colour. */
  color: number;
  /** On the critical path: stays in view when a large trace is folded. */
  critical: boolean;
  /** Moments of its events and logs. */
  marks: number[];
}

export class Waterfall {
  /** Rows in view order; the first `count` are shown. */
  readonly rows: Int32Array;
  count = 0;
  selected = -1;
  hovered = -1;
  /** The window of time on the bars' axis. */
  from = 0;
  until: number;
  /** Rows that a search found; null when nothing is searched. */
  found: Uint8Array | null = null;
  /** The critical path to draw; null while it is switched off. */
  path: CriticalLine | null = null;
  readonly #folded: Uint8Array;

  constructor(
    readonly bars: Bar[],
    readonly total: number,
    private theme: Theme,
    private colors: string[],
  ) {
    this.rows = new Int32Array(bars.length);
    this.#folded = new Uint8Array(bars.length);
    this.until = total;
    if (bars.length > FOLD_FROM) this.foldToKey();
    else this.#rebuild();
  }

  setTheme(theme: Theme, colors: string[]): void {
    this.theme = theme;
    this.colors = colors;
  }

  isFolded(i: number): boolean {
    return this.#folded[i] === 1;
  }

  toggle(i: number): void {
    this.#folded[i] = this.#folded[i] ? 0 : 1;
    this.#rebuild();
  }

  expandAll(): void {
    this.#folded.fill(0);
    this.#rebuild();
  }

  /** Folds everything but failures, the critical path and spans of at least 2 % of the trace. */
  foldToKey(): void {
    const keep = new Uint8Array(this.bars.length);
    this.bars.forEach((bar, i) => {
      if (!bar.error && !bar.critical && bar.duration < this.total * SHARE_SHOWN) return;
      for (let up = this.bars[i]!.parent; up >= 0 && !keep[up]; up = this.bars[up]!.parent) keep[up] = 1;
    });
    this.bars.forEach((bar, i) => (this.#folded[i] = bar.below > 0 && !keep[i] ? 1 : 0));
    this.#rebuild();
  }

  /** Opens what hides a span; returns its row. */
  reveal(i: number): number {
    for (let up = this.bars[i]!.parent; up >= 0; up = this.bars[up]!.parent) this.#folded[up] = 0;
    this.#rebuild();
    return this.rowOf(i);
  }

  /** The row of a span, -1 while it is folded away. */
  rowOf(i: number): number {
    let low = 0;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const at = this.rows[middle]!;
      if (at === i) return middle;
      if (at < i) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** The next span after the selected one that passes, going round; -1 when none does. */
  next(test: (bar: Bar, i: number) => boolean, step: 1 | -1 = 1): number {
    const n = this.bars.length;
    for (let k = 1; k <= n; k++) {
      const i = (((this.selected < 0 && step < 0 ? 0 : this.selected) + step * k) % n + n) % n;
      if (test(this.bars[i]!, i)) return i;
    }
    return -1;
  }

  /** Limits the axis to a window of time; at least a millionth of the trace. */
  window(from: number, until: number): void {
    const least = this.total / 1e6;
    this.from = Math.max(0, Math.min(from, this.total - least));
    this.until = Math.min(this.total, Math.max(until, this.from + least));
  }

  draw(canvas: HTMLCanvasElement, scrollTop: number): void {
    const surface = prepare(canvas, this.theme.panel);
    if (!surface) return;
    const { c, width, height } = surface;
    c.strokeStyle = this.theme.grid;
    c.lineWidth = 1;
    c.beginPath();
    for (let i = 1; i < 5; i++) {
      const x = Math.round((width * i) / 5) + 0.5;
      c.moveTo(x, 0);
      c.lineTo(x, height);
    }
    c.stroke();
    c.font = font(500, 11);
    c.textBaseline = 'middle';
    const last = Math.min(this.count, Math.ceil((scrollTop + height) / ROW));
    for (let row = Math.max(0, Math.floor(scrollTop / ROW)); row < last; row++) {
      this.#drawRow(c, this.rows[row]!, row * ROW - scrollTop, width);
    }
  }

  #drawRow(c: CanvasRenderingContext2D, i: number, y: number, width: number): void {
    const { theme } = this;
    const bar = this.bars[i]!;
    if (i === this.selected || i === this.hovered) {
      c.fillStyle = i === this.selected ? `${theme.accent}2e` : theme.panel2;
      c.fillRect(0, y, width, ROW);
    }
    const scale = width / (this.until - this.from);
    const left = (bar.start - this.from) * scale;
    const right = left + Math.max(2, bar.duration * scale);
    if (right < 0 || left > width) {
      c.fillStyle = theme.mute;
      c.textAlign = left > width ? 'right' : 'left';
      c.fillText(left > width ? '›' : '‹', left > width ? width - 4 : 4, y + ROW / 2);
      return;
    }
    const x = Math.max(-2, left);
    const w = Math.min(width + 2, right) - x;
    const folded = this.isFolded(i) && bar.below > 0;
    const missed = this.found !== null && !this.found[i];
    c.globalAlpha = missed ? 0.25 : folded ? 0.6 : 1;
    c.fillStyle = this.colors[bar.color % this.colors.length]!;
    c.beginPath();
    c.roundRect(x, y + 5, w, ROW - 10, 3);
    c.fill();
    if (bar.kind === 'PRODUCER' || bar.kind === 'CONSUMER') this.#hatch(c, x, y, w);
    c.globalAlpha = missed ? 0.4 : 1;
    if (bar.error) {
      c.strokeStyle = theme.err;
      c.lineWidth = 2;
      c.strokeRect(x - 1, y + 4, w + 2, ROW - 8);
    }
    if (this.path) this.#drawPath(c, this.path, i, y, scale, width);
    this.#drawMarks(c, bar, y, scale, width);
    this.#drawText(c, bar, folded, { left, right, y, width });
    c.globalAlpha = 1;
  }

  /** The critical path runs below the bar where the span holds it up; a folded row shows it for all below. */
  #drawPath(c: CanvasRenderingContext2D, path: CriticalLine, i: number, y: number, scale: number, width: number): void {
    c.fillStyle = this.theme.text;
    let reached = -1;
    for (const piece of path.of(i, this.isFolded(i) ? i + this.bars[i]!.below : i)) {
      const x = Math.max(0, (piece.from - this.from) * scale);
      const right = Math.min(width, Math.max((piece.until - this.from) * scale, x + 1));
      // Pieces that would land on the same pixel are drawn once.
      if (right <= x || (right - x <= 1 && Math.floor(x) === reached)) continue;
      reached = Math.floor(x);
      c.fillRect(x, y + ROW - 4, right - x, 3);
    }
  }

  /** Asynchronous work is hatched. */
  #hatch(c: CanvasRenderingContext2D, x: number, y: number, w: number): void {
    c.save();
    c.beginPath();
    c.rect(x, y + 5, w, ROW - 10);
    c.clip();
    c.strokeStyle = this.theme.panel;
    c.lineWidth = 1.5;
    c.beginPath();
    for (let at = x - 6; at < x + w + 6; at += 7) {
      c.moveTo(at + 5, y + 5);
      c.lineTo(at, y + ROW - 5);
    }
    c.stroke();
    c.restore();
  }

  #drawMarks(c: CanvasRenderingContext2D, bar: Bar, y: number, scale: number, width: number): void {
    c.fillStyle = this.theme.panel;
    c.strokeStyle = this.theme.text;
    c.lineWidth = 1.2;
    let before = -Infinity;
    for (const mark of bar.marks) {
      const x = (mark - this.from) * scale;
      // Marks closer than a dot's width are one dot.
      if (x < 0 || x > width || x - before < 5) continue;
      before = x;
      c.beginPath();
      c.arc(x, y + ROW / 2, 2.7, 0, 7);
      c.fill();
      c.stroke();
    }
  }

  #drawText(c: CanvasRenderingContext2D, bar: Bar, folded: boolean, at: { left: number; right: number; y: number; width: number }): void {
    const text = `${bar.error ? '▲ ' : ''}${duration(bar.duration)}${folded ? `  +${bar.below} spans` : ''}`;
    const needed = c.measureText(text).width;
    const y = at.y + ROW / 2 + 0.5;
    c.textAlign = 'left';
    c.fillStyle = bar.error ? this.theme.err : this.theme.mute;
    if (at.right + 8 + needed < at.width) c.fillText(text, Math.max(0, at.right) + 7, y);
    else if (at.left - 8 - needed > 0) c.fillText(text, at.left - 7 - needed, y);
    else {
      // No room beside the bar: a plate on it keeps the contrast whatever the service's colour.
      const x = Math.max(4, at.left + 8);
      c.fillStyle = this.theme.panel;
      c.beginPath();
      c.roundRect(x - 4, at.y + 4.5, needed + 8, ROW - 9, 3);
      c.fill();
      c.fillStyle = bar.error ? this.theme.err : this.theme.text;
      c.fillText(text, x, y);
    }
  }

  /** The whole trace small: how much runs when, with failures on top. Bucketed, so that its cost stays bounded. */
  drawOverview(canvas: HTMLCanvasElement): void {
    const surface = prepare(canvas, this.theme.panel2);
    if (!surface) return;
    const { c, width, height } = surface;
    const lanes = Math.max(4, Math.floor((height - 8) / 3));
    const perLane = Math.max(1, Math.ceil(this.bars.length / lanes));
    const drawn = new Set<number>();
    c.globalAlpha = 0.85;
    this.bars.forEach((bar, i) => {
      const x = Math.floor((bar.start / this.total) * width);
      const w = Math.max(1, Math.round((bar.duration / this.total) * width));
      const lane = Math.floor(i / perLane);
      // Small spans that would land on the same pixel are drawn once.
      const key = (lane * 8192 + x) * 8 + Math.min(7, w);
      if (w < 7 && drawn.has(key)) return;
      drawn.add(key);
      c.fillStyle = this.colors[bar.color % this.colors.length]!;
      c.fillRect(x, 7 + lane * 3, w, 2);
    });
    c.globalAlpha = 1;
    c.fillStyle = this.theme.err;
    for (const bar of this.bars) {
      if (!bar.error) continue;
      const x = (bar.start / this.total) * width;
      c.beginPath();
      c.moveTo(x, 0);
      c.lineTo(x + 4, 6);
      c.lineTo(x - 4, 6);
      c.fill();
    }
    if (this.from > 0 || this.until < this.total) {
      const [a, b] = [(this.from / this.total) * width, (this.until / this.total) * width];
      c.fillStyle = `${this.theme.bg}c0`;
      c.fillRect(0, 0, a, height);
      c.fillRect(b, 0, width - b, height);
      c.strokeStyle = this.theme.accent;
      c.lineWidth = 2;
      c.strokeRect(a + 1, 1, Math.max(2, b - a - 2), height - 2);
    }
  }

  #rebuild(): void {
    let count = 0;
    for (let i = 0; i < this.bars.length; ) {
      this.rows[count++] = i;
      i += this.#folded[i] ? this.bars[i]!.below + 1 : 1;
    }
    this.count = count;
  }
}
