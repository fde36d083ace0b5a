//! Asking a running server over HTTP; `tracelake flush`.

use std::io::Write;
use std::time::Duration;

use reqwest::{Certificate, Client, Response};
use serde_json::Value;

use crate::command::line::RemoteArgs;
use crate::error::Error;
use crate::house::describe;

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
        let reason = describe(&error);
        Error::Server(format!("{reason}; is the server running, and is {server} its address (--server)?"))
    };
    let mut builder = Client::builder().connect_timeout(CONNECT).no_proxy();
    if let Some(file) = &remote.ca_cert {
        let trouble = |detail: String| Error::Usage(format!("--ca-cert {}: {detail}", file.display()));
        let pem = std::fs::read(file).map_err(|error| trouble(error.to_string()))?;
        let authority = Certificate::from_pem(&pem).map_err(|error| trouble(error.to_string()))?;
        builder = builder.add_root_certificate(authority);
    }
    let client = builder.build().map_err(fault)?;
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

/// Has a server do long work: tells its progress as it comes, answers its report.
pub(crate) async fn follow(
    remote: &RemoteArgs,
    route: &str,
    body: &Value,
    tell: &mut dyn FnMut(&Value),
) -> Result<Value, Error> {
    let broke = |error: reqwest::Error| Error::Server(format!("the answer broke off: {}", describe(&error)));
    let mut answer = post(remote, route, "application/x-ndjson", Some(body)).await?;
    let mut waiting = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(broke)? {
        waiting.extend_from_slice(&piece);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            let mut line: Value = serde_json::from_slice(&line)
                .map_err(|fault| Error::Server(format!("the answer cannot be read: {fault}")))?;
            if let Some(problem) = line.get("problem") {
                let detail = problem.get("detail").and_then(Value::as_str).unwrap_or_default();
                return Err(Error::Server(detail.to_owned()));
            }
            match line.get_mut("report") {
                Some(report) => return Ok(report.take()),
                None => tell(&line["progress"]),
            }
        }
    }
    Err(Error::Server("the server ended before the work did".to_owned()))
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
