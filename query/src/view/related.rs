//! What belongs to a trace besides its spans: links to and from others, log records, exceptions.
//!
//! Everything here is bounded, and says so where a bound was met: see the constants.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::ScalarValue;
use datafusion::prelude::{Expr, col};
use futures::TryStreamExt;
use serde::Serialize;
use tokio::time::Instant;
use tracelake_model::column::{
    FINGERPRINT, LINKS, MESSAGE, NAME, SERVICE_NAME, SEVERITY_NUMBER, SOURCE, SPAN_ID, TIME_UNIX_NANO, TRACE_ID, TYPE,
};
use tracelake_model::{Table, TimeRange, TraceId, UnixNano, to_hex};
use tracelake_storage::Snapshot;

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::map::parent::{span_number, span_text};
use crate::view::column::{binary, bytes_at, int, small, text, text_at};
use crate::view::span_row::links_at;
use crate::view::trace::Trace;

/// Links, and exceptions, that an answer lists.
const LIST_MAX: usize = 1_000;

/// Links from other traces are looked for among the spans that start so long before this trace's start, and so long
/// after its end.
const INCOMING_BEFORE: Duration = Duration::from_secs(60);
const INCOMING_AFTER: Duration = Duration::from_secs(600);
/// So many spans with links are looked at, and for so long.
const INCOMING_SPANS_MAX: usize = 200_000;
const INCOMING_TIME: Duration = Duration::from_millis(200);

/// Exceptions are looked for so long around a trace.
const EXCEPTIONS_AROUND: Duration = Duration::from_secs(3_600);

/// The least number of severity ERROR.
const SEVERITY_ERROR: i8 = 17;

/// Links both ways.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Links {
    pub(crate) outgoing_count: usize,
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) incoming: Vec<Incoming>,
    /// Where links from other traces were looked for.
    pub(crate) incoming_start: String,
    pub(crate) incoming_end: String,
    /// All spans that start in there were looked at.
    pub(crate) incoming_is_complete: bool,
}

/// A span of this trace names another span.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Outgoing {
    pub(crate) span_id: String,
    pub(crate) to_trace_id: String,
    pub(crate) to_span_id: String,
}

/// A span of another trace names one of this trace.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Incoming {
    pub(crate) from_trace_id: String,
    pub(crate) from_span_id: String,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) to_span_id: String,
}

/// Counts by span, as the numbers of their ids; 0 is the trace as a whole.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) logs: HashMap<u64, LogCount>,
    pub(crate) exceptions: HashMap<u64, usize>,
    pub(crate) exception_count: usize,
    /// The first ones in time.
    pub(crate) exception_list: Vec<Exception>,
}

/// Log records of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LogCount {
    pub(crate) count: usize,
    /// Those of severity ERROR or above.
    pub(crate) errors: usize,
}

/// An exception, from a span's event or from a log record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Exception {
    pub(crate) time: String,
    pub(crate) span_id: Option<String>,
    pub(crate) service: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) source: String,
    pub(crate) fingerprint: String,
}

/// The links of a trace.
pub(crate) async fn links(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    id: TraceId,
    trace: &Trace,
) -> Result<Links, Error> {
    let mut links = Links::default();
    for span in &trace.outline.spans {
        let (batch, row) = span.row;
        let batch = &trace.batches()[usize::try_from(batch).unwrap_or(usize::MAX)];
        for link in links_at(batch, usize::try_from(row).unwrap_or(usize::MAX)) {
            links.outgoing_count += 1;
            if links.outgoing.len() < LIST_MAX {
                links.outgoing.push(Outgoing {
                    span_id: span_text(span.link.span),
                    to_trace_id: to_hex(&link.trace_id),
                    to_span_id: to_hex(&link.span_id),
                });
            }
        }
    }
    incoming(engine, snapshot, id, trace, &mut links).await?;
    Ok(links)
}

