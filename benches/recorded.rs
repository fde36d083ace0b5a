//! Recorded requests as their SDKs batched them, through the release binary: what many small requests cost.
//!
//! Every file of frames (a protobuf varint length and one export request each, zstd outside) that is named, or the
//! recorded sets (the full ones where present, else the committed slices).

use std::path::{Path, PathBuf};
use std::time::Instant;

use futures::{StreamExt, stream};

use crate::server::{Server, client, frames, recorded};

/// Requests under way at once.
const IN_FLIGHT: usize = 8;

/// Replays each file and prints a line for it.
pub(crate) async fn run(named: &[PathBuf], out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let heads = ["recording", "records", "rate", "CPU s/M", "peak MB", "disk B", "wire B"];
    let [set, records, rate, cpu, peak, disk, wire] = heads;
    writeln!(out, "{set:<48} {records:>9} {rate:>11} {cpu:>8} {peak:>8} {disk:>9} {wire:>9}")?;
    let files = if named.is_empty() { recorded() } else { named.to_vec() };
    for file in files {
        replay(&file, out).await?;
    }
    Ok(())
}

async fn replay(path: &Path, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let (signal, table) = match &name {
        name if name.contains(".logs.") => ("logs", "logs"),
        name if name.contains(".metrics.") => ("metrics", "metrics"),
        _ => ("traces", "spans"),
    };
    let requests = frames(path)?;
    let sent_bytes: usize = requests.iter().map(Vec::len).sum();
    let server = Server::start(&[])?;
    let client = client()?;
    let url = format!("http://{}/v1/{signal}", server.otlp);
    let (begun, used) = (Instant::now(), server.cpu_seconds()?);
    let send = |body: Vec<u8>| client.post(&url).header("content-type", "application/x-protobuf").body(body).send();
    let mut answers = stream::iter(requests.into_iter().map(send)).buffer_unordered(IN_FLIGHT);
    while let Some(answer) = answers.next().await {
        answer?.error_for_status()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    server.flush(&client).await?;
    let used = server.cpu_seconds()? - used;
    let peak = server.peak_mb()?;
    let records = server.count(&client, table).await?;
    let stored = server.metric(&client, "tracelake_storage_live_bytes").await?;
    writeln!(
        out,
        "{name:<48} {records:>9} {:>9.0}/s {:>8.2} {peak:>8.0} {:>9.1} {:>9.0}",
        records / seconds,
        used / records * 1e6,
        stored / records,
        sent_bytes as f64 / records
    )?;
    Ok(())
}
