//! Rows of `metrics`: one a data point, whatever its kind; columns that a kind lacks are null.
//!
//! Attributes are written in the order of their keys, so that one series has one text.

use arrow::array::{BooleanBuilder, Int64Array};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use tracelake_model::column as name;
use tracelake_model::semconv::DROPPED_HASH;
use tracelake_model::{Batch, DecodeLimits, Table, UnixNano};
use xxhash_rust::xxh3::xxh3_64;

use crate::column::assemble::Assemble;
use crate::column::attribute::{Tidied, push_object, tidy};
use crate::column::exemplar::{ExemplarColumn, QuantileColumn};
use crate::column::interned::Interned;
use crate::column::resource::OriginColumns;
use crate::column::sparse::{NumberList, Numbers};
use crate::error::Error;
use crate::wire::key::Key;
use crate::wire::metric::{Buckets, Metric, MetricKind, Number, Point};
use crate::wire::value::{Any, Attributes};

/// Data points, column by column.
pub(crate) struct MetricRows {
    limits: DecodeLimits,
    received: UnixNano,
    rows: usize,
    text: String,
    shared: Shared,
    time: Vec<i64>,
    start: Vec<i64>,
    name: Interned,
    description: Interned,
    unit: Interned,
    kind: Interned,
    temporality: Interned,
    monotonic: BooleanBuilder,
    value: Numbers<Float64Type>,
    value_int: Numbers<Int64Type>,
    count: Numbers<Int64Type>,
    sum: Numbers<Float64Type>,
    min: Numbers<Float64Type>,
    max: Numbers<Float64Type>,
    bucket_counts: NumberList<Int64Type>,
    explicit_bounds: NumberList<Float64Type>,
    exponential: ExponentialColumns,
    quantiles: QuantileColumn,
    exemplars: ExemplarColumn,
    flags: Vec<i64>,
    metadata: Interned,
    attributes: Interned,
    /// Resource and scope of the rows.
    pub(crate) origin: OriginColumns,
}

