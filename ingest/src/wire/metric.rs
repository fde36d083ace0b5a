//! One `Metric` and its points (`opentelemetry/proto/metrics/v1/metrics.proto`).
//!
//! All five kinds of point share one shape here; what a kind lacks stays at its default.

use std::mem::take;

use crate::otlp::partial::Reason;
use crate::wire::field::{Fields, Malformed, Wire};
use crate::wire::value::{Attributes, Walk};

/// What a metric's points are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MetricKind {
    #[default]
    None,
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
}

/// A metric without its points.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metric<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) metadata: Attributes<'a>,
    pub(crate) kind: MetricKind,
    pub(crate) temporality: i32,
    pub(crate) monotonic: bool,
    /// Messages of the points, in order.
    pub(crate) points: Vec<&'a [u8]>,
}

/// A number as sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Double(f64),
    Int(i64),
}

/// One side of an exponential histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Buckets {
    /// Whether there is such a side.
    pub(crate) present: bool,
    pub(crate) offset: i32,
    pub(crate) counts: Vec<i64>,
}

/// One data point of any kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Point<'a> {
    pub(crate) attributes: Attributes<'a>,
    pub(crate) start_unix_nano: i64,
    pub(crate) time_unix_nano: i64,
    pub(crate) flags: u32,
    pub(crate) exemplars: Vec<Exemplar<'a>>,
    pub(crate) value: Option<Number>,
    pub(crate) count: i64,
    pub(crate) sum: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) bucket_counts: Vec<i64>,
    pub(crate) explicit_bounds: Vec<f64>,
    pub(crate) scale: i32,
    pub(crate) zero_count: i64,
    pub(crate) zero_threshold: f64,
    pub(crate) positive: Buckets,
    pub(crate) negative: Buckets,
    /// Quantile and value.
    pub(crate) quantiles: Vec<(f64, f64)>,
}

/// An example measurement with its trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exemplar<'a> {
    pub(crate) time_unix_nano: i64,
    pub(crate) value: Option<Number>,
    pub(crate) trace_id: &'a [u8],
    pub(crate) span_id: &'a [u8],
    pub(crate) attributes: Attributes<'a>,
}

