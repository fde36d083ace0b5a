//! `decode(header, bytes) -> batches`: the one door from a payload to rows, pure.
//!
//! Protobuf is walked straight from its bytes; OTLP/JSON is rewritten as protobuf first, so both mean the same.
//! Deliberately knows no clock and no door: the time of records that carry none comes with the header.

use std::sync::Arc;

use bytes::Bytes;
use tracelake_model::{Batch, ContentType, DecodeError, DecodeLimits, Decoder, Header, Signal, UnixNano, semconv};

use crate::body::inflate;
use crate::column::audit::is_audit;
use crate::column::audit_row::AuditRows;
use crate::column::log::LogRows;
use crate::column::metric::MetricRows;
use crate::column::resource::OriginColumns;
use crate::column::span::SpanRows;
use crate::error::Error;
use crate::otlp::json::to_protobuf;
use crate::otlp::partial::{Reason, Refused};
use crate::wire::log::LogRecord;
use crate::wire::metric::{Metric, MetricKind, Point};
use crate::wire::origin::{Resource, Scope, Visit, walk_request};
use crate::wire::span::Span;
use crate::wire::value::Walk;

/// The version of what this build decodes to. Grows when the same bytes would yield other rows.
/// 2: the limit of attributes, and the sender's counts of dropped ones, hold for everything that has attributes.
pub(crate) const VERSION: u16 = 2;

/// The decoder that storage replays its WAL with.
pub fn decoder() -> Arc<dyn Decoder> {
    Arc::new(Otlp)
}

/// What decoding depends on besides the plain bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// Which decoder accepted it.
    pub(crate) decoder: u16,
    /// Which request it is.
    pub(crate) signal: Signal,
    /// How it is written.
    pub(crate) content_type: ContentType,
    /// The time of records that carry none.
    pub(crate) received: UnixNano,
    /// Limits in force.
    pub(crate) limits: DecodeLimits,
}

impl Context {
    /// Whether attributes are counted wherever they stand. Decoder 1 did so for spans, their events and links, and logs.
    fn counts_all(&self) -> bool {
        self.decoder > 1
    }

    /// Limits for what else has attributes.
    fn limits_elsewhere(&self) -> DecodeLimits {
        if self.counts_all() { self.limits } else { DecodeLimits { attributes: u32::MAX, ..self.limits } }
    }
}

/// What a payload decoded to.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// At most one batch per table, none of them empty.
    pub(crate) batches: Vec<Batch>,
    /// Records that were left out.
    pub(crate) refused: Refused,
    /// Whether any record, kept or refused, carries a time of its own.
    pub(crate) timed: bool,
}

struct Otlp;

impl Decoder for Otlp {
    fn decode(&self, header: &Header, payload: &Bytes) -> Result<Vec<Batch>, DecodeError> {
        replay(header, payload).map_err(|error| DecodeError::from(&error))
    }
}

fn replay(header: &Header, payload: &Bytes) -> Result<Vec<Batch>, Error> {
    if header.decoder > VERSION {
        return Err(Error::Decoder { found: header.decoder, known: VERSION });
    }
    let plain = inflate(header.encoding, payload, header.limits.request_bytes, |_| Ok(()))?;
    let context = Context {
        decoder: header.decoder,
        signal: header.signal,
        content_type: header.content_type,
        received: header.received,
        limits: header.limits,
    };
    Ok(decode(context, &plain)?.batches)
}

/// Decodes decompressed bytes.
pub(crate) fn decode(context: Context, plain: &[u8]) -> Result<Decoded, Error> {
    match context.content_type {
        ContentType::Protobuf => decode_protobuf(context, plain),
        ContentType::Json => decode_protobuf(context, &to_protobuf(context.signal, context.limits.nesting, plain)?),
    }
}

fn decode_protobuf(context: Context, plain: &[u8]) -> Result<Decoded, Error> {
    let promoted = match context.signal {
        Signal::Traces => semconv::SPAN,
        Signal::Logs | Signal::Audit => semconv::LOG,
        Signal::Metrics => &[],
    };
    let mut walk = Walk::new(context.limits, context.counts_all(), promoted);
    let tally = Tally::new(context.limits);
    match context.signal {
        Signal::Traces => {
            let rows = SpanRows::new(context.limits, context.limits_elsewhere());
            let mut visit = Traces { tally, span: Span::default(), rows };
            walk_request(&mut walk, plain, &mut visit)?;
            let batches = batch(visit.rows.rows(), || visit.rows.finish())?;
            visit.tally.decoded(batches.into_iter().collect())
        }
        Signal::Metrics => {
            let rows = MetricRows::new(context.limits_elsewhere(), context.received);
            let mut visit = Metrics { tally, metric: Metric::default(), point: Point::default(), rows };
            walk_request(&mut walk, plain, &mut visit)?;
            let batches = batch(visit.rows.rows(), || visit.rows.finish())?;
            visit.tally.decoded(batches.into_iter().collect())
        }
        Signal::Logs | Signal::Audit => {
            let mut visit = Logs {
                tally,
                record: LogRecord::default(),
                all_audit: context.signal == Signal::Audit,
                counts_all: context.counts_all(),
                logs: LogRows::new(context.limits, context.limits_elsewhere(), context.received),
                audit: AuditRows::new(context.limits_elsewhere(), context.received),
            };
            walk_request(&mut walk, plain, &mut visit)?;
            let logs = batch(visit.logs.rows(), || visit.logs.finish())?;
            let audit = batch(visit.audit.rows(), || visit.audit.finish())?;
            visit.tally.decoded(logs.into_iter().chain(audit).collect())
        }
    }
}

