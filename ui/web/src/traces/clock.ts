// Moves spans whose clocks disagree with their callers' to where the server says that they belong.
import { CriticalLine } from '../view/critical';
import type { Told } from './told';
import type { TraceSpan, TraceTree } from './tree';

export interface Moved {
  tree: TraceTree;
  /** Nanoseconds that each span was moved by, in the order of the new tree. */
  by: number[];
  /** How much later the trace starts than by the times as they were sent; nanoseconds. */
  start: number;
  /** The place in the new tree of each span of the old one. */
  places: Int32Array;
}

/** `by` in the order of the tree. Who calls whom and the services' order stay; siblings are put in order of time. */
export function moveSpans(tree: TraceTree, by: number[]): Moved {
  const { spans } = tree;
  const starts = spans.map((span, i) => span.start + by[i]!);
  const start = starts.reduce((least, each) => Math.min(least, each), Infinity);
  const end = spans.reduce((most, span, i) => Math.max(most, starts[i]! + span.duration), -Infinity);
  if (spans.length === 0) return { tree, by, start: 0, places: new Int32Array() };
  const children: number[][] = spans.map(() => []);
  const roots: number[] = [];
  spans.forEach((span, i) => (span.parent < 0 ? roots : children[span.parent]!).push(i));
  const lastFirst = (a: number, b: number) => starts[b]! - starts[a]! || b - a;
  const order: number[] = [];
  const places = new Int32Array(spans.length);
  const open = roots.sort(lastFirst);
  while (open.length) {
    const i = open.pop()!;
    places[i] = order.length;
    order.push(i);
    for (const child of children[i]!.sort(lastFirst)) open.push(child);
  }
  const place = (i: number): TraceSpan => {
    const span = spans[i]!;
    const shift = by[i]! - start;
    const events = shift ? span.events.map((event) => ({ ...event, at: event.at + shift })) : span.events;
    return { ...span, start: starts[i]! - start, events, parent: span.parent < 0 ? -1 : places[span.parent]! };
  };
  return {
    tree: { ...tree, spans: order.map(place), startMs: tree.startMs + start / 1e6, duration: Math.max(1, end - start) },
    by: order.map((i) => by[i]!),
    start,
    places,
  };
}

/** What is told of the spans, in the order of the new tree; the pieces of the path stay on their spans. */
export function moveTold(told: Told, { by, start, places }: Moved): Told {
  const times: Told['times'] = new Array(places.length);
  const onPath = new Uint8Array(places.length);
  places.forEach((to, i) => {
    times[to] = told.times[i];
    onPath[to] = told.onPath[i]!;
  });
  const pieces = told.critical.of(0, places.length).map((piece) => {
    const at = places[piece.at]!;
    const shift = by[at]! - start;
    return { at, from: piece.from + shift, until: piece.until + shift };
  });
  return { times, onPath, critical: new CriticalLine(pieces) };
}
