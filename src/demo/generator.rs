//! Requests along a time line: the same seed, start and rate give the same records, byte for byte.
//!
//! Every request has a chance of its own, seeded by its number, so how the time line is cut into slices changes
//! nothing but the grouping. Deliberately has no clock: the caller says how far to go.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::UnixNano;

use crate::demo::export;
use crate::demo::meter::{Collection, Meter};
use crate::demo::request::{Trail, walk};
use crate::demo::shop::{NIGHTLY, Operation, VISITS};
use crate::demo::story::Phase;

const SECOND: u64 = 1_000_000_000;
/// How often metrics are collected.
const COLLECT_EVERY: u64 = 15 * SECOND;
/// How often the cron job runs.
const NIGHTLY_EVERY: u64 = 300 * SECOND;

/// Everything that the shop sends for one slice of time.
#[derive(Debug, PartialEq)]
pub(crate) struct Slice {
    pub(crate) traces: ExportTraceServiceRequest,
    pub(crate) logs: ExportLogsServiceRequest,
    pub(crate) metrics: ExportMetricsServiceRequest,
    /// How many visits it holds.
    pub(crate) requests: u64,
    pub(crate) spans: u64,
}

/// The shop's time line.
#[derive(Debug)]
pub(crate) struct Generator {
    seed: u64,
    start: u64,
    /// Visits per second.
    rate: u32,
    /// Number of the next visit, and when it begins.
    next: (u64, u64),
    next_nightly: u64,
    next_collection: u64,
    meter: Meter,
}

impl Generator {
    /// A time line that begins at `start`, with `rate` visits per second (at least 1).
    pub(crate) fn new(seed: u64, start: UnixNano, rate: u32) -> Self {
        let start = u64::try_from(start.0).unwrap_or_default();
        Self {
            seed,
            start,
            rate: rate.max(1),
            next: (0, start),
            next_nightly: start.next_multiple_of(NIGHTLY_EVERY),
            next_collection: start + COLLECT_EVERY,
            meter: Meter::default(),
        }
    }

    /// Visits per second from here on.
    pub(crate) fn set_rate(&mut self, rate: u32) {
        self.rate = rate.max(1);
    }

    /// How far a slice should go from `from`, so that it stays well below the size that a server takes at once.
    pub(crate) fn slice_end(&self, from: UnixNano, until: UnixNano) -> UnixNano {
        let seconds = (300 / u64::from(self.rate)).clamp(1, 10);
        UnixNano((from.0 + i64::try_from(seconds * SECOND).unwrap_or(0)).min(until.0))
    }

    /// Everything that happens before `until` and has not been told yet.
    pub(crate) fn advance(&mut self, until: UnixNano) -> Slice {
        let until = u64::try_from(until.0).unwrap_or_default();
        let phase = self.phase(until.saturating_sub(1).max(self.start));
        let mut whole = Trail::default();
        let mut requests = 0;
        while self.next.1 < until {
            let (number, at) = self.next;
            let mut rng = self.chance(1, number);
            let operation = draw_visit(&mut rng);
            add(&mut whole, walk(operation, at, self.phase(at), rng));
            self.next = (number + 1, at + self.gap(number));
            requests += 1;
        }
        while self.next_nightly < until {
            let at = self.next_nightly;
            add(&mut whole, walk(&NIGHTLY, at, self.phase(at), self.chance(2, at)));
            self.next_nightly += NIGHTLY_EVERY;
        }
        whole.spans.iter().for_each(|span| self.meter.observe(span));
        let mut metrics = Vec::new();
        while self.next_collection < until {
            let now = self.next_collection;
            let at = Collection { start: self.start, last: now - COLLECT_EVERY, now, phase: self.phase(now) };
            metrics.extend(self.meter.collect(at, &mut self.chance(3, now)));
            self.next_collection += COLLECT_EVERY;
        }
        let spans = whole.spans.len() as u64;
        Slice {
            traces: export::traces(whole.spans, phase),
            logs: export::logs(whole.logs, phase),
            metrics: export::metrics(metrics, phase),
            requests,
            spans,
        }
    }

    fn phase(&self, at: u64) -> Phase {
        let nano = |at: u64| UnixNano(i64::try_from(at).unwrap_or(i64::MAX));
        Phase::at(nano(self.start), nano(at))
    }

    /// A chance of its own for one thing of a stream.
    fn chance(&self, stream: u64, number: u64) -> SmallRng {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (stream << 56) ^ self.seed.rotate_left(17);
        SmallRng::seed_from_u64(mixed)
    }

    /// Nanoseconds to the next visit: irregular, `rate` a second on average.
    fn gap(&self, number: u64) -> u64 {
        let mean = SECOND / u64::from(self.rate);
        self.chance(4, number).random_range(mean / 4..=mean + mean * 3 / 4).max(1)
    }
}