impl MetricRows {
    /// No row yet. `received` is the time of points that carry none.
    pub(crate) fn new(limits: DecodeLimits, received: UnixNano) -> Self {
        Self {
            limits,
            received,
            rows: 0,
            text: String::new(),
            shared: Shared::default(),
            time: Vec::new(),
            start: Vec::new(),
            name: Interned::default(),
            description: Interned::default(),
            unit: Interned::default(),
            kind: Interned::default(),
            temporality: Interned::default(),
            monotonic: BooleanBuilder::with_capacity(0),
            value: Numbers::new(),
            value_int: Numbers::new(),
            count: Numbers::new(),
            sum: Numbers::new(),
            min: Numbers::new(),
            max: Numbers::new(),
            bucket_counts: NumberList::new(),
            explicit_bounds: NumberList::new(),
            exponential: ExponentialColumns::new(),
            quantiles: QuantileColumn::new(),
            exemplars: ExemplarColumn::new(),
            flags: Vec::new(),
            metadata: Interned::default(),
            attributes: Interned::default(),
            origin: OriginColumns::new(limits),
        }
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The metric whose points follow. What they share is interned once, however long it is.
    pub(crate) fn metric(&mut self, metric: &mut Metric<'_>) {
        self.text.clear();
        if !metric.metadata.is_empty() {
            push_sorted(&mut self.text, &mut metric.metadata, &self.limits);
        }
        self.shared = Shared {
            name: Some(self.name.number(metric.name)),
            description: self.description.key(metric.description),
            unit: self.unit.key(metric.unit),
            metadata: self.metadata.key(&self.text),
            kind: Some(self.kind.number(kind_text(metric.kind))),
            temporality: temporality_text(metric).map(|text| self.temporality.number(text)),
        };
        let points = metric.points.len();
        let columns = [&mut self.time, &mut self.start, &mut self.flags];
        columns.into_iter().for_each(|column| column.reserve(points));
        let interned = [
            &mut self.name,
            &mut self.description,
            &mut self.unit,
            &mut self.metadata,
            &mut self.kind,
            &mut self.temporality,
            &mut self.attributes,
        ];
        interned.into_iter().for_each(|column| column.reserve(points));
    }

    /// One point of `metric`, which is the metric at hand.
    pub(crate) fn push(&mut self, metric: &Metric<'_>, point: &mut Point<'_>) {
        let (row, kind) = (self.rows, metric.kind);
        self.time.push(if point.time_unix_nano == 0 { self.received.0 } else { point.time_unix_nano });
        self.start.push(point.start_unix_nano);
        self.push_metric(metric);
        self.set_value(kind, point);
        match kind {
            MetricKind::None | MetricKind::Gauge | MetricKind::Sum => {}
            MetricKind::Histogram => {
                self.bucket_counts.set(row, &point.bucket_counts);
                self.explicit_bounds.set(row, &point.explicit_bounds);
            }
            MetricKind::ExponentialHistogram => self.exponential.set(row, point),
            MetricKind::Summary => self.quantiles.set(row, &point.quantiles),
        }
        self.exemplars.set(row, &mut point.exemplars, &self.limits);
        self.flags.push(i64::from(point.flags));
        self.text.clear();
        push_sorted(&mut self.text, &mut point.attributes, &self.limits);
        self.attributes.push(&self.text);
        self.origin.push();
        self.rows += 1;
    }

    fn push_metric(&mut self, metric: &Metric<'_>) {
        self.name.push_key(self.shared.name);
        self.description.push_key(self.shared.description);
        self.unit.push_key(self.shared.unit);
        self.metadata.push_key(self.shared.metadata);
        self.kind.push_key(self.shared.kind);
        self.temporality.push_key(self.shared.temporality);
        self.monotonic.append_option((metric.kind == MetricKind::Sum).then_some(metric.monotonic));
    }

    #[expect(clippy::cast_precision_loss, reason = "`value` is the nearest double; `value_int` keeps the integer")]
    fn set_value(&mut self, kind: MetricKind, point: &Point<'_>) {
        let row = self.rows;
        match point.value {
            Some(Number::Double(value)) => self.value.set(row, value),
            Some(Number::Int(value)) => {
                self.value.set(row, value as f64);
                self.value_int.set(row, value);
            }
            None => {}
        }
        if matches!(kind, MetricKind::Histogram | MetricKind::ExponentialHistogram | MetricKind::Summary) {
            self.count.set(row, point.count);
        }
        // The sum of a summary is a plain field: absent is 0.
        let sum = if kind == MetricKind::Summary { point.sum.or(Some(0.0)) } else { point.sum };
        self.sum.set_option(row, sum);
        self.min.set_option(row, point.min);
        self.max.set_option(row, point.max);
    }

    /// The batch.
    pub(crate) fn finish(mut self) -> Result<Batch, Error> {
        let (rows, mut columns) = (self.rows, Assemble::new(Table::Metrics));
        columns.put(name::TIME_UNIX_NANO, Int64Array::from(self.time));
        columns.put(name::START_UNIX_NANO, Int64Array::from(self.start));
        columns.put_ref(name::NAME, self.name.finish()?);
        columns.put_ref(name::DESCRIPTION, self.description.finish()?);
        columns.put_ref(name::UNIT, self.unit.finish()?);
        columns.put_ref(name::TYPE, self.kind.finish()?);
        columns.put_ref(name::TEMPORALITY, self.temporality.finish()?);
        columns.put(name::MONOTONIC, self.monotonic.finish());
        columns.put_ref(name::VALUE, self.value.finish(rows));
        columns.put_ref(name::VALUE_INT, self.value_int.finish(rows));
        columns.put_ref(name::COUNT, self.count.finish(rows));
        columns.put_ref(name::SUM, self.sum.finish(rows));
        columns.put_ref(name::MIN, self.min.finish(rows));
        columns.put_ref(name::MAX, self.max.finish(rows));
        columns.put_ref(name::BUCKET_COUNTS, self.bucket_counts.finish(rows)?);
        columns.put_ref(name::EXPLICIT_BOUNDS, self.explicit_bounds.finish(rows)?);
        self.exponential.finish(rows, &mut columns)?;
        columns.put_ref(name::QUANTILES, self.quantiles.finish(rows)?);
        columns.put_ref(name::EXEMPLARS, self.exemplars.finish(rows)?);
        columns.put(name::FLAGS, Int64Array::from(self.flags));
        columns.put_ref(name::METADATA, self.metadata.finish()?);
        columns.put_ref(name::ATTRIBUTES, self.attributes.finish()?);
        self.origin.finish(&mut columns)?;
        columns.finish(rows)
    }
}

/// Numbers of the texts that all points of a metric share.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    name: Option<i32>,
    description: Option<i32>,
    unit: Option<i32>,
    metadata: Option<i32>,
    kind: Option<i32>,
    temporality: Option<i32>,
}

