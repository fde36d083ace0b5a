//! A minute as rows of `service_edges` and `service_minutes`, and back.
//!
//! `service_minutes` holds for each minute one row without a service, which says that the minute is kept, from which
//! commits of `spans`, and by `whole` = false that a trace was too large to draw its calls; for each service one row without a name; for each of its operations one row. A minute without
//! any span has the first row alone.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Float64Array, Int8Builder, Int64Array, Int64Builder,
    ListBuilder, RecordBatch, StringDictionaryBuilder,
};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::error::ArrowError;
use tracelake_model::column::{
    CALLS_ESTIMATED, COMMITS, ERRORS, ERRORS_ESTIMATED, EXAMPLES, GENERATION, INFERRED, KIND, LATENCY,
    MINUTE_UNIX_NANO, NAME, SERVICE_NAME, SOURCE, SOURCE_KIND, SPANS, TARGET, TARGET_KIND, WHOLE,
};
use tracelake_model::{Batch, Table};
use tracelake_storage::Commits;

use crate::map::edge::EdgeKind;
use crate::map::minute::column::{Latencies, examples, examples_at, latencies, signed, unsigned};
use crate::map::minute::histogram::Histogram;
use crate::map::minute::tally::{EdgeTally, ServiceTally, Tally};
use crate::map::node::NodeKind;
use crate::map::red::{Estimated, Red};
use crate::view::column::{boolean, double, int, list, small, text, text_at};

/// Operations of a service that a minute keeps; a service with more has none kept, and is read from its spans.
pub(crate) const OPERATIONS_MAX: usize = 1_000;

const EDGE_KINDS: [(EdgeKind, &str); 4] = [
    (EdgeKind::Call, "call"),
    (EdgeKind::Messaging, "messaging"),
    (EdgeKind::Database, "database"),
    (EdgeKind::External, "external"),
];

/// A minute that was computed.
#[derive(Debug)]
pub(crate) struct Minute {
    /// Its start, Unix nanoseconds.
    pub(crate) start: i64,
    /// The commits of the parts that it was computed from.
    pub(crate) commits: Vec<Commits>,
    /// What happened in it.
    pub(crate) tally: Tally,
}

/// Rows of `service_edges`; none where there are no edges.
pub(crate) fn edge_rows(minutes: &[Minute], generation: i64) -> Result<Option<Batch>, ArrowError> {
    let rows: Vec<_> =
        minutes.iter().flat_map(|minute| minute.tally.edges.iter().map(move |edge| (minute.start, edge))).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let numbers = |of: &dyn Fn(&EdgeTally) -> u64| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, (_, edge))| Some(signed(of(edge)))).collect::<Int64Array>())
    };
    let estimated = |of: &dyn Fn(Estimated) -> f64| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, (_, edge))| Some(of(edge.red.estimated()))).collect::<Float64Array>())
    };
    let inferred: BooleanArray = rows.iter().map(|(_, (_, edge))| Some(edge.inferred)).collect();
    let histograms: Vec<Histogram> = rows.iter().map(|(_, (_, edge))| edge.red.histogram()).collect();
    let ends = || rows.iter().map(|(_, (ends, _))| *ends);
    let kind = |of: EdgeKind| EDGE_KINDS.iter().find(|(kind, _)| *kind == of).map(|(_, name)| *name);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(start, _)| Some(*start)).collect::<Int64Array>()),
        Arc::new(Int64Array::from_value(generation, rows.len())),
        interned(ends().map(|(source, ..)| Some(source.1.as_ref()))),
        interned(ends().map(|(_, target, _)| Some(target.1.as_ref()))),
        interned(ends().map(|(source, ..)| Some(source.0.as_str()))),
        interned(ends().map(|(_, target, _)| Some(target.0.as_str()))),
        interned(ends().map(|(.., of)| kind(*of))),
        numbers(&|edge| edge.red.count()),
        numbers(&|edge| edge.red.errors()),
        estimated(&|estimated| estimated.calls),
        estimated(&|estimated| estimated.errors),
        latencies(&histograms)?,
        Arc::new(inferred),
        examples(rows.iter().map(|(_, (_, edge))| edge.examples.as_slice()))?,
    ];
    batch(Table::ServiceEdges, columns).map(Some)
}

