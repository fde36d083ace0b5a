//! Rows of `metrics`: one a data point, whatever its kind; columns that a kind lacks are null.
//!
//! Attributes are written in the order of their keys, so that one series has one text.

use arrow::array::{ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder};
use arrow::datatypes::{Float64Type, Int64Type};
use tracelake_model::column as name;
use tracelake_model::semconv::DROPPED_HASH;
use tracelake_model::{Batch, DecodeLimits, Table, UnixNano};
use xxhash_rust::xxh3::xxh3_64;

use crate::column::assemble::Assemble;
use crate::column::attribute::{Tidied, push_object, tidy};
use crate::column::exemplar::{ExemplarColumn, QuantileColumn};
use crate::column::interned::Interned;
use crate::column::resource::OriginColumns;
use crate::column::sparse::NumberList;
use crate::error::Error;
use crate::wire::metric::{Buckets, Metric, MetricKind, Number, Point};
use crate::wire::value::{Any, Attributes};

/// Data points, column by column.
pub(crate) struct MetricRows {
    limits: DecodeLimits,
    received: UnixNano,
    rows: usize,
    text: String,
    shared: Shared,
    time: Int64Builder,
    start: Int64Builder,
    name: Interned,
    description: Interned,
    unit: Interned,
    kind: Interned,
    temporality: Interned,
    monotonic: BooleanBuilder,
    value: Float64Builder,
    value_int: Int64Builder,
    count: Int64Builder,
    sum: Float64Builder,
    min: Float64Builder,
    max: Float64Builder,
    bucket_counts: NumberList<Int64Type>,
    explicit_bounds: NumberList<Float64Type>,
    exponential: ExponentialColumns,
    quantiles: QuantileColumn,
    exemplars: ExemplarColumn,
    flags: Int64Builder,
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
            time: Int64Builder::with_capacity(0),
            start: Int64Builder::with_capacity(0),
            name: Interned::default(),
            description: Interned::default(),
            unit: Interned::default(),
            kind: Interned::default(),
            temporality: Interned::default(),
            monotonic: BooleanBuilder::with_capacity(0),
            value: Float64Builder::with_capacity(0),
            value_int: Int64Builder::with_capacity(0),
            count: Int64Builder::with_capacity(0),
            sum: Float64Builder::with_capacity(0),
            min: Float64Builder::with_capacity(0),
            max: Float64Builder::with_capacity(0),
            bucket_counts: NumberList::new(),
            explicit_bounds: NumberList::new(),
            exponential: ExponentialColumns::new(),
            quantiles: QuantileColumn::new(),
            exemplars: ExemplarColumn::new(),
            flags: Int64Builder::with_capacity(0),
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
        };
    }

    /// One point of `metric`.
    pub(crate) fn push(&mut self, metric: &Metric<'_>, mut point: Point<'_>) {
        let time = if point.time_unix_nano == 0 { self.received.0 } else { point.time_unix_nano };
        self.time.append_value(time);
        self.start.append_value(point.start_unix_nano);
        self.push_metric(metric);
        self.push_value(metric.kind, &point);
        let is_histogram = metric.kind == MetricKind::Histogram;
        self.bucket_counts.push(is_histogram.then_some(&point.bucket_counts));
        self.explicit_bounds.push(is_histogram.then_some(&point.explicit_bounds));
        self.exponential.push((metric.kind == MetricKind::ExponentialHistogram).then_some(&point));
        self.quantiles.push((metric.kind == MetricKind::Summary).then_some(&point.quantiles));
        self.exemplars.push(std::mem::take(&mut point.exemplars), &self.limits);
        self.flags.append_value(i64::from(point.flags));
        self.metadata.push_key(self.shared.metadata);
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
        self.kind.push(match metric.kind {
            MetricKind::None | MetricKind::Gauge => "gauge",
            MetricKind::Sum => "sum",
            MetricKind::Histogram => "histogram",
            MetricKind::ExponentialHistogram => "exponential_histogram",
            MetricKind::Summary => "summary",
        });
        match (metric.kind, metric.temporality) {
            (MetricKind::None | MetricKind::Gauge | MetricKind::Summary, _) => self.temporality.push_null(),
            (_, 1) => self.temporality.push("delta"),
            (_, 2) => self.temporality.push("cumulative"),
            _ => self.temporality.push("unspecified"),
        }
        self.monotonic.append_option((metric.kind == MetricKind::Sum).then_some(metric.monotonic));
    }

    #[expect(clippy::cast_precision_loss, reason = "`value` is the nearest double; `value_int` keeps the integer")]
    fn push_value(&mut self, kind: MetricKind, point: &Point<'_>) {
        let (value, value_int) = match point.value {
            Some(Number::Double(value)) => (Some(value), None),
            Some(Number::Int(value)) => (Some(value as f64), Some(value)),
            None => (None, None),
        };
        self.value.append_option(value);
        self.value_int.append_option(value_int);
        let counted = matches!(kind, MetricKind::Histogram | MetricKind::ExponentialHistogram | MetricKind::Summary);
        self.count.append_option(counted.then_some(point.count));
        // The sum of a summary is a plain field: absent is 0.
        self.sum.append_option(if kind == MetricKind::Summary { point.sum.or(Some(0.0)) } else { point.sum });
        self.min.append_option(point.min);
        self.max.append_option(point.max);
    }

    /// The batch.
    pub(crate) fn finish(mut self) -> Result<Batch, Error> {
        let mut columns = Assemble::new(Table::Metrics);
        columns.put(name::TIME_UNIX_NANO, self.time.finish());
        columns.put(name::START_UNIX_NANO, self.start.finish());
        columns.put_ref(name::NAME, self.name.finish()?);
        columns.put_ref(name::DESCRIPTION, self.description.finish()?);
        columns.put_ref(name::UNIT, self.unit.finish()?);
        columns.put_ref(name::TYPE, self.kind.finish()?);
        columns.put_ref(name::TEMPORALITY, self.temporality.finish()?);
        columns.put(name::MONOTONIC, self.monotonic.finish());
        columns.put(name::VALUE, self.value.finish());
        columns.put(name::VALUE_INT, self.value_int.finish());
        columns.put(name::COUNT, self.count.finish());
        columns.put(name::SUM, self.sum.finish());
        columns.put(name::MIN, self.min.finish());
        columns.put(name::MAX, self.max.finish());
        columns.put_ref(name::BUCKET_COUNTS, self.bucket_counts.finish()?);
        columns.put_ref(name::EXPLICIT_BOUNDS, self.explicit_bounds.finish()?);
        self.exponential.finish(&mut columns)?;
        columns.put_ref(name::QUANTILES, self.quantiles.finish()?);
        columns.put_ref(name::EXEMPLARS, self.exemplars.finish()?);
        columns.put(name::FLAGS, self.flags.finish());
        columns.put_ref(name::METADATA, self.metadata.finish()?);
        columns.put_ref(name::ATTRIBUTES, self.attributes.finish()?);
        self.origin.finish(&mut columns)?;
        columns.finish(self.rows)
    }
}

