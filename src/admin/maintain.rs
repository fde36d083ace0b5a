//! `POST /api/v1/admin/check` and `/api/v1/admin/backup`: long work on a running server. Needs the role admin.
//!
//! The answer is the report as JSON once the work is done. Who accepts `application/x-ndjson` gets a line of progress
//! every second before it: `{"progress":{...}}`, at last `{"report":{...}}` or `{"problem":{...}}`. Who hangs up ends
//! the work.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracelake_model::{Caller, Fault};
use tracelake_storage::{BackupAsk, CheckAsk, CheckProgress};

use crate::admin::refuse::{Refused, need_admin};
use crate::auth::guard::{Door, refuse};
use crate::house::{House, describe};

const NDJSON: &str = "application/x-ndjson";
/// Lines of progress that wait for a slow client; further ones are left out.
const LINES_MAX: usize = 16;
const PACE: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CheckBody {
    /// Decode every row.
    rows: bool,
    /// Move what is damaged to quarantine.
    repair: bool,
}

impl Default for CheckBody {
    fn default() -> Self {
        Self { rows: true, repair: false }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupBody {
    /// The repository, a directory of the server's machine.
    to: PathBuf,
    #[serde(default)]
    keep: Option<usize>,
    #[serde(default)]
    copy: bool,
}

pub(crate) async fn check(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Refused> {
    need_admin(&caller, "checking")?;
    let body = if body.trim().is_empty() { Ok(CheckBody::default()) } else { serde_json::from_str(&body) };
    let ask = match body {
        Ok(CheckBody { rows, repair }) => CheckAsk { rows, repair },
        Err(fault) => return Err(invalid(format!("the body is not {{\"rows\":true,\"repair\":false}}: {fault}"))),
    };
    let (job, lines) = Job::begin();
    tokio::spawn(async move {
        let mut pace = job.pace();
        let tell =
            move |at: CheckProgress| pace(&|| json!({ "parts": at.parts, "bytes": at.bytes, "findings": at.findings }));
        job.end(house.store.check(ask, tell).await).await;
    });
    Ok(answer(&headers, lines).await)
}

pub(crate) async fn backup(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Refused> {
    need_admin(&caller, "a backup")?;
    let ask = match serde_json::from_str(&body) {
        Ok(BackupBody { to, .. }) if !to.is_absolute() => {
            return Err(invalid(format!("to: {} is not an absolute path", to.display())));
        }
        Ok(BackupBody { keep: Some(0), .. }) => return Err(invalid("keep: at least one backup has to stay")),
        Ok(BackupBody { to, keep, copy }) => BackupAsk { to, keep, copy },
        Err(fault) => return Err(invalid(format!("the body is not {{\"to\":\"/directory\",\"keep\":7}}: {fault}"))),
    };
    let (job, lines) = Job::begin();
    tokio::spawn(async move {
        let (mut pace, mut copied) = (job.pace(), 0);
        let tell = move |bytes: u64| {
            copied += bytes;
            pace(&|| json!({ "bytes": copied }))
        };
        job.end(house.back_up(ask, tell).await).await;
    });
    Ok(answer(&headers, lines).await)
}

fn invalid(detail: impl Into<String>) -> Refused {
    Refused::new(Fault::Invalid, detail)
}

/// One line of the answer.
enum Line {
    Progress(Value),
    Report(Value),
    Problem(Fault, String),
}

/// Work under way, as the one who does it sees it.
struct Job {
    lines: mpsc::Sender<Line>,
}

impl Job {
    fn begin() -> (Self, mpsc::Receiver<Line>) {
        let (lines, receiver) = mpsc::channel(LINES_MAX);
        (Self { lines }, receiver)
    }

    /// Tells progress once a second; whether somebody still listens.
    fn pace(&self) -> impl FnMut(&dyn Fn() -> Value) -> bool + Send + 'static {
        let (lines, mut last) = (self.lines.clone(), Instant::now());
        move |progress| {
            if last.elapsed() >= PACE {
                last = Instant::now();
                let _ = lines.try_send(Line::Progress(progress()));
            }
            !lines.is_closed()
        }
    }

    async fn end<T: Serialize>(self, outcome: Result<T, tracelake_storage::Error>) {
        let line = match outcome {
            Ok(report) => serde_json::to_value(&report)
                .map_or_else(|fault| Line::Problem(Fault::Internal, fault.to_string()), Line::Report),
            Err(error) => Line::Problem(error.kind(), describe(&error)),
        };
        // Who hung up needs no answer.
        let _ = self.lines.send(line).await;
    }
}

async fn answer(headers: &HeaderMap, mut lines: mpsc::Receiver<Line>) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains(NDJSON) {
        let text = ReceiverStream::new(lines).map(|line| {
            let line = match line {
                Line::Progress(progress) => json!({ "progress": progress }),
                Line::Report(report) => json!({ "report": report }),
                Line::Problem(fault, detail) => {
                    json!({ "problem": { "status": fault.http_status(), "detail": detail } })
                }
            };
            Ok::<_, Infallible>(format!("{line}\n"))
        });
        return ([(CONTENT_TYPE, NDJSON)], Body::from_stream(text)).into_response();
    }
    loop {
        match lines.recv().await {
            Some(Line::Progress(_)) => {}
            Some(Line::Report(report)) => return (StatusCode::OK, Json(report)).into_response(),
            Some(Line::Problem(fault, detail)) => return refuse(Door::Api, headers, fault, &detail),
            None => return refuse(Door::Api, headers, Fault::Internal, "the work ended without a word; see the log"),
        }
    }
}
