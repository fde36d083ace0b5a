//! What one stage of a record's way cost: seconds of work, bytes, rows, in the same words in every wing.
//!
//! Deliberately no histogram and no label but the stage: these figures say where a server's time goes, as shares of each
//! other and of `process_cpu_seconds_total`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::sample::{Sample, SampleKind};

/// A stage that records pass on their way from a door to parts and notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageName {
    /// Bytes from the network to a whole body, and the answer.
    Receive,
    /// A body to batches: decompression and decoding.
    Decode,
    /// A group of requests to the write-ahead log, with the wait for the disk.
    Wal,
    /// Small batches in memory to larger ones.
    Gather,
    /// Rows in memory to committed parts.
    Flush,
    /// Small parts to large ones, without the rests between.
    Compact,
    /// Rules and exceptions over durable rows.
    Match,
}

impl StageName {
    /// The value of the label `stage`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Decode => "decode",
            Self::Wal => "wal",
            Self::Gather => "gather",
            Self::Flush => "flush",
            Self::Compact => "compact",
            Self::Match => "match",
        }
    }
}

/// Counts what one stage did.
#[derive(Debug)]
pub struct Stage {
    name: StageName,
    nanos: AtomicU64,
    bytes: AtomicU64,
    rows: AtomicU64,
}

impl Stage {
    /// A stage that did nothing yet.
    pub fn new(name: StageName) -> Self {
        let zero = || AtomicU64::new(0);
        Self { name, nanos: zero(), bytes: zero(), rows: zero() }
    }

    /// Work was done: so long on one thread, over so many bytes and rows. Zero where a part is counted elsewhere.
    pub fn add(&self, spent: Duration, bytes: u64, rows: u64) {
        let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        for (counter, more) in [(&self.nanos, nanos), (&self.bytes, bytes), (&self.rows, rows)] {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Time worked so far.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// The three counters of the stage.
    pub fn samples(&self) -> Vec<Sample> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let seconds = Sample {
            name: "tracelake_stage_seconds_total",
            help: "Time worked in a stage of a record's way, all threads together.",
            kind: SampleKind::Counter,
            labels: Vec::new(),
            value: self.spent().as_secs_f64(),
        };
        let bytes = ("tracelake_stage_bytes_total", "Bytes that a stage worked on, see docs/guide/metrics.md.");
        let rows = ("tracelake_stage_rows_total", "Rows that a stage worked on, see docs/guide/metrics.md.");
        let samples = [
            seconds,
            Sample::counter(bytes.0, bytes.1, read(&self.bytes)),
            Sample::counter(rows.0, rows.1, read(&self.rows)),
        ];
        samples.into_iter().map(|sample| sample.label("stage", self.name.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_shown_under_the_stage_s_label() {
        let stage = Stage::new(StageName::Decode);
        stage.add(Duration::from_millis(1500), 10, 2);
        stage.add(Duration::ZERO, 5, 0);
        stage.add(Duration::from_millis(250), 0, 1);
        let shown: Vec<_> = stage.samples().into_iter().map(|sample| (sample.name, sample.value)).collect();
        let expected = [
            ("tracelake_stage_seconds_total", 1.75),
            ("tracelake_stage_bytes_total", 15.0),
            ("tracelake_stage_rows_total", 3.0),
        ];
        assert_eq!(shown, expected);
        for sample in stage.samples() {
            assert_eq!((sample.kind, sample.labels), (SampleKind::Counter, vec![("stage", "decode".to_owned())]));
        }
    }
}
