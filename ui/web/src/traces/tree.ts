// Turns OTLP/JSON into the spans of one trace in the order of a waterfall: depth first, children by start.
// Copes with what real data holds: parents that never arrived, spans that share an id, circles, end before start.
import type { OtlpAttribute, OtlpEvent, OtlpLink, OtlpSpan, OtlpTraces, OtlpValue } from '../answer';

export interface TraceSpan {
  spanId: string;
  parentId: string;
  service: string;
  name: string;
  kind: string;
  error: boolean;
  statusMessage: string;
  /** Nanoseconds since the trace's first start. */
  start: number;
  duration: number;
  attributes: [string, unknown][];
  resource: [string, unknown][];
  scope: string;
  events: { name: string; at: number; attributes: [string, unknown][] }[];
  links: { traceId: string; spanId: string; attributes: [string, unknown][] }[];
  /** Place of the parent in the list; -1 for roots. */
  parent: number;
  depth: number;
  /** How many spans stand below it. */
  below: number;
  /** It names a parent that is not here. */
  orphan: boolean;
}

export interface TraceTree {
  /** Depth first. */
  spans: TraceSpan[];
  /** In the order of their first span. */
  services: string[];
  /** Unix milliseconds of the first start, with the part below one. */
  startMs: number;
  duration: number;
}

const KINDS = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'];

/** One attribute value as plain JavaScript. Integers beyond 2^53 stay texts. */
export function plainValue(value: OtlpValue | undefined): unknown {
  if (!value) return null;
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.boolValue !== undefined) return value.boolValue;
  if (value.intValue !== undefined) {
    const number = Number(value.intValue);
    return Number.isSafeInteger(number) ? number : String(value.intValue);
  }
  if (value.doubleValue !== undefined) return value.doubleValue;
  if (value.bytesValue !== undefined) return `base64:${value.bytesValue}`;
  if (value.arrayValue) return (value.arrayValue.values ?? []).map(plainValue);
  if (value.kvlistValue) return Object.fromEntries(plainAttributes(value.kvlistValue.values));
  return null;
}

function plainAttributes(attributes: OtlpAttribute[] | undefined): [string, unknown][] {
  return (attributes ?? []).map((each) => [each.key, plainValue(each.value)]);
}

/** An attribute's value for reading: texts bare, everything structured as JSON. */
export function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function nanos(text: string | number | undefined): bigint {
  try {
    return BigInt(text ?? 0);
  } catch {
    // A fraction or a text that is no number: as good as no time.
    return 0n;
  }
}

interface Raw {
  span: OtlpSpan;
  service: string;
  resource: [string, unknown][];
  scope: string;
  start: bigint;
  end: bigint;
}

export function buildTree(data: OtlpTraces): TraceTree {
  const raws = flatten(data);
  if (raws.length === 0) return { spans: [], services: [], startMs: 0, duration: 0 };
  const first = raws.reduce((least, raw) => (raw.start < least ? raw.start : least), raws[0]!.start);
  const last = raws.reduce((most, raw) => (raw.end > most ? raw.end : most), raws[0]!.end);
  const parents = parentsOf(raws);
  const children: number[][] = raws.map(() => []);
  const roots: number[] = [];
  parents.forEach((parent, i) => (parent < 0 ? roots : children[parent]!).push(i));
  const byStart = (a: number, b: number) => (raws[a]!.start < raws[b]!.start ? -1 : raws[a]!.start > raws[b]!.start ? 1 : a - b);
  const spans: TraceSpan[] = [];
  const visited = new Uint8Array(raws.length);
  const walk = (root: number) => {
    const stack: [number, number, number][] = [[root, -1, 0]];
    while (stack.length) {
      const [i, parent, depth] = stack.pop()!;
      if (visited[i]) continue;
      visited[i] = 1;
      const place = spans.length;
      spans.push(readSpan(raws[i]!, first, parent, depth, parents[i]! < 0));
      for (const child of children[i]!.sort(byStart).reverse()) stack.push([child, place, depth + 1]);
    }
  };
  roots.sort(byStart).forEach(walk);
  // Spans in a circle have no root: begin at the earliest one that is left.
  raws.map((_, i) => i).sort(byStart).forEach((i) => visited[i] || walk(i));
  for (let i = spans.length - 1; i >= 0; i--) {
    const { parent, below } = spans[i]!;
    if (parent >= 0) spans[parent]!.below += below + 1;
  }
  const services = [...new Set(spans.map((span) => span.service))];
  return { spans, services, startMs: Number(first / 1000n) / 1000, duration: Math.max(1, Number(last - first)) };
}

