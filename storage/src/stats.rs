//! Figures of the storage wing for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use tracelake_model::{Sample, Stage};

use crate::bucket::counted::Requests;
use crate::core::Core;

#[expect(clippy::cast_precision_loss, reason = "a metric's figure is a double by format")]
fn gauge(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample::gauge(name, help, value as f64)
}

/// All figures of a store.
pub(crate) fn samples(core: &Core) -> Vec<Sample> {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &core.counters;
    let (tail_bytes, unflushed) = {
        let tail = core.tail.lock();
        (tail.bytes(), tail.visible() + 1 - tail.first_needed())
    };
    let (hashes, window) = {
        let dedup = core.dedup.lock();
        (dedup.len() as u64, dedup.window(core.clock.now()))
    };
    let unsynced = core.writer.lock().unsynced();
    let (waiting, behind) = core.feed.waiting();
    let counter = Sample::counter;
    let mut samples = vec![
        counter("tracelake_storage_requests_total", "Requests made durable.", read(&counters.requests)),
        counter(
            "tracelake_storage_duplicates_total",
            "Requests acknowledged without storing them again.",
            read(&counters.duplicates),
        ),
        counter("tracelake_storage_refused_total", "Requests refused by storage.", read(&counters.refused)),
        counter("tracelake_storage_wal_groups_total", "Groups written to the log.", read(&counters.groups)),
        counter("tracelake_storage_wal_syncs_total", "Syncs of the log.", read(&counters.syncs)),
        gauge("tracelake_storage_wal_unsynced_frames", "Frames of the log that are written and not synced.", unsynced),
        counter("tracelake_storage_flushes_total", "Flushes that wrote parts.", read(&counters.flushes)),
        counter("tracelake_storage_flush_failures_total", "Flushes failed.", read(&counters.flush_failures)),
        counter("tracelake_storage_flushed_rows_total", "Rows moved to parts.", read(&counters.flushed_rows)),
        gauge(
            "tracelake_storage_wal_damaged_frames",
            "Acknowledged frames found damaged at start.",
            read(&counters.damaged),
        ),
        gauge(
            "tracelake_storage_wal_undecodable_frames",
            "Acknowledged frames that could not be decoded at start.",
            read(&counters.undecodable),
        ),
        gauge("tracelake_storage_wal_bytes", "Bytes of the log in use.", core.segments.used_bytes()),
        gauge("tracelake_storage_wal_segments", "Segments of the log in use.", core.segments.count() as u64),
        gauge("tracelake_storage_queue_bytes", "Bytes that wait for the log's writer.", core.queue.bytes()),
        gauge("tracelake_storage_tail_bytes", "Bytes of rows in memory.", tail_bytes),
        gauge("tracelake_storage_tail_positions", "Log positions since the oldest row in memory.", unflushed),
        gauge("tracelake_storage_dedup_hashes", "Payload hashes kept.", hashes),
        Sample::gauge(
            "tracelake_storage_dedup_window_seconds",
            "How long a payload is recognised; shorter than configured while dedup_hashes_max is reached.",
            window.as_secs_f64(),
        ),
        gauge("tracelake_storage_tap_requests", "Durable requests that wait for taps in memory.", waiting as u64),
        gauge("tracelake_storage_tap_behind", "1 while taps read from the log.", u64::from(behind)),
    ];
    samples.extend(upkeep_samples(core));
    let stages = &counters.stages;
    samples.extend([&stages.wal, &stages.gather, &stages.flush, &stages.compact].into_iter().flat_map(Stage::samples));
    samples.extend(core.register.samples());
    samples
}