impl<'a> Metric<'a> {
    /// Reads one message in the place of the metric before; the points stay unread.
    pub(crate) fn read(&mut self, walk: &mut Walk<'a>, message: &'a [u8]) -> Result<(), Malformed> {
        let (mut metadata, mut points) = (take(&mut self.metadata), take(&mut self.points));
        metadata.clear();
        points.clear();
        *self = Self { metadata, points, ..Self::default() };
        let metric = self;
        let mut fields = Fields::new(message);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => metric.name = walk.text(wire)?,
                2 => metric.description = walk.text(wire)?,
                3 => metric.unit = walk.text(wire)?,
                5 => metric.merge_data(walk, MetricKind::Gauge, wire)?,
                7 => metric.merge_data(walk, MetricKind::Sum, wire)?,
                9 => metric.merge_data(walk, MetricKind::Histogram, wire)?,
                10 => metric.merge_data(walk, MetricKind::ExponentialHistogram, wire)?,
                11 => metric.merge_data(walk, MetricKind::Summary, wire)?,
                12 => walk.attribute(wire, &mut metric.metadata)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn merge_data(&mut self, walk: &Walk<'a>, kind: MetricKind, wire: Wire<'a>) -> Result<(), Malformed> {
        if self.kind != kind {
            (self.kind, self.temporality, self.monotonic) = (kind, 0, false);
            self.points.clear();
        }
        // One point past the limit is enough to refuse the request.
        let points_max = usize::try_from(walk.limits.records).unwrap_or(usize::MAX);
        let mut fields = Fields::new(wire.bytes()?);
        while let Some((number, wire)) = fields.next()? {
            match (number, kind) {
                (1, _) if self.points.len() > points_max => {}
                (1, _) => self.points.push(wire.bytes()?),
                (2, MetricKind::Sum | MetricKind::Histogram | MetricKind::ExponentialHistogram) => {
                    self.temporality = wire.enumeration()?;
                }
                (3, MetricKind::Sum) => self.monotonic = wire.varint()? != 0,
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> Point<'a> {
    /// Reads one point of a kind in the place of the point before.
    pub(crate) fn read(&mut self, walk: &mut Walk<'a>, kind: MetricKind, message: &'a [u8]) -> Result<(), Malformed> {
        let point = self.cleared();
        let mut fields = Fields::new(message);
        while let Some((number, wire)) = fields.next()? {
            match number {
                2 => point.start_unix_nano = wire.bits()?,
                3 => point.time_unix_nano = wire.bits()?,
                _ => match kind {
                    MetricKind::None => {}
                    MetricKind::Gauge | MetricKind::Sum => point.read_number(walk, number, wire)?,
                    MetricKind::Histogram => point.read_histogram(walk, number, wire)?,
                    MetricKind::ExponentialHistogram => point.read_exponential(walk, number, wire)?,
                    MetricKind::Summary => point.read_summary(walk, number, wire)?,
                },
            }
        }
        walk.fit(&[point.start_unix_nano, point.time_unix_nano], Reason::Time);
        walk.fit(&[point.count, point.zero_count], Reason::Count);
        Ok(())
    }

    /// A point with nothing but the room of its lists.
    fn cleared(&mut self) -> &mut Self {
        let mut empty = Self {
            attributes: take(&mut self.attributes),
            exemplars: take(&mut self.exemplars),
            bucket_counts: take(&mut self.bucket_counts),
            explicit_bounds: take(&mut self.explicit_bounds),
            quantiles: take(&mut self.quantiles),
            positive: self.positive.cleared(),
            negative: self.negative.cleared(),
            ..Self::default()
        };
        empty.attributes.clear();
        empty.exemplars.clear();
        empty.bucket_counts.clear();
        empty.explicit_bounds.clear();
        empty.quantiles.clear();
        *self = empty;
        self
    }

    fn read_number(&mut self, walk: &mut Walk<'a>, number: u32, wire: Wire<'a>) -> Result<(), Malformed> {
        match number {
            4 => self.value = Some(Number::Double(wire.double()?)),
            5 => self.read_exemplar(walk, wire)?,
            6 => self.value = Some(Number::Int(wire.fixed64()? as i64)),
            7 => walk.attribute(wire, &mut self.attributes)?,
            8 => self.flags = wire.uint32()?,
            _ => {}
        }
        Ok(())
    }

    fn read_histogram(&mut self, walk: &mut Walk<'a>, number: u32, wire: Wire<'a>) -> Result<(), Malformed> {
        match number {
            4 => self.count = wire.bits()?,
            5 => self.sum = Some(wire.double()?),
            6 => wire.each_fixed64(|count| self.bucket_counts.push(walk.signed(count, Reason::Count)))?,
            7 => wire.each_fixed64(|bits| self.explicit_bounds.push(f64::from_bits(bits)))?,
            8 => self.read_exemplar(walk, wire)?,
            9 => walk.attribute(wire, &mut self.attributes)?,
            10 => self.flags = wire.uint32()?,
            11 => self.min = Some(wire.double()?),
            12 => self.max = Some(wire.double()?),
            _ => {}
        }
        Ok(())
    }

    fn read_exponential(&mut self, walk: &mut Walk<'a>, number: u32, wire: Wire<'a>) -> Result<(), Malformed> {
        match number {
            1 => walk.attribute(wire, &mut self.attributes)?,
            4 => self.count = wire.bits()?,
            5 => self.sum = Some(wire.double()?),
            6 => self.scale = wire.sint32()?,
            7 => self.zero_count = wire.bits()?,
            8 => self.positive.merge(walk, wire)?,
            9 => self.negative.merge(walk, wire)?,
            10 => self.flags = wire.uint32()?,
            11 => self.read_exemplar(walk, wire)?,
            12 => self.min = Some(wire.double()?),
            13 => self.max = Some(wire.double()?),
            14 => self.zero_threshold = wire.double()?,
            _ => {}
        }
        Ok(())
    }

    fn read_summary(&mut self, walk: &mut Walk<'a>, number: u32, wire: Wire<'a>) -> Result<(), Malformed> {
        match number {
            4 => self.count = wire.bits()?,
            5 => self.sum = Some(wire.double()?),
            6 => {
                let mut pair = (0.0, 0.0);
                let mut fields = Fields::new(wire.bytes()?);
                while let Some((number, wire)) = fields.next()? {
                    match number {
                        1 => pair.0 = wire.double()?,
                        2 => pair.1 = wire.double()?,
                        _ => {}
                    }
                }
                if walk.admit_row() {
                    self.quantiles.push(pair);
                }
            }
            7 => walk.attribute(wire, &mut self.attributes)?,
            8 => self.flags = wire.uint32()?,
            _ => {}
        }
        Ok(())
    }

    fn read_exemplar(&mut self, walk: &mut Walk<'a>, wire: Wire<'a>) -> Result<(), Malformed> {
        let mut exemplar = Exemplar::default();
        let mut fields = Fields::new(wire.bytes()?);
        while let Some((number, wire)) = fields.next()? {
            match number {
                2 => exemplar.time_unix_nano = wire.bits()?,
                3 => exemplar.value = Some(Number::Double(wire.double()?)),
                4 => exemplar.span_id = wire.bytes()?,
                5 => exemplar.trace_id = wire.bytes()?,
                6 => exemplar.value = Some(Number::Int(wire.fixed64()? as i64)),
                7 => walk.attribute(wire, &mut exemplar.attributes)?,
                _ => {}
            }
        }
        walk.fit(&[exemplar.time_unix_nano], Reason::Time);
        if walk.admit_row() {
            self.exemplars.push(exemplar);
        }
        Ok(())
    }
}

impl Buckets {
    /// No side, with the room of this one.
    fn cleared(&mut self) -> Self {
        let mut counts = take(&mut self.counts);
        counts.clear();
        Self { present: false, offset: 0, counts }
    }

    fn merge(&mut self, walk: &mut Walk<'_>, wire: Wire<'_>) -> Result<(), Malformed> {
        self.present = true;
        let mut fields = Fields::new(wire.bytes()?);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => self.offset = wire.sint32()?,
                2 => wire.each_varint(|count| self.counts.push(walk.signed(count, Reason::Count)))?,
                _ => {}
            }
        }
        Ok(())
    }
}
