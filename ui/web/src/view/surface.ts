// What the canvas views share: a canvas sized for the screen's pixels, and texts cut to a width.

/** Sizes the canvas to its box at the screen's resolution and returns a context in CSS pixels, cleared to `fill`. */
export function prepare(canvas: HTMLCanvasElement, fill: string): { c: CanvasRenderingContext2D; width: number; height: number } | null {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const c = canvas.getContext('2d', { alpha: false });
  if (!c || width === 0 || height === 0) return null;
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.globalAlpha = 1;
  c.fillStyle = fill;
  c.fillRect(0, 0, width, height);
  return { c, width, height };
}

export function font(weight: number, size: number): string {
  return `${weight} ${size}px 'Inter Variable', Inter, system-ui, sans-serif`;
}

/** The longest beginning of a text that fits, with an ellipsis where something was cut. */
export function clip(c: CanvasRenderingContext2D, text: string, width: number): string {
  if (c.measureText(text).width <= width) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (c.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low)}…`;
}