/// What erasures did, and what holds keep.
fn erasure_samples(core: &Core) -> Vec<Sample> {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (counters, counter) = (&core.counters, Sample::counter);
    let held = |limit: &str, bytes: &AtomicU64| {
        const HELP: &str = "Bytes above a limit of the tables' size that stay because of holds.";
        gauge("tracelake_storage_held_above_limit_bytes", HELP, read(bytes)).label("limit", limit)
    };
    vec![
        counter("tracelake_storage_erasures_total", "Erasures by query done or stopped.", read(&counters.erasures)),
        counter(
            "tracelake_storage_erase_parts_read_total",
            "Parts that erasures looked into.",
            read(&counters.erase_read),
        ),
        counter("tracelake_storage_erased_rows_total", "Rows erased by query.", read(&counters.erased_rows)),
        gauge("tracelake_storage_erasures_running", "Erasures running now.", core.erasing.count() as u64),
        gauge(
            "tracelake_storage_held_parts",
            "Parts that are too old and stay under a hold.",
            read(&counters.held_parts),
        ),
        gauge("tracelake_storage_held_bytes", "Bytes of parts that are too old and held.", read(&counters.held_bytes)),
        held("disk_share", &counters.held_above_share),
        held("bytes_max", &counters.held_above_bytes),
    ]
}

/// What compaction and retention did, and what there is.
fn upkeep_samples(core: &Core) -> Vec<Sample> {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (counters, counter) = (&core.counters, Sample::counter);
    let (from, to) = (&counters.merged, &counters.merged_to);
    let mut samples = vec![
        counter("tracelake_storage_compactions_total", "Merges of parts committed.", read(&counters.compactions)),
        counter(
            "tracelake_storage_compaction_failures_total",
            "Merges given up: a part that cannot be merged, a disk that refused.",
            read(&counters.compaction_failures),
        ),
        counter("tracelake_storage_compacted_rows_in_total", "Rows of parts that were merged.", read(&from.rows)),
        counter("tracelake_storage_compacted_rows_out_total", "Rows of merged parts.", read(&to.rows)),
        counter("tracelake_storage_compacted_bytes_in_total", "Bytes of parts that were merged.", read(&from.bytes)),
        counter("tracelake_storage_compacted_bytes_out_total", "Bytes of merged parts.", read(&to.bytes)),
        counter(
            "tracelake_storage_scrubbed_parts_total",
            "Parts whose checksum was taken again.",
            read(&counters.scrubbed.parts),
        ),
        counter("tracelake_storage_scrubbed_bytes_total", "Bytes of them.", read(&counters.scrubbed.bytes)),
        counter("tracelake_storage_deleted_files_total", "Removed files deleted.", read(&counters.deleted_files)),
        counter("tracelake_storage_deleted_bytes_total", "Bytes of deleted files.", read(&counters.deleted_bytes)),
    ];
    for (reason, removed) in
        [("age", &counters.removed_by_age), ("disk", &counters.removed_by_share), ("bytes", &counters.removed_by_bytes)]
    {
        let (help, rows) = ("Parts removed for good, by reason.", "Rows of parts removed for good, by reason.");
        samples.extend([
            counter("tracelake_storage_removed_parts_total", help, read(&removed.parts)).label("reason", reason),
            counter("tracelake_storage_removed_rows_total", rows, read(&removed.rows)).label("reason", reason),
        ]);
    }
    let traces = core.traces.held();
    samples.extend([
        gauge("tracelake_storage_trace_index_bytes", "Bytes of trace indexes in memory.", traces.bytes),
        gauge("tracelake_storage_trace_index_parts", "Parts whose trace index is in memory.", traces.parts as u64),
    ]);
    samples.extend(erasure_samples(core));
    let live = core.tail.lock().live_totals();
    for (table, parts, bytes) in live {
        samples
            .push(gauge("tracelake_storage_live_parts", "Parts that are live.", parts).label("table", table.as_str()));
        samples.push(
            gauge("tracelake_storage_live_bytes", "Bytes of parts that are live.", bytes)
                .label("table", table.as_str()),
        );
    }
    samples
}

/// What a bucket was asked.
pub(crate) fn remote_samples(requests: &Requests) -> Vec<Sample> {
    let kinds = [
        ("put", &requests.put),
        ("get", &requests.get),
        ("list", &requests.list),
        ("delete", &requests.delete),
        ("failed", &requests.failed),
    ];
    let sample = |(kind, count): (&'static str, &AtomicU64)| {
        let help = "Requests to the object store by kind; those of any kind that failed are counted as failed too.";
        let count = count.load(Ordering::Relaxed);
        Sample::counter("tracelake_storage_object_requests_total", help, count).label("kind", kind)
    };
    kinds.into_iter().map(sample).collect()
}