fn batch(rows: usize, finish: impl FnOnce() -> Result<Batch, Error>) -> Result<Option<Batch>, Error> {
    if rows == 0 { Ok(None) } else { finish().map(Some) }
}

/// Counts what a walk sees.
struct Tally {
    limits: DecodeLimits,
    records: u32,
    refused: Refused,
    timed: bool,
}

impl Tally {
    fn new(limits: DecodeLimits) -> Self {
        Self { limits, records: 0, refused: Refused::default(), timed: false }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.records += 1;
        if self.records > self.limits.records {
            return Err(Error::TooLarge {
                what: "the number of records in the request",
                limit: u64::from(self.limits.records),
                setting: "limits.records_per_request",
            });
        }
        Ok(())
    }

    fn refuse(&mut self, reason: Reason) {
        self.refused.add(reason, 1);
    }

    fn decoded(self, batches: Vec<Batch>) -> Result<Decoded, Error> {
        Ok(Decoded { batches, refused: self.refused, timed: self.timed })
    }
}

struct Traces<'a> {
    tally: Tally,
    /// The span at hand; its lists are used again.
    span: Span<'a>,
    rows: SpanRows,
}

impl<'a> Visit<'a> for Traces<'a> {
    fn resource(&mut self, resource: Resource<'a>) {
        self.rows.origin.resource(resource);
    }

    fn scope(&mut self, scope: Scope<'a>, records: usize) {
        self.rows.scope(scope, records);
    }

    fn record(&mut self, walk: &mut Walk<'a>, message: &'a [u8], inherited: Option<Reason>) -> Result<(), Error> {
        self.tally.count()?;
        walk.begin(inherited);
        self.span.read(walk, message)?;
        let span = &mut self.span;
        self.tally.timed |= span.start_unix_nano != 0 || span.end_unix_nano != 0 || walk.fault() == Some(Reason::Time);
        let pushed = match walk.fault() {
            Some(reason) => Err(reason),
            None => self.rows.push(span),
        };
        if let Err(reason) = pushed {
            self.tally.refuse(reason);
        }
        Ok(())
    }
}

struct Logs<'a> {
    tally: Tally,
    /// The record at hand; its list is used again.
    record: LogRecord<'a>,
    all_audit: bool,
    counts_all: bool,
    logs: LogRows,
    audit: AuditRows,
}

impl Logs<'_> {
    fn origin(&mut self) -> &mut OriginColumns {
        &mut self.logs.origin
    }
}

impl<'a> Visit<'a> for Logs<'a> {
    fn resource(&mut self, resource: Resource<'a>) {
        self.origin().resource(resource);
    }

    fn scope(&mut self, scope: Scope<'a>, records: usize) {
        self.logs.scope(scope, if self.all_audit { 0 } else { records });
    }

    fn record(&mut self, walk: &mut Walk<'a>, message: &'a [u8], inherited: Option<Reason>) -> Result<(), Error> {
        self.tally.count()?;
        walk.begin(inherited);
        self.record.read(walk, message)?;
        let record = &mut self.record;
        let timed = record.time_unix_nano != 0 || record.observed_unix_nano != 0;
        self.tally.timed |= timed || walk.fault() == Some(Reason::Time);
        if let Some(reason) = walk.fault() {
            self.tally.refuse(reason);
        } else if self.all_audit || is_audit(record) {
            if !self.counts_all {
                record.dropped_attributes_count = 0;
            }
            self.audit.push(record, self.logs.origin.text());
        } else {
            self.logs.push(record);
        }
        Ok(())
    }
}

struct Metrics<'a> {
    tally: Tally,
    /// The metric and the point at hand; their lists are used again.
    metric: Metric<'a>,
    point: Point<'a>,
    rows: MetricRows,
}

impl<'a> Visit<'a> for Metrics<'a> {
    fn resource(&mut self, resource: Resource<'a>) {
        self.rows.origin.resource(resource);
    }

    fn scope(&mut self, scope: Scope<'a>, _: usize) {
        self.rows.origin.scope(scope);
    }

    fn record(&mut self, walk: &mut Walk<'a>, message: &'a [u8], inherited: Option<Reason>) -> Result<(), Error> {
        walk.begin(inherited);
        let (metric, point) = (&mut self.metric, &mut self.point);
        metric.read(walk, message)?;
        let fault = walk.fault();
        if metric.kind == MetricKind::None || metric.points.is_empty() {
            return Ok(());
        }
        self.rows.metric(metric);
        for message in &metric.points {
            self.tally.count()?;
            walk.begin(fault);
            point.read(walk, metric.kind, message)?;
            let timed = point.time_unix_nano != 0 || point.start_unix_nano != 0;
            self.tally.timed |= timed || walk.fault() == Some(Reason::Time);
            match walk.fault() {
                Some(reason) => self.tally.refuse(reason),
                None => self.rows.push(metric, point),
            }
        }
        Ok(())
    }
}