/// Rows of `service_minutes`: at least one for each minute. Tallies are as [`Tally::shrink`] leaves them.
pub(crate) fn minute_rows(minutes: &[Minute], generation: i64) -> Result<Batch, ArrowError> {
    let mut rows = MinuteRows::default();
    for minute in minutes {
        let spans = minute.tally.services.values().map(|service| service.spans).sum();
        rows.push(minute.start, (None, None, None), spans, &Red::default());
        minute.commits.iter().for_each(|commits| {
            rows.commits.values().append_value(signed(commits.first));
            rows.commits.values().append_value(signed(commits.last));
        });
        rows.commits.append(true);
        rows.whole.append_option(minute.tally.torn.then_some(false));
        for (name, service) in &minute.tally.services {
            let from = (Arc::clone(name), (Arc::from(""), i8::MIN));
            let operations = minute.tally.operations.range(from..).take_while(|((of, _), _)| of == name);
            rows.push(minute.start, (Some(name), None, None), service.spans, &service.red);
            rows.commits.append(false);
            rows.whole.append_value(!service.crowded);
            for ((_, (operation, kind)), red) in operations {
                rows.push(minute.start, (Some(name), Some(operation), Some(*kind)), red.count(), red);
                rows.commits.append(false);
                rows.whole.append_null();
            }
        }
    }
    rows.finish(generation)
}

#[derive(Default)]
struct MinuteRows {
    starts: Vec<i64>,
    services: StringDictionaryBuilder<Int32Type>,
    names: StringDictionaryBuilder<Int32Type>,
    kinds: Int8Builder,
    spans: Vec<i64>,
    calls: Vec<i64>,
    errors: Vec<i64>,
    calls_estimated: Vec<f64>,
    errors_estimated: Vec<f64>,
    histograms: Vec<Histogram>,
    whole: BooleanBuilder,
    commits: ListBuilder<Int64Builder>,
}

impl MinuteRows {
    fn push(&mut self, start: i64, key: (Option<&str>, Option<&str>, Option<i8>), spans: u64, red: &Red) {
        self.starts.push(start);
        self.services.append_option(key.0);
        self.names.append_option(key.1);
        self.kinds.append_option(key.2);
        self.spans.push(signed(spans));
        self.calls.push(signed(red.count()));
        self.errors.push(signed(red.errors()));
        self.calls_estimated.push(red.estimated().calls);
        self.errors_estimated.push(red.estimated().errors);
        self.histograms.push(red.histogram());
    }

    fn finish(mut self, generation: i64) -> Result<Batch, ArrowError> {
        let count = self.starts.len();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(self.starts)),
            Arc::new(Int64Array::from_value(generation, count)),
            Arc::new(self.services.finish()),
            Arc::new(self.names.finish()),
            Arc::new(self.kinds.finish()),
            Arc::new(Int64Array::from(self.spans)),
            Arc::new(Int64Array::from(self.calls)),
            Arc::new(Int64Array::from(self.errors)),
            Arc::new(Float64Array::from(self.calls_estimated)),
            Arc::new(Float64Array::from(self.errors_estimated)),
            latencies(&self.histograms)?,
            Arc::new(self.whole.finish()),
            Arc::new(self.commits.finish()),
        ];
        batch(Table::ServiceMinutes, columns)
    }
}

/// The estimated figures of a batch.
struct Estimates<'a> {
    calls: &'a Float64Array,
    errors: &'a Float64Array,
}

impl<'a> Estimates<'a> {
    fn new(batch: &'a RecordBatch) -> Self {
        Self { calls: double(batch, CALLS_ESTIMATED), errors: double(batch, ERRORS_ESTIMATED) }
    }

    fn at(&self, row: usize) -> Estimated {
        Estimated { calls: self.calls.value(row), errors: self.errors.value(row) }
    }
}

/// Adds the rows of a batch of `service_edges` for which `wanted` (minute, generation) to a tally.
pub(crate) fn add_edges(batch: &RecordBatch, wanted: impl Fn(i64, i64) -> bool, tally: &mut Tally) {
    let (minute, generation) = (int(batch, MINUTE_UNIX_NANO), int(batch, GENERATION));
    let (source, target) = (text(batch, SOURCE), text(batch, TARGET));
    let (source_kind, target_kind, kind) = (text(batch, SOURCE_KIND), text(batch, TARGET_KIND), text(batch, KIND));
    let (errors, estimates) = (int(batch, ERRORS), Estimates::new(batch));
    let (inferred, examples) = (boolean(batch, INFERRED), list(batch, EXAMPLES));
    let Some(latencies) = Latencies::new(batch, LATENCY) else { return };
    for row in (0..batch.num_rows()).filter(|row| wanted(minute.value(*row), generation.value(*row))) {
        let node = |name: &str| NodeKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        let edge = EDGE_KINDS.iter().find(|(_, name)| *name == kind.value(row));
        // A newer version may know more kinds; it writes its minutes again once it runs.
        let (Some(from), Some(to), Some((kind, _))) =
            (node(source_kind.value(row)), node(target_kind.value(row)), edge)
        else {
            continue;
        };
        let ends = ((from, Arc::from(source.value(row))), (to, Arc::from(target.value(row))), *kind);
        let edge = tally.edges.entry(ends).or_default();
        let estimated = estimates.at(row);
        edge.red.add_kept_with(unsigned(errors.value(row)), estimated, |histogram| latencies.add_to(row, histogram));
        edge.inferred = inferred.value(row);
        edge.offer_all(examples_at(examples, row));
    }
}

