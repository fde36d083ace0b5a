// Sends telemetry with the real Node SDK over HTTP/JSON, asks for it again, and compares field by field.
//
// Usage: node round_trip.mjs HTTP_ADDRESS API_ADDRESS
//
// What was sent is the SDK's own JSON of the very data the exporters were given. Exits 1 and names each difference.
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags } from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { JsonLogsSerializer, JsonMetricsSerializer, JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs';
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { isDeepStrictEqual } from 'node:util';

const [http, api] = process.argv.slice(2);
const SERVICE = 'node-http-json';
const resource = resourceFromAttributes({ 'service.name': SERVICE, 'service.version': '2.0.1', 'process.pid': 4711 });
const differences = [];
const decoder = new TextDecoder();

function differs(what, sent, found) {
  if (!isDeepStrictEqual(sent, found)) differences.push(`${what}: sent ${JSON.stringify(sent)}, found ${JSON.stringify(found)}`);
}

/** The exporter itself, keeping all that it was given; a failed export is a difference. */
function recorded(exporter, log) {
  const inner = exporter.export.bind(exporter);
  exporter.export = (batch, done) => {
    log.push(batch);
    inner(batch, result => {
      if (result.code !== 0) differences.push(`export failed: ${result.error}`);
      done(result);
    });
  };
  return exporter;
}

async function sendSpans() {
  const sent = [];
  const exporter = recorded(new OTLPTraceExporter({ url: `http://${http}/v1/traces` }), sent);
  const provider = new BasicTracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const tracer = provider.getTracer('shop.web', '4.5.6');
  const parent = tracer.startSpan('GET /cart', {
    kind: SpanKind.SERVER,
    attributes: {
      'http.request.method': 'GET', 'http.response.status_code': 200, 'url.path': '/cart', ratio: 0.5, big: 9007199254740991,
      ok: true, texts: ['a', '한글', '"q"\\\n'], numbers: [1, 2.5, -3], empty: '',
    },
    links: [{ context: { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: TraceFlags.SAMPLED }, attributes: { n: 1 } }],
  }, ROOT_CONTEXT);
  const within = trace.setSpan(ROOT_CONTEXT, parent);
  const child = tracer.startSpan('HGETALL', { kind: SpanKind.CLIENT, attributes: { 'db.system.name': 'redis' } }, within);
  child.addEvent('cache miss', { key: 'cart:7' });
  child.recordException(new TypeError('cart is undefined'));
  child.setStatus({ code: SpanStatusCode.ERROR, message: 'cart is undefined' });
  child.end();
  parent.end();
  await provider.forceFlush();
  await provider.shutdown();
  return { spans: JSON.parse(decoder.decode(JsonTraceSerializer.serializeRequest(sent.flat()))), spanContext: parent.spanContext() };
}

async function sendLogs(spanContext) {
  const sent = [];
  const exporter = recorded(new OTLPLogExporter({ url: `http://${http}/v1/logs` }), sent);
  const provider = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter })] });
  const logger = provider.getLogger('shop.log', '1');
  const now = Date.now();
  logger.emit({ timestamp: now, observedTimestamp: now + 1, severityNumber: SeverityNumber.FATAL, severityText: 'FATAL', body: 'disk full: 디스크', attributes: { n: 1, f: 1.25, list: ['a'] }, context: trace.setSpanContext(ROOT_CONTEXT, spanContext) });
  logger.emit({ timestamp: now + 2, observedTimestamp: now + 3, severityNumber: SeverityNumber.DEBUG, body: { nested: { deep: [1, 'two', true] } } });
  await provider.forceFlush();
  await provider.shutdown();
  return JSON.parse(decoder.decode(JsonLogsSerializer.serializeRequest(sent.flat())));
}

async function sendMetrics() {
  const sent = [];
  const exporter = recorded(new OTLPMetricExporter({ url: `http://${http}/v1/metrics` }), sent);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const views = [{ instrumentName: 'exponential', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }];
  const provider = new MeterProvider({ resource, readers: [reader], views });
  const meter = provider.getMeter('shop.meter', '1');
  meter.createCounter('requests', { unit: '1', description: 'served' }).add(5, { route: '/cart' });
  meter.createUpDownCounter('open').add(-2.5);
  meter.createHistogram('latency', { unit: 'ms' }).record(12.5, { route: '/cart' });
  meter.createHistogram('exponential').record(7);
  meter.createObservableGauge('queue').addCallback(result => result.observe(3, { q: 'mail' }));
  // The shutdown exports once more what was recorded: the only export of this run.
  await provider.shutdown();
  const requests = sent.map(batch => JSON.parse(decoder.decode(JsonMetricsSerializer.serializeRequest(batch))));
  return requests[0];
}

