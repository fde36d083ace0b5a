//! The wing's own figures: requests, bytes and records by signal and protocol, what receiving and decoding cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracelake_model::{Fault, Sample, SampleKind, Signal, Stage, StageName};

use crate::admission::Figures;
use crate::error::Reason;
use crate::receive::Receive;

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
    /// Zipkin v2 over HTTP; spans only.
    Zipkin,
    /// Jaeger over HTTP and gRPC; spans only.
    Jaeger,
}

impl Protocol {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Grpc, "grpc"), (Self::Http, "http"), (Self::Zipkin, "zipkin"), (Self::Jaeger, "jaeger")];

    fn carries(self, signal: Signal) -> bool {
        signal == Signal::Traces || matches!(self, Self::Grpc | Self::Http)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Durable, or empty.
    Accepted,
    /// Durable before.
    Duplicate,
    /// Refused whole, not worth a retry.
    Invalid,
    /// Refused whole with a time to come back.
    Retry,
    /// Refused whole because of a defect or a broken machine.
    Failed,
}

impl Outcome {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Accepted, "accepted"),
        (Self::Duplicate, "duplicate"),
        (Self::Invalid, "invalid"),
        (Self::Retry, "retry"),
        (Self::Failed, "failed"),
    ];

    /// The outcome of a refusal.
    pub(crate) fn of(fault: Fault) -> Self {
        match fault {
            Fault::Overloaded | Fault::Unavailable | Fault::Timeout => Self::Retry,
            Fault::Internal => Self::Failed,
            _ => Self::Invalid,
        }
    }
}

const SIGNALS: [Signal; 4] = [Signal::Traces, Signal::Logs, Signal::Metrics, Signal::Audit];

#[derive(Debug, Default)]
struct Counts {
    requests: [AtomicU64; Outcome::ALL.len()],
    bytes: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    decode_ns: AtomicU64,
}

/// Counters of the wing.
#[derive(Debug)]
pub(crate) struct Stats {
    counts: [[Counts; Protocol::ALL.len()]; SIGNALS.len()],
    refusals: [AtomicU64; Reason::ALL.len()],
    receive: Receive,
    decode: Stage,
}

/// One body that was worked on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// How long one thread took.
    pub(crate) spent: Duration,
    /// Whether that was the connection's own.
    pub(crate) inline: bool,
    /// Bytes as decompressed; 0 where that failed.
    pub(crate) plain_bytes: u64,
    /// Records that became rows.
    pub(crate) rows: u64,
}

impl Default for Stats {
    fn default() -> Self {
        let decode = Stage::new(StageName::Decode);
        Self { counts: Default::default(), refusals: Default::default(), receive: Receive::default(), decode }
    }
}

impl Stats {
    fn counts(&self, signal: Signal, protocol: Protocol) -> &Counts {
        &self.counts[signal as usize][protocol as usize]
    }

    /// One request ended.
    pub(crate) fn request(&self, signal: Signal, protocol: Protocol, outcome: Outcome) {
        self.counts(signal, protocol).requests[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A whole request was refused.
    pub(crate) fn refusal(&self, reason: Reason) {
        self.refusals[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A body was received, bytes as sent.
    pub(crate) fn bytes(&self, signal: Signal, protocol: Protocol, bytes: usize) {
        self.counts(signal, protocol).bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.receive.body(bytes as u64);
    }

    /// Records were stored and refused.
    pub(crate) fn records(&self, signal: Signal, protocol: Protocol, accepted: u64, refused: u32) {
        let counts = self.counts(signal, protocol);
        counts.accepted.fetch_add(accepted, Ordering::Relaxed);
        counts.refused.fetch_add(u64::from(refused), Ordering::Relaxed);
    }

    /// A connection of a door worked for so long, decoding in its own thread included.
    pub(crate) fn connection(&self, spent: Duration) {
        self.receive.worked(spent);
    }

    /// A body was decompressed and decoded, or was tried to; `refused` of its records became no rows.
    pub(crate) fn decoded(&self, signal: Signal, protocol: Protocol, work: Work, refused: u64) {
        let nanos = u64::try_from(work.spent.as_nanos()).unwrap_or(u64::MAX);
        self.counts(signal, protocol).decode_ns.fetch_add(nanos, Ordering::Relaxed);
        self.decode.add(work.spent, work.plain_bytes, work.rows);
        self.receive.records(work.rows + refused);
        if work.inline {
            self.receive.decoded(work.spent);
        }
    }

    /// All figures.
    pub(crate) fn samples(&self, figures: Figures) -> Vec<Sample> {
        let mut samples = [self.receive.samples(), self.decode.samples()].concat();
        for signal in SIGNALS {
            for (protocol, name) in Protocol::ALL.into_iter().filter(|(protocol, _)| protocol.carries(signal)) {
                let label = |sample: Sample| sample.label("signal", signal.as_str()).label("protocol", name);
                let counts = self.counts(signal, protocol);
                samples.extend(counts.samples().into_iter().map(label));
            }
        }
        for (reason, name) in Reason::ALL {
            let count = self.refusals[reason as usize].load(Ordering::Relaxed);
            let sample = Sample::counter("tracelake_ingest_refusals_total", "Requests refused whole by reason.", count);
            samples.push(sample.label("reason", name));
        }
        let Figures { in_flight, drain, waiting } = figures;
        #[expect(clippy::cast_precision_loss, reason = "a metric's figure is a double by format")]
        samples.extend(
            [
                (
                    "tracelake_ingest_in_flight_bytes",
                    "Bytes of requests being worked on: as announced or received, as decompressed, as rows until they are durable.",
                    in_flight,
                ),
                ("tracelake_ingest_drain_bytes_per_second", "How fast bytes in flight leave, as last measured.", drain),
                (
                    "tracelake_ingest_waiting_tenants",
                    "Tenants told to come back for want of room and not let in since.",
                    waiting,
                ),
            ]
            .map(|(name, help, value)| Sample::gauge(name, help, value as f64)),
        );
        samples
    }
}

impl Counts {
    fn samples(&self) -> Vec<Sample> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let help = "Requests by how they ended.";
        let requests = Outcome::ALL.into_iter().map(|(outcome, name)| {
            Sample::counter("tracelake_ingest_requests_total", help, read(&self.requests[outcome as usize]))
                .label("outcome", name)
        });
        let mut samples: Vec<Sample> = requests.collect();
        let help = "Bytes of request bodies as sent.";
        samples.push(Sample::counter("tracelake_ingest_bytes_total", help, read(&self.bytes)));
        let help = "Spans, log records and data points by whether they were kept.";
        for (outcome, counter) in [("accepted", &self.accepted), ("refused", &self.refused)] {
            let sample = Sample::counter("tracelake_ingest_records_total", help, read(counter));
            samples.push(sample.label("outcome", outcome));
        }
        samples.push(Sample {
            name: "tracelake_ingest_decode_seconds_total",
            help: "Time spent on decompressing and decoding.",
            kind: SampleKind::Counter,
            labels: Vec::new(),
            value: Duration::from_nanos(read(&self.decode_ns)).as_secs_f64(),
        });
        samples
    }
}
