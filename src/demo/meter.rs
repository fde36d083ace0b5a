//! Spans become metric points of all five kinds, so that metrics, traces and logs of the shop agree.
//!
//! Counters and duration histograms count the very spans that were sent; what spans do not show (processor, memory,
//! connection pools, garbage collection) is drawn by chance around plausible figures.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use rand::Rng;
use rand::rngs::SmallRng;

use crate::demo::attribute::text;
use crate::demo::request::Sent;
use crate::demo::shop::{SERVICES, Service};
use crate::demo::story::Phase;

/// Seconds; the bounds that semantic conventions advise.
const BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Scale of the exponential histograms: 8 buckets to a doubling.
const SCALE: i32 = 3;
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
const DELTA: i32 = AggregationTemporality::Delta as i32;

/// Figures since the demo's start (cumulative) or since the last collection (delta).
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// By service, instance, operation and whether it failed.
    served: BTreeMap<(usize, u8, String, bool), Served>,
    /// By service, instance and database system.
    asked: BTreeMap<(usize, u8, String), BTreeMap<i32, u64>>,
    /// Messages sent, by service and instance.
    messages: BTreeMap<(usize, u8), u64>,
}

#[derive(Debug, Default)]
struct Served {
    buckets: Vec<u64>,
    sum: f64,
    min: f64,
    max: f64,
    exemplar: Option<Exemplar>,
}

/// The instant of a collection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collection {
    /// The demo's start, Unix nanoseconds.
    pub(crate) start: u64,
    /// The collection before this one.
    pub(crate) last: u64,
    pub(crate) now: u64,
    pub(crate) phase: Phase,
}

impl Meter {
    /// Counts one span.
    pub(crate) fn observe(&mut self, sent: &Sent<Span>) {
        let span = &sent.record;
        #[expect(clippy::cast_precision_loss, reason = "seconds as a double")]
        let seconds = (span.end_time_unix_nano - span.start_time_unix_nano) as f64 / 1e9;
        let (service, instance) = (sent.service.index, sent.instance);
        match span.kind {
            2 | 5 => {
                let failed = span.status.as_ref().is_some_and(|status| status.code == 2);
                let key = (service, instance, span.name.clone(), failed);
                self.served.entry(key).or_default().add(seconds, span);
            }
            3 => {
                let Some(system) = text_of(&span.attributes, "db.system.name") else { return };
                let buckets = self.asked.entry((service, instance, system.to_owned())).or_default();
                *buckets.entry(bucket_of(seconds)).or_default() += 1;
            }
            4 => *self.messages.entry((service, instance)).or_default() += 1,
            _ => {}
        }
    }

    /// The points of every instance at one instant.
    pub(crate) fn collect(&mut self, at: Collection, rng: &mut SmallRng) -> Vec<Sent<Metric>> {
        let mut out = Vec::new();
        for service in SERVICES {
            for instance in 0..service.replicas {
                out.extend(self.of_instance(service, instance, at, rng).into_iter().map(|record| Sent {
                    service,
                    instance,
                    record,
                }));
            }
        }
        self.asked.clear();
        out
    }

    fn of_instance(&self, service: &Service, instance: u8, at: Collection, rng: &mut SmallRng) -> Vec<Metric> {
        let mut out =
            vec![durations(self.served_by(service, instance), at), processor(at, rng), memory(service, at, rng)];
        let asked: Vec<_> = self.asked.range((service.index, instance, String::new())..).collect();
        let own =
            asked.into_iter().take_while(|((index, number, _), _)| (*index, *number) == (service.index, instance));
        let points: Vec<_> = own.map(|((_, _, system), buckets)| asked_point(system, buckets, at)).collect();
        if !points.is_empty() {
            let data = ExponentialHistogram { data_points: points, aggregation_temporality: DELTA };
            out.push(named("db.client.operation.duration", "s", metric::Data::ExponentialHistogram(data)));
        }
        if let Some(count) = self.messages.get(&(service.index, instance)) {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            let point =
                number(at, vec![text("messaging.destination.name", "orders")], number_data_point::Value::AsInt(count));
            let data = Sum { data_points: vec![point], aggregation_temporality: CUMULATIVE, is_monotonic: true };
            out.push(named("messaging.client.sent.messages", "{message}", metric::Data::Sum(data)));
        }
        if service.language == "java" {
            out.push(pool(service, at, rng));
            out.push(collector_pauses(at, rng));
        }
        out.retain(|metric| !is_empty(metric));
        out
    }

    fn served_by(&self, service: &Service, instance: u8) -> impl Iterator<Item = (&str, bool, &Served)> {
        let first = (service.index, instance, String::new(), false);
        let of_service = self.served.range(first..);
        let own = (service.index, instance);
        of_service
            .take_while(move |((index, number, ..), _)| (*index, *number) == own)
            .map(|((_, _, name, failed), served)| (name.as_str(), *failed, served))
    }
}

impl Served {
    fn add(&mut self, seconds: f64, span: &Span) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; BOUNDS.len() + 1];
            self.min = f64::MAX;
        }
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
        self.min = self.min.min(seconds);
        self.max = self.max.max(seconds);
        self.exemplar = Some(Exemplar {
            time_unix_nano: span.end_time_unix_nano,
            trace_id: span.trace_id.clone(),
            span_id: span.span_id.clone(),
            value: Some(exemplar::Value::AsDouble(seconds)),
            ..Exemplar::default()
        });
    }
}

