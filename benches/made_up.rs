//! Made-up telemetry of a small fleet, a thousand records a request: spans of about 550 bytes, log records of about 315,
//! metric points of about 120. Seeded, so that every run sends the same bytes.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};
use prost::Message as _;
use rand::Rng;
use rand::rngs::StdRng;

/// Records of a request.
pub(crate) const RECORDS: u64 = 1000;
const SERVICES: [&str; 10] =
    ["frontend", "checkout", "cart", "payment", "shipping", "catalogue", "recommendation", "currency", "email", "ad"];
const PODS: u64 = 4;
const ROUTES: [&str; 6] =
    ["/api/cart/{id}", "/api/checkout", "/api/products/{id}", "/api/recommendations", "/api/users/{id}", "/api/ship"];
const TABLES: [&str; 5] = ["orders", "carts", "products", "users", "shipments"];

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn int(key: &str, value: i64) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::IntValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// One pod of one service.
fn resource(service: usize, pod: u64) -> Resource {
    let name = SERVICES[service];
    let attributes = vec![
        text("service.name", name),
        text("service.namespace", "shop"),
        text("service.version", "2.14.3"),
        text("deployment.environment.name", "production"),
        text("k8s.pod.name", format!("{name}-6f9c8d7b5-{pod:05x}")),
        text("k8s.namespace.name", "shop"),
        text("host.name", format!("ip-10-0-{pod}-{service}")),
        text("telemetry.sdk.language", "go"),
        text("telemetry.sdk.version", "1.37.0"),
    ];
    Resource { attributes, ..Resource::default() }
}

fn some<'a>(of: &[&'a str], random: &mut StdRng) -> &'a str {
    of[random.random_range(0..of.len())]
}

/// Name, kind and attributes of a span.
type Work = (String, span::SpanKind, Vec<KeyValue>);

/// A request served.
fn served(route: &str, path: String, number: u32, status: i64) -> Work {
    let attributes = vec![
        text("http.request.method", "GET"),
        text("http.route", route),
        text("url.path", path),
        text("url.scheme", "https"),
        text("network.protocol.version", "1.1"),
        text("server.address", "shop.example.com"),
        int("server.port", 443),
        text("client.address", format!("10.{}.{}.7", number % 64, number % 251)),
        text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari"),
        text("enduser.id", format!("user-{number:06}")),
        int("http.response.status_code", status),
    ];
    (format!("GET {route}"), span::SpanKind::Server, attributes)
}

/// A request made.
fn made(path: &str, number: u32, status: i64, random: &mut StdRng) -> Work {
    let attributes = vec![
        text("http.request.method", "POST"),
        text("url.full", format!("http://{}.shop.svc.cluster.local:8080{path}", some(&SERVICES, random))),
        text("server.address", format!("{}.shop.svc.cluster.local", some(&SERVICES, random))),
        int("server.port", 8080),
        text("network.peer.address", format!("10.0.3.{}", number % 250)),
        text("network.protocol.version", "1.1"),
        int("http.response.status_code", status),
    ];
    ("POST".to_owned(), span::SpanKind::Client, attributes)
}

/// A statement.
fn asked(random: &mut StdRng) -> Work {
    let table = some(&TABLES, random);
    let attributes = vec![
        text("db.system.name", "postgresql"),
        text("db.namespace", "shop"),
        text("db.collection.name", table),
        text("db.operation.name", "SELECT"),
        text("db.query.text", format!("SELECT id, name, price, stock FROM {table} WHERE id = $1 LIMIT 20")),
        text("server.address", "postgres-primary.shop.svc.cluster.local"),
        int("server.port", 5432),
        int("db.response.returned_rows", i64::from(random.random_range(0..20))),
    ];
    (format!("SELECT {table}"), span::SpanKind::Client, attributes)
}

/// A span of one of three kinds, in equal shares.
fn span(trace: [u8; 16], start: u64, random: &mut StdRng) -> Span {
    let took = random.random_range(50_000..80_000_000);
    let route = some(&ROUTES, random);
    let number = random.random_range(0..40_000);
    let path = route.replace("{id}", &number.to_string());
    let status = if random.random_range(0..50) == 0 { 500 } else { 200 };
    let (name, kind, mut attributes) = match random.random_range(0..3) {
        0 => served(route, path, number, status),
        1 => made(&path, number, status, random),
        _ => asked(random),
    };
    attributes.extend([
        int("thread.id", i64::from(random.random_range(1..64))),
        text("shop.session", format!("{:016x}", random.random::<u64>())),
        int("shop.items", i64::from(random.random_range(0..12))),
    ]);
    let mut events = Vec::new();
    if status == 500 {
        events.push(span::Event {
            time_unix_nano: start + took / 2,
            name: "retry".to_owned(),
            attributes: vec![text("reason", "upstream answered 503"), int("attempt", 2)],
            ..span::Event::default()
        });
    }
    Span {
        trace_id: trace.to_vec(),
        span_id: random.random::<[u8; 8]>().to_vec(),
        parent_span_id: random.random::<[u8; 8]>().to_vec(),
        name,
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + took,
        attributes,
        events,
        flags: 0x101,
        ..Span::default()
    }
}

