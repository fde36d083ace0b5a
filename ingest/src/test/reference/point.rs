//! The rows of data points.

use std::collections::BTreeSet;

use prost::{DecodeError, Message};
use tracelake_model::semconv::DROPPED_HASH;
use tracelake_model::{DecodeLimits, SpanId, Table, TraceId, Value};
use xxhash_rust::xxh3::xxh3_64;

use crate::otlp::partial::Reason;
use crate::test::bench::NOW;
use crate::test::reference::cell::{Expected, Row, all, double, integer, list};
use crate::test::reference::message as m;
use crate::test::reference::value::{Entries, Reader, json, marks, stored};

/// Rows of all points of one metric.
pub(crate) fn push_metric(
    reader: &mut Reader,
    raw: &[u8],
    origin: &Row,
    inherited: &BTreeSet<Reason>,
    found: &mut Expected,
) -> Result<(), DecodeError> {
    let metric = m::Metric::decode(raw)?;
    let mut row = Row { complete: true, ..origin.clone() };
    row.put("name", reader.text(&metric.name));
    row.put_text("description", &reader.text(&metric.description));
    row.put_text("unit", &reader.text(&metric.unit));
    let metadata = reader.attributes(&metric.metadata)?;
    row.put_some("metadata", (!metadata.is_empty()).then(|| series(reader, &metadata)));
    let inherited = if inherited.is_empty() { reader.faults.clone() } else { inherited.clone() };
    let (kind, items, temporality) = match metric.data {
        None => return Ok(()),
        Some(m::Data::Gauge(data)) => ("gauge", data.items, None),
        Some(m::Data::Summary(data)) => ("summary", data.items, None),
        Some(m::Data::Histogram(data)) => ("histogram", data.items, Some(data.temporality)),
        Some(m::Data::Exponential(data)) => ("exponential_histogram", data.items, Some(data.temporality)),
        Some(m::Data::Sum(data)) => {
            row.put("monotonic", data.monotonic);
            ("sum", data.items, Some(data.temporality))
        }
    };
    row.put("type", kind);
    row.put_some(
        "temporality",
        temporality.map(|number| match number {
            1 => "delta",
            2 => "cumulative",
            _ => "unspecified",
        }),
    );
    for raw in items {
        reader.faults.clear();
        let mut row = row.clone();
        let shared = match kind {
            "histogram" => histogram(reader, &raw, &mut row)?,
            "exponential_histogram" => exponential(reader, &raw, &mut row)?,
            "summary" => summary(reader, &raw, &mut row)?,
            _ => number(reader, &raw, &mut row)?,
        };
        shared.put(reader, &mut row)?;
        let own = reader.faults.clone();
        found.timed |= shared.start != 0 || shared.time != 0 || own.contains(&Reason::Time);
        found.push(&inherited, &own, (Table::Metrics, row));
    }
    Ok(())
}

/// What all kinds of points have.
struct Shared {
    start: u64,
    time: u64,
    flags: u32,
    attributes: m::Raws,
    exemplars: m::Raws,
}

impl Shared {
    fn put(&self, reader: &mut Reader, row: &mut Row) -> Result<(), DecodeError> {
        let time = reader.signed(self.time, Reason::Time);
        row.put("time_unix_nano", if time == 0 { NOW.0 } else { time });
        row.put("start_unix_nano", reader.signed(self.start, Reason::Time));
        row.put("flags", self.flags);
        let attributes = reader.attributes(&self.attributes)?;
        row.put("attributes", series(reader, &attributes));
        let exemplars = self.exemplars.iter().map(|raw| exemplar(reader, raw)).collect::<Result<Vec<_>, _>>()?;
        row.put_some("exemplars", list(&exemplars));
        Ok(())
    }
}

fn number(reader: &mut Reader, raw: &[u8], row: &mut Row) -> Result<Shared, DecodeError> {
    let _ = reader;
    let point = m::NumberPoint::decode(raw)?;
    match point.value {
        Some(m::PointNumber::Double(value)) => row.put("value", double(value)),
        Some(m::PointNumber::Int(value)) => {
            row.put("value", double(value as f64));
            row.put("value_int", value);
        }
        None => {}
    }
    let m::NumberPoint { start, time, flags, attributes, exemplars, .. } = point;
    Ok(Shared { start, time, flags, attributes, exemplars })
}