/// Which operations of kept minutes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operations<'a> {
    /// None.
    None,
    /// Those of one service.
    Of(&'a str),
}

/// Adds the rows of a batch of `service_minutes` for which `wanted` (minute, generation) to a tally.
pub(crate) fn add_services(
    batch: &RecordBatch,
    wanted: impl Fn(i64, i64) -> bool,
    operations: Operations<'_>,
    tally: &mut Tally,
) {
    let (minute, generation) = (int(batch, MINUTE_UNIX_NANO), int(batch, GENERATION));
    let (service, name, kind) = (text(batch, SERVICE_NAME), text(batch, NAME), small(batch, KIND));
    let (spans, errors, estimates) = (int(batch, SPANS), int(batch, ERRORS), Estimates::new(batch));
    let whole = boolean(batch, WHOLE);
    let Some(latencies) = Latencies::new(batch, LATENCY) else { return };
    for row in (0..batch.num_rows()).filter(|row| wanted(minute.value(*row), generation.value(*row))) {
        let Some(service) = text_at(service, row) else {
            tally.torn |= whole.is_valid(row) && !whole.value(row);
            continue;
        };
        let errors = unsigned(errors.value(row));
        let estimated = estimates.at(row);
        let add = |red: &mut Red| red.add_kept_with(errors, estimated, |histogram| latencies.add_to(row, histogram));
        match text_at(name, row) {
            None => {
                if !tally.services.contains_key(service) {
                    tally.services.insert(Arc::from(service), ServiceTally::default());
                }
                if let Some(known) = tally.services.get_mut(service) {
                    known.spans += unsigned(spans.value(row));
                    add(&mut known.red);
                }
            }
            Some(name) if operations == Operations::Of(service) => {
                let operation = (Arc::from(service), (Arc::from(name), kind.value(row)));
                add(tally.operations.entry(operation).or_default());
            }
            Some(_) => {}
        }
    }
}

/// A minute that is kept, as its first row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its start, Unix nanoseconds.
    pub(crate) start: i64,
    /// Which computation of it.
    pub(crate) generation: i64,
    /// The commits of the parts that it was computed from.
    pub(crate) commits: Vec<Commits>,
}

/// Columns that [`heads`] reads.
pub(crate) const HEAD_COLUMNS: [&str; 4] = [MINUTE_UNIX_NANO, GENERATION, SERVICE_NAME, COMMITS];

/// The minutes that a batch of `service_minutes` keeps.
pub(crate) fn heads(batch: &RecordBatch) -> Vec<Head> {
    let (minute, generation) = (int(batch, MINUTE_UNIX_NANO), int(batch, GENERATION));
    let (service, commits) = (text(batch, SERVICE_NAME), list(batch, COMMITS));
    let head = |row: usize| {
        let numbers = commits.value(row);
        let numbers = numbers.as_primitive_opt::<Int64Type>().map_or(&[][..], |numbers| numbers.values());
        let pairs = numbers.as_chunks::<2>().0.iter();
        let commits = pairs.map(|[first, last]| Commits { first: unsigned(*first), last: unsigned(*last) });
        Head { start: minute.value(row), generation: generation.value(row), commits: commits.collect() }
    };
    (0..batch.num_rows()).filter(|row| service.is_null(*row)).map(head).collect()
}

/// The minutes (with their generation) of a batch of `service_minutes` in which a service's operations are not kept.
pub(crate) fn without_operations(batch: &RecordBatch, service: &str) -> Vec<(i64, i64)> {
    let (minute, generation) = (int(batch, MINUTE_UNIX_NANO), int(batch, GENERATION));
    let (of, whole) = (text(batch, SERVICE_NAME), boolean(batch, WHOLE));
    let lacks = |row: &usize| text_at(of, *row) == Some(service) && whole.is_valid(*row) && !whole.value(*row);
    (0..batch.num_rows()).filter(lacks).map(|row| (minute.value(row), generation.value(row))).collect()
}

fn interned<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    texts.for_each(|text| builder.append_option(text));
    Arc::new(builder.finish())
}

fn batch(table: Table, columns: Vec<ArrayRef>) -> Result<Batch, ArrowError> {
    let rows = RecordBatch::try_new(table.schema(), columns)?;
    Batch::new(table, rows).map_err(|fault| ArrowError::SchemaError(fault.to_string()))
}