fn draw_visit(rng: &mut SmallRng) -> &'static Operation {
    let mut left = rng.random_range(0..1000);
    for (share, operation) in VISITS {
        if left < *share {
            return operation;
        }
        left -= share;
    }
    VISITS[0].1
}

fn add(whole: &mut Trail, trail: Trail) {
    whole.spans.extend(trail.spans);
    whole.logs.extend(trail.logs);
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use prost::Message;

    use super::*;

    const START: UnixNano = UnixNano(1_700_000_000_000_000_000);

    fn minutes(seed: u64, minutes: i64) -> Vec<Slice> {
        let mut generator = Generator::new(seed, START, 5);
        (1..=minutes * 6).map(|n| generator.advance(UnixNano(START.0 + n * 10_000_000_000))).collect()
    }

    fn bytes(slices: &[Slice]) -> Vec<Vec<u8>> {
        let encode =
            |slice: &Slice| [slice.traces.encode_to_vec(), slice.logs.encode_to_vec(), slice.metrics.encode_to_vec()];
        slices.iter().flat_map(encode).collect()
    }

    #[test]
    fn the_same_seed_and_start_make_the_same_bytes_and_another_seed_others() {
        assert_eq!(bytes(&minutes(1, 2)), bytes(&minutes(1, 2)));
        assert_ne!(bytes(&minutes(1, 2)), bytes(&minutes(2, 2)));
    }

    #[test]
    fn cutting_time_otherwise_changes_no_record() {
        let ids = |slices: &[Slice]| -> BTreeSet<Vec<u8>> {
            let spans = slices.iter().flat_map(|slice| &slice.traces.resource_spans);
            spans.flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).map(Message::encode_to_vec).collect()
        };
        let mut generator = Generator::new(1, START, 5);
        let whole = [generator.advance(UnixNano(START.0 + 60_000_000_000))];
        assert_eq!(ids(&minutes(1, 1)), ids(&whole));
    }

    #[test]
    fn every_parent_is_in_its_trace_and_begins_first_and_every_service_speaks() {
        let slices = minutes(1, 10);
        let mut begins = BTreeMap::new();
        let mut links = Vec::new();
        let mut services = BTreeSet::new();
        for resource in slices.iter().flat_map(|slice| &slice.traces.resource_spans) {
            services.insert(format!("{:?}", resource.resource.as_ref().map(|r| r.attributes[0].clone())));
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
                let id = (span.trace_id.clone(), span.span_id.clone());
                assert!(begins.insert(id, span.start_time_unix_nano).is_none(), "an id came twice");
                if !span.parent_span_id.is_empty() {
                    let parent = (span.trace_id.clone(), span.parent_span_id.clone());
                    links.push((parent, span.start_time_unix_nano, span.name.clone()));
                }
            }
        }
        for (parent, begin, name) in links {
            let parent = begins.get(&parent).expect("every parent is in its trace");
            assert!(*parent <= begin, "{name} begins before its parent");
        }
        assert_eq!(services.len(), 15);
    }

    #[test]
    fn payment_fails_only_during_the_incident_and_says_so_in_two_languages() {
        let mut failures: BTreeMap<bool, usize> = BTreeMap::new();
        let mut bodies = String::new();
        for record in minutes(1, 12)
            .iter()
            .flat_map(|s| &s.logs.resource_logs)
            .flat_map(|r| &r.scope_logs)
            .flat_map(|s| &s.log_records)
        {
            let body = format!("{:?}", record.body);
            if body.contains("커넥션 풀") || body.contains("connection pool exhausted") {
                let begin = record.time_unix_nano - u64::try_from(START.0).unwrap();
                *failures.entry(begin >= 7 * 60 * SECOND).or_default() += 1;
                bodies.push_str(&body);
            }
        }
        assert_eq!(failures.get(&false), None);
        assert!(failures[&true] > 5, "{failures:?}");
        assert!(bodies.contains("커넥션") && bodies.contains("exhausted"));
    }

    #[test]
    fn all_five_kinds_of_points_and_audit_records_are_sent() {
        let slices = minutes(1, 2);
        let metrics = slices
            .iter()
            .flat_map(|s| &s.metrics.resource_metrics)
            .flat_map(|r| &r.scope_metrics)
            .flat_map(|s| &s.metrics);
        let kinds: BTreeSet<&str> = metrics
            .filter_map(|metric| metric.data.as_ref())
            .map(|data| match data {
                Data::Gauge(_) => "gauge",
                Data::Sum(_) => "sum",
                Data::Histogram(_) => "histogram",
                Data::ExponentialHistogram(_) => "exponential",
                Data::Summary(_) => "summary",
            })
            .collect();
        assert_eq!(kinds.len(), 5, "{kinds:?}");
        let mut records =
            slices.iter().flat_map(|s| &s.logs.resource_logs).flat_map(|r| &r.scope_logs).flat_map(|s| &s.log_records);
        assert!(records.any(|record| record.event_name == "audit.user.login"));
    }
}