fn histogram(reader: &mut Reader, raw: &[u8], row: &mut Row) -> Result<Shared, DecodeError> {
    let point = m::HistogramPoint::decode(raw)?;
    row.put("count", reader.signed(point.count, Reason::Count));
    row.put_some("sum", point.sum.map(double));
    row.put_some("min", point.min.map(double));
    row.put_some("max", point.max.map(double));
    row.put("bucket_counts", counts(reader, &point.bucket_counts));
    let bounds: Vec<_> = point.explicit_bounds.iter().map(|bound| double(*bound)).collect();
    row.put("explicit_bounds", all(&bounds));
    let m::HistogramPoint { start, time, flags, attributes, exemplars, .. } = point;
    Ok(Shared { start, time, flags, attributes, exemplars })
}

fn exponential(reader: &mut Reader, raw: &[u8], row: &mut Row) -> Result<Shared, DecodeError> {
    let point = m::ExponentialPoint::decode(raw)?;
    row.put("count", reader.signed(point.count, Reason::Count));
    row.put_some("sum", point.sum.map(double));
    row.put_some("min", point.min.map(double));
    row.put_some("max", point.max.map(double));
    row.put("scale", point.scale);
    row.put("zero_count", reader.signed(point.zero_count, Reason::Count));
    row.put("zero_threshold", double(point.zero_threshold));
    for (raws, offset, counted) in [
        (&point.positive, "positive_offset", "positive_counts"),
        (&point.negative, "negative_offset", "negative_counts"),
    ] {
        for raw in raws {
            m::Buckets::decode(raw.as_slice())?;
        }
        if !raws.is_empty() {
            let buckets = m::Buckets::decode(raws.concat().as_slice())?;
            row.put(offset, buckets.offset);
            row.put(counted, counts(reader, &buckets.counts));
        }
    }
    let m::ExponentialPoint { start, time, flags, attributes, exemplars, .. } = point;
    Ok(Shared { start, time, flags, attributes, exemplars })
}

fn summary(reader: &mut Reader, raw: &[u8], row: &mut Row) -> Result<Shared, DecodeError> {
    let point = m::SummaryPoint::decode(raw)?;
    row.put("count", reader.signed(point.count, Reason::Count));
    row.put("sum", double(point.sum));
    let pair = |raw: &Vec<u8>| {
        let pair = m::Quantile::decode(raw.as_slice())?;
        Ok(format!("{{quantile: {}, value: {}}}", double(pair.quantile), double(pair.value)))
    };
    row.put("quantiles", all(&point.quantiles.iter().map(pair).collect::<Result<Vec<_>, DecodeError>>()?));
    let m::SummaryPoint { start, time, flags, attributes, .. } = point;
    Ok(Shared { start, time, flags, attributes, exemplars: Vec::new() })
}

fn counts(reader: &mut Reader, counts: &[u64]) -> String {
    all(&counts.iter().map(|count| integer(reader.signed(*count, Reason::Count))).collect::<Vec<_>>())
}

fn exemplar(reader: &mut Reader, raw: &[u8]) -> Result<String, DecodeError> {
    let exemplar = m::Exemplar::decode(raw)?;
    let time = reader.signed(exemplar.time, Reason::Time);
    let (value, value_int) = match exemplar.value {
        Some(m::ExemplarNumber::Double(value)) => (double(value), String::new()),
        Some(m::ExemplarNumber::Int(value)) => (double(value as f64), integer(value)),
        None => (String::new(), String::new()),
    };
    let trace_id = TraceId::from_bytes(&exemplar.trace_id).map_or_else(String::new, |id| id.to_string());
    let span_id = SpanId::from_bytes(&exemplar.span_id).map_or_else(String::new, |id| id.to_string());
    let entries = reader.attributes(&exemplar.attributes)?;
    let kept = stored(&entries, &reader.limits, |_| false);
    let ours = marks(&kept.cut, kept.dropped);
    let has_any = !kept.entries.is_empty() || !ours.is_empty();
    let attributes = if has_any { json(&kept.entries, &ours) } else { String::new() };
    Ok(format!(
        "{{time: {time}, value: {value}, value_int: {value_int}, trace_id: {trace_id}, span_id: {span_id}, \
         attributes: {attributes}}}"
    ))
}

/// Attributes in the order of their keys; of too many a hash stays, so that series stay apart.
fn series(reader: &Reader, entries: &Entries) -> String {
    let kept = stored(entries, &DecodeLimits { attributes: u32::MAX, ..reader.limits }, |_| false);
    let mut entries = kept.entries;
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    let keep = reader.limits.attributes as usize;
    if entries.len() <= keep {
        return json(&entries, &marks(&kept.cut, 0));
    }
    let beyond = entries.split_off(keep);
    let hash = format!("{:016x}", xxh3_64(Value::Map(beyond.clone()).to_json().as_bytes()));
    let mut ours = vec![(DROPPED_HASH, Value::String(hash))];
    ours.extend(marks(&kept.cut, beyond.len() as i64));
    json(&entries, &ours)
}