/// Spans of ten traces a millisecond from `start` (Unix nanoseconds) on, from all pods of one service after the other.
pub(crate) fn spans(start: u64, random: &mut StdRng) -> Vec<u8> {
    let traces: Vec<[u8; 16]> = (0..RECORDS / 10).map(|_| random.random()).collect();
    let of_pod = |(service, pod): (usize, u64), random: &mut StdRng| {
        let count = RECORDS / 10 / PODS;
        let span = |number: u64| {
            let at = random.random_range(0..traces.len());
            span(traces[at], start + at as u64 * 100_000 + number * 7_001, random)
        };
        ResourceSpans {
            resource: Some(resource(service, pod)),
            scope_spans: vec![ScopeSpans { spans: (0..count).map(span).collect(), ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }
    };
    let pods = (0..SERVICES.len()).flat_map(|service| (0..PODS).map(move |pod| (service, pod)));
    let resource_spans = pods.map(|pod| of_pod(pod, random)).collect();
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn log(time: u64, random: &mut StdRng) -> LogRecord {
    let number = random.random_range(0..100_000);
    let (severity, severity_text, body) = match random.random_range(0..20) {
        0 => {
            (17, "ERROR", format!("payment {number} refused by the provider: card expired, order stays open for retry"))
        }
        1..4 => (
            13,
            "WARN",
            format!("slow answer of upstream after {} ms, request {number} is still waiting", number % 4000),
        ),
        4..12 => {
            (9, "INFO", format!("order {number} placed by user-{:05}, {} items in cart", number % 9000, number % 12))
        }
        _ => (9, "INFO", format!("{} {} 200 {} bytes", some(&["GET", "POST"], random), some(&ROUTES, random), number)),
    };
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time + 1_000_000,
        severity_number: severity,
        severity_text: severity_text.to_owned(),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(body)) }),
        attributes: vec![
            text("log.file.name", "app.log"),
            text("code.function.name", some(&["placeOrder", "charge", "ship", "quote", "serve"], random)),
            text("shop.session", format!("{:016x}", random.random::<u64>())),
            int("shop.shard", i64::from(random.random_range(0..32))),
            text("logger", some(&["com.shop.order.Service", "com.shop.pay.Client", "com.shop.http.Access"], random)),
        ],
        trace_id: random.random::<[u8; 16]>().to_vec(),
        span_id: random.random::<[u8; 8]>().to_vec(),
        flags: 1,
        ..LogRecord::default()
    }
}

/// Log records, ten microseconds from one to the next.
pub(crate) fn logs(start: u64, random: &mut StdRng) -> Vec<u8> {
    let resource_logs = (0..SERVICES.len()).map(|service| {
        let each = RECORDS / SERVICES.len() as u64;
        let log_records = (0..each).map(|number| log(start + number * 100_000 + service as u64 * 10_000, random));
        let log_records = log_records.collect();
        ResourceLogs {
            resource: Some(resource(service, random.random_range(0..PODS))),
            scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }
    });
    ExportLogsServiceRequest { resource_logs: resource_logs.collect() }.encode_to_vec()
}

fn number(time: u64, attributes: Vec<KeyValue>, value: number_data_point::Value) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        time_unix_nano: time,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

/// Points of one scrape of one pod: sums by route, gauges, and histograms in equal shares.
pub(crate) fn points(start: u64, random: &mut StdRng) -> Vec<u8> {
    let of_route =
        |route: usize| vec![text("http.route", ROUTES[route % ROUTES.len()]), text("shard", route.to_string())];
    let share = usize::try_from(RECORDS / 4).unwrap_or(0);
    let sums = (0..2 * share).map(|at| {
        number(start, of_route(at), number_data_point::Value::AsInt(i64::from(random.random_range(0..1_000_000))))
    });
    let sums = sums.collect();
    let gauges = (0..share).map(|at| {
        number(
            start,
            of_route(at),
            number_data_point::Value::AsDouble(f64::from(random.random_range(0..100_000)) / 8.0),
        )
    });
    let gauges = gauges.collect();
    let histograms = (0..share).map(|at| {
        let bucket_counts: Vec<u64> = (0..12).map(|_| random.random_range(0..5000)).collect();
        HistogramDataPoint {
            attributes: of_route(at),
            start_time_unix_nano: 1_700_000_000_000_000_000,
            time_unix_nano: start,
            count: bucket_counts.iter().sum(),
            sum: Some(f64::from(random.random_range(0..10_000_000)) / 1024.0),
            bucket_counts,
            explicit_bounds: vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
            ..HistogramDataPoint::default()
        }
    });
    let histograms = histograms.collect();
    let cumulative = AggregationTemporality::Cumulative.into();
    let metric = |name: &str, unit: &str, data| Metric {
        name: name.to_owned(),
        description: format!("What {name} counts."),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    };
    let sums = metric::Data::Sum(Sum { data_points: sums, aggregation_temporality: cumulative, is_monotonic: true });
    let histograms =
        metric::Data::Histogram(Histogram { data_points: histograms, aggregation_temporality: cumulative });
    let metrics = vec![
        metric("http.server.requests", "{request}", sums),
        metric("process.memory.usage", "By", metric::Data::Gauge(Gauge { data_points: gauges })),
        metric("http.server.request.duration", "s", histograms),
    ];
    let (service, pod) = (random.random_range(0..SERVICES.len()), random.random_range(0..PODS));
    let resource_metrics = vec![ResourceMetrics {
        resource: Some(resource(service, pod)),
        scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}
