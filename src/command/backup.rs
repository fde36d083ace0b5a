//! `tracelake backup` and `tracelake restore`.
//!
//! A running server makes its backup itself; of a directory that no server uses, the wings are started without doors, so
//! that what waits in the log is seen by alerting before it is copied. A restore needs neither.

use std::io::{Write, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use tracelake_model::{Clock, SystemClock, UnixNano};
use tracelake_storage::{BackupAsk, BackupReport, RestoreAsk, RestoreReport, list_backups, restore as restore_store};

use crate::command::line::{BackupArgs, RestoreArgs};
use crate::command::remote::follow;
use crate::config::load::{Layers, load};
use crate::error::Error;
use crate::house::{House, describe};

/// From one line of progress to the next.
const PACE: Duration = Duration::from_secs(2);

/// Makes a backup and tells what is in it.
pub(crate) async fn backup(args: BackupArgs, out: &mut dyn Write) -> Result<(), Error> {
    let to =
        std::path::absolute(&args.to).map_err(|source| Error::System { what: "cannot tell where --to is", source })?;
    let report = match &args.data_dir {
        Some(dir) => offline(dir, args.config.clone(), BackupAsk { to, keep: args.keep, copy: args.copy }).await?,
        None => {
            let body = json!({ "to": to, "keep": args.keep, "copy": args.copy });
            let mut told = |progress: &Value| tell(progress["bytes"].as_u64().unwrap_or_default());
            let report = follow(&args.remote, "/api/v1/admin/backup", &body, &mut told).await?;
            let report = serde_json::from_value(report);
            report.map_err(|fault| Error::Server(format!("no report: {fault}")))?
        }
    };
    let text = if args.json { json_text(&report)? } else { describe_backup(&report) };
    write(out, &text)
}

async fn offline(dir: &Path, file: Option<std::path::PathBuf>, ask: BackupAsk) -> Result<BackupReport, Error> {
    if !dir.join("FORMAT").exists() {
        let dir = dir.display();
        return Err(Error::Usage(format!("{dir} is not a data directory of Tracelake (it holds no FORMAT)")));
    }
    let flags = vec![("", "data_dir", dir.display().to_string())];
    let config = load(&Layers { file, flags, ..Layers::default() })?;
    let house = House::open(&config)?;
    let made = house.back_up(ask, paced()).await;
    house.close().await?;
    made.map_err(|error| Error::Storage(describe(&error)))
}

/// Restores a backup, or lists what there is.
pub(crate) async fn restore(args: RestoreArgs, out: &mut dyn Write) -> Result<(), Error> {
    let fault = |error: tracelake_storage::Error| Error::Storage(describe(&error));
    if args.list {
        let (backups, odd) = list_backups(&args.from).map_err(fault)?;
        let mut text = String::new();
        for backup in &backups {
            let (id, time, rows, bytes) = (&backup.id, &backup.time, backup.rows(), backup.bytes());
            text.push_str(&format!("{id}  {time}  {rows} rows, {bytes} bytes\n"));
        }
        for odd in odd {
            text.push_str(&format!("{odd}\n"));
        }
        return write(out, if text.is_empty() { "no backups\n" } else { &text });
    }
    let at = match args.at.as_deref() {
        None | Some("latest") => None,
        Some(text) => {
            Some(UnixNano::parse(text, SystemClock.now()).map_err(|fault| Error::Usage(format!("--at: {fault}")))?)
        }
    };
    let Some(to) = args.data_dir else {
        return Err(Error::Usage("restore needs --data-dir, a new directory; --list shows what there is".to_owned()));
    };
    let ask = RestoreAsk { from: args.from, at, to: to.clone(), skip_damaged: args.skip_damaged };
    let work = move || restore_store(&ask, &SystemClock, &mut paced());
    let report = tokio::task::spawn_blocking(work).await.map_err(|fault| Error::Storage(fault.to_string()))?;
    let report = report.map_err(fault)?;
    write(out, &if args.json { json_text(&report)? } else { describe_restore(&report, &to) })
}

/// Adds bytes up, and tells them every other second.
fn paced() -> impl FnMut(u64) -> bool + Send + 'static {
    let (mut copied, mut last) = (0, Instant::now());
    move |bytes| {
        copied += bytes;
        if last.elapsed() >= PACE {
            last = Instant::now();
            tell(copied);
        }
        true
    }
}

fn tell(bytes: u64) {
    let _ = writeln!(stderr(), "{} MiB copied", bytes >> 20);
}

fn describe_backup(report: &BackupReport) -> String {
    let mut text = String::new();
    for (table, rows) in &report.rows {
        text.push_str(&format!("{table}: {rows} rows\n"));
    }
    let (id, parts, bytes) = (&report.id, report.parts, report.bytes);
    let (shared, linked, copied) = (report.parts_shared, report.parts_linked, report.bytes_copied);
    text.push_str(&format!(
        "backup {id}: {parts} parts, {bytes} bytes ({shared} shared with earlier backups, {linked} linked, {copied} bytes copied) in {:.1} s\n",
        report.seconds
    ));
    if report.removed > 0 {
        text.push_str(&format!("{} older backups removed\n", report.removed));
    }
    if report.alerting_behind {
        text.push_str("alerting had not seen everything yet: matches in the newest records are not in this backup\n");
    }
    text
}

fn describe_restore(report: &RestoreReport, to: &Path) -> String {
    let mut text = String::new();
    for (table, rows) in &report.rows {
        text.push_str(&format!("{table}: {rows} rows\n"));
    }
    for part in &report.damaged {
        text.push_str(&format!("left out, damaged: {part}\n"));
    }
    let (id, time, parts, bytes, to) = (&report.id, &report.time, report.parts, report.bytes, to.display());
    text.push_str(&format!(
        "backup {id} of {time} restored: {parts} parts, {bytes} bytes in {:.1} s\nstart it with: tracelake serve --data-dir {to}\n",
        report.seconds
    ));
    text
}

fn json_text(report: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(report).map_err(|fault| Error::Storage(fault.to_string()))?;
    Ok(text + "\n")
}

fn write(out: &mut dyn Write, text: &str) -> Result<(), Error> {
    out.write_all(text.as_bytes()).map_err(|source| Error::System { what: "cannot write the output", source })
}
