//! `compare`: how often each attribute's values stand on the selected spans, and how often on the others.
//!
//! One series for each value, with `__meta_type` `selection` or `baseline`; of each attribute the most frequent values,
//! and a series with `__meta_error` where there are more. `selection_total` and `baseline_total` count the spans that
//! have the attribute.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use tracelake_model::column::{
    KIND, NAME, RESOURCE_ATTRIBUTES, SERVICE_NAME, SPAN_ID, START_UNIX_NANO, STATUS_CODE, TRACE_ID,
};
use tracelake_model::{Table, Value};
use tracelake_storage::Snapshot;

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::map::parent::span_number;
use crate::map::span::Interner;
use crate::traceql::literal::Static;
use crate::traceql::row::from_value;
use crate::traceql::series::{Identity, Intervals, Measured, Series};
use crate::traceql::work::off_thread;
use crate::view::attribute::{Attributes, columns, parse};
use crate::view::column::{binary, small, text, text_at};

/// Spans that one comparison holds with all their attributes.
const SPANS_MAX: usize = 300_000;

/// Distinct values of all attributes.
const VALUES_MAX: usize = 1_000_000;

/// Points of all series of an answer.
const POINTS_MAX: usize = 1_000_000;

/// The series of a comparison; a measure's value says whether its span is selected.
pub(crate) async fn series(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    intervals: &Intervals,
    measured: Measured,
    top: usize,
) -> Result<Vec<Series>, Error> {
    if measured.measures.len() > SPANS_MAX {
        return Err(Error::TooLarge(format!(
            "compare looks at {} spans, {SPANS_MAX} are the limit; narrow its range or its filters",
            measured.measures.len()
        )));
    }
    let mut wanted = columns(Table::Spans);
    wanted.extend([TRACE_ID, SPAN_ID, KIND, SERVICE_NAME, NAME, STATUS_CODE, START_UNIX_NANO]);
    let scan = Scan { columns: wanted, range: intervals.range, as_stored: true, ..Scan::default() };
    let mut stream = engine.rows_at(snapshot, Table::Spans, scan).await?;
    let mut reader = Reader { measured, pairs: Interner::default(), held: HashMap::new() };
    while let Some(batch) = stream.try_next().await? {
        reader = off_thread(move || reader.read(&batch).map(|()| reader)).await??;
    }
    let intervals = *intervals;
    let found = off_thread(move || shown(&reader.pairs, count(&reader, &intervals), &intervals, top)).await?;
    if found.iter().map(|one| one.samples.len()).sum::<usize>() > POINTS_MAX {
        let what = format!("compare makes more than {POINTS_MAX} points; ask for one instant, or for a longer step");
        return Err(Error::Invalid(what));
    }
    Ok(found)
}

/// A key with its value's type and text.
type Pair = (String, String);

struct Reader {
    measured: Measured,
    pairs: Interner<Pair>,
    held: HashMap<Identity, Box<[u32]>>,
}

impl Reader {
    fn read(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let (trace, span) = (binary(batch, TRACE_ID), binary(batch, SPAN_ID));
        let (service, kind, status) = (text(batch, SERVICE_NAME), small(batch, KIND), small(batch, STATUS_CODE));
        let (name, resource) = (text(batch, NAME), text(batch, RESOURCE_ATTRIBUTES));
        let attributes = Attributes::new(batch, Table::Spans);
        for row in 0..batch.num_rows() {
            let Ok(id) = <[u8; 16]>::try_from(trace.value(row)) else { continue };
            let Some(service) = self.measured.services.get(service.value(row)) else { continue };
            let identity = (id, span_number(span.value(row)), kind.value(row), *service);
            if !self.measured.measures.contains_key(&identity) {
                continue;
            }
            let own = attributes.of(row).into_iter().map(|(key, value)| (format!("span.{key}"), value));
            let of_resource = parse(text_at(resource, row)).into_iter();
            let all = own.chain(of_resource.map(|(key, value)| (format!("resource.{key}"), value)));
            let intrinsics = [
                ("name", Static::text(name.value(row))),
                ("kind", Static::Kind(kind.value(row))),
                ("status", Static::Status(status.value(row))),
            ];
            let mut pairs: Vec<u32> =
                intrinsics.into_iter().map(|(key, value)| self.pairs.intern((key.to_owned(), value.plain()))).collect();
            pairs.extend(all.filter(|(_, value)| *value != Value::Empty).map(|(key, value)| {
                let value = from_value(value).plain();
                self.pairs.intern((key, value))
            }));
            pairs.sort_unstable();
            pairs.dedup();
            if pairs.iter().any(|pair| usize::try_from(*pair).unwrap_or(usize::MAX) >= VALUES_MAX) {
                return Err(Error::TooLarge(format!(
                    "compare meets more than {VALUES_MAX} distinct values; narrow its range or its filters"
                )));
            }
            self.held.insert(identity, pairs.into());
        }
        Ok(())
    }
}

/// Spans of each interval, in the selection and in the baseline.
type Sides = [BTreeMap<usize, u64>; 2];

/// Spans with each pair.
type Counts = HashMap<u32, Sides>;

fn count(reader: &Reader, intervals: &Intervals) -> Counts {
    let mut counts: Counts = HashMap::new();
    for (identity, pairs) in &reader.held {
        let Some(measure) = reader.measured.measures.get(identity) else { continue };
        let side = usize::from(measure.value == 0.0);
        for pair in pairs {
            *counts.entry(*pair).or_default()[side].entry(intervals.place(measure.start)).or_default() += 1;
        }
    }
    counts
}

fn shown(pairs: &Interner<Pair>, counts: Counts, intervals: &Intervals, top: usize) -> Vec<Series> {
    let mut by_key: BTreeMap<&str, Vec<(&str, Sides)>> = BTreeMap::new();
    for (pair, sides) in counts {
        let (key, value) = pairs.get(pair);
        by_key.entry(key).or_default().push((value, sides));
    }
    let one = |kind: &str, key: &str, value: Static, counts: &BTreeMap<usize, u64>| {
        let labels = vec![("__meta_type".to_owned(), Static::text(kind)), (key.to_owned(), value)];
        Series { labels, samples: samples(counts, intervals), exemplars: Vec::new() }
    };
    let mut found = Vec::new();
    for (key, mut values) in by_key {
        for (side, kind) in [(0, "selection"), (1, "baseline")] {
            let frequency = |sides: &Sides| sides[side].values().sum::<u64>();
            values.sort_by_key(|(value, sides)| (std::cmp::Reverse(frequency(sides)), *value));
            let held: Vec<_> = values.iter().filter(|(_, sides)| !sides[side].is_empty()).collect();
            let mut total: BTreeMap<usize, u64> = BTreeMap::new();
            for (_, sides) in &held {
                for (place, count) in &sides[side] {
                    *total.entry(*place).or_default() += count;
                }
            }
            if total.is_empty() {
                continue;
            }
            found.extend(held.iter().take(top).map(|(value, sides)| one(kind, key, Static::text(value), &sides[side])));
            found.push(one(&format!("{kind}_total"), key, Static::Nil, &total));
            if held.len() > top {
                let mut error = one(kind, key, Static::Nil, &total);
                error.labels.insert(0, ("__meta_error".to_owned(), Static::text("__too_many_values__")));
                found.push(error);
            }
        }
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn samples(counts: &BTreeMap<usize, u64>, intervals: &Intervals) -> Vec<(i64, f64)> {
    let value = |place: usize| counts.get(&place).copied().unwrap_or(0) as f64;
    (0..intervals.count()).map(|place| (intervals.at(place), value(place))).collect()
}
