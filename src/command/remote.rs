//! Asking a running server over HTTP; `tracelake flush`.

use std::io::Write;
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::Value;

use crate::command::line::RemoteArgs;
use crate::error::Error;

/// How long connecting may take. Answers may take as long as the server's own limits let them.
const CONNECT: Duration = Duration::from_secs(5);

/// Posts a body to a route of the server; the answer if it is a success, its problem in words if not.
pub(crate) async fn post(
    remote: &RemoteArgs,
    route: &str,
    accept: &str,
    body: Option<&Value>,
) -> Result<Response, Error> {
    let server = remote.server.trim_end_matches('/');
    let fault = |error: reqwest::Error| {
        let reason = if error.is_connect() { "nobody answers there".to_owned() } else { error.to_string() };
        Error::Server(format!("{server}: {reason}; is the server running, and is this its address (--server)?"))
    };
    let client = Client::builder().connect_timeout(CONNECT).no_proxy().build().map_err(fault)?;
    let mut request = client.post(format!("{server}{route}")).header("accept", accept);
    if let Some(token) = &remote.token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.map_err(fault)?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    Err(Error::Server(problem_text(status.as_u16(), &text)))
}

/// The words of a problem body, or of whatever else came.
pub(crate) fn problem_text(status: u16, body: &str) -> String {
    let Ok(problem) = serde_json::from_str::<Value>(body) else {
        return format!("the server answered {status}: {}", body.chars().take(300).collect::<String>());
    };
    let detail = problem.get("detail").and_then(Value::as_str).unwrap_or(body);
    let errors = problem.get("errors").and_then(Value::as_array).into_iter().flatten();
    let errors: String = errors.filter_map(Value::as_str).map(|error| format!("\n  - {error}")).collect();
    let hint = if status == 401 { " (--token or TRACELAKE_TOKEN)" } else { "" };
    format!("{detail}{hint}{errors}")
}

/// Has the server write its rows in memory to Parquet.
pub(crate) async fn flush(remote: &RemoteArgs, out: &mut dyn Write) -> Result<(), Error> {
    let answer = post(remote, "/api/v1/admin/flush", "application/json", None).await?;
    let text = answer.text().await.map_err(|error| Error::Server(error.to_string()))?;
    let report: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let figure = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or_default();
    writeln!(out, "flushed {} rows into {} files, {} bytes", figure("rows"), figure("parts"), figure("bytes"))
        .map_err(|source| Error::System { what: "cannot write the output", source })
}