async function ask(path, body) {
  const init = body ? { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : undefined;
  const answer = await fetch(`http://${api}${path}`, init);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function sql(query) {
  const { columns, rows } = await ask('/api/v1/sql', { query });
  return rows.map(row => Object.fromEntries(columns.map((column, i) => [column.name, row[i]])));
}

/** An AnyValue of OTLP/JSON with one spelling for integers and empty lists. */
function plain(value) {
  if (value === undefined || Object.keys(value).length === 0) return null;
  if ('intValue' in value) return ['int', String(value.intValue)];
  if ('arrayValue' in value) return ['array', (value.arrayValue.values ?? []).map(plain)];
  if ('kvlistValue' in value) return ['map', attributes(value.kvlistValue.values)];
  return Object.entries(value)[0];
}

function attributes(entries) {
  return Object.fromEntries((entries ?? []).map(entry => [entry.key, plain(entry.value)]));
}

/** An AnyValue in the JSON text form of the columns. */
function json(value) {
  if ('arrayValue' in value) return (value.arrayValue.values ?? []).map(json);
  if ('kvlistValue' in value) return jsonAttributes(value.kvlistValue.values);
  if ('intValue' in value) return Number(value.intValue);
  return Object.values(value)[0] ?? null;
}

function jsonAttributes(entries) {
  return Object.fromEntries((entries ?? []).map(entry => [entry.key, json(entry.value)]));
}

function spanFacts(request) {
  const facts = new Map();
  for (const r of request.resourceSpans) for (const s of r.scopeSpans) for (const span of s.spans) facts.set(span.spanId, {
    traceId: span.traceId, parentSpanId: span.parentSpanId || null, traceState: span.traceState || null, name: span.name, kind: span.kind,
    flags: span.flags ?? 0, start: String(span.startTimeUnixNano), end: String(span.endTimeUnixNano), attributes: attributes(span.attributes),
    status: [span.status?.code ?? 0, span.status?.message || ''],
    events: (span.events ?? []).map(e => [String(e.timeUnixNano), e.name, attributes(e.attributes)]),
    links: (span.links ?? []).map(l => [l.traceId, l.spanId, l.flags ?? 0, attributes(l.attributes)]),
    resource: attributes(r.resource.attributes), scope: [s.scope.name, s.scope.version],
  });
  return facts;
}

async function compareSpans(sent) {
  const wanted = spanFacts(sent);
  const [first] = wanted.values();
  const found = spanFacts(await ask(`/api/v1/traces/${first.traceId}`));
  differs('span ids', [...wanted.keys()].sort(), [...found.keys()].sort());
  for (const [id, facts] of wanted) for (const [field, value] of Object.entries(facts)) differs(`span ${facts.name} ${field}`, value, found.get(id)?.[field]);
}

async function compareLogs(sent) {
  const rows = await sql(`SELECT CAST(time AS BIGINT) AS time, CAST(observed_time AS BIGINT) AS observed, severity_number, severity_text, body, trace_id, span_id, attributes FROM logs WHERE service_name = '${SERVICE}'`);
  const records = sent.resourceLogs.flatMap(r => r.scopeLogs.flatMap(s => s.logRecords));
  differs('log count', records.length, rows.length);
  for (const record of records) {
    const row = rows.find(candidate => candidate.time === String(record.timeUnixNano)) ?? {};
    const what = `log ${record.timeUnixNano}`;
    differs(`${what} observed`, String(record.observedTimeUnixNano), row.observed);
    differs(`${what} severity`, [record.severityNumber, record.severityText || null], [row.severity_number, row.severity_text]);
    differs(`${what} ids`, [record.traceId || null, record.spanId || null], [row.trace_id, row.span_id]);
    differs(`${what} attributes`, jsonAttributes(record.attributes), JSON.parse(row.attributes ?? '{}'));
    const text = 'stringValue' in record.body;
    differs(`${what} body`, json(record.body), text ? row.body : JSON.parse(row.body ?? 'null'));
  }
}

async function compareMetrics(sent) {
  const rows = await sql(`SELECT name, type, CAST(time AS BIGINT) AS time, unit, attributes, value, value_int, "count", "sum", bucket_counts, explicit_bounds, scale FROM metrics WHERE service_name = '${SERVICE}'`);
  const metrics = sent.resourceMetrics.flatMap(r => r.scopeMetrics.flatMap(s => s.metrics));
  differs('point count', metrics.length, rows.length);
  const number = value => (value === null || value === undefined ? null : Number(value));
  for (const metric of metrics) {
    const type = ['sum', 'gauge', 'histogram', 'exponentialHistogram'].find(kind => kind in metric);
    const [point] = metric[type].dataPoints;
    const row = rows.find(candidate => candidate.name === metric.name) ?? {};
    const what = `metric ${metric.name}`;
    differs(`${what} type`, type.replace(/[A-Z]/, letter => '_' + letter.toLowerCase()), row.type);
    differs(`${what} time`, String(point.timeUnixNano), row.time);
    differs(`${what} unit`, metric.unit || null, row.unit);
    differs(`${what} attributes`, jsonAttributes(point.attributes), JSON.parse(row.attributes ?? 'null'));
    differs(`${what} value`, number(point.asInt ?? point.asDouble), number(row.value));
    differs(`${what} integer`, 'asInt' in point ? Number(point.asInt) : null, number(row.value_int));
    differs(`${what} count and sum`, [number(point.count), number(point.sum)], [number(row.count), number(row.sum)]);
    if (type === 'histogram') differs(`${what} buckets`, [point.bucketCounts.map(Number), point.explicitBounds], [row.bucket_counts.map(Number), row.explicit_bounds.map(Number)]);
    if (type === 'exponentialHistogram') differs(`${what} scale`, point.scale, Number(row.scale));
  }
}

const { spans, spanContext } = await sendSpans();
const logs = await sendLogs(spanContext);
const metrics = await sendMetrics();
await compareSpans(spans);
await compareLogs(logs);
await compareMetrics(metrics);
for (const line of differences) console.log(line);
console.log(`HTTP/JSON, ${differences.length} differences`);
process.exit(differences.length ? 1 : 0);