/// Numbers of the texts that all points of a metric share.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    name: Option<i32>,
    description: Option<i32>,
    unit: Option<i32>,
    metadata: Option<i32>,
}

/// Appends a JSON object whose keys are in order. Of too many attributes the first keys stay, whatever the order in which
/// they were sent, and a hash of the others, so that one series stays one and two stay two.
fn push_sorted(out: &mut String, attributes: &mut Attributes<'_>, limits: &DecodeLimits) {
    let mut tidied = tidy(attributes, &DecodeLimits { attributes: u32::MAX, ..*limits });
    attributes.sort_by_key(|(key, _)| *key);
    let keep = usize::try_from(limits.attributes).unwrap_or(usize::MAX);
    if attributes.len() <= keep {
        return push_object(out, attributes, &tidied);
    }
    let mut kept: Attributes<'_> = attributes.drain(..keep).filter(|(key, _)| *key != DROPPED_HASH).collect();
    tidied.dropped = u32::try_from(attributes.len()).unwrap_or(u32::MAX);
    let mut beyond = String::new();
    push_object(&mut beyond, attributes, &Tidied::default());
    let hash = format!("{:016x}", xxh3_64(beyond.as_bytes()));
    kept.push((DROPPED_HASH, Any::Text(&hash)));
    push_object(out, &kept, &tidied);
}

/// Columns that only exponential histograms fill.
struct ExponentialColumns {
    scale: Int32Builder,
    zero_count: Int64Builder,
    zero_threshold: Float64Builder,
    positive: BucketColumns,
    negative: BucketColumns,
}

struct BucketColumns {
    offset: Int32Builder,
    counts: NumberList<Int64Type>,
}

impl ExponentialColumns {
    fn new() -> Self {
        Self {
            scale: Int32Builder::with_capacity(0),
            zero_count: Int64Builder::with_capacity(0),
            zero_threshold: Float64Builder::with_capacity(0),
            positive: BucketColumns::new(),
            negative: BucketColumns::new(),
        }
    }

    fn push(&mut self, point: Option<&Point<'_>>) {
        self.scale.append_option(point.map(|point| point.scale));
        self.zero_count.append_option(point.map(|point| point.zero_count));
        self.zero_threshold.append_option(point.map(|point| point.zero_threshold));
        self.positive.push(point.and_then(|point| point.positive.as_ref()));
        self.negative.push(point.and_then(|point| point.negative.as_ref()));
    }

    fn finish(mut self, into: &mut Assemble) -> Result<(), Error> {
        into.put(name::SCALE, self.scale.finish());
        into.put(name::ZERO_COUNT, self.zero_count.finish());
        into.put(name::ZERO_THRESHOLD, self.zero_threshold.finish());
        let (offset, counts) = self.positive.finish()?;
        into.put_ref(name::POSITIVE_OFFSET, offset);
        into.put_ref(name::POSITIVE_COUNTS, counts);
        let (offset, counts) = self.negative.finish()?;
        into.put_ref(name::NEGATIVE_OFFSET, offset);
        into.put_ref(name::NEGATIVE_COUNTS, counts);
        Ok(())
    }
}

impl BucketColumns {
    fn new() -> Self {
        Self { offset: Int32Builder::with_capacity(0), counts: NumberList::new() }
    }

    fn push(&mut self, buckets: Option<&Buckets>) {
        self.offset.append_option(buckets.map(|buckets| buckets.offset));
        self.counts.push(buckets.map(|buckets| buckets.counts.as_slice()));
    }

    fn finish(mut self) -> Result<(ArrayRef, ArrayRef), Error> {
        Ok((std::sync::Arc::new(self.offset.finish()), self.counts.finish()?))
    }
}