async fn incoming(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    id: TraceId,
    trace: &Trace,
    links: &mut Links,
) -> Result<(), Error> {
    let time = trace.outline.time();
    let range =
        TimeRange { start: UnixNano(time.start).minus(INCOMING_BEFORE), end: UnixNano(time.end).plus(INCOMING_AFTER) };
    (links.incoming_start, links.incoming_end) = (range.start.to_rfc3339(), range.end.to_rfc3339());
    let columns = vec![TRACE_ID, SPAN_ID, SERVICE_NAME, NAME, LINKS];
    let scan = Scan { columns, filter: Some(col(LINKS).is_not_null()), range, ..Scan::default() };
    let (mut stream, deadline) = (engine.rows_at(snapshot, Table::Spans, scan).await?, Instant::now() + INCOMING_TIME);
    let (mut seen, mut found) = (0, BTreeSet::new());
    loop {
        let Ok(next) = tokio::time::timeout_at(deadline, stream.try_next()).await else { break };
        let Some(batch) = next? else {
            links.incoming_is_complete = true;
            break;
        };
        seen += batch.num_rows();
        let (trace_id, span_id) = (binary(&batch, TRACE_ID), binary(&batch, SPAN_ID));
        let (service, name) = (text(&batch, SERVICE_NAME), text(&batch, NAME));
        for row in (0..batch.num_rows()).filter(|row| trace_id.value(*row) != id.0) {
            for link in links_at(&batch, row).into_iter().filter(|link| link.trace_id == id.0) {
                let from = (trace_id.value(row).to_vec(), span_id.value(row).to_vec(), link.span_id);
                if found.len() < LIST_MAX && found.insert(from.clone()) {
                    links.incoming.push(Incoming {
                        from_trace_id: to_hex(&from.0),
                        from_span_id: to_hex(&from.1),
                        service: service.value(row).to_owned(),
                        name: name.value(row).to_owned(),
                        to_span_id: to_hex(&from.2),
                    });
                }
            }
        }
        if seen > INCOMING_SPANS_MAX || found.len() >= LIST_MAX {
            break;
        }
    }
    links.incoming.sort_by(|a, b| (&a.from_trace_id, &a.from_span_id).cmp(&(&b.from_trace_id, &b.from_span_id)));
    Ok(())
}

/// Log records and exceptions of a trace, by span.
pub(crate) async fn records(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    id: TraceId,
    trace: &Trace,
) -> Result<Records, Error> {
    let mut records = Records::default();
    // A table that is out of service takes its counts with it, not the trace; the answer's warnings say so.
    if snapshot.out_of_service(Table::Logs).is_none() {
        let ids = BTreeSet::from([id.0.to_vec()]);
        let mut stream = engine.rows_of_traces(snapshot, Table::Logs, ids, &[SPAN_ID, SEVERITY_NUMBER]).await?;
        while let Some(batch) = stream.try_next().await? {
            let (span, severity) = (binary(&batch, SPAN_ID), small(&batch, SEVERITY_NUMBER));
            for row in 0..batch.num_rows() {
                let logs = records.logs.entry(bytes_at(span, row).map_or(0, span_number)).or_default();
                logs.count += 1;
                logs.errors += usize::from(severity.value(row) >= SEVERITY_ERROR);
            }
        }
    }
    if snapshot.out_of_service(Table::Exceptions).is_none() {
        exceptions(engine, snapshot, id, trace, &mut records).await?;
    }
    Ok(records)
}

async fn exceptions(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    id: TraceId,
    trace: &Trace,
    records: &mut Records,
) -> Result<(), Error> {
    let time = trace.outline.time();
    let start = UnixNano(time.start).minus(EXCEPTIONS_AROUND);
    let range = TimeRange { start, end: UnixNano(time.end).plus(EXCEPTIONS_AROUND) };
    let columns = vec![TIME_UNIX_NANO, SPAN_ID, SERVICE_NAME, TYPE, MESSAGE, SOURCE, FINGERPRINT];
    let is_ours = col(TRACE_ID).eq(Expr::Literal(ScalarValue::Binary(Some(id.0.to_vec())), None));
    let scan = Scan { columns, filter: Some(is_ours), range, ..Scan::default() };
    let mut stream = engine.rows_at(snapshot, Table::Exceptions, scan).await?;
    while let Some(batch) = stream.try_next().await? {
        let (span, time) = (binary(&batch, SPAN_ID), int(&batch, TIME_UNIX_NANO));
        let words = |name, row| text_at(text(&batch, name), row).map(str::to_owned);
        for row in 0..batch.num_rows() {
            let number = bytes_at(span, row).map_or(0, span_number);
            *records.exceptions.entry(number).or_default() += 1;
            records.exception_count += 1;
            records.exception_list.push(Exception {
                time: UnixNano(time.value(row)).to_rfc3339(),
                span_id: (number != 0).then(|| span_text(number)),
                service: words(SERVICE_NAME, row).unwrap_or_default(),
                kind: words(TYPE, row),
                message: words(MESSAGE, row),
                source: words(SOURCE, row).unwrap_or_default(),
                fingerprint: words(FINGERPRINT, row).unwrap_or_default(),
            });
        }
        records.exception_list.sort_unstable();
        records.exception_list.truncate(LIST_MAX);
    }
    Ok(())
}
