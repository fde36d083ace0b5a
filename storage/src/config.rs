//! The limits of the storage wing with their defaults. Reads nothing by itself: the binary fills it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tracelake_model::{Table, TenantId};

use crate::bucket::settings::S3;
use crate::error::Error;
use crate::place::Place;

/// When a request is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on disk.
    #[default]
    Fsync,
    /// Once the operating system has it: it survives the end of the process, and is on disk within
    /// [`Config::durability_interval`]. Audit records and rows of our own wait for the disk all the same.
    Interval,
}

/// Limits and places of a [`crate::Store`].
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where everything lives; made when missing.
    pub data_dir: PathBuf,
    /// When requests of tenants are acknowledged that `tenant_durability` does not name.
    pub durability: Durability,
    /// How long at most what [`Durability::Interval`] acknowledged is not on disk.
    pub durability_interval: Duration,
    /// When requests of these tenants are acknowledged.
    pub tenant_durability: BTreeMap<TenantId, Durability>,
    /// Where tables and documents live instead: `s3://bucket/prefix` or `file:///directory`.
    pub url: Option<String>,
    /// How an S3-compatible store is reached.
    pub s3: S3,
    /// How often tables in a place that servers share are asked for what others committed.
    pub refresh_interval: Duration,
    /// Bytes that live parts may have together; beyond, those stored first go. `None`: no limit but the disk's.
    pub bytes_max: Option<u64>,
    /// How often the tail becomes Parquet, when there is something in it.
    pub flush_interval: Duration,
    /// How long a payload is recognised when it comes again.
    pub dedup_window: Duration,
    /// Payload hashes kept at most; when more arrive within the window, the window shortens (and `/metrics` says so).
    pub dedup_hashes_max: usize,
    /// Bytes of rows in memory that trigger an early flush; at twice as many, with those being flushed, appends are
    /// refused until it is done.
    pub tail_bytes: u64,
    /// Bytes of one preallocated segment of the log.
    pub wal_segment_bytes: u64,
    /// Bytes of all segments; beyond, appends are refused until a flush (or a tap) lets old segments go.
    pub wal_bytes_max: u64,
    /// Bytes of requests that may wait for the log's writer; beyond, appends are refused.
    pub queue_bytes_max: u64,
    /// Bytes of requests that share one sync at most.
    pub group_bytes_max: u64,
    /// Durable requests that wait for slow taps in memory; beyond, taps read them from the log again.
    pub feed_requests_max: usize,
    /// Bytes of rows that wait for taps in memory; beyond it taps read from the log.
    pub feed_bytes_max: u64,
    /// How long rows of a table stay after they were stored; tables that are not here keep theirs.
    pub retention: BTreeMap<Table, Duration>,
    /// Share of the disk's space, without what others use, that tables may take; beyond, the oldest parts go. 1 never
    /// removes any.
    pub disk_share: f64,
    /// Bytes of trace indexes in memory; beyond, a trace is looked for in every part of those that were stored first.
    pub trace_index_bytes: u64,
    /// How long entries of a table's log stay that a checkpoint covers.
    pub delta_log_keep: Duration,
    /// Commits of a table from one checkpoint of its log to the next.
    pub checkpoint_every: u64,
    /// How long a file stays that compaction or retention removed, for those who read it.
    pub removed_keep: Duration,
    /// How often the checksum of every part is taken again in the background; zero never does.
    pub scrub_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./tracelake-data"),
            durability: Durability::Fsync,
            durability_interval: Duration::from_millis(200),
            tenant_durability: BTreeMap::new(),
            url: None,
            s3: S3::default(),
            refresh_interval: Duration::from_secs(2),
            bytes_max: None,
            flush_interval: Duration::from_secs(10),
            dedup_window: Duration::from_secs(600),
            dedup_hashes_max: 1_000_000,
            tail_bytes: 24 << 20,
            wal_segment_bytes: 32 << 20,
            wal_bytes_max: 1 << 30,
            queue_bytes_max: 16 << 20,
            group_bytes_max: 4 << 20,
            feed_requests_max: 1024,
            feed_bytes_max: 16 << 20,
            retention: BTreeMap::new(),
            disk_share: 0.8,
            trace_index_bytes: 64 << 20,
            delta_log_keep: Duration::from_secs(86_400),
            checkpoint_every: 100,
            removed_keep: Duration::from_secs(3600),
            scrub_every: Duration::from_secs(7 * 86_400),
        }
    }
}

impl Config {
    /// When requests of a tenant are acknowledged.
    pub fn durability_of(&self, tenant: &TenantId) -> Durability {
        self.tenant_durability.get(tenant).copied().unwrap_or(self.durability)
    }

    /// Refuses values that cannot work, all of them at once.
    pub fn check(&self) -> Result<(), Error> {
        let rules = [
            (self.data_dir.as_os_str().is_empty(), "data_dir must not be empty"),
            (self.flush_interval < Duration::from_millis(10), "flush_interval must be at least 10ms"),
            (
                !(Duration::from_millis(1)..=Duration::from_secs(10)).contains(&self.durability_interval),
                "durability_interval must be between 1ms and 10s",
            ),
            (self.refresh_interval < Duration::from_millis(100), "refresh_interval must be at least 100ms"),
            (self.bytes_max.is_some_and(|max| max < 1 << 20), "bytes_max must be at least 1 MiB"),
            (self.dedup_hashes_max == 0, "dedup_hashes_max must be at least 1"),
            (self.tail_bytes < 1 << 16, "tail_bytes must be at least 64 KiB"),
            (self.wal_segment_bytes < 1 << 12, "wal_segment_bytes must be at least 4 KiB"),
            (self.wal_segment_bytes > 1 << 30, "wal_segment_bytes must be at most 1 GiB"),
            (self.wal_bytes_max < 3 * self.wal_segment_bytes, "wal_bytes_max must hold at least three segments"),
            (self.queue_bytes_max == 0, "queue_bytes_max must be at least 1"),
            (self.group_bytes_max == 0, "group_bytes_max must be at least 1"),
            (self.feed_requests_max == 0, "feed_requests_max must be at least 1"),
            (self.feed_bytes_max == 0, "feed_bytes_max must be at least 1"),
            (
                self.retention.values().any(|age| *age < Duration::from_secs(60)),
                "retention of a table must be at least 1m",
            ),
            (!(0.01..=1.0).contains(&self.disk_share), "disk_share must be between 0.01 and 1"),
            (self.delta_log_keep < Duration::from_secs(3600), "delta_log_keep must be at least 1h"),
            (self.checkpoint_every == 0, "checkpoint_every must be at least 1"),
            (self.removed_keep < Duration::from_secs(60), "removed_keep must be at least 1m"),
        ];
        let broken = rules.iter().filter(|(broken, _)| *broken).map(|(_, rule)| (*rule).to_owned());
        let place = self.url.as_deref().and_then(|url| Place::parse(url).err());
        let broken: Vec<_> = broken.chain(place).chain(self.s3.problem().map(str::to_owned)).collect();
        if broken.is_empty() { Ok(()) } else { Err(Error::Config(broken.join("; "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_work_and_all_broken_limits_are_told_at_once() {
        assert!(Config::default().check().is_ok());
        let broken = Config { tail_bytes: 0, wal_bytes_max: 1, ..Config::default() };
        let told = broken.check().unwrap_err().to_string();
        assert!(told.contains("tail_bytes") && told.contains("wal_bytes_max"), "{told}");
    }
}
