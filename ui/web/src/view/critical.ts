// The critical path as pieces of time, found by place in a depth-first list: what lies on a span, or on all below it.

export interface Piece {
  /** Place of the span. */
  at: number;
  /** Nanoseconds since the trace's start. */
  from: number;
  until: number;
}

export class CriticalLine {
  readonly #pieces: Piece[];

  constructor(pieces: Piece[]) {
    this.#pieces = [...pieces].sort((a, b) => a.at - b.at || a.from - b.from);
  }

  get size(): number {
    return this.#pieces.length;
  }

  /** The pieces of the spans from `first` to `last`, both included; the spans below one stand right after it. */
  of(first: number, last = first): Piece[] {
    return this.#pieces.slice(this.#firstFrom(first), this.#firstFrom(last + 1));
  }

  #firstFrom(at: number): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#pieces[middle]!.at < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
