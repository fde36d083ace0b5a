//! Records become OTLP export requests, grouped by the instance that sent them as a collector would.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use crate::demo::attribute;
use crate::demo::request::Sent;
use crate::demo::shop::Service;
use crate::demo::story::Phase;

const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

/// Spans as one request.
pub(crate) fn traces(sent: Vec<Sent<Span>>, phase: Phase) -> ExportTraceServiceRequest {
    let groups = group(sent, phase).into_iter().map(|(resource, scope, spans)| ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, schema_url: SCHEMA.to_owned() }],
        schema_url: SCHEMA.to_owned(),
    });
    ExportTraceServiceRequest { resource_spans: groups.collect() }
}

/// Log and audit records as one request.
pub(crate) fn logs(sent: Vec<Sent<LogRecord>>, phase: Phase) -> ExportLogsServiceRequest {
    let groups = group(sent, phase).into_iter().map(|(resource, scope, log_records)| ResourceLogs {
        resource: Some(resource),
        scope_logs: vec![ScopeLogs { scope: Some(scope), log_records, schema_url: SCHEMA.to_owned() }],
        schema_url: SCHEMA.to_owned(),
    });
    ExportLogsServiceRequest { resource_logs: groups.collect() }
}

/// Metric points as one request.
pub(crate) fn metrics(sent: Vec<Sent<Metric>>, phase: Phase) -> ExportMetricsServiceRequest {
    let groups = group(sent, phase).into_iter().map(|(resource, scope, metrics)| ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: SCHEMA.to_owned() }],
        schema_url: SCHEMA.to_owned(),
    });
    ExportMetricsServiceRequest { resource_metrics: groups.collect() }
}

fn group<T>(sent: Vec<Sent<T>>, phase: Phase) -> Vec<(Resource, InstrumentationScope, Vec<T>)> {
    let mut groups: BTreeMap<(usize, u8), (&'static Service, Vec<T>)> = BTreeMap::new();
    for Sent { service, instance, record } in sent {
        groups.entry((service.index, instance)).or_insert_with(|| (service, Vec::new())).1.push(record);
    }
    let described = groups.into_iter().map(|((_, instance), (service, records))| {
        let version = if service.name == "payment" { phase.payment_version() } else { service.version };
        let scope = InstrumentationScope {
            name: attribute::scope_name(service.language).to_owned(),
            version: "0.62.0".to_owned(),
            ..InstrumentationScope::default()
        };
        (attribute::resource(service, version, instance), scope, records)
    });
    described.collect()
}