fn kind_text(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::None | MetricKind::Gauge => "gauge",
        MetricKind::Sum => "sum",
        MetricKind::Histogram => "histogram",
        MetricKind::ExponentialHistogram => "exponential_histogram",
        MetricKind::Summary => "summary",
    }
}

fn temporality_text(metric: &Metric<'_>) -> Option<&'static str> {
    match (metric.kind, metric.temporality) {
        (MetricKind::None | MetricKind::Gauge | MetricKind::Summary, _) => None,
        (_, 1) => Some("delta"),
        (_, 2) => Some("cumulative"),
        _ => Some("unspecified"),
    }
}

/// Appends a JSON object whose keys are in order. Of too many attributes the first keys stay, whatever the order in which
/// they were sent, and a hash of the others, so that one series stays one and two stay two.
fn push_sorted(out: &mut String, attributes: &mut Attributes<'_>, limits: &DecodeLimits) {
    let mut tidied = tidy(attributes, &DecodeLimits { attributes: u32::MAX, ..*limits });
    attributes.sort_by_key(|(key, _)| key.text());
    let keep = usize::try_from(limits.attributes).unwrap_or(usize::MAX);
    if attributes.len() <= keep {
        return push_object(out, attributes, &tidied);
    }
    let mut kept: Attributes<'_> = attributes.drain(..keep).filter(|(key, _)| *key != DROPPED_HASH).collect();
    tidied.dropped = u32::try_from(attributes.len()).unwrap_or(u32::MAX);
    let mut beyond = String::new();
    push_object(&mut beyond, attributes, &Tidied::default());
    let hash = format!("{:016x}", xxh3_64(beyond.as_bytes()));
    kept.push((Key::from(DROPPED_HASH), Any::Text(&hash)));
    push_object(out, &kept, &tidied);
}

/// Columns that only exponential histograms fill.
struct ExponentialColumns {
    scale: Numbers<Int32Type>,
    zero_count: Numbers<Int64Type>,
    zero_threshold: Numbers<Float64Type>,
    positive: BucketColumns,
    negative: BucketColumns,
}

struct BucketColumns {
    offset: Numbers<Int32Type>,
    counts: NumberList<Int64Type>,
}

impl ExponentialColumns {
    fn new() -> Self {
        Self {
            scale: Numbers::new(),
            zero_count: Numbers::new(),
            zero_threshold: Numbers::new(),
            positive: BucketColumns::new(),
            negative: BucketColumns::new(),
        }
    }

    fn set(&mut self, row: usize, point: &Point<'_>) {
        self.scale.set(row, point.scale);
        self.zero_count.set(row, point.zero_count);
        self.zero_threshold.set(row, point.zero_threshold);
        self.positive.set(row, &point.positive);
        self.negative.set(row, &point.negative);
    }

    fn finish(self, rows: usize, into: &mut Assemble) -> Result<(), Error> {
        into.put_ref(name::SCALE, self.scale.finish(rows));
        into.put_ref(name::ZERO_COUNT, self.zero_count.finish(rows));
        into.put_ref(name::ZERO_THRESHOLD, self.zero_threshold.finish(rows));
        into.put_ref(name::POSITIVE_OFFSET, self.positive.offset.finish(rows));
        into.put_ref(name::POSITIVE_COUNTS, self.positive.counts.finish(rows)?);
        into.put_ref(name::NEGATIVE_OFFSET, self.negative.offset.finish(rows));
        into.put_ref(name::NEGATIVE_COUNTS, self.negative.counts.finish(rows)?);
        Ok(())
    }
}

impl BucketColumns {
    fn new() -> Self {
        Self { offset: Numbers::new(), counts: NumberList::new() }
    }

    fn set(&mut self, row: usize, buckets: &Buckets) {
        if buckets.present {
            self.offset.set(row, buckets.offset);
            self.counts.set(row, &buckets.counts);
        }
    }
}
