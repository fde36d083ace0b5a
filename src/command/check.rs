//! `tracelake check`: the configuration, and everything on disk: of a directory that no server uses, or of a server.
//!
//! Changes nothing unless it is asked to repair, and deletes nothing then. Progress goes to standard error.

use std::io::{Write, stderr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracelake_model::SystemClock;
use tracelake_storage::{CheckAsk, CheckProgress, CheckReport, Store};

use crate::auth::token::Tokens;
use crate::command::line::CheckArgs;
use crate::command::remote::follow;
use crate::error::Error;
use crate::house::describe;
use crate::tls;

/// From one line of progress to the next.
const PACE: Duration = Duration::from_secs(2);

/// Checks and tells what was found.
pub(crate) async fn run(args: CheckArgs, out: &mut dyn Write) -> Result<(), Error> {
    let ask = CheckAsk { rows: !args.quick, repair: args.repair };
    if let Some(remote) = args.remote() {
        let body = json!({ "rows": ask.rows, "repair": ask.repair });
        let mut told = |progress: &Value| {
            let figure = |name: &str| progress[name].as_u64().unwrap_or_default();
            let (parts, bytes, findings) = (figure("parts"), figure("bytes"), figure("findings"));
            tell(CheckProgress { parts, bytes, findings });
        };
        let report = follow(&remote, "/api/v1/admin/check", &body, &mut told).await?;
        let report = serde_json::from_value(report);
        return show(&report.map_err(|fault| Error::Server(format!("no report: {fault}")))?, args.json, out);
    }
    let config = args.config.load()?;
    config.tokens_file.as_deref().map(Tokens::read).transpose()?;
    tls::read(&config.tls)?;
    let fault = |error: tracelake_storage::Error| Error::Storage(describe(&error));
    let mut lines = vec!["configuration: good".to_owned()];
    let storage = config.storage.clone();
    let place = tokio::task::spawn_blocking(move || Store::try_place(&storage));
    lines.extend(place.await.map_err(|fault| Error::Storage(fault.to_string()))?.map_err(fault)?);
    let dir = &config.storage.data_dir;
    if !dir.join("FORMAT").exists() {
        lines.push(format!("data directory {}: empty, a server will make it", dir.display()));
        return if args.json {
            show(&CheckReport::default(), true, out)
        } else {
            write(out, &(lines.join("\n") + "\n"))
        };
    }
    if !args.json {
        write(out, &(lines.join("\n") + "\n"))?;
    }
    let storage = config.storage.clone();
    let work = move || {
        let mut last = Instant::now();
        Store::check_directory(&storage, &SystemClock, ask, &mut |progress| {
            if last.elapsed() >= PACE {
                last = Instant::now();
                tell(progress);
            }
            true
        })
    };
    let report = tokio::task::spawn_blocking(work).await.map_err(|fault| Error::Storage(fault.to_string()))?;
    show(&report.map_err(fault)?, args.json, out)
}

fn tell(progress: CheckProgress) {
    let (parts, mib, findings) = (progress.parts, progress.bytes >> 20, progress.findings);
    let _ = writeln!(stderr(), "{parts} parts, {mib} MiB read, {findings} findings");
}

fn show(report: &CheckReport, as_json: bool, out: &mut dyn Write) -> Result<(), Error> {
    let text = if as_json {
        serde_json::to_string_pretty(report).map_err(|fault| Error::Storage(fault.to_string()))? + "\n"
    } else {
        report.to_text()
    };
    write(out, &text)?;
    if report.is_clean() {
        return Ok(());
    }
    let damaged = report.findings.iter().filter(|finding| finding.is_damage() && !finding.repaired).count();
    Err(Error::Found(format!("{damaged} findings; the report names them and what can be done")))
}

fn write(out: &mut dyn Write, text: &str) -> Result<(), Error> {
    out.write_all(text.as_bytes()).map_err(|source| Error::System { what: "cannot write the output", source })
}
