// The shapes of the API's answers, as the pages read them. Only types: nothing here runs.
// Times are RFC 3339 with nanoseconds; `*_ms` are milliseconds, `*_ns` nanoseconds, rates per second, shares 0..1.

export type NodeKind = 'service' | 'database' | 'queue' | 'external' | 'client';
export type EdgeKind = 'call' | 'messaging' | 'database' | 'external';

export interface Percentiles {
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
}

/** How something differs from the range it is compared with. */
export type Change = 'new' | 'gone' | 'failing' | 'slower' | 'same';

/** Figures in the range that is compared with. */
export interface Before extends Percentiles {
  calls: number;
  errors: number;
  rate: number;
  error_rate: number;
}

/** Only where two ranges are compared; `before` is null for what is new. */
export interface Compared {
  change?: Change;
  before?: Before | null;
}

export interface MapNode extends Percentiles, Compared {
  id: string;
  name: string;
  kind: NodeKind;
  requests: number;
  errors: number;
  /** What the stored ones stand for, where senders sample. */
  requests_estimated?: number;
  errors_estimated?: number;
  rate: number;
  error_rate: number;
}

export interface MapEdge extends Percentiles, Compared {
  source: string;
  target: string;
  kind: EdgeKind;
  calls: number;
  errors: number;
  /** What the stored ones stand for, where senders sample. */
  calls_estimated?: number;
  errors_estimated?: number;
  error_rate: number;
  rate: number;
  inferred: boolean;
  examples: string[];
}

export interface ServiceMap {
  start: string;
  end: string;
  /** Percentiles differ from the exact ones by at most this share of them. */
  bound?: number;
  /** The second range, where two are compared. */
  compare?: { start: string; end: string };
  /** What is missing because files are damaged. */
  warnings?: string[];
  nodes: MapNode[];
  edges: MapEdge[];
}

export interface Service extends Percentiles {
  name: string;
  requests: number;
  rate: number;
  errors: number;
  error_rate: number;
  spans: number;
}

export interface Operation extends Percentiles {
  name: string;
  kind: string;
  requests: number;
  rate: number;
  errors: number;
  error_rate: number;
}

export interface MatchedSpan {
  span_id: string;
  service: string;
  name: string;
  kind: string;
  status: string;
  start_time: string;
  duration_ns: number;
}

export interface TraceRow {
  trace_id: string;
  root: { service: string; name: string; span_id: string } | null;
  start_time: string;
  duration_ns: number;
  duration_ms: number;
  span_count: number;
  error_count: number;
  services: { name: string; spans: number; errors: number }[];
  matched: MatchedSpan[];
  matched_count: number;
}

export interface TracePage {
  traces: TraceRow[];
  next_cursor: string | null;
}

/** `?view=summary`. What is optional here an older server does not tell; the page shows the rest without. */
export interface TraceSummary {
  trace_id: string;
  span_count: number;
  error_count: number;
  start_time: string;
  duration_ns: number;
  root: { service: string; name: string; span_id: string } | null;
  services: { name: string; spans: number; errors: number; self_ms: number; critical_ms?: number }[];
  critical_path: string[];
  /** The same piece by piece, without a gap; offsets from the trace's start. */
  critical_segments?: { span_id: string; kind: string; offset_ns: number; duration_ns: number }[];
  missing_parents: string[];
  complete: boolean;
  completeness?: Completeness;
  clock_skew?: { span_count: number; most_ms: number; services: string[] };
  links?: TraceLinks;
  logs?: LogCount;
  exception_count?: number;
  exceptions?: TraceException[];
  spans?: SpanTime[];
  warnings?: string[];
}

/** Lists are cut at a thousand entries, counts are of all. */
export interface Completeness {
  root_count: number;
  roots: string[];
  orphan_count: number;
  orphans: { span_id: string; parent_span_id: string; service: string }[];
  circular_count: number;
  circular: string[];
  repeated_rows: number;
  conflicting_count: number;
  conflicting: { span_id: string; service: string; kind: string; versions: number }[];
  shared_id_count: number;
  shared_ids: { span_id: string; is_call: boolean; spans: { service: string; kind: string }[] }[];
  end_before_start_count: number;
  end_before_start: string[];
  late: { is_known: boolean; count: number; spans: { span_id: string; late_ms: number }[] };
}

