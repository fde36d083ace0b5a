//! Prepared requests of a thousand records each: what the demo shop sends, batched anew as a collector would.
//!
//! The shop runs once against collectors of this bench. Its records are put in the order of their ends and cut into
//! requests; inside a request they stand by the instance that sent them. Spans and log records get what agents add in
//! production (thread, code, peer, the request's own id), which makes them about 550 and 315 bytes. Audit records are
//! left out: they go to a table of their own.

use std::collections::{BTreeMap, HashMap};
use std::process::{Command, Stdio};
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use parking_lot::Mutex;
use prost::Message;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Request, Response, Status};

/// Records of a request.
const RECORDS: usize = 1_000;
/// Visits a second of a quarter of an hour.
const RATE: &str = "12";
/// Bytes of a message of the shop.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Who sent a record: resource, scope, and their schema.
pub(crate) type Origin = (Resource, InstrumentationScope, String);

/// Records with the number of who sent them.
#[derive(Default)]
struct Heap<T> {
    origins: Vec<Origin>,
    numbers: HashMap<Vec<u8>, usize>,
    records: Vec<(usize, T)>,
}

impl<T> Heap<T> {
    fn add(&mut self, resource: Option<Resource>, scope: Option<InstrumentationScope>, schema: &str, records: Vec<T>) {
        let (resource, scope) = (resource.unwrap_or_default(), scope.unwrap_or_default());
        let key = [resource.encode_to_vec(), scope.encode_to_vec()].concat();
        let number = *self.numbers.entry(key).or_insert_with(|| {
            self.origins.push((resource, scope, schema.to_owned()));
            self.origins.len() - 1
        });
        self.records.extend(records.into_iter().map(|record| (number, record)));
    }

    /// A thousand after the other, each by origin. `weigh` tells how many one counts for.
    fn cut(self, weigh: impl Fn(&T) -> usize) -> (Vec<Origin>, Vec<BTreeMap<usize, Vec<T>>>) {
        let (mut requests, mut groups, mut weight) = (Vec::new(), BTreeMap::<usize, Vec<T>>::new(), 0);
        for (origin, record) in self.records {
            weight += weigh(&record);
            groups.entry(origin).or_default().push(record);
            if weight >= RECORDS {
                requests.push(std::mem::take(&mut groups));
                weight = 0;
            }
        }
        // What is left is less than a request.
        (self.origins, requests)
    }
}

