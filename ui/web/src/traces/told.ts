// What the server's summary tells, laid on the spans of the tree: figures by place, and the critical path's pieces.
// An id alone names no span, because a client and its server may share one: service and kind belong to the identity.
import type { SpanTime, TraceSummary } from '../answer';
import { CriticalLine, type Piece } from '../view/critical';
import type { TraceSpan } from './tree';

export interface Told {
  /** By place; undefined where the server told nothing of a span. */
  times: (SpanTime | undefined)[];
  critical: CriticalLine;
  /** Whether a span is on the critical path, by place. */
  onPath: Uint8Array;
}

const identity = (span: { service: string; kind: string }, id: string) => `${id}/${span.kind}/${span.service}`;

/** The spans in the order of the tree, with times as they were sent. */
export function lay(spans: TraceSpan[], summary: TraceSummary | null): Told {
  const times = new Array<SpanTime | undefined>(spans.length);
  const onPath = new Uint8Array(spans.length);
  if (!summary) return { times, critical: new CriticalLine([]), onPath };
  const place = placesOf(spans);
  for (const time of summary.spans ?? []) {
    const at = place(time.span_id, time.kind, time.service);
    if (at >= 0) times[at] = time;
  }
  const ids = new Set(summary.critical_path);
  spans.forEach((span, i) => (onPath[i] = ids.has(span.spanId) ? 1 : 0));
  return { times, critical: new CriticalLine(pieces(spans, summary, onPath, place)), onPath };
}

type Places = (id: string, kind: string, service?: string) => number;

/** Finds a span by its identity, -1 for none; without a service the first of its kind. Few ids have a second span. */
function placesOf(spans: TraceSpan[]): Places {
  const first = new Map<string, number>();
  const further = new Map<string, number[]>();
  spans.forEach(({ spanId }, i) => {
    if (!first.has(spanId)) first.set(spanId, i);
    else if (further.has(spanId)) further.get(spanId)!.push(i);
    else further.set(spanId, [i]);
  });
  return (id, kind, service) => {
    const at = first.get(id);
    if (at === undefined) return -1;
    const fits = (i: number) => spans[i]!.kind === kind && (service === undefined || spans[i]!.service === service);
    return fits(at) ? at : (further.get(id)?.find(fits) ?? -1);
  };
}

function pieces(spans: TraceSpan[], summary: TraceSummary, onPath: Uint8Array, place: Places): Piece[] {
  if (!summary.critical_segments) {
    // An older server names the spans only: each is marked from end to end.
    return spans.flatMap((span, at) => (onPath[at] ? [{ at, from: span.start, until: span.start + span.duration }] : []));
  }
  return summary.critical_segments.flatMap(({ span_id, kind, offset_ns, duration_ns }) => {
    const at = place(span_id, kind);
    return at < 0 ? [] : [{ at, from: offset_ns, until: offset_ns + duration_ns }];
  });
}

/** How an address names a span: by its id, and where an earlier span has the same one also by kind and service. */
export function keyOf(spans: TraceSpan[], i: number): string {
  const span = spans[i];
  if (!span) return '';
  const first = spans.findIndex((each) => each.spanId === span.spanId);
  return first === i ? span.spanId : identity(span, span.spanId);
}

/** The place of a span that an address names; -1 when it is not here. */
export function findSpan(spans: TraceSpan[], key: string): number {
  if (!key) return -1;
  const [id = ''] = key.split('/', 1);
  const exact = id === key ? -1 : spans.findIndex((span) => span.spanId === id && identity(span, id) === key);
  return exact >= 0 ? exact : spans.findIndex((span) => span.spanId === id);
}