export interface TraceLinks {
  outgoing_count: number;
  outgoing: { span_id: string; to_trace_id: string; to_span_id: string }[];
  incoming: { from_trace_id: string; from_span_id: string; service: string; name: string; to_span_id: string }[];
  incoming_start: string;
  incoming_end: string;
  incoming_is_complete: boolean;
}

export interface LogCount {
  count: number;
  /** Of severity ERROR and above. */
  errors: number;
}

export interface TraceException {
  time: string;
  span_id: string | null;
  service: string;
  type: string | null;
  message: string | null;
  /** `span` for a span's event, `log` for a log record. */
  source: string;
  fingerprint: string;
}

/** Figures of one span. Ids may be shared: service and kind belong to its identity. Absent figures are zero. */
export interface SpanTime {
  span_id: string;
  service: string;
  kind: string;
  self_ns: number;
  critical_ns?: number;
  /** What to add to its times to put the clocks right. */
  adjust_ns?: number;
  logs?: LogCount;
  exceptions?: number;
  end_before_start?: boolean;
}

// OTLP/JSON: 64-bit integers may be numbers or strings, ids are hex, absent means the default.
export interface OtlpValue {
  stringValue?: string;
  boolValue?: boolean;
  intValue?: string | number;
  doubleValue?: number | string;
  bytesValue?: string;
  arrayValue?: { values?: OtlpValue[] };
  kvlistValue?: { values?: OtlpAttribute[] };
}
export interface OtlpAttribute {
  key: string;
  value?: OtlpValue;
}
export interface OtlpEvent {
  timeUnixNano?: string | number;
  name?: string;
  attributes?: OtlpAttribute[];
}
export interface OtlpLink {
  traceId?: string;
  spanId?: string;
  attributes?: OtlpAttribute[];
}
export interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name?: string;
  kind?: number | string;
  startTimeUnixNano?: string | number;
  endTimeUnixNano?: string | number;
  attributes?: OtlpAttribute[];
  events?: OtlpEvent[];
  links?: OtlpLink[];
  status?: { code?: number | string; message?: string };
}
export interface OtlpScopeSpans {
  scope?: { name?: string; version?: string };
  spans?: OtlpSpan[];
}
export interface OtlpTraces {
  resourceSpans?: { resource?: { attributes?: OtlpAttribute[] }; scopeSpans?: OtlpScopeSpans[] }[];
}

export interface LogRecord {
  time: string;
  observed_time: string | null;
  service: string;
  severity_number: number;
  severity_text: string;
  body: unknown;
  body_type: string;
  event_name: string | null;
  trace_id: string | null;
  span_id: string | null;
  attributes: Record<string, unknown>;
  resource: Record<string, unknown>;
}

export interface LogPage {
  logs: LogRecord[];
  next_cursor: string | null;
}

export type Origin = 'default' | 'file' | 'api';

export interface Rule {
  id: string;
  kind: string;
  signal: string;
  enabled?: boolean;
  keywords?: string[];
  patterns?: string[];
  not?: string[];
  fields?: string[];
  services?: string[];
  min_severity?: string | null;
  group_by?: string[];
  severity?: string;
  receivers?: string[];
  origin: Origin;
}

export interface Receiver {
  id: string;
  kind: string;
  url?: string;
  has_secret?: boolean;
  origin: Origin;
}

export interface Alert {
  rule_id: string;
  kind: string;
  severity: string;
  title: string;
  group: Record<string, unknown>;
  state: 'firing' | 'resolved';
  episode: string;
  first_seen: string;
  last_seen: string;
  count: number;
  trace_id: string | null;
  service: string | null;
  samples: { time: string; service: string; body: unknown; trace_id: string | null }[];
}

export interface Notice {
  notice_id: string;
  rule_id: string;
  receiver_id: string;
  type: string;
  title: string;
  status: 'pending' | 'delivered' | 'dead';
  created: string;
  next_attempt: string | null;
  attempts: { attempt: number; time: string; status: string | number | null; answer: string | null }[];
}

/** RFC 9457, as every refused request of our own routes answers. */
export interface Problem {
  title?: string;
  status?: number;
  detail?: string;
  errors?: unknown[];
}