fn durations<'a>(served: impl Iterator<Item = (&'a str, bool, &'a Served)>, at: Collection) -> Metric {
    let data_points = served
        .map(|(name, failed, served)| HistogramDataPoint {
            attributes: vec![text("operation", name), text("outcome", if failed { "error" } else { "ok" })],
            start_time_unix_nano: at.start,
            time_unix_nano: at.now,
            count: served.buckets.iter().sum(),
            sum: Some(served.sum),
            bucket_counts: served.buckets.clone(),
            explicit_bounds: BOUNDS.to_vec(),
            exemplars: served.exemplar.clone().into_iter().collect(),
            min: Some(served.min),
            max: Some(served.max),
            ..HistogramDataPoint::default()
        })
        .collect();
    let data = Histogram { data_points, aggregation_temporality: CUMULATIVE };
    named("server.request.duration", "s", metric::Data::Histogram(data))
}

fn processor(at: Collection, rng: &mut SmallRng) -> Metric {
    let point = number(at, Vec::new(), number_data_point::Value::AsDouble(rng.random_range(0.04..0.37)));
    named("process.cpu.utilization", "1", metric::Data::Gauge(Gauge { data_points: vec![point] }))
}

fn memory(service: &Service, at: Collection, rng: &mut SmallRng) -> Metric {
    let base: i64 = if service.language == "java" { 420 << 20 } else { 96 << 20 };
    let bytes = base + rng.random_range(0..64 << 20);
    let point = number(at, Vec::new(), number_data_point::Value::AsInt(bytes));
    let data = Sum { data_points: vec![point], aggregation_temporality: CUMULATIVE, is_monotonic: false };
    named("process.memory.usage", "By", metric::Data::Sum(data))
}

/// Connections of a Java service's pool: all ten in use while `payment` is ill.
fn pool(service: &Service, at: Collection, rng: &mut SmallRng) -> Metric {
    let ill = service.name == "payment" && at.phase == Phase::During;
    let used = if ill { 10 } else { rng.random_range(1..6) };
    let of_state = |state: &str, count: i64| {
        let attributes =
            vec![text("db.client.connection.state", state), text("db.client.connection.pool.name", "HikariPool-1")];
        number(at, attributes, number_data_point::Value::AsInt(count))
    };
    let data_points = vec![of_state("used", used), of_state("idle", 10 - used)];
    let data = Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: false };
    named("db.client.connection.count", "{connection}", metric::Data::Sum(data))
}

fn collector_pauses(at: Collection, rng: &mut SmallRng) -> Metric {
    let count = (at.now - at.start) / 4_000_000_000;
    let median = rng.random_range(0.003..0.009);
    let quantile = |quantile: f64, factor: f64| ValueAtQuantile { quantile, value: median * factor };
    #[expect(clippy::cast_precision_loss, reason = "seconds as a double")]
    let sum = count as f64 * 0.006;
    let point = SummaryDataPoint {
        start_time_unix_nano: at.start,
        time_unix_nano: at.now,
        count,
        sum,
        quantile_values: vec![quantile(0.5, 1.0), quantile(0.9, 2.1), quantile(0.99, 4.7)],
        ..SummaryDataPoint::default()
    };
    named("jvm_gc_pause_seconds", "s", metric::Data::Summary(Summary { data_points: vec![point] }))
}

fn asked_point(system: &str, buckets: &BTreeMap<i32, u64>, at: Collection) -> ExponentialHistogramDataPoint {
    let first = buckets.keys().next().copied().unwrap_or_default();
    let last = buckets.keys().next_back().copied().unwrap_or_default();
    let bucket_counts: Vec<u64> =
        (first..=last).map(|index| buckets.get(&index).copied().unwrap_or_default()).collect();
    #[expect(clippy::cast_precision_loss, reason = "a sum of seconds as a double")]
    let sum = buckets.iter().map(|(index, count)| middle_of(*index) * *count as f64).sum();
    ExponentialHistogramDataPoint {
        attributes: vec![text("db.system.name", system)],
        start_time_unix_nano: at.last,
        time_unix_nano: at.now,
        count: bucket_counts.iter().sum(),
        sum: Some(sum),
        scale: SCALE,
        positive: Some(Buckets { offset: first, bucket_counts }),
        ..ExponentialHistogramDataPoint::default()
    }
}

/// Bucket of a value by the logarithm method of the OpenTelemetry data model: `(base^index, base^(index+1)]`.
#[expect(clippy::cast_possible_truncation, reason = "the logarithm of a duration fits 32 bits")]
fn bucket_of(seconds: f64) -> i32 {
    (seconds.max(1e-9).log2() * 8.0).ceil() as i32 - 1
}

fn middle_of(index: i32) -> f64 {
    ((f64::from(index) + 0.5) / 8.0).exp2()
}

fn named(name: &str, unit: &str, data: metric::Data) -> Metric {
    Metric { name: name.to_owned(), unit: unit.to_owned(), data: Some(data), ..Metric::default() }
}

fn number(at: Collection, attributes: Vec<KeyValue>, value: number_data_point::Value) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: at.start,
        time_unix_nano: at.now,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn is_empty(metric: &Metric) -> bool {
    matches!(&metric.data, Some(metric::Data::Histogram(data)) if data.data_points.is_empty())
}

fn text_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let found = attributes.iter().find(|pair| pair.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_the_data_model_says() {
        for (seconds, index) in [(1.0, -1), (2.0, 7), (2.01, 8), (0.5, -9), (1.05, 0)] {
            assert_eq!(bucket_of(seconds), index, "{seconds}");
            let (low, high) = ((f64::from(index) / 8.0).exp2(), (f64::from(index + 1) / 8.0).exp2());
            assert!(low < seconds && seconds <= high, "{seconds}");
        }
    }
}