#[derive(Default)]
struct Heard {
    spans: Heap<Span>,
    logs: Heap<LogRecord>,
    metrics: Heap<Metric>,
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Heard>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let heap = &mut self.0.lock().spans;
        for of_resource in request.into_inner().resource_spans {
            for of_scope in of_resource.scope_spans {
                heap.add(of_resource.resource.clone(), of_scope.scope, &of_scope.schema_url, of_scope.spans);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let heap = &mut self.0.lock().logs;
        for of_resource in request.into_inner().resource_logs {
            for mut of_scope in of_resource.scope_logs {
                let is_audit = |record: &LogRecord| record.attributes.iter().any(|one| one.key.starts_with("audit."));
                of_scope.log_records.retain(|record| !is_audit(record));
                heap.add(of_resource.resource.clone(), of_scope.scope, &of_scope.schema_url, of_scope.log_records);
            }
        }
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let heap = &mut self.0.lock().metrics;
        for of_resource in request.into_inner().resource_metrics {
            for of_scope in of_resource.scope_metrics {
                heap.add(of_resource.resource.clone(), of_scope.scope, &of_scope.schema_url, of_scope.metrics);
            }
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// What the shop sent, in requests.
pub(crate) struct Shop {
    pub(crate) traces: Vec<ExportTraceServiceRequest>,
    pub(crate) logs: Vec<ExportLogsServiceRequest>,
    pub(crate) metrics: Vec<ExportMetricsServiceRequest>,
}

/// Lets the shop send, seeded, and batches anew.
pub(crate) async fn record() -> anyhow::Result<Shop> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let collector = Collector::default();
    macro_rules! service {
        ($server:ident) => {
            $server::new(collector.clone()).accept_compressed(Gzip).max_decoding_message_size(MESSAGE_BYTES_MAX)
        };
    }
    let server = tonic::transport::Server::builder()
        .add_service(service!(TraceServiceServer))
        .add_service(service!(LogsServiceServer))
        .add_service(service!(MetricsServiceServer))
        .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener));
    let serving = tokio::spawn(server);
    let ended = tokio::task::spawn_blocking(move || {
        let mut shop = Command::new(env!("CARGO_BIN_EXE_tracelake"));
        shop.args(["demo", "--once", "--rate", RATE, "--seed", "1", "--endpoint"]).arg(format!("http://{address}"));
        shop.stdout(Stdio::null()).stderr(Stdio::null()).status()
    });
    anyhow::ensure!(ended.await??.success(), "the demo shop failed");
    serving.abort();
    let heard = std::mem::take(&mut *collector.0.lock());
    Ok(batch(heard))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: String) -> KeyValue {
    attribute(key, Value::StringValue(value))
}

/// One of the hundred threads of an instance.
fn thread(id: &[u8]) -> String {
    format!("http-nio-8080-exec-{}", id.last().copied().unwrap_or(0) % 100)
}

/// The function behind a name: as many as there are names.
fn function(name: &str) -> String {
    let name: String = name.chars().map(|one| if one.is_alphanumeric() { one } else { '_' }).collect();
    format!("com.example.shop.internal.handlers.{name}")
}

fn dress_span(span: &mut Span) {
    let id: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let [first, second] = [4, 5].map(|at| span.span_id.get(at).copied().unwrap_or(0));
    let more = [
        attribute("thread.id", Value::IntValue(i64::from(first) + 100)),
        text("thread.name", thread(&span.span_id)),
        text("code.function.name", function(&span.name)),
        text("app.request.id", format!("req-{id}")),
        text("network.peer.address", format!("10.42.{}.{second}", first % 16)),
    ];
    span.attributes.extend(more);
}

fn dress_log(record: &mut LogRecord) {
    let template = record.attributes.first().map(|one| one.key.clone()).unwrap_or_default();
    record
        .attributes
        .extend([text("thread.name", thread(&record.span_id)), text("code.function.name", function(&template))]);
}

fn batch(mut heard: Heard) -> Shop {
    heard.spans.records.iter_mut().for_each(|(_, span)| dress_span(span));
    heard.logs.records.iter_mut().for_each(|(_, record)| dress_log(record));
    heard.spans.records.sort_by_key(|(_, span)| span.end_time_unix_nano);
    heard.logs.records.sort_by_key(|(_, record)| record.time_unix_nano);
    let (origins, requests) = heard.spans.cut(|_| 1);
    let group = |(origin, spans): (usize, Vec<Span>)| {
        let (resource, scope, schema_url) = origins[origin].clone();
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: schema_url.clone() }];
        ResourceSpans { resource: Some(resource), scope_spans, schema_url }
    };
    let request =
        |groups: BTreeMap<_, _>| ExportTraceServiceRequest { resource_spans: groups.into_iter().map(group).collect() };
    let traces = requests.into_iter().map(request).collect();

    let (origins, requests) = heard.logs.cut(|_| 1);
    let group = |(origin, log_records): (usize, Vec<LogRecord>)| {
        let (resource, scope, schema_url) = origins[origin].clone();
        let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, schema_url: schema_url.clone() }];
        ResourceLogs { resource: Some(resource), scope_logs, schema_url }
    };
    let request =
        |groups: BTreeMap<_, _>| ExportLogsServiceRequest { resource_logs: groups.into_iter().map(group).collect() };
    let logs = requests.into_iter().map(request).collect();

    let (origins, requests) = heard.metrics.cut(points);
    let group = |(origin, metrics): (usize, Vec<Metric>)| {
        let (resource, scope, schema_url) = origins[origin].clone();
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: schema_url.clone() }];
        ResourceMetrics { resource: Some(resource), scope_metrics, schema_url }
    };
    let request = |groups: BTreeMap<_, _>| ExportMetricsServiceRequest {
        resource_metrics: groups.into_iter().map(group).collect(),
    };
    let metrics = requests.into_iter().map(request).collect();
    Shop { traces, logs, metrics }
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        None => 0,
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
    }
}
