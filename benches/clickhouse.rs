//! ClickHouse beside us, for reference: the same spans, prepared, into the table of OpenTelemetry's exporter.
//!
//! It runs inside a Python process (`clickhouse.py`), installed into the cache by `clickhouse.sh`; where that fails the
//! bench goes on without. Deliberately measures insert and merge alone: blocks are prepared before.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, json};

/// Spans in blocks, and what inserts them.
pub(crate) struct ClickHouse {
    python: PathBuf,
    blocks: tempfile::TempDir,
}

/// What one run cost.
#[derive(serde::Deserialize)]
pub(crate) struct Cost {
    pub(crate) rows: u64,
    pub(crate) cpu_seconds: f64,
    pub(crate) seconds: f64,
    pub(crate) peak_bytes: f64,
    pub(crate) disk_bytes: f64,
    pub(crate) version: String,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(name)
}

impl ClickHouse {
    /// Installs it and prepares `spans` spans; an error says why there is none.
    pub(crate) fn prepare(requests: &[ExportTraceServiceRequest], spans: u64) -> anyhow::Result<ClickHouse> {
        let installed = Command::new(script("clickhouse.sh")).output()?;
        let said = String::from_utf8_lossy(&installed.stderr).trim().to_owned();
        anyhow::ensure!(installed.status.success(), "chdb cannot be installed: {said}");
        let python = PathBuf::from(String::from_utf8(installed.stdout)?.trim());
        let blocks = tempfile::tempdir()?;
        let lines = blocks.path().join("spans.jsonl");
        let base = write_lines(requests, spans, &lines)?;
        let passes = spans.div_ceil(base).max(1).to_string();
        let prepared = Command::new(&python)
            .arg(script("clickhouse.py"))
            .arg("prepare")
            .args([&lines, blocks.path()])
            .arg(&passes)
            .output()?;
        let said = String::from_utf8_lossy(&prepared.stderr).trim().to_owned();
        anyhow::ensure!(prepared.status.success(), "chdb cannot prepare blocks: {said}");
        Ok(ClickHouse { python, blocks })
    }

    /// One run in a process of its own.
    pub(crate) fn run(&self) -> anyhow::Result<Cost> {
        let ended =
            Command::new(&self.python).arg(script("clickhouse.py")).arg("insert").arg(self.blocks.path()).output()?;
        let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        anyhow::ensure!(ended.status.success(), "chdb failed: {said}");
        Ok(serde_json::from_slice(&ended.stdout)?)
    }
}

/// At most so many spans as JSON, a line each; how many.
fn write_lines(requests: &[ExportTraceServiceRequest], spans_max: u64, path: &Path) -> anyhow::Result<u64> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut count = 0;
    for of_resource in requests.iter().flat_map(|request| &request.resource_spans) {
        let resource = of_resource.resource.as_ref().map(|resource| texts(&resource.attributes)).unwrap_or_default();
        for of_scope in &of_resource.scope_spans {
            let scope = of_scope.scope.clone().unwrap_or_default();
            for span in of_scope.spans.iter().take(usize::try_from(spans_max - count).unwrap_or(usize::MAX)) {
                let mut row = row(span);
                row["ServiceName"] = resource.get("service.name").cloned().unwrap_or_default();
                row["ResourceAttributes"] = json!(resource);
                row["ScopeName"] = json!(scope.name);
                row["ScopeVersion"] = json!(scope.version);
                writeln!(out, "{row}")?;
                count += 1;
            }
        }
    }
    out.flush()?;
    Ok(count)
}

fn row(span: &Span) -> serde_json::Value {
    const KINDS: [&str; 6] = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
    const CODES: [&str; 3] = ["Unset", "Ok", "Error"];
    let name = |names: &[&'static str], number: i32| {
        usize::try_from(number).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
    };
    let status = span.status.clone().unwrap_or_default();
    let events = &span.events;
    let links = &span.links;
    json!({
        "Timestamp": span.start_time_unix_nano,
        "TraceId": hex(&span.trace_id),
        "SpanId": hex(&span.span_id),
        "ParentSpanId": hex(&span.parent_span_id),
        "TraceState": span.trace_state,
        "SpanName": span.name,
        "SpanKind": name(&KINDS, span.kind),
        "SpanAttributes": texts(&span.attributes),
        "Duration": span.end_time_unix_nano - span.start_time_unix_nano,
        "StatusCode": name(&CODES, status.code),
        "StatusMessage": status.message,
        "Events.Timestamp": events.iter().map(|event| event.time_unix_nano).collect::<Vec<_>>(),
        "Events.Name": events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(),
        "Events.Attributes": events.iter().map(|event| texts(&event.attributes)).collect::<Vec<_>>(),
        "Links.TraceId": links.iter().map(|link| hex(&link.trace_id)).collect::<Vec<_>>(),
        "Links.SpanId": links.iter().map(|link| hex(&link.span_id)).collect::<Vec<_>>(),
        "Links.TraceState": links.iter().map(|link| link.trace_state.as_str()).collect::<Vec<_>>(),
        "Links.Attributes": links.iter().map(|link| texts(&link.attributes)).collect::<Vec<_>>(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Attributes as the exporter writes them: every value a text.
fn texts(attributes: &[KeyValue]) -> Map<String, serde_json::Value> {
    let text = |value: &AnyValue| match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    };
    let pair = |one: &KeyValue| (one.key.clone(), one.value.as_ref().map(text).unwrap_or_default().into());
    attributes.iter().map(pair).collect()
}