function flatten(data: OtlpTraces): Raw[] {
  const raws: Raw[] = [];
  for (const group of data.resourceSpans ?? []) {
    const resource = plainAttributes(group.resource?.attributes);
    const service = String(resource.find(([key]) => key === 'service.name')?.[1] ?? 'unknown_service');
    for (const scoped of group.scopeSpans ?? []) {
      const scope = [scoped.scope?.name, scoped.scope?.version].filter(Boolean).join(' ');
      for (const span of scoped.spans ?? []) {
        const start = nanos(span.startTimeUnixNano);
        const end = nanos(span.endTimeUnixNano);
        raws.push({ span, service, resource, scope, start, end: end < start ? start : end });
      }
    }
  }
  return raws;
}

/** The parent's place for each span, -1 for none. Zipkin-style clients and servers share one id: the server stands below. */
function parentsOf(raws: Raw[]): number[] {
  const byId = new Map<string, number[]>();
  raws.forEach((raw, i) => {
    const same = byId.get(raw.span.spanId);
    if (same) same.push(i);
    else byId.set(raw.span.spanId, [i]);
  });
  const isServer = (i: number) => kindOf(raws[i]!.span) === 'SERVER' || kindOf(raws[i]!.span) === 'CONSUMER';
  return raws.map((raw, i) => {
    const twins = byId.get(raw.span.spanId)!;
    if (twins.length > 1 && isServer(i)) {
      const client = twins.find((twin) => !isServer(twin));
      if (client !== undefined) return client;
    }
    const found = (raw.span.parentSpanId && byId.get(raw.span.parentSpanId)) || [];
    const others = found.filter((each) => each !== i);
    return others.find((each) => raws[each]!.service === raw.service) ?? others.find(isServer) ?? others[0] ?? -1;
  });
}

function kindOf(span: OtlpSpan): string {
  if (typeof span.kind === 'string') return span.kind.replace('SPAN_KIND_', '');
  return KINDS[span.kind ?? 0] ?? 'UNSPECIFIED';
}

function readSpan(raw: Raw, first: bigint, parent: number, depth: number, rootless: boolean): TraceSpan {
  const { span } = raw;
  const code = span.status?.code;
  return {
    spanId: span.spanId,
    parentId: span.parentSpanId ?? '',
    service: raw.service,
    name: span.name || '(no name)',
    kind: kindOf(span),
    error: code === 2 || code === 'STATUS_CODE_ERROR',
    statusMessage: span.status?.message ?? '',
    start: Number(raw.start - first),
    duration: Number(raw.end - raw.start),
    attributes: plainAttributes(span.attributes),
    resource: raw.resource,
    scope: raw.scope,
    events: (span.events ?? []).map((event: OtlpEvent) => ({
      name: event.name ?? '',
      at: Number(nanos(event.timeUnixNano) - first),
      attributes: plainAttributes(event.attributes),
    })),
    links: (span.links ?? []).map((link: OtlpLink) => ({
      traceId: link.traceId ?? '',
      spanId: link.spanId ?? '',
      attributes: plainAttributes(link.attributes),
    })),
    parent,
    depth,
    below: 0,
    orphan: rootless && Boolean(span.parentSpanId),
  };
}

/** A span's time that no child covers, in nanoseconds. */
export function selfTime(spans: TraceSpan[], i: number): number {
  const span = spans[i]!;
  const end = span.start + span.duration;
  let covered = 0;
  let reached = span.start;
  // Children come by start, so one pass joins what overlaps.
  for (let j = i + 1; j <= i + span.below; j += spans[j]!.below + 1) {
    const from = Math.max(reached, spans[j]!.start);
    const to = Math.min(end, spans[j]!.start + spans[j]!.duration);
    if (to > from) covered += to - from;
    reached = Math.max(reached, to);
  }
  return Math.max(0, span.duration - covered);
}
